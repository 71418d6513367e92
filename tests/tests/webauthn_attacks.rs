//! What does the gateway make of answers that no honest security key gives? Nothing, and it says so alike to all.

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::Demo;
use latchkey_tests::security_key::{Act, BACKUP_ELIGIBLE, PRESENT, SecurityKey, VERIFIED, Vouched};
use latchkey_tests::shared::Shared;
use latchkey_tests::visitor::{Page, SESSION, Visitor};
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// Every field of an answer that is wrong by itself, each in an answer that is signed as it stands. Control: nothing wrong.
#[test]
fn an_answer_with_anything_wrong_signs_nobody_in() {
    let demo = DEMO.demo();
    let mut key = with_key(&demo, "fields");
    let elsewhere = demo.url("wiki", "");
    let wrongs: [(&str, Wrong<'_>); 14] = [
        ("origin", &|act| act.origin.clone_from(&elsewhere)),
        ("origin without its port", &|act| {
            act.origin = "https://auth.localhost".to_owned()
        }),
        ("origin with a path", &|act| act.origin.push('/')),
        ("origin of another scheme", &|act| {
            act.origin = act.origin.replace("https:", "http:")
        }),
        ("subdomain", &|act| act.origin = act.origin.replace("//", "//evil.")),
        ("framed by another site", &|act| act.cross_origin = true),
        ("rp id", &|act| act.site = "localhost".to_owned()),
        ("type", &|act| act.kind = "webauthn.create".to_owned()),
        ("challenge", &|act| act.challenge = latchkey_tests::device::random()),
        ("id ≠ rawId", &|act| act.id = "AAAA".to_owned()),
        ("nobody touched it", &|act| act.flags = VERIFIED),
        ("backup eligibility", &|act| act.flags |= BACKUP_ELIGIBLE),
        ("user handle of somebody else", &|act| {
            act.user = Some(b"usr00000000000000000".to_vec())
        }),
        ("no user handle", &|act| act.user = None),
    ];
    for (what, wrong) in wrongs {
        let mut visitor = Visitor::new(&demo).from(&source(what));
        let page = visitor.open(&demo.url("auth", "/sign-in"));
        let asked = visitor.ask_key(&page);
        let mut act = key.getting(asked);
        wrong(&mut act);
        let refused = visitor.bring(&act, key.assertion(&act), json!({}));
        check_refused(&visitor, &refused, what);
    }
    let mut visitor = Visitor::new(&demo).from("127.0.9.1");
    let page = visitor.open(&demo.url("auth", "/sign-in"));
    assert_eq!(visitor.with_key(&page, &mut key).path(), "/", "control");
}

/// An answer made for another site is recorded as what it is, with the origin. Control: other failures have no origin.
#[test]
fn an_answer_for_another_origin_is_recorded_as_phishing() {
    let demo = DEMO.demo();
    let mut key = with_key(&demo, "phished");
    for origin in ["https://auth.localhost.evil.example", ""] {
        let mut visitor = Visitor::new(&demo);
        let page = visitor.open(&demo.url("auth", "/sign-in"));
        let asked = visitor.ask_key(&page);
        let mut act = key.getting(asked);
        match origin {
            "" => act.kind = "webauthn.create".to_owned(),
            origin => act.origin = origin.to_owned(),
        }
        let refused = visitor.bring(&act, key.assertion(&act), json!({}));
        check_refused(&visitor, &refused, origin);
    }
    let declined = failures(&demo, "phished");
    let phishing: Vec<_> = declined
        .iter()
        .filter(|event| event.to_string().contains("WebAuthn declined phishing attempt"))
        .collect();
    assert_eq!((declined.len(), phishing.len()), (2, 1), "{declined:?}");
    assert!(phishing[0].to_string().contains("auth.localhost.evil.example"));
}

/// A signature by another key, over another answer or cut short is none.
#[test]
fn a_wrong_signature_signs_nobody_in() {
    let demo = DEMO.demo();
    let mut key = with_key(&demo, "signature");
    let forger = SecurityKey {
        credential: key.credential.clone(),
        ..SecurityKey::new()
    };
    let mut visitor = Visitor::new(&demo);
    let page = visitor.open(&demo.url("auth", "/sign-in"));
    let act = key.getting(visitor.ask_key(&page));
    let refused = visitor.bring(&act, forger.assertion(&act), json!({}));
    check_refused(&visitor, &refused, "another key");

    let act = key.getting(visitor.ask_key(&page));
    let mut assertion = key.assertion(&act);
    let mut verified = act.clone();
    verified.flags = PRESENT;
    assertion["response"]["authenticatorData"] = key.assertion(&verified)["response"]["authenticatorData"].clone();
    let refused = visitor.bring(&act, assertion, json!({}));
    check_refused(&visitor, &refused, "data of another answer");

    assert_eq!(visitor.with_key(&page, &mut key).path(), "/", "control");
}

/// A question is answered once, in the browser that asked, and by the same page's kind of question.
#[test]
fn a_question_is_answered_once_and_where_it_was_asked() {
    let demo = DEMO.demo();
    let mut key = with_key(&demo, "replayed");
    let mut visitor = Visitor::new(&demo);
    let page = visitor.open(&demo.url("auth", "/sign-in"));
    let act = key.getting(visitor.ask_key(&page));
    let assertion = key.assertion(&act);

    let mut other = Visitor::new(&demo);
    let others = other.open(&demo.url("auth", "/sign-in"));
    let mut moved = act.clone();
    moved.state = others.state();
    let refused = other.bring(&moved, assertion.clone(), json!({}));
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (409, "not-answered"),
        "another browser"
    );

    let first = visitor.bring(&act, assertion.clone(), json!({}));
    assert_eq!(first.status, 200, "control: {}", first.text());
    let mut again = Visitor::new(&demo);
    again.jar = visitor.jar.clone();
    let replayed = again.bring(&act, assertion.clone(), json!({}));
    assert_eq!(replayed.status, 409, "{}", replayed.text());

    let mut fresh = act.clone();
    let asked = visitor.ask_key(&page);
    fresh.attempt = asked.options["attempt"].as_str().unwrap().to_owned();
    let replayed = visitor.bring(&fresh, assertion, json!({}));
    assert_eq!(
        (replayed.status, replayed.code().as_str()),
        (403, "not-taken"),
        "an old answer to a new question"
    );
}

