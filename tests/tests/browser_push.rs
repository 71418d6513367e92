//! Does somebody sign in in one browser by what they type on another machine, with the agents and the browser that people have?

use latchkey_tests::agent::{Agent, PASSWORD, PIN};
use latchkey_tests::authenticator::{Authenticator, Says};
use latchkey_tests::browser::Browser;
use latchkey_tests::demo::{Demo, host};
use latchkey_tests::process::until;
use latchkey_tests::push::Waiting;
use latchkey_tests::visitor::{Page, Visitor};
use serde_json::{Value, json};

/// P-03, P-05: in a browser without an agent, a password and then another device: its agent says who asks and for what, its user
/// types the number that the browser shows, and the page goes on by itself. The wrong number before is a no.
#[test]
fn the_number_that_the_browser_shows_is_typed_on_the_other_device() {
    let demo = Demo::start();
    let (_installation, phone) = phone(&demo, "frida");
    let browser = Browser::start(&demo);
    phone.hears_pushes(1);

    browser.goto(&demo.url("news", "/today"));
    browser.give_username("frida");
    browser.choose_if_asked("Password", "#password");
    browser.give_password(PASSWORD);
    browser.choose("Another device");
    browser.wait_for_text("Use another device");
    browser.click("main button");
    let wrong = (number(&browser) - 9) % 90 + 10;
    let question = phone.question(1);
    phone.says(Says::Number(wrong));
    browser.wait_for_text("It was not approved");
    phone.says(Says::Nothing);
    browser.click("main button");
    let right = number(&browser);
    phone.question(2);
    phone.says(Says::Number(right));
    browser.wait_for_text("Who the gateway says you are");

    assert_eq!(browser.url(), demo.url("news", "/today"));
    for (member, value) in [
        ("kind", json!("push")),
        ("login", json!("frida")),
        ("application", json!("News")),
        ("address", json!("127.0.0.1")),
        ("number", json!(true)),
        ("pin", json!(false)),
    ] {
        assert_eq!(question[member], value, "{question}");
    }
    assert!(question["browser"].as_str().unwrap().contains("Chrome"), "{question}");
}

/// P-03, P-05: with two agents of one user both are asked; what one answers ends the other's question. A PIN is asked for where
/// the rules want one. *Not me* is a no.
#[test]
fn both_agents_of_a_user_are_asked_and_one_answers() {
    let demo = Demo::start();
    let (_first, phone) = phone(&demo, "gerd");
    let (_second, desktop) = phone_of(&demo, "gerd", "desktop");
    phone.hears_pushes(1);
    desktop.hears_pushes(1);
    let mut visitor = Visitor::new(&demo);
    let page = visitor.sign_in_with_password(&demo.url("news", "/two"), "gerd", PASSWORD);
    let page = visitor.other_way(page);

    let waiting = visitor.ask_others(&page);
    assert_eq!(
        (phone.question(1), desktop.question(1)["login"].clone()),
        (desktop.question(1), json!("gerd"))
    );
    phone.says(Says::NotMe);
    assert!(settled(&mut visitor, &waiting).said().contains("It was not approved"));
    let answered = until(std::time::Duration::from_secs(10), || phone.output().contains("NotMe"));
    assert!(answered, "{}", phone.output());
    phone.says(Says::Nothing);
    let reported = demo.events("filter=eventType%20eq%20%22user.account.report_suspicious_activity_by_enduser%22");
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(!desktop.output().contains("answered a push"), "{}", desktop.output());
}

/// P-05, X-02: where the rules want a PIN on the other device, it is asked for there, and the user-verification key signs.
#[test]
fn a_pin_is_typed_on_the_other_device_where_the_rules_want_one() {
    let demo = Demo::start();
    let rule = "permit (principal, action, resource == App::\"news\") when { context has session && context.session has otp && \
                context.session.otp.userVerifiedInSoftware && context.session has knowledge };";
    demo.set_policies("news.cedar", &format!("@id(\"news.verified\")\n{rule}"));
    let (_installation, phone) = phone(&demo, "hanna");
    phone.hears_pushes(1);
    let mut visitor = Visitor::new(&demo);
    let page = visitor.sign_in_with_password(&demo.url("news", "/pin"), "hanna", PASSWORD);
    let page = visitor.other_way(page);

    let waiting = visitor.ask_others(&page);
    let question = phone.question(1);
    assert_eq!((&question["pin"], &question["number"]), (&json!(true), &json!(true)));
    let shown: u8 = waiting.number.as_deref().unwrap().parse().unwrap();
    phone.says(Says::PinAndNumber("000000", shown));
    let again = phone.question(2);
    assert_eq!(again["again"], 1);
    phone.says(Says::PinAndNumber(PIN, shown));
    let opened = settled(&mut visitor, &waiting);

    assert_eq!(
        (opened.host(), opened.path().as_str()),
        (host("news"), "/pin"),
        "{}",
        opened.said()
    );
}

/// An agent comes back by itself when the gateway does. Control: it is asked then.
#[test]
fn a_stream_is_opened_again_after_a_restart_of_the_gateway() {
    let mut demo = Demo::start();
    let (_installation, phone) = phone(&demo, "ida");
    phone.hears_pushes(1);

    demo.restart();

    phone.hears_pushes(2);
    let mut visitor = Visitor::new(&demo);
    let page = visitor.sign_in_with_password(&demo.url("news", "/back"), "ida", PASSWORD);
    let page = visitor.other_way(page);
    let waiting = visitor.ask_others(&page);
    phone.question(1);
    phone.says(Says::Number(waiting.number.as_deref().unwrap().parse().unwrap()));
    assert_eq!(settled(&mut visitor, &waiting).path(), "/back", "control");
}

/// A new user, and the agent on another machine of theirs.
fn phone(demo: &Demo, user: &str) -> (Agent, Authenticator) {
    demo.user(user, PASSWORD, &["employees"]);
    phone_of(demo, user, "phone")
}

fn phone_of(demo: &Demo, user: &str, name: &str) -> (Agent, Authenticator) {
    let installation = Agent::new();
    let pin = installation.file("pin", PIN).display().to_string();
    let name = format!("{user}-{name}");
    let arguments = [
        "--name",
        &name,
        "--keys",
        "software",
        "--no-attestation",
        "--pin-file",
        &pin,
    ];
    let enrolled = installation.enroll(demo, user, PASSWORD, &arguments);
    assert!(enrolled.success, "{enrolled:?}");
    let folder = demo.scratch().join(format!("{name}-prompt"));
    let agent = Authenticator::of(&installation.state(), &folder, Says::Nothing);
    (installation, agent)
}

/// The number that the page shows.
fn number(browser: &Browser) -> u8 {
    browser.wait_for(".match").text().trim().parse().unwrap()
}

/// Goes on once it was answered.
fn settled(visitor: &mut Visitor<'_>, waiting: &Waiting) -> Page {
    let status = waiting.page.text();
    let status = status
        .split("data-status=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let url = waiting
        .page
        .absolute(&status.unwrap().replace("&#38;", "&").replace("&amp;", "&"));
    let is_settled = until(std::time::Duration::from_secs(20), || {
        visitor.get(&url).json()["settled"] == Value::Bool(true)
    });
    assert!(is_settled, "nobody answered");
    visitor.go_on(waiting)
}
