//! What if the browser asks the person before a page may reach this machine? As it does where the gateway is on the Internet.

use latchkey_tests::authenticator::{Authenticator, Says};
use latchkey_tests::browser::{Permission, Setup};
use latchkey_tests::demo::Demo;
use latchkey_tests::process::until;
use std::time::Duration;

/// With the permission the device signs in as ever; without it the page says that the browser blocks the way, and how to open
/// it. The test page says the same. Control: each is the other's.
#[test]
fn a_public_gateways_pages_reach_the_agent_with_permission_alone() {
    let demo = Demo::with_agents();
    let agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let public = Setup::default().as_if_public(demo.address());
    let (granted, denied) = (public.clone().start(&demo), public.start(&demo));
    granted.set_permission_of(&demo.url("auth", ""), PERMISSION, Permission::Granted);
    denied.set_permission_of(&demo.url("auth", ""), PERMISSION, Permission::Denied);

    granted.goto(&demo.url("payroll", "/"));
    granted.wait_for_text("alice@example.com");

    denied.goto(&demo.url("payroll", "/"));
    let quiet = until(Duration::from_secs(10), || {
        denied.find("#device").is_some_and(|status| status.text().is_empty())
    });
    assert!(quiet, "{}", denied.text());
    denied.give_username("alice");
    denied.choose_if_asked("This device", "#device-title");
    denied.wait_for_text("Your browser blocks the way to your device");
    assert!(
        denied
            .text()
            .contains("Click the icon left of the address, allow access"),
        "{}",
        denied.text()
    );
    denied.goto(&demo.url("auth", "/device-test"));
    denied.wait_for_text("Your browser blocks the way");
    granted.goto(&demo.url("auth", "/device-test"));
    granted.wait_for_text("Your device is found");
    assert!(agent.questions().is_empty());
}

const PERMISSION: &str = "loopback-network";
