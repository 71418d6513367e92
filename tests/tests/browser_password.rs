//! Does somebody without a device get in by password and code, and hear what is wrong when something is?

use std::time::Duration;

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::browser::{Browser, Key, Setup};
use latchkey_tests::demo::Demo;
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;
use latchkey_tests::totp;

static DEMO: Shared = Shared::new();

/// R-12 (its second half), P-01: news takes two factors of any kind. A wrong password and a wrong code are said to be so, and
/// give nothing; the right ones lead to where carol wanted to go.
#[test]
fn a_password_and_a_code_open_what_takes_two_factors() {
    let demo = DEMO.demo();
    let browser = Browser::start(&demo);
    let password = demo.secret("carol", "password");

    browser.goto(&demo.url("news", "/today?page=2"));
    browser.give_username("carol");
    browser.choose("Password");
    browser.give_password("wrong horse");
    browser.wait_for_text("Username and password do not go together.");
    browser.give_password(&password);
    browser.wait_for_text("Reading the news takes two factors.");
    let offers = browser.offers();
    browser.choose("Code");
    browser.give_code("000000");
    browser.wait_for_text("This code is not right, or was used already.");
    let before = browser.cookie("news.localhost", "__Host-latchkey-session");
    browser.give_code(&demo.code("carol"));
    browser.wait_for_text("Who the gateway says you are");

    assert_eq!(offers, ["Code", "E-mail"]);
    assert_eq!(before, None);
    assert_eq!(browser.url(), demo.url("news", "/today?page=2"));
    assert!(browser.text().contains("carol@example.com"));
}

/// a user who does not exist sees the pages that one sees who does.
#[test]
fn nobody_learns_from_the_pages_who_exists() {
    let demo = DEMO.demo();
    let pages = ["alice", "nobody-at-all"].map(|user| {
        let browser = Browser::start(&demo);
        browser.goto(&demo.url("news", "/"));
        browser.give_username(user);
        let methods = browser.wait_for("main").text();
        browser.choose("Password");
        browser.give_password("wrong horse");
        browser.wait_for_text("do not go together");
        [methods, browser.wait_for("main").text()].map(|text| text.replace(user, "USER"))
    });

    assert_eq!(pages[0], pages[1]);
}

/// too many wrong passwords make the page say how long to wait, and for whom it is: the person, not the user.
#[test]
fn too_many_wrong_passwords_are_told_how_long_to_wait() {
    let demo = Demo::start();
    let browser = Browser::start(&demo);
    browser.goto(&demo.url("news", "/"));
    browser.give_username("carol");
    browser.choose("Password");

    let throttled = until(Duration::from_secs(60), || {
        browser.give_password("wrong horse");
        browser.wait_for_text("Type your password");
        browser.text().contains("Too many attempts")
    });

    assert!(throttled, "{}", browser.text());
    assert!(browser.text().contains("Try again in"), "{}", browser.text());
    assert!(browser.find("#password").is_some(), "the form stays");
}

/// The whole way by keyboard: each page puts the focus where one goes on, and Tab and Enter do the rest.
#[test]
fn the_keyboard_alone_is_enough() {
    let demo = DEMO.demo();
    let secret = with_codes(&demo, "keyboard");
    let browser = Browser::start(&demo);
    let mut seen = Vec::new();
    let mut type_in = |text: &str| {
        seen.push(browser.focused());
        browser.type_text(text);
        browser.press(Key::Enter);
    };

    browser.goto(&demo.url("news", "/"));
    type_in("keyboard");
    browser.wait_for(".offers");
    tab_to(&browser, "Password");
    browser.press(Key::Enter);
    browser.wait_for("#password");
    type_in(PASSWORD);
    browser.wait_for_text("One more step");
    tab_to(&browser, "Code");
    browser.press(Key::Enter);
    browser.wait_for("#code");
    type_in(&totp::code(&secret));
    browser.wait_for_text("Who the gateway says you are");

    let labels = ["Username", "Password", "Code"];
    assert!(
        seen.iter().zip(labels).all(|(focused, label)| focused.contains(label)),
        "{seen:?}"
    );
}

/// Pages work without JavaScript, but for what the browser's own API needs: the device.
#[test]
fn without_scripts_the_password_is_enough() {
    let demo = DEMO.demo();
    let secret = with_codes(&demo, "noscript");
    let browser = Setup::default().without_scripts().start(&demo);

    browser.goto(&demo.url("news", "/"));
    browser.give_username("noscript");
    browser.wait_for_text("needs JavaScript, which is off in this browser");
    browser.choose("Password");
    browser.give_password(PASSWORD);
    browser.choose("Code");
    browser.give_code(&totp::code(&secret));
    browser.wait_for_text("Who the gateway says you are");
    browser.goto(&demo.url("auth", "/"));
    browser.click("form[action='/sign-out'] button");

    browser.wait_for_text("You are signed out");
}

/// A user of the test's own, for codes are good once; the secret that they are made of.
fn with_codes(demo: &Demo, login: &str) -> String {
    demo.user(login, PASSWORD, &["employees"]);
    demo.command(&["user", "totp", login]).stdout.trim().to_owned()
}

/// Presses Tab until an element with this text has the focus.
fn tab_to(browser: &Browser, text: &str) {
    let reached = (0..20).any(|_| {
        browser.press(Key::Tab);
        browser.focused().contains(&format!("\"{text}"))
    });
    assert!(reached, "`{text}` is not reached by Tab: {}", browser.text());
}
