//! What does every page look like, on a phone, on a desktop, in the dark and in German? `make screenshots` writes it down.

use std::path::PathBuf;

use clap::Parser;
use latchkey_tests::browser::Setup;
use latchkey_tests::gallery;

/// Starts a demo and a browser, and makes a picture of each page as `DIR/PAGE-LOOK.png`.
#[derive(Parser)]
struct Arguments {
    /// Where the pictures go.
    directory: PathBuf,
    /// Only in this look: phone, desktop, phone-dark, desktop-dark, phone-german or desktop-german.
    #[arg(long)]
    look: Option<String>,
}

/// A way of looking at pages.
struct Look {
    name: &'static str,
    setup: fn() -> Setup,
}

fn main() {
    let Arguments { directory, look } = Arguments::parse();
    std::fs::create_dir_all(&directory).unwrap();
    let wanted = |known: &&Look| look.as_deref().is_none_or(|look| look == known.name);
    for look in LOOKS.iter().filter(wanted) {
        // Each has a demo of its own: wrong codes are among the pages, and those of several looks would add up to a risk.
        let demo = gallery::demo();
        gallery::visit(&demo, &(look.setup)(), |page, browser| {
            let file = directory.join(format!("{}-{}.png", page.name, look.name));
            browser.screenshot(&file);
            println!("{}", file.display());
        });
    }
}

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
    Look {
        name: "phone-german",
        setup: || Setup::default().phone().german(),
    },
    Look {
        name: "desktop-german",
        setup: || Setup::default().german(),
    },
];
