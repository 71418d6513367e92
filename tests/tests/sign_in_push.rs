//! Does somebody get in who approves on another device of theirs, and only as far as that goes?

use std::sync::Arc;

use latchkey_tests::demo::{Demo, host};
use latchkey_tests::device::Device;
use latchkey_tests::push::Stream;
use latchkey_tests::shared::Shared;
use latchkey_tests::visitor::Visitor;
use serde_json::json;

static DEMO: Shared = Shared::new();

/// P-03, P-05, P-26: a push says who asks, for what and from where, and not the number; the right one signs in. The session
/// names the device that approved, has none of its own, is not phishing-resistant, and ends with that device.
#[test]
fn an_approval_on_another_device_signs_in_and_ends_with_that_device() {
    let (demo, phone) = enrolled("push03");
    let stream = Stream::open(&demo, &phone).unwrap();
    let mut browser = Visitor::known_to(&demo, &phone);

    let waiting = browser.ask_devices_of("push03");
    let push = stream.push();
    let number = waiting.number.clone().unwrap();
    assert_eq!(
        (&push["method"], &push["jti"], &push["number"]),
        (&json!("push"), &json!(waiting.push), &json!(true))
    );
    let asked = &push["signIn"];
    assert_eq!(
        (
            &asked["application"],
            &asked["browser"],
            &asked["address"],
            &asked["loginHint"]
        ),
        (
            &json!("Latchkey"),
            &json!("Firefox on Linux"),
            &json!("127.0.0.1"),
            &json!("push03")
        )
    );
    assert_eq!(
        push.as_object()
            .unwrap()
            .values()
            .filter(|value| *value == &json!(number))
            .count(),
        0
    );
    let early = browser.go_on(&waiting);
    assert!(early.said().contains("Nobody has answered yet"), "{}", early.said());
    assert_eq!(phone.approve(&demo, &push, Some(&number)).status, 204);
    let opened = browser.go_on(&waiting);

    assert!(opened.said().contains("You are signed in"), "{}", opened.said());
    let session = demo.only_session("push03");
    assert_eq!(
        session["origin"],
        json!({
            "device": phone.enrolled["device"],
            "name": "push03-laptop",
            "enrollment": phone.enrolled["enrollment"],
        })
    );
    assert_eq!(session["factors"][0]["method"], "push");
    assert_eq!(session["factors"][0]["properties"], json!(["USER_PRESENCE"]));
    let denied = browser.open(&demo.url("wiki", "/push"));
    assert_ne!(
        (denied.host(), denied.status),
        (host("wiki"), 200),
        "no device is in use"
    );

    demo.shut_out(&phone);

    stream.ended();
    let ended = browser.open(&demo.url("auth", "/"));
    assert!(!ended.said().contains("You are signed in"), "{}", ended.said());
    assert_eq!(demo.sessions_of("push03").len(), 0);
}

/// P-05: a wrong number is a no, for good, and written down. Control: the right one to the next push.
#[test]
fn a_wrong_number_signs_nobody_in() {
    let (demo, phone) = enrolled("push05");
    let stream = Stream::open(&demo, &phone).unwrap();
    let mut browser = Visitor::known_to(&demo, &phone);

    for wrong in [Some("00"), Some(""), Some("4২"), None] {
        let waiting = browser.ask_devices_of("push05");
        let push = stream.push();
        assert_eq!(phone.approve(&demo, &push, wrong).status, 204);
        let right = waiting.number.clone();
        let again = phone.approve(&demo, &push, right.as_deref());
        assert_eq!(
            (again.status, &again.json()["errorCode"]),
            (401, &json!("E0000011")),
            "a second try"
        );
        let refused = browser.go_on(&waiting);
        assert!(refused.said().contains("It was not approved"), "{}", refused.said());
    }
    assert_eq!(demo.sessions_of("push05").len(), 0);
    assert_eq!(demo.failed_pushes(&phone, "the number was wrong"), 4);

    let opened = browser.sign_in_by_push("push05", &phone, &stream);
    assert!(
        opened.said().contains("You are signed in"),
        "control: {}",
        opened.said()
    );
}

