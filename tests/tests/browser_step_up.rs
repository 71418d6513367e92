//! What does somebody see who is signed in, but not well enough for what they open?

use latchkey_tests::authenticator::{Authenticator, Says};
use latchkey_tests::browser::Browser;
use latchkey_tests::demo::Demo;

/// R-12, X-11 (its own half): who came in by the device alone is asked for a second factor where two are wanted, in place, and
/// is then where they wanted to go. Control: where the device is enough they go on unasked.
#[test]
fn a_session_that_is_too_weak_is_raised_in_place() {
    let demo = Demo::with_agents();
    let _agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Browser::start(&demo);
    browser.goto(&demo.url("payroll", "/"));
    browser.wait_for_text("Who the gateway says you are");

    browser.goto(&demo.url("wiki", "/"));
    browser.wait_for_text("Who the gateway says you are");
    let unasked = browser.url();
    browser.goto(&demo.url("news", "/today"));
    browser.wait_for_text("Reading the news takes two factors.");
    let offers = browser.offers();
    let user = browser.find(".who").unwrap().text();
    browser.choose("Password");
    browser.wait_for("#password");
    let known = browser.find("#username").and_then(|field| field.property("readOnly"));
    browser.give_password(&demo.secret("alice", "password"));
    browser.wait_for_text("Who the gateway says you are");

    assert_eq!(unasked, demo.url("wiki", "/"), "control");
    assert_eq!(offers, ["Password"]);
    assert!(user.contains("alice"), "{user}");
    assert_eq!(known.as_deref(), Some("true"), "nobody is asked again who they are");
    assert_eq!(browser.url(), demo.url("news", "/today"));
    browser.goto(&demo.url("payroll", "/"));
    browser.wait_for_text("Who the gateway says you are");
    assert_eq!(
        browser.url(),
        demo.url("payroll", "/"),
        "what was proved before is kept"
    );
}

/// whom nothing helps is told why, is offered nothing, and can look again, be somebody else or sign out. Control: alice
/// at the same page is in.
#[test]
fn whom_nothing_helps_sees_why_and_is_offered_nothing() {
    let demo = Demo::with_agents();
    let browser = Browser::start(&demo);
    browser.sign_in(&demo, "bob");

    browser.goto(&demo.url("payroll", "/"));
    browser.wait_for_text("You cannot open Payroll");

    let text = browser.text();
    assert!(text.contains("Payroll is for the finance team."), "{text}");
    assert!(
        text.contains("Payroll is open to company-managed devices only."),
        "{text}"
    );
    assert_eq!(browser.offers(), Vec::<String>::new());
    let ways: Vec<String> = browser
        .find_all(".actions .button")
        .iter()
        .map(|way| way.text())
        .collect();
    assert_eq!(ways, ["Check again", "Use another account", "Sign out"]);
    let _agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let alice = Browser::start(&demo);
    alice.goto(&demo.url("payroll", "/"));
    alice.wait_for_text("Who the gateway says you are");
}
