//! What is a security key or passkey good for? It signs in, steps up and stands where policies let it, whatever became of a
//! device.

use std::time::Instant;

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::Demo;
use latchkey_tests::security_key::{BACKED_UP, BACKUP_ELIGIBLE, Maker, PRESENT, SecurityKey, VERIFIED, Vouched};
use latchkey_tests::shared::Shared;
use latchkey_tests::timing::assert_alike;
use latchkey_tests::visitor::Visitor;
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// P-24: a key is offered where the application's rules allow it, beside what else would do, and opens the application; a
/// rule can demand one, verified and in hardware or not, and a rule can exclude it.
#[test]
fn a_key_opens_what_the_rules_let_it_open() {
    let demo = Demo::start();
    let mut key = with_key(&demo, "p24");
    let news = demo.url("news", "/");

    let mut visitor = Visitor::new(&demo);
    let page = visitor.password_page(&news, "p24");
    let offered = visitor.choose(page, "/sign-in/methods");
    let page = visitor.choose(offered, "/sign-in/webauthn");
    let opened = visitor.with_key(&page, &mut key);
    assert_eq!(
        (opened.status, opened.host().as_str()),
        (200, "news.localhost"),
        "two factors"
    );

    for (rule, opens) in [
        (
            "context.session has webauthn && context.session.webauthn.phishingResistant",
            true,
        ),
        (
            "context.session has webauthn && context.session.webauthn.userVerified",
            true,
        ),
        (
            "context.session has webauthn && context.session.webauthn.hardwareProtected",
            false,
        ),
        ("!(context.session has webauthn)", false),
    ] {
        demo.set_policies(
            "news.cedar",
            &format!("{READERS}unless {{ context has session && {rule} }};\n"),
        );
        let mut visitor = Visitor::new(&demo);
        let page = visitor.open(&news);
        let opened = visitor.with_key(&page, &mut key);
        assert_eq!(opened.host() == "news.localhost", opens, "{rule}: {}", opened.said());
    }
}

/// P-24: without a PIN or biometric the same key is one factor, and what asks for verification asks it for that.
#[test]
fn an_unverified_key_is_one_factor() {
    let demo = Demo::start();
    let mut key = with_key(&demo, "one-factor");
    let shipped = std::fs::read_to_string(demo.file("policies/news.cedar")).unwrap();
    let verified = "context has session && context.session has webauthn && context.session.webauthn.userVerified";
    demo.set_policies("news.cedar", &format!("{READERS}unless {{ {verified} }};\n"));
    let mut visitor = Visitor::new(&demo);
    let page = visitor.open(&demo.url("news", "/"));
    let asked = visitor.ask_key(&page);
    assert_eq!(
        asked.options["publicKey"]["userVerification"], "required",
        "nothing less opens the news"
    );
    let mut act = key.getting(asked);
    act.flags = PRESENT;
    let refused = visitor.bring(&act, key.assertion(&act), json!({}));
    assert_eq!((refused.status, refused.code().as_str()), (403, "not-taken"));

    demo.set_policies("news.cedar", &shipped);
    let home = visitor.open(&demo.url("auth", "/sign-in"));
    let asked = visitor.ask_key(&home);
    assert_eq!(asked.options["publicKey"]["userVerification"], "preferred");
    let mut act = key.getting(asked);
    act.flags = PRESENT;
    let finished = visitor.bring(&act, key.assertion(&act), json!({}));
    visitor.follow_next(finished);
    let step_up = visitor.open(&demo.url("news", "/"));
    assert!(step_up.text().contains("One more step"), "{}", step_up.said());

    let page = visitor.choose(step_up, "/sign-in/password");
    let page = visitor.submit(&page, &[("password", PASSWORD)]);
    assert_eq!(
        visitor.follow(page).host(),
        "news.localhost",
        "control: with the password they are two"
    );
}

/// P-24 (step-up): whoever is signed in with a password is asked for their own keys, by name.
#[test]
fn a_key_raises_a_session() {
    let demo = DEMO.demo();
    let mut key = with_key(&demo, "raised");
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "raised", PASSWORD);
    let page = visitor.open(&demo.url("news", "/"));
    let page = visitor.choose(page, "/sign-in/webauthn");

    let asked = visitor.ask_key(&page);
    let allowed = asked.options["publicKey"]["allowCredentials"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(allowed.len(), 1, "{allowed:?}");
    let act = key.getting(asked);
    let finished = visitor.bring(&act, key.assertion(&act), json!({}));
    assert_eq!(visitor.follow_next(finished).host(), "news.localhost");
}

