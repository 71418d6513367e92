//! Does a person with a security key or passkey get in by the real browser?

use latchkey_tests::browser::{Browser, VirtualKey};
use latchkey_tests::demo::Demo;
use latchkey_tests::shared::Shared;

static DEMO: Shared = Shared::new();

const PASSKEYS: VirtualKey = VirtualKey {
    transport: "internal",
    keeps_users: true,
    verifies: true,
};

const OLD_KEY: VirtualKey = VirtualKey {
    transport: "usb",
    keeps_users: false,
    verifies: false,
};

/// P-24: carol adds a passkey of her computer, and signs in with it: two factors at one touch, without her username.
#[test]
fn a_passkey_is_added_and_signs_in() {
    let demo = DEMO.demo();
    let browser = Browser::start(&demo);
    browser.plug_in(PASSKEYS);
    add_key(&browser, &demo, "carol", "My laptop");

    sign_out(&browser, &demo);
    browser.offer_no_passkeys_beside_fields();
    browser.goto(&demo.url("news", "/today"));
    browser.give_username("carol");
    browser.choose("Security key or passkey");
    browser.wait_for_text("Who the gateway says you are");
    assert_eq!(browser.url(), demo.url("news", "/today"));
    assert!(browser.text().contains("carol@example.com"));
}

/// P-24: the browser offers the passkey beside the username, and nobody types anything.
#[test]
fn a_passkey_signs_in_from_the_username_field() {
    let demo = DEMO.demo();
    let browser = Browser::start(&demo);
    browser.plug_in(PASSKEYS);
    add_key(&browser, &demo, "bob", "My laptop");

    sign_out(&browser, &demo);
    browser.goto(&demo.url("news", "/"));
    // The virtual authenticator's person takes the only passkey that is offered.
    browser.wait_for_text("Who the gateway says you are");
    assert!(browser.text().contains("bob@example.com"));
}

/// P-24 (step-up): an old key that neither keeps users nor verifies them stands beside the password, and says nothing alone.
#[test]
fn an_old_key_stands_beside_a_password() {
    let demo = Demo::start();
    let browser = Browser::start(&demo);
    browser.plug_in(OLD_KEY);
    add_key(&browser, &demo, "carol", "Old key");

    sign_out(&browser, &demo);
    browser.goto(&demo.url("news", "/"));
    browser.give_username("carol");
    browser.choose("Security key or passkey");
    browser.wait_for_text("No key answered");
    browser.goto(&demo.url("news", "/"));
    browser.give_username_and_password(&demo, "carol");
    browser.wait_for_text("Reading the news takes two factors.");
    assert!(browser.offers().contains(&"Security key or passkey".to_owned()));
    browser.choose("Security key or passkey");
    browser.wait_for_text("Who the gateway says you are");
}

/// The same key is not added twice: the browser says so, and nothing is made.
#[test]
fn a_key_is_not_added_twice() {
    let demo = Demo::start();
    let browser = Browser::start(&demo);
    browser.plug_in(PASSKEYS);
    add_key(&browser, &demo, "carol", "Once");

    sign_out(&browser, &demo);
    browser.goto(&demo.url("news", "/"));
    browser.wait_for_text("Who the gateway says you are");
    browser.goto(&demo.url("auth", "/account/webauthn/add"));
    browser.fill("#name", "Twice");
    browser.click("#add-key button");
    browser.wait_for_text("This key is registered already");
    let factors = demo.admin("GET", "/api/v1/users/carol/factors", None).text();
    assert!(factors.contains("Once") && !factors.contains("Twice"), "{factors}");
}

fn add_key(browser: &Browser, demo: &Demo, user: &str, name: &str) {
    browser.sign_in(demo, user);
    browser.goto(&demo.url("auth", "/account/webauthn/add"));
    if browser.find("#add-key").is_none() {
        browser.choose("Code");
        browser.give_code(&demo.code(user));
    }
    browser.fill("#name", name);
    browser.click("#add-key button");
    browser.wait_for_url(|url| url.contains("/account/factors"));
    let factors = demo.admin("GET", &format!("/api/v1/users/{user}/factors"), None);
    assert!(factors.text().contains(name), "{}", factors.text());
}

fn sign_out(browser: &Browser, demo: &Demo) {
    browser.goto(&demo.url("auth", "/"));
    browser.click("form[action='/sign-out'] button");
    browser.wait_for_text("You are signed out");
}