/// P-05: where no number is asked for, none is shown and none is needed; where one is at a high risk only, a browser and a
/// place as usual need none, and a browser that is new to the user does.
#[test]
fn a_number_is_asked_for_as_the_organization_says() {
    let demo = Demo::start();
    let phone = demo.user_with_device("number");
    let stream = Stream::open(&demo, &phone).unwrap();
    let mut browser = Visitor::known_to(&demo, &phone);

    for setting in ["NEVER", "HIGH_RISK_ONLY"] {
        assert_eq!(demo.fastpass(&json!({ "numberChallenge": setting })).status, 200);
        let waiting = browser.ask_devices_of("number");
        let push = stream.push();
        assert_eq!((waiting.number.clone(), push.get("number")), (None, None), "{setting}");
        assert_eq!(phone.approve(&demo, &push, None).status, 204);
        assert!(
            browser.go_on(&waiting).said().contains("You are signed in"),
            "{setting}"
        );
        demo.end_sessions(&phone.enrolled["user"]);
    }
    let mut elsewhere = Visitor::new(&demo);
    let page = elsewhere.push_page_after_password("number");
    let waiting = elsewhere.ask_others(&page);
    assert!(waiting.number.is_some(), "a new browser");
    assert_eq!(phone.approve(&demo, &stream.push(), None).status, 204);
    assert!(elsewhere.go_on(&waiting).said().contains("It was not approved"));
}

/// P-04: of several devices those are asked that are active and enrolled for this user, and nobody else's; one that is
/// suspended hears nothing until it is not. Control: the same device afterwards.
#[test]
fn only_active_devices_of_the_user_are_asked() {
    let (demo, phone) = enrolled("push04");
    let tablet = demo.another_device("push04");
    let stranger = demo.user_with_device("push04b");
    let to_phone = Stream::open(&demo, &phone).unwrap();
    let to_tablet = Stream::open(&demo, &tablet).unwrap();
    let to_stranger = Stream::open(&demo, &stranger).unwrap();
    let mut browser = Visitor::known_to(&demo, &phone);

    demo.command(&["device", "suspend", tablet.id()]);
    to_tablet.ended();
    assert_eq!(Stream::open(&demo, &tablet).err(), Some(403), "suspended");
    let waiting = browser.ask_devices_of("push04");
    let push = to_phone.push();
    for (who, device) in [("suspended", &tablet), ("another's", &stranger)] {
        let answer = device.approve(&demo, &push, waiting.number.as_deref());
        assert_eq!(
            (answer.status, &answer.json()["errorCode"]),
            (401, &json!("E0000011")),
            "{who}"
        );
    }
    assert_eq!(
        phone.approve(&demo, &push, waiting.number.as_deref()).status,
        204,
        "control"
    );
    assert!(browser.go_on(&waiting).said().contains("You are signed in"), "control");
    demo.end_sessions(&phone.enrolled["user"]);

    demo.command(&["device", "unsuspend", tablet.id()]);
    let to_tablet = Stream::open(&demo, &tablet).unwrap();
    let waiting = browser.ask_devices_of("push04");
    assert_eq!(to_tablet.push()["jti"], json!(waiting.push));
    to_phone.push();
    assert_eq!(
        tablet
            .approve(&demo, &json!({ "jti": waiting.push, "nonce": "another" }), None)
            .status,
        401,
        "another nonce"
    );
    let mut own = Visitor::known_to(&demo, &stranger);
    let of_stranger = own.ask_devices_of("push04b");
    assert_eq!(
        to_stranger.push()["jti"],
        json!(of_stranger.push),
        "the first that the stranger hears"
    );
}

