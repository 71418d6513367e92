//! What does a person see whose device an administrator shuts out?

use std::time::{Duration, Instant};

use latchkey_tests::authenticator::{Authenticator, Says};
use latchkey_tests::browser::Browser;
use latchkey_tests::demo::Demo;
use latchkey_tests::process::until;

/// D-03, D-04: the page's open connections end within a second, and the next click leads to a page that says why. D-11 (its
/// password half): by password the same browser goes on where the rules want no device. Control: before, everything is open.
#[test]
fn a_shut_out_devices_page_closes_and_the_next_click_is_explained() {
    let demo = Demo::with_agents();
    let _agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Browser::start(&demo);
    browser.goto(&demo.url("payroll", "/"));
    let state = |id: &str| browser.wait_for(id).text();
    let both = |is: &str| state("#socket-state").starts_with(is) && state("#events-state").starts_with(is);
    assert!(until(PATIENCE, || both("open")), "control: {}", browser.text());

    demo.command(&["device", "deactivate", "alice-laptop"]);
    let begun = Instant::now();
    let closed = until(PATIENCE, || both("closed"));
    let took = begun.elapsed();
    browser.reload();
    browser.wait_for_text("This device was shut out");
    let explained = browser.text();

    assert!(closed && took < Duration::from_secs(1), "{took:?}");
    assert!(
        explained.contains("An administrator deactivated the device that you signed in with"),
        "{explained}"
    );
    assert!(explained.contains("device-deactivated"), "{explained}");
    browser.click(".actions a");
    browser.wait_for_text("This device was shut out");
    browser.give_username_and_password(&demo, "alice");
    browser.wait_for_text("You cannot open Payroll");
    browser.goto(&demo.url("auth", "/"));
    browser.wait_for_text("You are signed in");
    assert!(!browser.text().contains("Managed"), "{}", browser.text());
}

/// D-10 (in the browser): the device that was shut out signs nobody in, and the page says so and offers the other way.
#[test]
fn a_shut_out_device_signs_nobody_in() {
    let demo = Demo::with_agents();
    let _agent = Authenticator::start(&demo, "alice-laptop", Says::Yes);
    let browser = Browser::start(&demo);
    browser.goto(&demo.url("wiki", "/"));
    browser.wait_for_text("alice@example.com");
    browser.clear_cookies();
    demo.command(&["device", "deactivate", "alice-laptop"]);

    browser.goto(&demo.url("auth", "/"));
    browser.give_username("alice");
    browser.choose("This device");
    browser.wait_for("#device-again");

    let text = browser.text();
    assert!(
        !browser.cookies().iter().any(|cookie| cookie.name.ends_with("-session")),
        "{text}"
    );
    assert!(text.contains("Sign in another way"), "{text}");
    let failed = demo.events("filter=eventType%20eq%20%22user.authentication.auth_via_mfa%22");
    let reason = "fastpass: the device or the account is not active";
    assert!(
        failed.iter().any(|event| event["outcome"]["reason"] == reason),
        "{failed:?}"
    );
}

const PATIENCE: Duration = Duration::from_secs(10);
