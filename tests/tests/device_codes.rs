//! What are a device's own codes worth? As much as a code is, for as long as the device is trusted.

use latchkey_tests::agent::{Agent, PASSWORD, PIN};
use latchkey_tests::demo::{Demo, NOBODY, host};
use latchkey_tests::device::{Device, field};
use latchkey_tests::shared::Shared;
use latchkey_tests::visitor::Visitor;

static DEMO: Shared = Shared::new();

/// D-05, P-26: a session by a password and a code of the device's own names the device, and ends with it; D-10: a code of that
/// device signs nobody in from then on, and no new secret is given. Control: a session by the codes of the user's own app lives,
/// and another device's codes sign in.
#[test]
fn codes_of_a_device_end_with_it() {
    let demo = DEMO.demo();
    let (device, url) = (demo.user_with_device("d05"), demo.url("news", "/"));
    let mut other = Device::default();
    let token = other.token(&demo, "d05", PASSWORD);
    other.enroll(&demo, &token, "d05-desktop");
    let (secret, others) = (codes(&demo, &device), codes(&demo, &other));
    let own = demo.totp("d05");
    let sign_in = |secret: &str| {
        let mut visitor = Visitor::new(&demo);
        let page = visitor.sign_in_with_password(&url, "d05", PASSWORD);
        let opened = visitor.with_code(page, secret);
        (visitor, opened)
    };
    let (mut by_device, opened) = sign_in(&secret);
    assert_eq!(opened.host(), host("news"), "{}", opened.said());
    let (mut by_own, opened) = sign_in(&own);
    assert_eq!(opened.host(), host("news"), "{}", opened.said());
    let id = device.enrolled["device"].as_str().unwrap();
    let sessions = demo.admin("GET", "/api/v1/users/d05/sessions", None).text();
    assert!(sessions.contains(id), "P-26: {sessions}");

    demo.command(&["device", "deactivate", id]);

    assert_ne!(by_device.get(&url).status, 200, "D-05");
    assert_eq!(by_own.get(&url).status, 200, "control");
    assert_eq!(ask(&demo, &device).status, 403, "no new secret");
    let mut visitor = Visitor::new(&demo);
    let page = visitor.sign_in_with_password(&url, "d05", PASSWORD);
    let page = visitor.choose(page, "/sign-in/totp");
    let refused = visitor.submit(&page, &[("code", &latchkey_tests::totp::code(&secret))]);
    assert_eq!(refused.status, 401, "D-10: {}", refused.said());
    let (_, opened) = sign_in(&others);
    assert_eq!(opened.host(), host("news"), "control: {}", opened.said());
}

/// A code of a device says nothing of the machine that the browser is on: what needs a device stays closed. Control: the
/// device's key opens it.
#[test]
fn a_code_is_no_device() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("code.only");
    let secret = codes(&demo, &device);
    let mut visitor = Visitor::new(&demo);
    let page = visitor.sign_in_with_password(&demo.url("news", "/"), "code.only", PASSWORD);
    assert_eq!(visitor.with_code(page, &secret).host(), host("news"));

    let wiki = visitor.open(&demo.url("wiki", "/"));
    assert_eq!(wiki.host(), host("auth"), "{}", wiki.said());
    let opened = Visitor::new(&demo).fastpass(&demo.url("wiki", "/"), &device);
    assert_eq!(opened.host(), host("wiki"), "control");
}

/// The agent asks for its codes with the PIN, keeps the secret sealed, and shows codes that sign in. Control: without the PIN
/// nothing is given.
#[test]
fn an_agent_shows_its_own_codes() {
    let demo = DEMO.demo();
    demo.user("agent.codes", PASSWORD, &["employees"]);
    let agent = Agent::new();
    agent.enroll(
        &demo,
        "agent.codes",
        PASSWORD,
        &["--pin-file", &agent.file("pin", PIN).display().to_string()],
    );
    let wrong = agent.file("wrong", "1357").display().to_string();
    assert!(!agent.run(&["totp", "--set-up", "--pin-file", &wrong]).success);
    assert!(!agent.run(&["totp"]).success, "none yet");

    let pin = agent.file("pin", PIN).display().to_string();
    agent.command(&["totp", "--set-up", "--pin-file", &pin]);
    let code = agent.command(&["totp"]).stdout.trim().to_owned();

    let mut visitor = Visitor::new(&demo);
    let page = visitor.sign_in_with_password(&demo.url("news", "/"), "agent.codes", PASSWORD);
    let page = visitor.choose(page, "/sign-in/totp");
    let sent = visitor.submit(&page, &[("code", &code)]);
    let opened = visitor.follow(sent);
    assert_eq!(opened.host(), host("news"), "control: {}", opened.said());
}

/// The secret of a device's codes, given to the key that is confirmed with a PIN.
fn codes(demo: &Demo, device: &Device) -> String {
    let given = ask(demo, device);
    assert_eq!(given.status, 201, "{}", given.text());
    given.json()["secret"].as_str().unwrap().to_owned()
}

fn ask(demo: &Demo, device: &Device) -> latchkey_tests::curl::CurlAnswer {
    let url = demo.url("auth", &device.account("/totp"));
    let mut claims = device.assertion(demo, "POST", &url);
    claims["keyType"] = "userVerification".into();
    claims["amr"] = serde_json::json!(["fpt", "pin"]);
    let field = field(&device.verification, &claims);
    demo.curl(NOBODY, &url, &["-X", "POST", "-H", &field])
}
