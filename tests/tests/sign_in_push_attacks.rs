//! What does a push give to whoever has no right to it? Nothing, and nobody is asked too often.

use std::sync::Arc;
use std::time::Instant;

use device_checks::ANSWER_TYPE;
use latchkey_tests::agent::PASSWORD;
use latchkey_tests::curl::CurlAnswer;
use latchkey_tests::demo::Demo;
use latchkey_tests::device::Device;
use latchkey_tests::push::{Stream, Waiting, give, give_token};
use latchkey_tests::shared::Shared;
use latchkey_tests::timing::assert_alike;
use latchkey_tests::visitor::{Page, Visitor};
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// D-10, D-05 (push): a device that was deactivated between the question and the approval approves nothing, and the attempt is
/// written down; likewise one that was between approving and going on. Control: an active one.
#[test]
fn a_device_that_was_shut_out_meanwhile_approves_nothing() {
    let (demo, phone) = enrolled("push10");
    let tablet = demo.another_device("push10");
    let (to_phone, to_tablet) = (
        Stream::open(&demo, &phone).unwrap(),
        Stream::open(&demo, &tablet).unwrap(),
    );
    let mut browser = Visitor::known_to(&demo, &phone);

    let waiting = browser.ask_devices_of("push10");
    let (push, other) = (to_phone.push(), to_tablet.push());
    assert_eq!(push, other, "both are asked the same");
    demo.shut_out(&phone);
    to_phone.ended();
    let refused = phone.approve(&demo, &push, waiting.number.as_deref());
    assert_eq!(
        (refused.status, &refused.json()["errorCode"]),
        (403, &json!("E0000152"))
    );
    assert_eq!(Stream::open(&demo, &phone).err(), Some(403));
    assert_eq!(demo.failed_pushes(&phone, "the device or the account is not active"), 1);
    assert_eq!(
        tablet.approve(&demo, &other, waiting.number.as_deref()).status,
        204,
        "control"
    );

    demo.shut_out(&tablet);
    let late = browser.go_on(&waiting);
    assert!(late.said().contains("The approval was not accepted"), "{}", late.said());
    assert_eq!(demo.sessions_of("push10").len(), 0);
}

/// P-17 (push's share), D-10: an answer counts once, for its own push, in its own browser; one to a page's challenge is none to
/// a push and the other way about, whatever they say they are.
#[test]
fn an_answer_counts_once_for_its_own_push_in_its_own_browser() {
    let (demo, phone) = enrolled("push17");
    let stream = Stream::open(&demo, &phone).unwrap();
    let mut browser = Visitor::known_to(&demo, &phone);
    let mut thief = browser.copy();
    let refused = |what: &str, answer: CurlAnswer| {
        assert_eq!(
            (answer.status, &answer.json()["errorCode"]),
            (401, &json!("E0000011")),
            "{what}"
        );
    };

    let first = browser.ask_devices_of("push17");
    let push = stream.push();
    let number = first.number.clone();
    let claims = phone.approval(&demo, &push, number.as_deref());
    refused(
        "a page's type",
        give_token(&demo, &push["jti"], &phone.possession.sign(ANSWER_TYPE, &claims)),
    );
    let of_a_page = phone.answer(&demo, &push);
    refused("a page's answer", give(&demo, &phone.possession, &of_a_page));
    refused(
        "at the page's address",
        phone.give_token(&demo, &push, &sign(&phone, &claims)),
    );
    for (name, value) in [
        ("nonce", json!("another")),
        ("sub", json!("usr00000000000000000")),
        ("aud", json!(demo.url("wiki", ""))),
        ("exp", json!(latchkey_tests::device::now() - 61)),
        ("keyType", json!("userVerification")),
        ("admin", json!(true)),
    ] {
        let mut wrong = claims.clone();
        wrong[name] = value;
        refused(name, give(&demo, &phone.possession, &wrong));
    }
    let page = thief.open(&demo.url("wiki", "/"));
    let challenge = thief.challenge(&page, json!({ "verify": false }));
    refused(
        "to a page's challenge",
        phone.give_token(&demo, &challenge.claims, &sign(&phone, &claims)),
    );
    let mut moved = claims.clone();
    (moved["tx"], moved["nonce"]) = (challenge.claims["jti"].clone(), challenge.claims["nonce"].clone());
    refused(
        "a push's for a page",
        phone.give_token(&demo, &challenge.claims, &sign(&phone, &moved)),
    );
    refused("a page's attempt as a push", give(&demo, &phone.possession, &moved));

    assert_eq!(give(&demo, &phone.possession, &claims).status, 204, "control");
    refused("the same again", give(&demo, &phone.possession, &claims));
    let mut other_browser = Visitor::new(&demo);
    let stolen = other_browser.post_form(
        &demo.url("auth", "/sign-in/push/finish"),
        &[("state", &first.page.state()), ("push", &first.push)],
    );
    assert_eq!(stolen.status, 400, "another browser");
    assert!(browser.go_on(&first).said().contains("You are signed in"), "control");
    assert_eq!(demo.sessions_of("push17").len(), 1);
    let mut again = browser.copy();
    assert!(again.go_on(&first).said().contains("too long"), "used");

    demo.end_sessions(&phone.enrolled["user"]);
    let older = browser.ask_devices_of("push17");
    let old = stream.push();
    let newer = browser.ask_devices_of("push17");
    assert_eq!(stream.next(), json!({ "withdrawn": older.push }));
    let new = stream.push();
    refused(
        "a push that was withdrawn",
        phone.approve(&demo, &old, older.number.as_deref()),
    );
    assert!(browser.go_on(&older).said().contains("too long"));
    assert_eq!(
        phone.approve(&demo, &new, newer.number.as_deref()).status,
        204,
        "control"
    );
    assert!(browser.go_on(&newer).said().contains("You are signed in"), "control");
}