/// a push with verification approved on a managed phone opens nothing that is for managed devices, in the browser of
/// another computer. Control: the managed device itself, in its own browser.
#[test]
fn a_push_from_a_managed_phone_manages_no_other_computer() {
    let demo = Demo::start();
    let phone = demo.user_in("push02", &["employees", "finance"]);
    demo.manage(&phone);
    let verified = "permit (principal, action, resource == App::\"news\") when { context has session && context.session has otp && \
                    context.session.otp.userVerifiedInSoftware };";
    demo.set_policies("news.cedar", &format!("@id(\"news.verified\")\n{verified}"));
    let stream = Stream::open(&demo, &phone).unwrap();
    let mut browser = Visitor::known_to(&demo, &phone);

    let page = browser.push_page(&demo.url("news", "/x02"), "push02");
    let waiting = browser.ask_others(&page);
    let push = stream.push();
    assert_eq!(push["userVerification"], "REQUIRED");
    assert_eq!(
        phone.approve_verified(&demo, &push, waiting.number.as_deref()).status,
        204
    );
    let opened = browser.go_on(&waiting);
    assert_eq!(
        (opened.path().as_str(), opened.status),
        ("/x02", 200),
        "{}",
        opened.said()
    );
    let denied = browser.open(&demo.url("payroll", "/x02"));
    assert_eq!(denied.host(), host("auth"), "{}", denied.said());
    let grip = demo.only_session("push02");
    assert_eq!(
        grip["factors"][0]["properties"],
        json!(["USER_PRESENCE", "USER_VERIFYING"])
    );

    let mut laptop = Visitor::new(&demo);
    let opened = laptop.fastpass(&demo.url("payroll", "/x02"), &phone);
    assert_eq!((opened.host(), opened.status), (host("payroll"), 200), "control");
}

/// A user who has to be verified is not by the possession key. Control: by the other.
#[test]
fn verification_that_is_demanded_is_not_met_by_possession() {
    let demo = Demo::start();
    let phone = demo.user_with_device("pushuv");
    let verified = "permit (principal, action, resource == App::\"news\") when { context has session && context.session has otp && \
                    context.session.otp.userVerifiedInSoftware };";
    demo.set_policies("news.cedar", &format!("@id(\"news.verified\")\n{verified}"));
    let stream = Stream::open(&demo, &phone).unwrap();
    let mut browser = Visitor::known_to(&demo, &phone);

    let page = browser.push_page(&demo.url("news", "/uv"), "pushuv");
    let waiting = browser.ask_others(&page);
    assert_eq!(
        phone.approve(&demo, &stream.push(), waiting.number.as_deref()).status,
        204
    );
    assert!(browser.go_on(&waiting).said().contains("It was not approved"));
    assert_eq!(demo.failed_pushes(&phone, "the user was not verified"), 1);

    let waiting = browser.ask_others(&page);
    assert_eq!(
        phone
            .approve_verified(&demo, &stream.push(), waiting.number.as_deref())
            .status,
        204
    );
    assert_eq!(browser.go_on(&waiting).path(), "/uv", "control");
}

/// P-03: each of several devices may answer, the others are told that it is over; one at which nobody is leaves it to them.
#[test]
fn the_first_device_that_answers_decides() {
    let (demo, phone) = enrolled("pushtwo");
    let desktop = demo.another_device("pushtwo");
    let (to_phone, to_desktop) = (
        Stream::open(&demo, &phone).unwrap(),
        Stream::open(&demo, &desktop).unwrap(),
    );
    let mut browser = Visitor::known_to(&demo, &phone);

    let waiting = browser.ask_devices_of("pushtwo");
    let push = to_phone.push();
    assert_eq!(to_desktop.push(), push);
    assert_eq!(desktop.refuse(&demo, &push, "cancelled").status, 204);
    assert_eq!(phone.approve(&demo, &push, waiting.number.as_deref()).status, 204);
    assert!(browser.go_on(&waiting).said().contains("You are signed in"));
    demo.end_sessions(&phone.enrolled["user"]);

    let waiting = browser.ask_devices_of("pushtwo");
    let push = to_phone.push();
    to_desktop.push();
    assert_eq!(phone.refuse(&demo, &push, "denied").status, 204);
    assert_eq!(to_desktop.next(), json!({ "withdrawn": waiting.push }));
    assert_eq!(
        desktop.approve(&demo, &push, waiting.number.as_deref()).status,
        401,
        "after a no"
    );
    assert!(browser.go_on(&waiting).said().contains("It was not approved"));
}

fn enrolled(login: &str) -> (Arc<Demo>, Device) {
    let demo = DEMO.demo();
    let device = demo.user_with_device(login);
    (demo, device)
}
