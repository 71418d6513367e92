//! What goes with a device, what stays, and what comes back? Beyond the table in ends.rs: one behaviour after the other.

use std::time::Duration;

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::answer::Answer;
use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::device::Device;
use latchkey_tests::shared::Shared;
use latchkey_tests::visitor::{SESSION, Visitor};
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// D-05, P-26, D-18: sessions by FastPass and by FastPass with a PIN end with the device, each with an event in the
/// transaction of the deactivation, by the administrator.
#[test]
fn each_session_that_ends_is_written_down_with_the_deactivation() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("d18");
    let (mut silent, mut verified, mut password) = (Visitor::new(&demo), Visitor::new(&demo), Visitor::new(&demo));
    silent.fastpass(&demo.url("wiki", "/"), &device);
    let page = verified.open(&demo.url("wiki", "/"));
    verified.fastpass_verified_at(&page, &device);
    password.sign_in_with_password(&demo.url("news", "/"), "d18", PASSWORD);
    assert_eq!(
        (get(&demo, &silent, "wiki").status, get(&demo, &verified, "wiki").status),
        (200, 200)
    );

    let methods = demo.device(&device.enrolled["device"])["enrollments"][0]["methods"].clone();

    lifecycle(&demo, &device, "deactivate");

    for browser in [&silent, &verified] {
        let answer = get(&demo, browser, "wiki");
        assert_eq!((answer.status, answer.code().as_str()), (401, "device-deactivated"));
    }
    assert_eq!(sessions_of(&demo, "d18").len(), 1, "D-07: the one by password stays");
    let about = events_about(&demo, &device.enrolled["device"]);
    let deactivation = about
        .iter()
        .find(|event| event["eventType"] == "device.lifecycle.deactivate")
        .unwrap();
    let together: Vec<Value> = demo
        .events("")
        .into_iter()
        .filter(|event| event["transaction"]["id"] == deactivation["transaction"]["id"])
        .collect();
    let count = |kind: &str| together.iter().filter(|event| event["eventType"] == kind).count();
    assert_eq!(count("user.session.end"), 2);
    let factors = methods.as_array().unwrap().len();
    assert_eq!(
        count("user.mfa.factor.deactivate"),
        factors,
        "one for each of {methods}"
    );
    for kind in [
        "device.lifecycle.deactivate",
        "pki.cert.lifecycle.revoke",
        "device.user.remove",
    ] {
        assert_eq!(count(kind), 1, "{kind}");
    }
    for event in &together {
        assert_eq!(
            (&event["actor"], &event["outcome"]["result"]),
            (&deactivation["actor"], &"SUCCESS".into())
        );
        if event["eventType"] == "user.session.end" {
            assert_eq!(event["debugContext"]["debugData"]["cause"], "device_deactivated");
        }
    }
}

/// D-09: a session by password to which a silent probe added the device, and nothing else, loses the device and stays.
#[test]
fn a_session_that_only_looked_at_the_device_loses_the_device_alone() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("d09");
    let secret = demo.totp("d09");
    let mut browser = Visitor::new(&demo);
    let page = browser.sign_in_with_password(&demo.url("news", "/"), "d09", PASSWORD);
    browser.with_code(page, &secret);
    let page = browser.open(&demo.url("wiki", "/"));
    assert_eq!(
        browser.fastpass_at(&page, &device).status,
        200,
        "the wiki looks at the device"
    );
    assert_eq!(
        (get(&demo, &browser, "news").status, get(&demo, &browser, "wiki").status),
        (200, 200)
    );
    let session = &sessions_of(&demo, "d09")[0];
    assert_eq!(session["origin"], Value::Null, "it is no device's: {session}");

    lifecycle(&demo, &device, "deactivate");

    assert_eq!(get(&demo, &browser, "news").status, 200, "the session stays");
    let refused = get(&demo, &browser, "wiki");
    assert_eq!((refused.status, refused.code().as_str()), (403, "policy-denied"));
    assert!(refused.text().contains("registered"), "{}", refused.text());
}

