//! What does every page look like, on a phone, on a desktop and in the dark? `make screenshots` writes it down.

use std::path::{Path, PathBuf};

use clap::Parser;
use latchkey_tests::browser::{Browser, Setup};
use latchkey_tests::demo::Demo;

/// Starts a demo and a browser, and makes a picture of each page as `DIR/PAGE-LOOK.png`.
#[derive(Parser)]
struct Arguments {
    /// Where the pictures go.
    directory: PathBuf,
}

/// A page, and who sees it.
struct Page {
    name: &'static str,
    /// The demo's device whose certificate the browser has.
    device: Option<&'static str>,
    /// How to get there.
    open: fn(&Browser, &Demo),
}

/// A way of looking at pages.
struct Look {
    name: &'static str,
    setup: fn() -> Setup,
}

fn main() {
    let directory = Arguments::parse().directory;
    std::fs::create_dir_all(&directory).unwrap();
    let demo = Demo::start();
    for page in PAGES {
        for look in LOOKS {
            let file = directory.join(format!("{}-{}.png", page.name, look.name));
            picture(&demo, page, look, &file);
            println!("{}", file.display());
        }
    }
}

/// A browser for each picture: no page is seen with what another one left behind.
fn picture(demo: &Demo, page: &Page, look: &Look, file: &Path) {
    let setup = (look.setup)();
    let setup = match page.device {
        Some(device) => setup.with_identity(demo.identity(device)),
        None => setup,
    };
    let browser = setup.start(demo);
    (page.open)(&browser, demo);
    browser.screenshot(file);
}

/// Every page that people see.
const PAGES: &[Page] = &[
    Page {
        name: "sign-in",
        device: None,
        open: |browser, demo| browser.goto(&demo.url("auth", "/sign-in")),
    },
    Page {
        name: "denied",
        device: Some("bob-laptop"),
        open: |browser, demo| browser.goto(&demo.url("payroll", "/")),
    },
    Page {
        name: "wiki",
        device: Some("alice-laptop"),
        open: |browser, demo| browser.goto(&demo.url("wiki", "/")),
    },
];

const LOOKS: &[Look] = &[
    Look {
        name: "phone",
        setup: || Setup::default().phone(),
    },
    Look {
        name: "desktop",
        setup: Setup::default,
    },
    Look {
        name: "phone-dark",
        setup: || Setup::default().phone().dark(),
    },
    Look {
        name: "desktop-dark",
        setup: || Setup::default().dark(),
    },
];
