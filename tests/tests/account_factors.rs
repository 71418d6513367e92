//! Who changes what somebody signs in with? Whoever proved the strongest just now, or whom an administrator released, once.

use std::time::Duration;

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::Demo;
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;
use latchkey_tests::totp;
use latchkey_tests::visitor::{Page, Visitor};
use serde_json::Value;

static DEMO: Shared = Shared::new();

/// what is weaker than the strongest that somebody has changes nothing: neither the password, nor an app, nor a device
/// goes or comes. Control: with the device and its PIN, in the same session.
#[test]
fn a_weaker_proof_changes_nothing() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("x03");
    let account = device.enrolled["enrollment"].as_str().unwrap().to_owned();
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "x03", PASSWORD);
    let before = demo.events("q=x03").len();

    let password = [("password", NEW), ("again", NEW)];
    let removal = format!("/account/devices/remove?id={account}");
    for (path, action, fields) in [
        ("/account/password", "/account/password", &password[..]),
        (
            "/account/totp",
            "/account/totp",
            &[("offered", "AAAA"), ("code", "123456")],
        ),
        (&removal, "/account/devices/remove", &[("id", account.as_str())]),
    ] {
        let page = visitor.open(&demo.url("auth", path));
        assert!(page.said().contains("asks for more"), "{path}: {}", page.text());
        assert!(page.link("/sign-in/device").is_some(), "{path}: {}", page.text());
        assert!(page.link("/sign-in/password").is_none(), "{path}: {}", page.text());
        // A page that is bound to this very form comes along with the way to prove more.
        let state = page.state();
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("state", state.as_str())]).collect();
        let sent = visitor.post_form(&demo.url("auth", action), &fields);
        assert_eq!(sent.status, 403, "{path}: {}", sent.text());
        assert!(sent.text().contains("authenticator-refused"), "{path}: {}", sent.text());
    }
    // The device without its PIN is weaker than with it.
    let page = visitor.open(&demo.url("auth", "/account/password"));
    let page = visitor.fastpass_at(&page, &device);
    assert!(page.said().contains("asks for more"), "{}", page.text());

    let events = demo.events("q=x03");
    let changed = events.iter().skip(before).filter(|event| is_change(event));
    assert_eq!(changed.count(), 0);
    assert_eq!(factors(&demo, "x03"), ["signed_nonce"]);

    let page = visitor.fastpass_verified_at(&page, &device);
    assert_eq!(page.path(), "/account/password", "control: {}", page.text());
    let page = change_password(&mut visitor, &page, NEW);
    assert!(
        page.text().contains("Your password was changed"),
        "control: {}",
        page.text()
    );
    let other = Visitor::new(&demo).sign_in_with_password(&demo.url("auth", "/"), "x03", NEW);
    assert_eq!(other.path(), "/", "control: {}", other.text());
}

/// A password is the strongest of whoever has nothing else. With the old one go the sessions that rest on it; the one that
/// changes it goes on, and what rests on a device does not notice.
#[test]
fn who_changes_their_password_goes_on() {
    let demo = DEMO.demo();
    demo.user("pwd", PASSWORD, &["employees"]);
    let home = demo.url("auth", "/");
    let (mut here, mut elsewhere) = (Visitor::new(&demo), Visitor::new(&demo));
    for visitor in [&mut here, &mut elsewhere] {
        visitor.sign_in_with_password(&home, "pwd", PASSWORD);
    }
    let stolen = here.copy();

    let page = here.open(&demo.url("auth", "/account/password"));
    for (password, again, says) in [
        (NEW, "something else", "not the same"),
        ("short", "short", "too short"),
        (&"x".repeat(257), &"x".repeat(257), "too long"),
    ] {
        let answer = here.submit(&page, &[("password", password), ("again", again)]);
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(answer.text().contains(says), "{}", answer.text());
    }
    assert!(elsewhere.open(&home).text().contains("You are signed in"), "control");
    let page = change_password(&mut here, &page, NEW);

    assert!(page.text().contains("Your password was changed"), "{}", page.text());
    assert!(here.open(&home).text().contains("You are signed in"));
    for mut over in [elsewhere, stolen] {
        assert!(!over.open(&home).text().contains("You are signed in"));
    }
    let old = Visitor::new(&demo).sign_in_with_password(&home, "pwd", PASSWORD);
    assert_eq!(old.status, 401);
}