/// D-10: whatever a device that is shut out signs for a sign-in is refused and recorded, also the answer to a challenge that
/// it was sent before. D-11, D-21: in the same browser a password with a code works on, and with it the device's place is
/// empty. Control: all of it before.
#[test]
fn a_device_that_is_shut_out_signs_nobody_in() {
    let demo = DEMO.demo();
    for (user, verb) in [("d10", "deactivate"), ("d21", "suspend")] {
        let device = demo.user_with_device(user);
        let secret = demo.totp(user);
        let wiki = demo.url("wiki", "/");
        for verified in [false, true] {
            let (given, finished) = sign_in(&demo, &mut Visitor::new(&demo), &device, verified);
            assert_eq!((given.status, finished), (200, 200), "control: {verb}");
        }
        let mut before = Visitor::new(&demo);
        let page = before.open(&wiki);
        let pending = before.challenge(&page, json!({ "verify": false }));
        let failed = failures(&demo, user);

        lifecycle(&demo, &device, verb);

        let late = device.give(&demo, &pending.claims, &device.answer(&demo, &pending.claims));
        assert_eq!(
            (late.status, &late.json()["errorCode"]),
            (403, &"E0000152".into()),
            "{verb}"
        );
        assert_ne!(before.finish(&pending).status, 200);
        let mut browser = Visitor::new(&demo);
        for verified in [false, true] {
            let (given, finished) = sign_in(&demo, &mut browser, &device, verified);
            assert_eq!(
                (given.status, &given.json()["errorCode"]),
                (403, &"E0000152".into()),
                "{verb}"
            );
            assert_ne!(finished, 200);
        }
        assert_eq!(failures(&demo, user), failed + 3, "{verb}");
        assert!(browser.jar.session("auth").is_none(), "nobody is signed in");
        let page = browser.sign_in_with_password(&demo.url("news", "/"), user, PASSWORD);
        assert_eq!(browser.with_code(page, &secret).status, 200, "D-11: {verb}");
        assert_eq!(get(&demo, &browser, "news").status, 200);
        let page = browser.open(&wiki);
        assert!(
            page.status == 403 || page.path().starts_with("/sign-in"),
            "{verb}: {}",
            page.url
        );
        assert_eq!(get(&demo, &browser, "news").status, 200);
    }
}

/// D-13: nobody's factor is usable any more, and no link is left.
#[test]
fn no_account_is_left_on_a_deactivated_device() {
    let demo = DEMO.demo();
    let (first, second) = together(&demo, "d13a", "d13b");
    let usable = |user: &str| {
        let factors = demo.admin("GET", &format!("/api/v1/users/{user}/factors"), None).json();
        factors.to_string().contains("signed_nonce")
    };
    assert!(usable("d13a") && usable("d13b"));
    assert_eq!(first.enrolled["device"], second.enrolled["device"]);

    lifecycle(&demo, &first, "deactivate");

    assert!(!usable("d13a") && !usable("d13b"));
    let record = demo.device(&first.enrolled["device"]);
    assert_eq!(record["users"], json!([]));
    let accounts = record["enrollments"].as_array().unwrap();
    assert!(
        accounts.len() == 2 && accounts.iter().all(|account| account["status"] == "ENDED"),
        "{accounts:?}"
    );
    assert_eq!((demo.count_devices("d13a"), demo.count_devices("d13b")), (0, 0));
}

