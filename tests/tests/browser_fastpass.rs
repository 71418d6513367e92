//! Does the agent on somebody's machine sign them in, with nothing typed or no more than a username?

use latchkey_tests::authenticator::{ALICES_PIN, Authenticator, Says};
use latchkey_tests::browser::{Browser, Setup};
use latchkey_tests::demo::Demo;
use serde_json::{Value, json};

/// P-01, P-02, P-08, P-10: where possession is enough, the device is found before anybody is asked for anything, its user is
/// not asked either, and no request of the flow carries a password. Control: without the agent a username is asked for.
#[test]
fn a_found_device_signs_its_user_in_with_nothing_typed() {
    let demo = Demo::with_agents();
    let without = Browser::start(&demo);
    without.goto(&demo.url("payroll", "/salaries?year=2026"));
    let asked = without.wait_for("#username").is_shown();
    let agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Setup::default().recording().start(&demo);

    browser.goto(&demo.url("payroll", "/salaries?year=2026"));
    browser.wait_for_text(APPLICATION);

    assert!(asked, "control");
    assert_eq!(browser.url(), demo.url("payroll", "/salaries?year=2026"));
    assert!(browser.text().contains("alice@example.com"), "{}", browser.text());
    assert_eq!(agent.questions(), Vec::<Value>::new());
    let sent = browser.sent();
    let agents = format!("http://127.0.0.1:{}/challenge", agent.port());
    assert!(
        sent.iter().any(|sent| sent.url == agents && !sent.body.is_empty()),
        "{sent:?}"
    );
    let password = demo.secret("alice", "password");
    let carries = |text: &str| text.contains(&password) || text.contains("password");
    assert!(
        !sent.iter().any(|sent| carries(&sent.url) || carries(&sent.body)),
        "{sent:?}"
    );
    let cookie = browser.cookie("payroll.localhost", SESSION).unwrap();
    assert_eq!(
        (cookie.http_only, cookie.secure, cookie.same_site.as_deref()),
        (true, true, Some("Lax"))
    );
    let signed = authentications(&demo);
    assert_eq!(signed.len(), 1, "{signed:?}");
    assert_eq!(signed[0]["outcome"]["result"], "SUCCESS");
    assert!(
        signed[0]["target"].to_string().contains("alice-laptop"),
        "{}",
        signed[0]
    );
}

/// P-02, P-06: with a username typed, the user is asked on the device itself who asks and for what; who says no is signed in
/// nowhere, and the System Log says so. Control: who says yes is in.
#[test]
fn who_says_no_on_the_device_is_told_so_and_who_says_yes_is_in() {
    let demo = Demo::with_agents();
    news_demand(&demo, "context.session.device.userPresence");
    let browser = Browser::start(&demo);

    browser.goto(&demo.url("news", "/today"));
    browser.give_username("alice");
    browser.choose_if_asked("This device", "#device-title");
    browser.wait_for_text("Your device was not found");
    let agent = Authenticator::start(&demo, "alice-laptop", Says::Nothing);
    browser.click("#device-again");
    browser.wait_for_text("Confirm on your device");
    let question = agent.question(1);
    agent.says(Says::No);
    browser.wait_for_text("You said no on your device");
    let (failed, cookies) = (authentications(&demo), browser.cookies());
    agent.says(Says::Yes);
    browser.click("#device-again");
    browser.wait_for_text(APPLICATION);

    let asked = [
        "kind",
        "login",
        "application",
        "browser",
        "address",
        "origin",
        "pin",
        "again",
    ];
    let origin = demo.url("auth", "");
    let expected = ["sign-in", "alice", "News", "Chrome on Linux", "127.0.0.1", &origin].map(Value::from);
    let said: Vec<Value> = asked.iter().map(|field| question[field].clone()).collect();
    assert_eq!(said, [&expected[..], &[json!(false), json!(0)]].concat());
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["outcome"]["result"], "FAILURE");
    assert!(
        failed[0]["outcome"]["reason"]
            .as_str()
            .unwrap()
            .contains("the user said no"),
        "{failed:?}"
    );
    assert!(!cookies.iter().any(|cookie| cookie.name == SESSION), "{cookies:?}");
    assert_eq!(browser.url(), demo.url("news", "/today"));
}

