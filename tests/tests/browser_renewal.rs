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

/// What a renewal overtakes, and was sent with the cookie that it replaced, is sent again: scripts that have `latchkey.fetch` for
/// their `fetch` notice nothing. Control: by the browser's own `fetch`, something is refused at some time.
#[test]
fn requests_that_a_renewal_overtakes_are_sent_again() {
    let demo = Demo::with_agents();
    let agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Browser::start(&demo);
    browser.goto(&demo.url("payroll", "/"));
    browser.wait_for_text(APPLICATION);
    browser.execute(ASK_AND_RENEW, &[]);
    let statuses = || {
        browser.execute("askAndRenew(1)", &[]);
        outcome(&browser)
    };

    let refused = until(PATIENCE, || statuses().to_string().contains("401"));
    browser.execute("window.fetch = latchkey.fetch", &[]);
    let passed: Vec<Value> = std::iter::repeat_with(statuses).take(10).collect();

    assert!(refused, "control");
    assert!(passed.iter().all(only_passed), "{passed:?}\n{}", agent.output());
}

/// Two tabs that renew at the same time do so one after the other: both are renewed, and nothing is refused that they ask for
/// meanwhile.
#[test]
fn two_tabs_renew_at_the_same_time() {
    let demo = Demo::with_agents();
    let agent = Authenticator::start(&demo, "alice-laptop", Says::No);
    let browser = Browser::start(&demo);
    browser.goto(&demo.url("payroll", "/"));
    browser.wait_for_text(APPLICATION);
    let first = browser.tab();
    let second = browser.new_tab();
    browser.goto(&demo.url("payroll", "/"));
    browser.wait_for_text(APPLICATION);

    for tab in [&first, &second] {
        browser.switch_to(tab);
        browser.execute(ASK_AND_RENEW, &[]);
        browser.execute("window.fetch = latchkey.fetch; askAndRenew(6)", &[]);
    }
    let outcomes = [&first, &second].map(|tab| {
        browser.switch_to(tab);
        outcome(&browser)
    });

    assert!(outcomes.iter().all(only_passed), "{outcomes:?}\n{}", agent.output());
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

/// What came of it, once it is over.
fn outcome(browser: &Browser) -> Value {
    let outcome = || browser.execute("return window.outcome", &[]);
    assert!(until(PATIENCE, || !outcome().is_null()), "it never ends");
    outcome()
}

fn only_passed(outcome: &Value) -> bool {
    outcome
        .as_array()
        .is_some_and(|outcome| outcome.iter().all(|status| *status == 200))
}

fn session_at_payroll(browser: &Browser) -> String {
    let cookie = browser.cookie("payroll.localhost", "__Host-latchkey-session");
    cookie.expect("a session at payroll").value
}

const APPLICATION: &str = "Who the gateway says you are";

/// Asks by GET and POST all the time that so many renewals take. The outcome: the statuses, what arrived without its body, and what
/// was not renewed.
const ASK_AND_RENEW: &str = "
    window.askAndRenew = async (times) => {
        delete window.outcome;
        const statuses = [];
        let goesOn = true;
        const ask = async (init) => {
            while (goesOn) {
                const response = await fetch('/salaries', { headers: { accept: 'application/json' }, ...init });
                const { body_bytes } = await response.json();
                const isWhole = !response.ok || body_bytes === (init.body ?? '').length;
                statuses.push(isWhole ? response.status : `${body_bytes} octets`);
            }
        };
        const asking = [{}, {}, { method: 'POST', body: '{}' }].map(ask);
        for (let time = 0; time < times; time += 1) {
            await latchkey.renew().catch((error) => statuses.push(error.code));
        }
        goesOn = false;
        await Promise.all(asking).catch((error) => statuses.push(String(error)));
        window.outcome = statuses;
    };";

const PATIENCE: Duration = Duration::from_secs(30);