/// A count that stays or goes back means a copy: refused and recorded. Controls: it goes up; it never counted.
#[test]
fn a_counter_that_does_not_go_up_is_refused_and_recorded() {
    let demo = DEMO.demo();
    let mut key = with_counting_key(&demo, "counting", 5);
    let mut answer = |counter: u32| {
        let mut visitor = Visitor::new(&demo);
        let page = visitor.open(&demo.url("auth", "/sign-in"));
        let mut act = key.getting(visitor.ask_key(&page));
        act.counter = counter;
        visitor.bring(&act, key.assertion(&act), json!({})).status
    };
    assert_eq!(answer(6), 200, "control");
    for counter in [6, 5, 0] {
        assert_eq!(answer(counter), 403, "{counter}");
    }
    assert_eq!(answer(7), 200, "control");
    let recorded = failures(&demo, "counting");
    let copies = recorded
        .iter()
        .filter(|event| event.to_string().contains("counter went back"));
    assert_eq!(copies.count(), 3, "{recorded:?}");

    let mut silent = with_key(&demo, "silent");
    for _ in 0..2 {
        let mut visitor = Visitor::new(&demo);
        let page = visitor.open(&demo.url("auth", "/sign-in"));
        assert_eq!(
            visitor.with_key(&page, &mut silent).path(),
            "/",
            "control: it does not count"
        );
    }
}

