//! Does a device prove itself again without anybody noticing, and is what was copied before worth nothing then?

use std::time::Duration;

use latchkey_tests::authenticator::{Authenticator, Says};
use latchkey_tests::browser::{Browser, Setup};
use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::process::until;
use serde_json::Value;

/// X-01: once a device's proof is too old, the next page is renewed on the way and opens at the same address, and cookies that
/// were copied before are worth nothing from then on. Control: the browser they were copied from goes on unasked.
#[test]
fn a_page_opens_after_a_silent_renewal_and_a_copy_of_the_cookies_does_not() {
    let demo = in_a_hurry();
    let mut agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Setup::default().recording().start(&demo);
    let page = demo.url("payroll", "/salaries?year=2026");
    browser.goto(&page);
    browser.wait_for_text(APPLICATION);
    let (first, copied) = (session_at_payroll(&browser), browser.cookies());

    let renewed = until(PATIENCE, || {
        browser.goto(&page);
        browser.wait_for_text(APPLICATION);
        session_at_payroll(&browser) != first
    });

    assert!(renewed, "the proof never got too old");
    assert_eq!(browser.url(), page);
    assert_eq!(agent.questions(), Vec::<Value>::new());
    let sent = browser.sent();
    assert!(!sent.iter().any(|sent| sent.url.contains("/sign-in/user")), "{sent:?}");
    agent.stop();
    let elsewhere = Browser::start(&demo);
    copied.iter().for_each(|cookie| elsewhere.set_cookie(cookie));
    elsewhere.goto(&page);
    assert!(!elsewhere.text().contains(APPLICATION), "{}", elsewhere.text());
    let field = format!("Cookie: __Host-latchkey-session={first}");
    assert_eq!(demo.curl(NOBODY, &page, &["-H", &field]).status, 401);
}

/// A script on an application's page that is told that the proof is too old renews it where it is: the page is not left.
#[test]
fn a_script_renews_without_losing_its_place() {
    let demo = in_a_hurry();
    let agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Browser::start(&demo);
    browser.goto(&demo.url("payroll", "/"));
    browser.wait_for_text(APPLICATION);
    browser.execute("window.place = 'kept'", &[]);
    let first = session_at_payroll(&browser);
    let fetch = |by: &str| {
        let script = format!(
            "const done = arguments[0]; {by}('/salaries', {{ headers: {{ accept: 'application/json' }} }})
                 .then(it => done([it.status, it.headers.get('www-authenticate') || '']), error => done(String(error)))"
        );
        browser.execute_async(&script, &[])
    };

    let mut refused = Value::Null;
    let too_old = until(PATIENCE, || {
        refused = fetch("fetch");
        refused[0] == 401
    });
    let renewed = fetch("latchkey.fetch");
    let after = fetch("fetch");

    assert!(too_old, "{refused}");
    assert!(
        refused[1].as_str().unwrap().contains(r#"error="proof-too-old""#),
        "{refused}"
    );
    assert_eq!(
        (&renewed[0], &after[0]),
        (&200.into(), &200.into()),
        "{renewed} {after}\n{}",
        agent.output()
    );
    assert_eq!(browser.execute("return window.place", &[]), "kept");
    assert_ne!(session_at_payroll(&browser), first);
    assert_eq!(agent.questions(), Vec::<Value>::new());
}

/// A script that asks when no device answers hears that it was not renewed, and what it fetched is the refusal.
#[test]
fn a_script_is_told_when_no_device_answers() {
    let demo = in_a_hurry();
    let mut agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Browser::start(&demo);
    browser.goto(&demo.url("payroll", "/"));
    browser.wait_for_text(APPLICATION);
    agent.stop();

    let script = "const done = arguments[0]; latchkey.renew().then(() => done('renewed'), error => done(error.code))";
    let code = browser.execute_async(script, &[]);

    assert_eq!(code, "absent");
}

/// A demo in which payroll wants a proof that is seconds old.
fn in_a_hurry() -> Demo {
    let demo = Demo::with_agents();
    demo.edit("policies/payroll.cedar", "deviceProof < 900", "deviceProof < 6");
    demo.reload();
    demo
}

fn session_at_payroll(browser: &Browser) -> String {
    let cookie = browser.cookie("payroll.localhost", "__Host-latchkey-session");
    cookie.expect("a session at payroll").value
}

const APPLICATION: &str = "Who the gateway says you are";

const PATIENCE: Duration = Duration::from_secs(30);