/// P-07: where the policy wants the user verified, the signature that the device gave by itself is not enough: the page asks
/// for one with the PIN. A wrong one is asked for again. Control: with the right one it opens.
#[test]
fn a_policy_that_wants_a_pin_gets_one() {
    let demo = Demo::with_agents();
    let file = demo.file("policies/wiki.cedar");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + PIN).unwrap();
    demo.reload();
    let agent = Authenticator::start(&demo, "alice-laptop", Says::Pin("000000"));
    let browser = Browser::start(&demo);

    browser.goto(&demo.url("wiki", "/"));
    browser.wait_for_text("The wiki wants your PIN.");
    let before = (agent.questions(), browser.offers());
    browser.choose("This device");
    let questions = [agent.question(1), agent.question(2)];
    agent.says(ALICES_PIN);
    browser.wait_for_text(APPLICATION);

    assert_eq!(before, (Vec::new(), vec!["This device".to_owned()]));
    let asked = questions.map(|question| (question["pin"].clone(), question["again"].clone()));
    assert_eq!(asked, [(json!(true), json!(0)), (json!(true), json!(1))]);
    assert_eq!(browser.url(), demo.url("wiki", "/"));
}

/// P-07: the same before anybody is signed in: the first question already asks for the PIN.
#[test]
fn a_pin_is_asked_for_at_once_where_only_that_would_do() {
    let demo = Demo::with_agents();
    news_demand(&demo, "context.session.device.userVerifiedInSoftware");
    let browser = Browser::start(&demo);

    browser.goto(&demo.url("news", "/"));
    browser.give_username("alice");
    browser.choose_if_asked("This device", "#device-title");
    browser.wait_for_text("Your device was not found");
    let agent = Authenticator::start(&demo, "alice-laptop", ALICES_PIN);
    browser.click("#device-again");
    browser.wait_for_text(APPLICATION);

    let pins: Vec<Value> = agent
        .questions()
        .iter()
        .map(|question| question["pin"].clone())
        .collect();
    assert_eq!(pins, [true]);
}

/// P-11: whose password nobody knows is signed in by the device all the same.
#[test]
fn who_has_no_password_needs_none() {
    let demo = Demo::with_agents();
    let unknown = r#"{"password":"nobody will ever know this"}"#;
    assert_eq!(
        demo.admin("PUT", "/api/v1/users/alice/password", Some(unknown)).status,
        204
    );
    let _agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Browser::start(&demo);

    browser.goto(&demo.url("payroll", "/"));

    browser.wait_for_text("alice@example.com");
}

/// Has the news want this of who reads them, in place of two factors.
fn news_demand(demo: &Demo, of_device: &str) {
    let wanted = format!("context has session && context.session has device && {of_device}");
    demo.edit(
        "policies/news.cedar",
        "context has session && context.session.factorCount >= 2",
        &wanted,
    );
    demo.reload();
}

/// How somebody signed in or failed to.
fn authentications(demo: &Demo) -> Vec<Value> {
    demo.events("filter=eventType%20eq%20%22user.authentication.auth_via_mfa%22")
}

const APPLICATION: &str = "Who the gateway says you are";

const SESSION: &str = "__Host-latchkey-session";

const PIN: &str = r#"
@id("wiki.pin")
@deny_reason("The wiki wants your PIN.")
@advice("sign-in-device-uv")
forbid (principal is User, action in Action::"access", resource == App::"wiki")
unless { context has session && context.session has device && context.session.device.userVerifiedInSoftware };
"#;