/// D-16: activation revives neither sessions nor keys; keys that enrol then work. D-17: on the same record with its history.
/// Control: unsuspending takes no new enrolment, and revives no session either (D-21).
#[test]
fn reactivation_revives_nothing() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("d16");
    let id = device.enrolled["device"].clone();
    let mut browser = Visitor::new(&demo);
    browser.fastpass(&demo.url("wiki", "/"), &device);
    let created = demo.device(&id)["created"].clone();

    lifecycle(&demo, &device, "suspend");
    lifecycle(&demo, &device, "unsuspend");
    assert_eq!(
        get(&demo, &browser, "wiki").code(),
        "device-suspended",
        "what ended has ended"
    );
    let mut again = Visitor::new(&demo);
    let (given, finished) = sign_in(&demo, &mut again, &device, true);
    assert_eq!((given.status, finished), (200, 200), "control: the same keys");
    again.open(&demo.url("wiki", "/"));
    lifecycle(&demo, &device, "deactivate");
    lifecycle(&demo, &device, "activate");

    assert_eq!(get(&demo, &again, "wiki").code(), "device-deactivated");
    for verified in [false, true] {
        let (given, finished) = sign_in(&demo, &mut Visitor::new(&demo), &device, verified);
        assert_eq!((given.status, &given.json()["errorCode"]), (410, &"E0000154".into()));
        assert_ne!(finished, 200);
    }
    let mut renewed = Device {
        instance: device.instance.clone(),
        ..Device::default()
    };
    renewed.enroll(&demo, &demo.enrollment_token("d16"), "d16-laptop");
    assert_eq!(renewed.enrolled["device"], id, "D-17: the same record");
    let mut browser = Visitor::new(&demo);
    assert_eq!(browser.fastpass(&demo.url("wiki", "/"), &renewed).status, 200);
    assert_eq!(get(&demo, &browser, "wiki").status, 200, "new keys");
    let record = demo.device(&id);
    assert_eq!((&record["created"], &record["status"]), (&created, &"ACTIVE".into()));
    let history = events_about(&demo, &id);
    for kind in ["suspend", "unsuspend", "deactivate", "activate"] {
        let kind = format!("device.lifecycle.{kind}");
        assert!(
            history.iter().any(|event| event["eventType"] == kind.as_str()),
            "{kind}"
        );
    }
}

/// D-22: both users of a device lose the sessions that it signed in; what either has elsewhere lives.
#[test]
fn both_users_of_a_device_lose_what_it_signed_in() {
    let demo = DEMO.demo();
    let (first, second) = together(&demo, "d22a", "d22b");
    let mut elsewhere = Device::default();
    elsewhere.enroll(&demo, &demo.enrollment_token("d22b"), "d22b-desktop");
    let sign_in = |device: &Device| {
        let mut browser = Visitor::new(&demo);
        browser.fastpass(&demo.url("wiki", "/"), device);
        browser
    };
    let browsers = [sign_in(&first), sign_in(&second), sign_in(&elsewhere)];
    assert_eq!(
        browsers.each_ref().map(|browser| get(&demo, browser, "wiki").status),
        [200; 3]
    );

    lifecycle(&demo, &first, "deactivate");

    assert_eq!(
        browsers.each_ref().map(|browser| get(&demo, browser, "wiki").status),
        [401, 401, 200]
    );
}

/// D-20, from outside: a hundred sign-ins that race with the deactivation of their device leave no session. A thousand race
/// in gateway/src/store/tests/races.rs.
#[test]
fn a_sign_in_that_races_with_deactivation_leaves_no_session() {
    let demo = DEMO.demo();
    demo.user("d20", PASSWORD, &["employees"]);
    let mut first = 0;
    for round in 0..ROUNDS {
        let mut device = Device::default();
        device.enroll(&demo, &demo.enrollment_token("d20"), &format!("d20-{round}"));
        let mut browser = Visitor::new(&demo);
        let page = browser.open(&demo.url("wiki", "/"));
        let challenge = browser.challenge(&page, json!({ "verify": false }));
        let given = device.give(&demo, &challenge.claims, &device.answer(&demo, &challenge.claims));
        assert_eq!(given.status, 200, "{}", given.text());
        let mut admin = demo.raw(NOBODY, "admin");
        let id = device.enrolled["device"].as_str().unwrap();
        let deactivate = format!(
            "POST /api/v1/devices/{id}/lifecycle/deactivate HTTP/1.1\r\nHost: admin.localhost\r\n\
             Authorization: SSWS {}\r\nContent-Length: 0\r\n\r\n",
            demo.admin_token()
        );

        let signed_in = std::thread::scope(|scope| {
            let browser = &mut browser;
            let sign_in = scope.spawn(move || {
                let finished = browser.finish(&challenge);
                let signed_in = finished.status == 200;
                if signed_in {
                    browser.follow_next(finished);
                }
                signed_in
            });
            wait(STEP * (round % 20));
            admin.send(deactivate.as_bytes());
            assert_eq!(admin.answer().map(|answer| answer.status), Some(204));
            assert_eq!(
                sessions_of(&demo, "d20"),
                Vec::<Value>::new(),
                "round {round}, at the answer"
            );
            sign_in.join().unwrap()
        });

        first += u32::from(signed_in);
        assert_eq!(sessions_of(&demo, "d20"), Vec::<Value>::new(), "round {round}");
        for (host, name, _) in browser.jar.all() {
            let app = host.split('.').next().unwrap();
            if name == SESSION && app != "auth" {
                assert_ne!(get(&demo, &browser, app).status, 200, "round {round}: {app}");
            }
        }
    }
    println!("{first} of {ROUNDS} sign-ins were first");
    assert!((1..ROUNDS).contains(&first), "{first} of {ROUNDS} sign-ins were first");
}