/// A secret is in use once the app has shown by a code that it has it, and that code is burnt.
#[test]
fn an_app_is_set_up_by_its_first_code() {
    let demo = DEMO.demo();
    demo.user("app", PASSWORD, &["employees"]);
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "app", PASSWORD);

    let page = visitor.open(&demo.url("auth", "/account/totp"));
    assert!(
        page.text().contains("<svg") && page.text().contains("otpauth://totp/"),
        "{}",
        page.text()
    );
    let wrong = visitor.submit(&page, &[("code", "000000")]);
    assert_eq!(wrong.status, 422, "{}", wrong.text());
    assert_eq!(
        secret_of(&wrong),
        secret_of(&page),
        "the app that scanned it need not scan again"
    );
    assert!(factors(&demo, "app").is_empty());
    let code = totp::code(&secret_of(&page));
    let added = visitor.submit(&page, &[("code", &code)]);
    let added = visitor.follow(added);

    assert!(
        added.text().contains("Your authenticator app was added"),
        "{}",
        added.text()
    );
    assert_eq!(factors(&demo, "app"), ["token:software:totp"]);
    let mut other = Visitor::new(&demo);
    let page = other.sign_in_with_password(&demo.url("news", "/"), "app", PASSWORD);
    let page = other.choose(page, "/sign-in/totp");
    assert_eq!(other.submit(&page, &[("code", &code)]).status, 401, "burnt");
}

/// A code is stronger than a password: the password alone does not take the app away. Control: with a code.
#[test]
fn a_password_does_not_take_the_app_away() {
    let demo = DEMO.demo();
    demo.user("codes", PASSWORD, &["employees"]);
    let secret = demo.totp("codes");
    let removal = format!("/account/factors/remove?id={}", factor_id(&demo, "codes"));
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "codes", PASSWORD);

    let page = visitor.open(&demo.url("auth", &removal));
    assert!(page.said().contains("asks for more"), "{}", page.text());
    assert!(page.link("/sign-in/password").is_none(), "{}", page.text());
    let page = visitor.with_code(page, &secret);
    assert_eq!(page.path(), "/account/factors/remove", "{}", page.text());
    let removed = visitor.submit(&page, &[]);

    assert_eq!(removed.status, 303, "control: {}", removed.text());
    assert!(factors(&demo, "codes").is_empty(), "control");
}

/// Nobody shuts themselves out: the last thing that one can sign in with stays.
#[test]
fn the_last_way_in_stays() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("last");
    let account = device.enrolled["enrollment"].as_str().unwrap();
    let mut visitor = Visitor::new(&demo);
    let page = visitor.open(&demo.url("auth", "/"));
    visitor.fastpass_verified_at(&page, &device);
    let page = visitor.open(&demo.url("auth", "/account/factors"));
    let password = page
        .links()
        .into_iter()
        .find(|link| link.contains("/factors/remove"))
        .unwrap();

    let page = visitor.open(&page.absolute(&password));
    let removed = visitor.submit(&page, &[]);
    let removed = visitor.follow(removed);
    assert!(removed.text().contains("It was removed"), "control: {}", removed.text());

    let page = visitor.open(&demo.url("auth", &format!("/account/devices/remove?id={account}")));
    let kept = visitor.submit(&page, &[]);
    let kept = visitor.follow(kept);
    assert!(kept.text().contains("last way in"), "{}", kept.text());
    assert_eq!(factors(&demo, "last"), ["signed_nonce"]);
}