/// D-10, D-11 (the keys' share): what became of a device touches no security key. Control: the device itself signs nobody in.
#[test]
fn a_key_works_after_a_device_was_deactivated() {
    let demo = DEMO.demo();
    let device = demo.user_with_device("d11");
    let mut visitor = Visitor::new(&demo);
    let page = visitor.open(&demo.url("auth", "/sign-in"));
    visitor.fastpass_verified_at(&page, &device);
    let mut key = SecurityKey::new();
    let added = visitor.add_key(&mut key, "Blue key");
    assert_eq!(added.status, 200, "{}", added.text());
    let id = device.enrolled["device"].as_str().unwrap();
    demo.command(&["device", "deactivate", id]);

    let mut visitor = Visitor::new(&demo);
    let page = visitor.open(&demo.url("news", "/"));
    assert_eq!(visitor.with_key(&page, &mut key).host(), "news.localhost");

    let mut visitor = Visitor::new(&demo);
    let page = visitor.open(&demo.url("wiki", "/"));
    let challenge = visitor.challenge(&page, json!({ "verify": false }));
    let answer = device.answer(&demo, &challenge.claims);
    assert_ne!(device.give(&demo, &challenge.claims, &answer).status, 200);
}

/// X-03 (the control): a fresh passkey lets its user add another one. A password alone does not, beside a passkey, and
/// nothing is made.
#[test]
fn a_fresh_passkey_lets_its_user_add_another() {
    let demo = DEMO.demo();
    let mut key = with_key(&demo, "x03");
    let mut weaker = Visitor::new(&demo);
    weaker.sign_in_with_password(&demo.url("auth", "/"), "x03", PASSWORD);

    let mut other = SecurityKey::new();
    let refused = weaker.add_key(&mut other, "Other key");
    assert!(refused.text().contains("One more step"), "{}", refused.said());
    assert_eq!(keys(&demo, "x03").len(), 1);

    let page = weaker.choose(refused, "/sign-in/webauthn");
    let asked = weaker.ask_key(&page);
    let act = key.getting(asked);
    let finished = weaker.bring(&act, key.assertion(&act), json!({}));
    weaker.follow_next(finished);
    let added = weaker.add_key(&mut other, "Other key");
    assert_eq!(added.status, 200, "{}", added.text());
    let names: Vec<_> = keys(&demo, "x03")
        .iter()
        .map(|key| key["profile"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        names.contains(&"Blue key".to_owned()) && names.contains(&"Other key".to_owned()),
        "{names:?}"
    );
}

/// a page says the same of keys to every username, in the same time, and of no key in particular, before anybody has
/// proved something.
#[test]
fn nobody_learns_who_has_a_key() {
    let demo = DEMO.demo();
    with_key(&demo, "x20");
    demo.user("x20-without", PASSWORD, &["employees"]);
    let users = ["x20", "x20-without", "x20-nobody"];
    let mut seen = Vec::new();
    let mut times = vec![Vec::new(); users.len()];
    for round in 1..=5 {
        for (index, user) in users.iter().enumerate() {
            // Each source fails once, so that nobody is throttled.
            let mut visitor = Visitor::new(&demo).from(&format!("127.6.{round}.{}", index + 1));
            let page = visitor.identify(&demo.url("auth", "/sign-in"), user);
            let page = visitor.choose(page, "/sign-in/methods");
            let page = visitor.choose(page, "/sign-in/webauthn");
            let mut stranger = SecurityKey::new();
            let begun = Instant::now();
            let asked = visitor.ask_key(&page);
            let mut options = asked.options["publicKey"].clone();
            let act = stranger.getting(asked);
            let refused = visitor.bring(&act, stranger.assertion(&act), json!({}));
            times[index].push(begun.elapsed());
            options["challenge"] = Value::Null;
            seen.push(json!([options, refused.status, refused.json()]));
        }
    }
    assert_eq!(seen[0][0]["allowCredentials"], json!([]));
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
    assert_alike(&times);
}

/// The username that was typed is the one that the key has to be of. Control: without another's username it signs in.
#[test]
fn a_key_signs_in_nobody_else() {
    let demo = DEMO.demo();
    let mut key = with_key(&demo, "own");
    demo.user("another", PASSWORD, &["employees"]);
    let mut visitor = Visitor::new(&demo);
    let page = visitor.identify(&demo.url("auth", "/sign-in"), "another");
    let page = visitor.choose(page, "/sign-in/methods");
    let page = visitor.choose(page, "/sign-in/webauthn");
    let asked = visitor.ask_key(&page);
    let act = key.getting(asked);
    let refused = visitor.bring(&act, key.assertion(&act), json!({}));
    assert_eq!((refused.status, refused.code().as_str()), (403, "not-taken"));

    let page = visitor.open(&demo.url("auth", "/sign-in"));
    let opened = visitor.with_key(&page, &mut key);
    assert_eq!(opened.status, 200);
    assert!(opened.text().contains("own"), "{}", opened.said());
}

/// The System Log has the registration and each sign-in with what they say of the key; a passkey that is copied around is not
/// bound to a device.
#[test]
fn the_log_says_what_a_key_proved() {
    let demo = DEMO.demo();
    let mut key = SecurityKey::new();
    demo.user("logged", PASSWORD, &["employees"]);
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "logged", PASSWORD);
    let asked = visitor.ask_new_key().unwrap();
    let mut act = key.creating(asked);
    act.flags = PRESENT | VERIFIED | BACKUP_ELIGIBLE | BACKED_UP;
    let added = visitor.bring(
        &act,
        key.credential(&act, Vouched::ByNobody),
        json!({ "name": "Phone" }),
    );
    assert_eq!(added.status, 200, "{}", added.text());
    let mut visitor = Visitor::new(&demo);
    let page = visitor.open(&demo.url("auth", "/sign-in"));
    let asked = visitor.ask_key(&page);
    let mut act = key.getting(asked);
    act.flags = PRESENT | BACKUP_ELIGIBLE | BACKED_UP;
    let finished = visitor.bring(&act, key.assertion(&act), json!({}));
    visitor.follow_next(finished);

    let events = events_of(&demo, "logged");
    let activated = events
        .iter()
        .find(|event| event["eventType"] == "user.mfa.factor.activate");
    assert!(activated.unwrap().to_string().contains("Phone"), "{activated:?}");
    let used = events
        .iter()
        .rfind(|event| event["eventType"] == "user.authentication.auth_via_mfa");
    let used = used.unwrap().to_string();
    assert!(
        used.contains("PHISHING_RESISTANT,USER_PRESENCE") && used.contains("webauthn"),
        "{used}"
    );
    assert!(
        !used.contains("DEVICE_BOUND") && !used.contains("USER_VERIFYING"),
        "{used}"
    );
    assert!(keys(&demo, "logged")[0]["lastUsed"].is_string());
}