/// Two users with accounts on one device.
fn together(demo: &Demo, first: &str, second: &str) -> (Device, Device) {
    let one = demo.user_with_device(first);
    demo.user(second, PASSWORD, &["employees"]);
    let mut other = Device {
        instance: one.instance.clone(),
        ..Device::default()
    };
    other.enroll(demo, &demo.enrollment_token(second), &format!("{first}-laptop"));
    (one, other)
}

/// Has the device answer a challenge of this browser; what the device was told, and the status that the page got.
fn sign_in(
    demo: &Demo,
    browser: &mut Visitor<'_>,
    device: &Device,
    verified: bool,
) -> (latchkey_tests::curl::CurlAnswer, u16) {
    let page = browser.open(&demo.url("wiki", "/"));
    let challenge = browser.challenge(&page, json!({ "verify": verified }));
    let given = match verified {
        true => device.give_verified(demo, &challenge.claims),
        false => device.give(demo, &challenge.claims, &device.answer(demo, &challenge.claims)),
    };
    let finished = browser.finish(&challenge).status;
    (given, finished)
}

fn lifecycle(demo: &Demo, device: &Device, verb: &str) {
    let id = device.enrolled["device"].as_str().unwrap();
    let answer = demo.admin("POST", &format!("/api/v1/devices/{id}/lifecycle/{verb}"), None);
    assert_eq!(answer.status, 204, "{verb}: {}", answer.text());
}

/// What a script gets at an application with the browser's cookie.
fn get(demo: &Demo, browser: &Visitor<'_>, app: &str) -> Answer {
    let secret = browser.jar.session(app).expect("a session");
    let field = format!("Cookie: {SESSION}={secret}");
    demo.curl(NOBODY, &demo.url(app, "/"), &["-H", &field]).answer
}

fn sessions_of(demo: &Demo, user: &str) -> Vec<Value> {
    let answer = demo.admin("GET", &format!("/api/v1/users/{user}/sessions"), None);
    answer.json().as_array().unwrap().clone()
}

fn events_about(demo: &Demo, id: &Value) -> Vec<Value> {
    demo.events(&format!("filter=target.id%20eq%20%22{}%22", id.as_str().unwrap()))
}

/// How often FastPass of this user failed.
fn failures(demo: &Demo, user: &str) -> usize {
    let id = demo.admin("GET", &format!("/api/v1/users/{user}"), None).json()["id"].clone();
    let events = events_about(demo, &id);
    let failed = |event: &&Value| {
        event["eventType"] == "user.authentication.auth_via_mfa" && event["outcome"]["result"] == "FAILURE"
    };
    events.iter().filter(failed).count()
}

/// Lets so much time pass, awake: these are fractions of a millisecond.
fn wait(time: Duration) {
    let begun = std::time::Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

const ROUNDS: u32 = 100;

/// By how much the two are moved against each other from round to round.
const STEP: Duration = Duration::from_micros(300);