/// An administrator releases whoever can prove nothing strong any more: one factor, once, for a while, and the log says so.
#[test]
fn a_release_lets_somebody_set_up_one_factor_once() {
    let demo = DEMO.demo();
    let _lost = demo.user_with_device("released");
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "released", PASSWORD);
    let totp = demo.url("auth", "/account/totp");
    assert!(visitor.open(&totp).said().contains("asks for more"));

    demo.command(&["user", "release", "released", "--lifetime", "8h"]);
    assert!(!user(&demo, "released")["releaseEnds"].is_null());
    let page = visitor.open(&totp);
    let wrong = visitor.submit(&page, &[("code", "000000")]);
    assert_eq!(wrong.status, 422, "a slip does not use it up: {}", wrong.text());
    let added = visitor.submit(&page, &[("code", &totp::code(&secret_of(&page)))]);
    assert_eq!(added.status, 303, "{}", added.text());

    assert!(user(&demo, "released")["releaseEnds"].is_null());
    assert!(visitor.open(&totp).said().contains("asks for more"));
    let again = visitor.post_form(
        &totp,
        &[("state", &page.state()), ("offered", "AAAA"), ("code", "000000")],
    );
    assert_eq!(again.status, 403, "{}", again.text());
    let events = demo.events("q=released");
    for (event_type, actor) in [
        ("user.mfa.release.create", "ApiToken"),
        ("user.mfa.release.use", "User"),
    ] {
        let known: Vec<&Value> = events.iter().filter(|event| event["eventType"] == event_type).collect();
        assert_eq!(known.len(), 1, "{event_type}");
        assert_eq!(known[0]["actor"]["type"], actor, "{event_type}");
    }
}

/// A release ends by itself, gives nothing away, and is an administrator's to give to who is active.
#[test]
fn a_release_ends_and_takes_nothing_away() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("briefly");
    let account = device.enrolled["enrollment"].as_str().unwrap();
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "briefly", PASSWORD);

    demo.command(&["user", "release", "briefly"]);
    let removal = visitor.open(&demo.url("auth", &format!("/account/devices/remove?id={account}")));
    assert!(removal.said().contains("asks for more"), "{}", removal.text());
    assert_eq!(
        visitor.open(&demo.url("auth", "/account/totp")).path(),
        "/account/totp",
        "control"
    );

    demo.command(&["user", "release", "briefly", "--lifetime", "1s"]);
    let is_over = || user(&demo, "briefly")["releaseEnds"].is_null();
    assert!(until(Duration::from_secs(15), is_over));
    assert!(
        visitor
            .open(&demo.url("auth", "/account/totp"))
            .said()
            .contains("asks for more")
    );
    let path = "/api/v1/users/briefly/lifecycle/release";
    for bad in ["{\"lifetime\": 0}", "{\"lifetime\": 604801}", "{\"hours\": 1}"] {
        assert_eq!(demo.admin("POST", path, Some(bad)).status, 400, "{bad}");
    }
    demo.command(&["user", "suspend", "briefly"]);
    assert_eq!(demo.admin("POST", path, None).status, 423);
}

fn change_password(visitor: &mut Visitor<'_>, page: &Page, password: &str) -> Page {
    let changed = visitor.submit(page, &[("password", password), ("again", password)]);
    assert_eq!(changed.status, 303, "{}", changed.text());
    visitor.follow(changed)
}

/// The secret that a page shows for typing.
fn secret_of(page: &Page) -> String {
    let text = page.text();
    let secret = text.split("<code>").nth(1).unwrap().split("</code>").next().unwrap();
    secret.replace(' ', "")
}

fn user(demo: &Demo, login: &str) -> Value {
    demo.admin("GET", &format!("/api/v1/users/{login}"), None).json()
}

/// The kinds of factors that a user has, apart from the password.
fn factors(demo: &Demo, login: &str) -> Vec<String> {
    let factors = demo
        .admin("GET", &format!("/api/v1/users/{login}/factors"), None)
        .json();
    let factors = factors.as_array().unwrap().iter();
    factors
        .map(|factor| factor["factorType"].as_str().unwrap().to_owned())
        .collect()
}

fn factor_id(demo: &Demo, login: &str) -> String {
    let factors = demo
        .admin("GET", &format!("/api/v1/users/{login}/factors"), None)
        .json();
    factors[0]["id"].as_str().unwrap().to_owned()
}

fn is_change(event: &Value) -> bool {
    let kinds = [
        "user.account.update_password",
        "user.mfa.factor.activate",
        "user.mfa.factor.deactivate",
        "device.user.remove",
        "device.enrollment.create",
    ];
    kinds.iter().any(|kind| event["eventType"] == *kind)
}

const NEW: &str = "another horse entirely";