/// X-20, push fatigue: who proved nothing, in a browser that is new to the user, has nobody asked, and sees what everybody sees:
/// also for a user without a device, and one that does not exist, and in the same time. Control: a browser after a password.
#[test]
fn strangers_have_nobody_asked_and_see_the_same_for_every_username() {
    let (demo, phone) = enrolled("push20");
    demo.user("push20b", PASSWORD, &["employees"]);
    let stream = Stream::open(&demo, &phone).unwrap();

    let users = ["push20", "push20b", "nobody-at-all"];
    let mut seen = Vec::new();
    let mut times = vec![Vec::new(); users.len()];
    for round in 1..=5 {
        for (index, user) in users.iter().enumerate() {
            let mut stranger = Visitor::new(&demo).from(&format!("127.7.{round}.{}", index + 1));
            let begun = Instant::now();
            let waiting = stranger.ask_devices_of(user);
            let early = stranger.go_on(&waiting);
            times[index].push(begun.elapsed());
            seen.push([&waiting.page, &early].map(|page| without_secrets(page, &waiting, user)));
        }
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
    assert_alike(&times);

    let mut browser = Visitor::new(&demo);
    let page = browser.push_page_after_password("push20");
    let waiting = browser.ask_others(&page);
    assert_eq!(
        stream.push()["jti"],
        json!(waiting.push),
        "control: the first that anybody is asked"
    );
}

/// Push fatigue: a user is asked a few times and no more, from browsers where a password was proved; those that the user has
/// signed in with before have as many of their own. Each page looks as if somebody were asked.
#[test]
fn a_user_is_asked_a_few_times_and_no_more() {
    let (demo, phone) = enrolled("pushcap");
    let stream = Stream::open(&demo, &phone).unwrap();
    let mut own = Visitor::known_to(&demo, &phone);

    let mut browser = Visitor::new(&demo);
    let page = browser.push_page_after_password("pushcap");
    for _ in 0..5 {
        let waiting = browser.ask_others(&page);
        assert_eq!(stream.next_push()["jti"], json!(waiting.push));
    }
    for _ in 0..3 {
        browser.ask_others(&page);
    }
    let waiting = own.ask_devices_of("pushcap");

    assert_eq!(
        stream.next_push()["jti"],
        json!(waiting.push),
        "none of the three before it"
    );
}

/// *That wasn't me* is written down as an event of its own and refuses; other browsers have the user asked nothing from then
/// on, whatever was proved in them. Control: the user's own browser.
#[test]
fn who_was_not_them_says_so_and_is_left_alone() {
    let (demo, phone) = enrolled("notme");
    let stream = Stream::open(&demo, &phone).unwrap();
    let mut own = Visitor::known_to(&demo, &phone);
    let mut thief = Visitor::new(&demo);
    let page = thief.push_page_after_password("notme");

    let waiting = thief.ask_others(&page);
    assert_eq!(phone.refuse(&demo, &stream.push(), "not_me").status, 204);
    assert!(thief.go_on(&waiting).said().contains("It was not approved"));
    thief.ask_others(&page);

    let reported = demo.events("filter=eventType%20eq%20%22user.account.report_suspicious_activity_by_enduser%22");
    let of_phone: Vec<_> = reported
        .iter()
        .filter(|event| event["target"].to_string().contains(phone.id()))
        .collect();
    assert_eq!(of_phone.len(), 1, "{reported:?}");
    assert_eq!(of_phone[0]["outcome"]["result"], "FAILURE");
    let next = own.ask_devices_of("notme");
    assert_eq!(
        stream.push()["jti"],
        json!(next.push),
        "control, and the thief's second was not sent"
    );
}

/// A stream is opened by the account's own key, once; whoever has no such key hears nothing. Control: the stream itself.
#[test]
fn a_stream_is_opened_by_the_accounts_own_key_alone() {
    let (demo, phone) = enrolled("pushkey");
    let other = demo.user_with_device("pushkeyb");
    let path = phone.account("/pushes");
    let url = demo.url("auth", &path);

    assert_eq!(Stream::open_with(&demo, &path, "X: y").err(), Some(401), "no assertion");
    let foreign = other.field(&other.assertion(&demo, "GET", &url));
    assert_eq!(Stream::open_with(&demo, &path, &foreign).err(), Some(401), "another's");
    let field = phone.field(&phone.assertion(&demo, "GET", &url));
    let first = Stream::open_with(&demo, &path, &field).unwrap();
    assert_eq!(
        Stream::open_with(&demo, &path, &field).err(),
        Some(401),
        "the same assertion again"
    );
    let _second = Stream::open(&demo, &phone).unwrap();
    first.ended();
}

fn enrolled(login: &str) -> (Arc<Demo>, Device) {
    let demo = DEMO.demo();
    let device = demo.user_with_device(login);
    (demo, device)
}

fn sign(device: &Device, claims: &Value) -> String {
    device.possession.sign(device_checks::PUSH_ANSWER_TYPE, claims)
}

/// What a page says, without what is random in it and what was typed.
fn without_secrets(page: &Page, waiting: &Waiting, user: &str) -> String {
    let number = waiting.number.clone().unwrap();
    let said = page
        .said()
        .replace(&page.state(), "STATE")
        .replace(&waiting.push, "PUSH");
    let said = said.replace(&format!(">{number}<"), ">NUMBER<");
    let state = waiting.page.state();
    said.replace(&state, "STATE").replace(user, "USER")
}