/// A key whose maker is on the list is hardware, and only that one where the list is required; a maker or model that goes
/// from the list bites at once.
#[test]
fn hardware_is_what_a_listed_maker_vouches_for() {
    let demo = Demo::start();
    let (maker, stranger) = (Maker::new([7; 16]), Maker::new([7; 16]));
    let other_model = Maker::new([8; 16]);
    let roots = [maker.root(), other_model.root()].concat();
    std::fs::write(demo.file("keys.pem"), roots).unwrap();
    let list = |required: bool| {
        format!(
            "  webauthn:\n    attestation:\n      roots: [keys.pem]\n      models: [{}]\n      required: {required}",
            maker.model()
        )
    };
    demo.configure("sign_in", &list(true));
    demo.reload();
    let hardware = "context has session && context.session has webauthn && context.session.webauthn.hardwareProtected";
    demo.set_policies("news.cedar", &format!("{READERS}unless {{ {hardware} }};\n"));
    demo.user("attested", PASSWORD, &["employees"]);
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "attested", PASSWORD);

    for vouched in [
        Vouched::ByNobody,
        Vouched::ByItself,
        Vouched::ByMaker(&stranger),
        Vouched::ByMaker(&other_model),
    ] {
        let mut key = SecurityKey::new();
        let asked = visitor.ask_new_key().unwrap();
        assert_eq!(asked.options["publicKey"]["attestation"], "direct");
        let act = key.creating(asked);
        let refused = visitor.bring(&act, key.credential(&act, vouched), json!({ "name": "Key" }));
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "not-attested"),
            "{}",
            refused.text()
        );
    }
    assert_eq!(keys(&demo, "attested").len(), 0);

    let mut key = SecurityKey::new();
    let asked = visitor.ask_new_key().unwrap();
    let act = key.creating(asked);
    let added = visitor.bring(
        &act,
        key.credential(&act, Vouched::ByMaker(&maker)),
        json!({ "name": "Key" }),
    );
    assert_eq!(added.status, 200, "{}", added.text());
    let opens = |key: &mut SecurityKey| {
        let mut visitor = Visitor::new(&demo);
        let page = visitor.open(&demo.url("news", "/"));
        visitor.with_key(&page, key).host() == "news.localhost"
    };
    assert!(opens(&mut key), "control: the maker is on the list");

    demo.edit("latchkey.yaml", &maker.model(), &other_model.model());
    demo.reload();
    assert!(!opens(&mut key), "its model is no longer on the list");
}

/// A user with this name and [`PASSWORD`] who has a key that finds them by itself.
fn with_key(demo: &Demo, login: &str) -> SecurityKey {
    demo.user(login, PASSWORD, &["employees"]);
    let mut visitor = Visitor::new(demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), login, PASSWORD);
    let mut key = SecurityKey::new();
    let added = visitor.add_key(&mut key, "Blue key");
    assert_eq!(added.status, 200, "{}", added.text());
    key
}

fn keys(demo: &Demo, login: &str) -> Vec<Value> {
    let factors = demo
        .admin("GET", &format!("/api/v1/users/{login}/factors"), None)
        .json();
    let factors = factors.as_array().unwrap().iter();
    factors
        .filter(|factor| factor["factorType"] == "webauthn")
        .cloned()
        .collect()
}

fn events_of(demo: &Demo, login: &str) -> Vec<Value> {
    let events = demo.events("").into_iter();
    events
        .filter(|event| event["actor"]["displayName"] == login || event.to_string().contains(login))
        .collect()
}

const READERS: &str = "@id(\"news.readers\")\npermit (principal is User, action == Action::\"read\", resource == App::\"news\");\n\
                       @id(\"news.rule\")\n@deny_reason(\"The news takes more.\")\n@advice(\"sign-in-again\")\n\
                       forbid (principal is User, action == Action::\"read\", resource == App::\"news\")\n";
