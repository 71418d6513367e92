//! Does a person use an application that is all scripts and WebSockets in the real Chromium? JupyterLab as it is on PyPI.

use std::time::Duration;

use latchkey_tests::authenticator::{Authenticator, Says};
use latchkey_tests::browser::{Browser, Key};
use latchkey_tests::demo::Demo;
use latchkey_tests::jupyter::Jupyter;
use latchkey_tests::process::until;
use serde_json::Value;

/// After a sign-in by FastPass a notebook opens from the launcher and runs a cell, and nothing is refused that JupyterLab's
/// scripts ask for. Once the device is deactivated, the page says so.
#[test]
fn a_notebook_runs_in_the_browser_until_the_device_is_deactivated() {
    let jupyter = Jupyter::start();
    let demo = Demo::with_agents_in_front_of(&jupyter.url());
    let agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Browser::start(&demo);

    browser.goto(&demo.url("wiki", "/lab"));
    appears(&browser, NOTEBOOK);
    browser.click(NOTEBOOK);
    appears(&browser, IDLE_KERNEL);
    run(&browser, "6*7");

    let result = || browser.find(RESULT).map(|result| result.text()).unwrap_or_default();
    assert!(until(PATIENCE, || result().contains("42")), "{}", browser.text());
    assert_eq!(refused(&demo), Vec::<Value>::new(), "{}", agent.output());

    demo.command(&["device", "deactivate", &demo.device_id("alice-laptop")]);

    browser.goto(&demo.url("wiki", "/lab"));
    browser.wait_for_text("deactivated the device");
}

/// Waits for what takes JupyterLab longer than a page of ours.
fn appears(browser: &Browser, css: &str) {
    assert!(
        until(PATIENCE, || browser.find(css).is_some()),
        "no {css}: {}",
        browser.text()
    );
}

/// Types a cell and runs it.
fn run(browser: &Browser, code: &str) {
    browser.click(CELL);
    browser.type_text(code);
    browser.press_with_shift(Key::Enter);
}

/// What was refused of JupyterLab after the first page of it was let through.
fn refused(demo: &Demo) -> Vec<Value> {
    let lines = demo
        .decisions()
        .lines()
        .into_iter()
        .filter(|line| line["app"] == "wiki");
    let since = lines.skip_while(|line| line["decision"] != "allow");
    since.filter(|line| line["decision"] != "allow").collect()
}

const NOTEBOOK: &str = ".jp-LauncherCard[data-category=Notebook]";
const CELL: &str = ".jp-Notebook .jp-Cell:last-child .cm-content";
const RESULT: &str = ".jp-Notebook .jp-OutputArea-executeResult";
const IDLE_KERNEL: &str = ".jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status=idle]";

const PATIENCE: Duration = Duration::from_secs(60);