/// Two answers with one count, at the same moment: a copy and the key. One is taken.
#[test]
fn of_two_answers_with_the_same_count_one_is_taken() {
    let demo = DEMO.demo();
    let mut key = with_counting_key(&demo, "raced", 1);
    let act = |key: &mut SecurityKey| {
        let mut visitor = Visitor::new(&demo);
        let page = visitor.open(&demo.url("auth", "/sign-in"));
        let mut act = key.getting(visitor.ask_key(&page));
        act.counter = 9;
        (visitor, act)
    };
    let racers = [act(&mut key), act(&mut key)];
    let key = &key;
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let racing = racers.map(|(visitor, act)| {
            scope.spawn(move || {
                let mut visitor = visitor;
                visitor.bring(&act, key.assertion(&act), json!({})).status
            })
        });
        racing.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403]);
}

/// Another user's key steps nobody up, and a key that was removed signs nobody in.
#[test]
fn only_a_key_of_ones_own_steps_up() {
    let demo = DEMO.demo();
    let mut own = with_key(&demo, "stepping");
    let mut others = with_key(&demo, "bystander");
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "stepping", PASSWORD);
    let page = visitor.open(&demo.url("news", "/"));
    let page = visitor.choose(page, "/sign-in/webauthn");
    let act = others.getting(visitor.ask_key(&page));
    let refused = visitor.bring(&act, others.assertion(&act), json!({}));
    assert_eq!((refused.status, refused.code().as_str()), (403, "not-taken"));
    assert_eq!(visitor.with_key(&page, &mut own).host(), "news.localhost", "control");

    let factors = demo.admin("GET", "/api/v1/users/stepping/factors", None).json();
    demo.command(&["user", "remove-factor", "stepping", factors[0]["id"].as_str().unwrap()]);
    let mut visitor = Visitor::new(&demo);
    let page = visitor.open(&demo.url("auth", "/sign-in"));
    let act = own.getting(visitor.ask_key(&page));
    let refused = visitor.bring(&act, own.assertion(&act), json!({}));
    check_refused(&visitor, &refused, "removed");
}

/// Registrations with anything wrong make nothing. Control: nothing wrong.
#[test]
fn a_registration_with_anything_wrong_makes_nothing() {
    let demo = DEMO.demo();
    demo.user("registering", PASSWORD, &["employees"]);
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "registering", PASSWORD);
    let elsewhere = demo.url("wiki", "");
    let wrongs: [(&str, Wrong<'_>); 7] = [
        ("origin", &|act| act.origin.clone_from(&elsewhere)),
        ("framed by another site", &|act| act.cross_origin = true),
        ("rp id", &|act| act.site = "localhost".to_owned()),
        ("type", &|act| act.kind = "webauthn.get".to_owned()),
        ("challenge", &|act| act.challenge = latchkey_tests::device::random()),
        ("id ≠ rawId", &|act| act.id = "AAAA".to_owned()),
        ("nobody touched it", &|act| act.flags = VERIFIED),
    ];
    for (what, wrong) in wrongs {
        let mut key = SecurityKey::new();
        let mut act = key.creating(visitor.ask_new_key().unwrap());
        wrong(&mut act);
        let refused = visitor.bring(&act, key.credential(&act, Vouched::ByNobody), json!({ "name": "Key" }));
        assert_eq!((refused.status, refused.code().as_str()), (403, "not-taken"), "{what}");
    }
    let mut key = SecurityKey::new();
    let act = key.creating(visitor.ask_new_key().unwrap());
    let refused = visitor.bring(&act, key.credential(&act, Vouched::Unknown), json!({ "name": "Key" }));
    assert_eq!(refused.status, 403, "an attestation that nobody knows");
    let act = key.creating(visitor.ask_new_key().unwrap());
    let refused = visitor.bring(&act, key.credential(&act, Vouched::ByNobody), json!({ "name": " " }));
    assert_eq!((refused.status, refused.code().as_str()), (400, "bad-name"));
    assert_eq!(count_keys(&demo, "registering"), 0);

    let act = key.creating(visitor.ask_new_key().unwrap());
    let credential = key.credential(&act, Vouched::ByNobody);
    let added = visitor.bring(&act, credential.clone(), json!({ "name": "Key" }));
    assert_eq!(added.status, 200, "control: {}", added.text());
    let again = visitor.bring(&act, credential, json!({ "name": "Key" }));
    assert_eq!(again.status, 403, "the password is not enough beside a key any more");
    assert_eq!(count_keys(&demo, "registering"), 1);
}

