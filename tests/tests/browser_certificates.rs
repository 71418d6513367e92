//! What does a client certificate do in a browser, beside a session and without one?

use latchkey_tests::authenticator::{Authenticator, Says};
use latchkey_tests::browser::{Browser, Setup};
use latchkey_tests::demo::Demo;

/// The certificate's device counts beside a session that was begun by password. Control: the same session without it opens
/// nothing that is for managed devices.
#[test]
fn a_certificate_beside_a_session_says_which_device_it_is() {
    let demo = Demo::with_agents();
    let with = Setup::default()
        .with_identity(demo.identity("alice-laptop"))
        .start(&demo);
    let without = Browser::start(&demo);
    with.sign_in(&demo, "alice");
    without.sign_in(&demo, "alice");

    with.goto(&demo.url("payroll", "/"));
    without.goto(&demo.url("payroll", "/"));

    with.wait_for_text(APPLICATION);
    assert!(with.text().contains(&demo.device_id("alice-laptop")), "{}", with.text());
    without.wait_for_text("Sign in with this device");
    assert!(!without.text().contains(APPLICATION), "control: {}", without.text());
}

/// alice's cookie in a browser with bob's certificate opens nothing, and the page says why. Control: each alone opens it.
#[test]
fn a_certificate_of_somebody_else_beside_a_session_is_explained() {
    let demo = Demo::with_agents();
    let _agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let alice = Browser::start(&demo);
    alice.goto(&demo.url("wiki", "/"));
    alice.wait_for_text("alice@example.com");
    let browser = Setup::default().with_identity(demo.identity("bob-laptop")).start(&demo);
    browser.goto(&demo.url("wiki", "/"));
    browser.wait_for_text("bob@example.com");

    browser.set_cookie(&alice.cookie("wiki.localhost", "__Host-latchkey-session").unwrap());
    browser.reload();

    browser.wait_for_text("are of different accounts");
    assert!(!browser.text().contains("example.com"), "{}", browser.text());
}

/// A revoked certificate is explained and stands in nobody's way: from the page one gets to the sign-in and on to where one
/// wanted to go, where the policies let one. Control: before it is revoked it opens the wiki by itself.
#[test]
fn a_revoked_certificate_is_explained_with_a_way_to_sign_in() {
    let demo = Demo::with_agents();
    demo.edit("policies/news.cedar", "factorCount >= 2", "factorCount >= 1");
    demo.reload();
    let browser = Setup::default()
        .with_identity(demo.identity("alice-laptop"))
        .start(&demo);
    browser.goto(&demo.url("wiki", "/"));
    browser.wait_for_text(APPLICATION);
    let query = format!("/api/v1/certificates?device={}", demo.device_id("alice-laptop"));
    for certificate in demo.admin("GET", &query, None).json().as_array().unwrap() {
        demo.command(&["cert", "revoke", certificate["fingerprint"].as_str().unwrap()]);
    }

    browser.goto(&demo.url("news", "/today"));
    browser.wait_for_text("certificate was revoked");
    let link = browser.wait_for(".actions a");
    link.click();
    browser.give_username_and_password(&demo, "alice");

    browser.wait_for_text(APPLICATION);
    assert_eq!(browser.url(), demo.url("news", "/today"));
}

const APPLICATION: &str = "Who the gateway says you are";
