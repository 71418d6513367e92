//! Does a person use an application that is all scripts and WebSockets in the real Chromium? JupyterLab as it is on PyPI.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use latchkey_tests::authenticator::{Authenticator, Says};
use latchkey_tests::browser::{Browser, Key};
use latchkey_tests::demo::Demo;
use latchkey_tests::jupyter::Jupyter;
use latchkey_tests::process::until;
use serde_json::Value;

/// D-05: after a sign-in by FastPass a notebook runs a cell over its WebSocket, and nothing is refused that JupyterLab's scripts
/// ask for. Within a second of the device's deactivation the open page has lost its kernel, and the next page says why.
#[test]
fn a_notebook_runs_in_the_browser_until_the_device_is_deactivated() {
    let jupyter = Jupyter::start();
    let demo = Demo::with_agents_in_front_of(&jupyter.url());
    let agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Browser::start(&demo);
    open_a_notebook(&browser, &demo);
    run(&browser, "6*7*1000003");
    shows(&browser, "42000126");
    assert_eq!(refused(&demo), Vec::<Value>::new(), "{}", agent.output());
    shows(&browser, IDLE);

    demo.command(&["device", "deactivate", &demo.device_id("alice-laptop")]);
    let begun = Instant::now();
    let stopped = until(PATIENCE, || !browser.text().contains(IDLE));
    let took = begun.elapsed();
    browser.goto(&demo.url("wiki", "/lab"));
    browser.wait_for_text("deactivated the device");

    assert!(stopped && took < Duration::from_secs(1), "{took:?}");
    assert_eq!(agent.questions(), Vec::<Value>::new());
}

/// X-09 (in the browser): with the extension for JupyterLab, an open page renews its device's proof whenever that is too old, and
/// goes on with the same kernel: the page is not loaded again, and nobody is asked.
#[test]
fn an_open_notebook_goes_on_while_its_page_renews_the_devices_proof() {
    let jupyter = Jupyter::that_renews();
    let demo = Demo::with_agents_in_front_of(&jupyter.url());
    let agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Browser::start(&demo);
    open_a_notebook(&browser, &demo);
    run(&browser, "x = 6*7*1000003; x");
    shows(&browser, "42000126");
    browser.execute("window.place = 'kept'", &[]);

    demo.add_policies("wiki.cedar", FRESH_PROOF);
    let mut sessions = BTreeSet::new();
    let renewed = until(PATIENCE, || {
        sessions.insert(session_at_the_wiki(&browser));
        sessions.len() > 2
    });
    run(&browser, "x + 1");
    shows(&browser, "42000127");

    assert!(renewed, "{sessions:?}\n{}", agent.output());
    assert_eq!(browser.execute("return window.place", &[]), "kept");
    assert_eq!(agent.questions(), Vec::<Value>::new());
}

/// Without the extension, the page loses its kernel when the proof is too old. Loaded again, it is renewed on the way, and has the
/// kernel with all that was in it.
#[test]
fn a_notebook_that_lost_its_kernel_for_an_old_proof_has_it_again_once_it_is_loaded_again() {
    let jupyter = Jupyter::start();
    let demo = Demo::with_agents_in_front_of(&jupyter.url());
    let agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Browser::start(&demo);
    open_a_notebook(&browser, &demo);
    run(&browser, "x = 6*7*1000003; x");
    shows(&browser, "42000126");
    let first = session_at_the_wiki(&browser);

    demo.add_policies("wiki.cedar", FRESH_PROOF);
    let lost = until(PATIENCE, || !browser.text().contains(IDLE));
    browser.reload();
    let renewed = until(PATIENCE, || session_at_the_wiki(&browser) != first);
    demo.edit("policies/wiki.cedar", "deviceProof < 5", "deviceProof < 900");
    demo.reload();
    is_ready(&browser);
    run(&browser, "x + 1");
    shows(&browser, "42000127");

    assert!(lost && renewed, "{lost} {renewed}\n{}", agent.output());
    assert_eq!(agent.questions(), Vec::<Value>::new());
}

/// Signs in on the way to JupyterLab's page and opens a notebook from its launcher.
fn open_a_notebook(browser: &Browser, demo: &Demo) {
    browser.goto(&demo.url("wiki", "/lab"));
    let there = until(PATIENCE, || browser.find(NOTEBOOK).is_some_and(|card| card.is_shown()));
    assert!(there, "no launcher at {}: {}", browser.url(), browser.text());
    browser.click(NOTEBOOK);
    is_ready(browser);
}

/// Waits until the page says that its kernel is connected: what is run before is dropped without a word.
fn is_ready(browser: &Browser) {
    shows(browser, IDLE);
    browser.wait_until_gone(".jp-NotebookPanel .jp-Spinner");
}

/// Types the last cell and runs it.
fn run(browser: &Browser, code: &str) {
    browser.click(".jp-Notebook .jp-Cell:last-child .cm-content");
    browser.type_text(code);
    browser.press_with_shift(Key::Enter);
}

/// Waits for what takes JupyterLab longer than a page of ours.
fn shows(browser: &Browser, text: &str) {
    let there = until(PATIENCE, || browser.text().contains(text));
    assert!(there, "no `{text}` at {}: {}", browser.url(), browser.text());
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

fn session_at_the_wiki(browser: &Browser) -> String {
    let cookie = browser.cookie("wiki.localhost", "__Host-latchkey-session");
    cookie.expect("a session at the wiki").value
}

/// What the launcher shows for a new notebook.
const NOTEBOOK: &str = ".jp-LauncherCard[data-category=Notebook]";

/// What the status bar says of a kernel that is connected. The notebook's own sign of it is there before.
const IDLE: &str = "Python 3 (ipykernel) | Idle";

const PATIENCE: Duration = Duration::from_secs(90);

/// A device's proof of the last seconds.
const FRESH_PROOF: &str = "@id(\"wiki.fresh\") @deny_reason(\"Your device has to prove itself again.\") @advice(\"prove-device\")\n\
    forbid (principal is User, action in Action::\"access\", resource == App::\"wiki\")\n\
    unless { context.age has deviceProof && context.age.deviceProof < 5 };\n";