/// A credential is registered once, whoever brings it. Control: another one.
#[test]
fn a_credential_is_registered_once() {
    let demo = DEMO.demo();
    let key = with_key(&demo, "first");
    demo.user("second", PASSWORD, &["employees"]);
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "second", PASSWORD);
    let copied = visitor.add_key(&mut key.clone(), "Copy");
    assert_eq!((copied.status, copied.code().as_str()), (409, "known"));
    assert_eq!(count_keys(&demo, "second"), 0);
    assert_eq!(visitor.add_key(&mut SecurityKey::new(), "Own").status, 200, "control");
}

/// Nobody who is not signed in is asked for a new key, and no page of another browser adds one.
#[test]
fn only_who_is_signed_in_adds_a_key() {
    let demo = DEMO.demo();
    demo.user("adding", PASSWORD, &["employees"]);
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "adding", PASSWORD);
    let asked = visitor.ask_new_key().unwrap();

    let mut stranger = Visitor::new(&demo);
    let url = demo.url("auth", "/account/webauthn/options");
    let refused = stranger.post_json(&url, &json!({ "state": asked.state }));
    assert_eq!(refused.status, 400, "the page is another browser's");
    let page = stranger.open(&demo.url("auth", "/account/webauthn/add"));
    assert!(page.text().contains("name=\"username\""), "{}", page.said());
    let refused = stranger.post_json(&url, &json!({ "state": page.state() }));
    assert!(matches!(refused.status, 400 | 401), "{}", refused.status);

    let mut key = SecurityKey::new();
    let act = key.creating(asked);
    let added = visitor.bring(&act, key.credential(&act, Vouched::ByNobody), json!({ "name": "Key" }));
    assert_eq!(added.status, 200, "control: {}", added.text());
}

type Wrong<'a> = &'a dyn Fn(&mut Act);

fn check_refused(visitor: &Visitor<'_>, refused: &Page, what: &str) {
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "not-taken"),
        "{what}: {}",
        refused.text()
    );
    assert!(visitor.jar.get("auth.localhost", SESSION).is_none(), "{what}");
}

/// Failures slow down their source: each case comes from its own.
fn source(what: &str) -> String {
    let sum = what
        .bytes()
        .fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("127.0.{}.{}", 10 + sum % 200, 1 + (sum >> 8) % 250)
}

fn with_key(demo: &Demo, login: &str) -> SecurityKey {
    with_counting_key(demo, login, 0)
}

fn with_counting_key(demo: &Demo, login: &str, counter: u32) -> SecurityKey {
    demo.user(login, PASSWORD, &["employees"]);
    let mut visitor = Visitor::new(demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), login, PASSWORD);
    let mut key = SecurityKey {
        counter,
        ..SecurityKey::new()
    };
    let added = visitor.add_key(&mut key, "Key");
    assert_eq!(added.status, 200, "{}", added.text());
    key
}

fn count_keys(demo: &Demo, login: &str) -> usize {
    let factors = demo
        .admin("GET", &format!("/api/v1/users/{login}/factors"), None)
        .json();
    let factors = factors.as_array().unwrap().iter();
    factors.filter(|factor| factor["factorType"] == "webauthn").count()
}

/// What failed of a user's proofs.
fn failures(demo: &Demo, login: &str) -> Vec<Value> {
    let events = demo.events("").into_iter();
    events
        .filter(|event| event["eventType"] == "user.authentication.auth_via_mfa")
        .filter(|event| event["outcome"]["result"] == "FAILURE" && event.to_string().contains(&format!("\"{login}\"")))
        .collect()
}
