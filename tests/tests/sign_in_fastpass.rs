//! Does somebody get in without a password, by their device alone, and what is written down of it?

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::Demo;
use latchkey_tests::device::{Device, now};
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;
use latchkey_tests::visitor::Visitor;
use latchkey_tests::websocket::End;
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// P-01, P-10, P-26, S-01, S-05: whoever opens an application is asked for a username, never first for a password; the
/// device's answer opens it, by cookies for their hosts alone; the decision names the session, the device and every signal.
#[test]
fn a_device_opens_an_application_without_a_password() {
    let (demo, device) = enrolled("p10");
    let url = demo.url("wiki", "/p10?a=b&c=%20d");
    let mut visitor = Visitor::new(&demo);

    let first = visitor.open(&url);
    assert_eq!((first.path().as_str(), first.status), ("/sign-in", 200));
    assert!(first.text().contains("name=\"username\"") && !first.text().contains("type=\"password\""));
    let opened = visitor.fastpass_at(&first, &device);

    assert_eq!((opened.url.as_str(), opened.status), (url.as_str(), 200));
    for (request, _) in visitor.history() {
        assert!(
            !request.contains("password=") && !request.contains(PASSWORD),
            "{request}"
        );
    }
    let set: Vec<&str> = visitor
        .history()
        .iter()
        .flat_map(|(_, page)| page.fields("set-cookie"))
        .collect();
    let names: BTreeSet<&str> = set.iter().filter_map(|field| field.split('=').next()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for field in &set {
        let has = |attribute: &str| field.split("; ").any(|part| part == attribute);
        assert!(field.starts_with("__Host-latchkey-"), "{field}");
        assert!(
            has("HttpOnly") && has("Secure") && has("SameSite=Lax") && has("Path=/"),
            "{field}"
        );
        assert!(!field.to_ascii_lowercase().contains("domain="), "{field}");
    }
    let line = demo
        .decisions()
        .line(|line| line["path"] == "/p10" && line["decision"] == "allow")
        .unwrap();
    assert_eq!(
        (&line["user"], &line["device"]),
        (&json!("p10"), &device.enrolled["device"])
    );
    assert!(
        line["session"].as_str().is_some_and(|id| id.starts_with("ses")),
        "{line}"
    );
    let signals = line["signals"].as_object().unwrap();
    assert_eq!(
        (&signals["registered"], &signals["proof"]),
        (&json!(true), &json!("session"))
    );
    for name in ["managed", "secureHardware", "hardwareKey", "keyStore"] {
        assert!(signals.contains_key(name), "{line}");
    }
}

/// P-20: the System Log has the factor, its key and its properties, and names device, enrolment and session.
#[test]
fn a_sign_in_is_written_down_with_what_was_proved() {
    let (demo, device) = enrolled("p20");

    Visitor::new(&demo).fastpass(&demo.url("wiki", "/"), &device);
    let mut verified = Visitor::new(&demo);
    let page = verified.open(&demo.url("wiki", "/"));
    verified.fastpass_verified_at(&page, &device);

    let written = proved(&demo, &device);
    assert_eq!(written.len(), 2, "{written:?}");
    for (event, key_type, amr, properties) in [
        (&written[0], "proofOfPossession", "fpt", "PHISHING_RESISTANT"),
        (
            &written[1],
            "userVerification",
            "fpt,pin",
            "PHISHING_RESISTANT,USER_PRESENCE,USER_VERIFYING",
        ),
    ] {
        let data = &event["debugContext"]["debugData"];
        assert_eq!(event["outcome"]["result"], "SUCCESS");
        assert_eq!(
            (&data["factor"], &data["keyType"]),
            (&json!("fastpass"), &json!(key_type)),
            "{data}"
        );
        assert_eq!(
            (&data["amr"], &data["properties"]),
            (&json!(amr), &json!(properties)),
            "{data}"
        );
        let targets = event["target"].as_array().unwrap();
        for id in ["user", "enrollment", "device"] {
            assert!(
                targets.iter().any(|target| target["id"] == device.enrolled[id]),
                "{id}: {event}"
            );
        }
    }
    let starts = demo.events("filter=eventType%20eq%20%22user.session.start%22");
    assert!(
        starts
            .iter()
            .any(|event| event["actor"]["id"] == device.enrolled["user"])
    );
}

/// P-12: no two challenges are alike, and each says all that the agent has to know, for five minutes at most.
#[test]
fn every_challenge_is_its_own_and_complete() {
    let demo = DEMO.demo();
    let mut visitor = Visitor::new(&demo);
    let page = visitor.open(&demo.url("wiki", "/"));
    let (mut nonces, mut transactions) = (BTreeSet::new(), BTreeSet::new());

    for _ in 0..CHALLENGES {
        let claims = visitor.challenge(&page, json!({})).claims;
        for name in [
            "iss",
            "aud",
            "iat",
            "exp",
            "jti",
            "nonce",
            "transactionId",
            "orgId",
            "verificationUri",
            "origin",
            "signals",
            "keyTypes",
            "method",
            "userVerification",
            "userMediation",
            "signIn",
        ] {
            assert!(!claims[name].is_null(), "no {name} in {claims}");
        }
        let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        assert!((now() - iat).abs() <= 5 && exp - iat <= 300 && exp > iat, "{claims}");
        let nonce = claims["nonce"].as_str().unwrap().to_owned();
        assert!(nonce.len() >= 22, "128 bits at least: {nonce}");
        nonces.insert(nonce);
        transactions.insert(claims["transactionId"].as_str().unwrap().to_owned());
    }

    assert_eq!((nonces.len(), transactions.len()), (CHALLENGES, CHALLENGES));
}

/// P-11: a user who has no password at all signs in by the device, and nothing that is typed opens what asks for one.
#[test]
fn a_user_without_a_password_signs_in_by_the_device() {
    let demo = DEMO.demo();
    let device = without_password(&demo, "p11");
    let url = demo.url("wiki", "/p11");

    let mut guesser = Visitor::new(&demo).from("127.0.11.1");
    let sign_in = guesser.open(&demo.url("auth", "/sign-in"));
    let sign_in = guesser.submit(&sign_in, &[("username", "p11")]);
    let sign_in = guesser.follow(sign_in);
    let form = guesser.choose(sign_in, "/sign-in/password");
    for guess in ["", "password", PASSWORD, "p11"] {
        let refused = guesser.submit(&form, &[("password", guess)]);
        assert_eq!(refused.status, 401, "{guess}");
    }
    assert_eq!(guesser.jar.session("auth"), None);
    assert_eq!(guesser.open(&url).path(), "/sign-in");

    let opened = Visitor::new(&demo).fastpass(&url, &device);
    assert_eq!(
        (opened.url.as_str(), opened.status),
        (url.as_str(), 200),
        "{}",
        opened.said()
    );
}

/// P-11, X-17: a thousand guesses at the browser's form slow the guesser down, and neither the user's open WebSocket nor her
/// device nor other places. Control: an administrator's suspension cuts.
#[test]
fn a_thousand_guesses_at_the_form_lock_nobody_out() {
    let demo = Demo::start();
    let device = demo.user_with_device("x17");
    let mut own = Visitor::new(&demo);
    own.fastpass(&demo.url("wiki", "/"), &device);
    let mut socket = own.socket("wiki").unwrap();
    let mut guesser = Visitor::new(&demo).from("127.0.17.1");
    let form = password_form(&mut guesser, "x17");

    let statuses: Vec<u16> = (0..1000)
        .map(|_| guesser.submit(&form, &[("password", "wrong horse")]).status)
        .collect();

    let looked_at = statuses.iter().filter(|status| **status == 401).count();
    assert!((5..=12).contains(&looked_at), "{looked_at} guesses were looked at");
    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)));
    assert_eq!(socket.echo("still here").as_deref(), Ok("still here"));
    let opened = Visitor::new(&demo)
        .from("127.0.17.1")
        .fastpass(&demo.url("wiki", "/x17"), &device);
    assert_eq!(
        (opened.path().as_str(), opened.status),
        ("/x17", 200),
        "from the guesser's own address"
    );
    let mut elsewhere = Visitor::new(&demo).from("127.0.17.2");
    let form = password_form(&mut elsewhere, "x17");
    assert_eq!(
        elsewhere.submit(&form, &[("password", PASSWORD)]).status,
        303,
        "another source"
    );

    demo.command(&["user", "suspend", "x17"]);
    assert_eq!(
        socket.end_within(Duration::from_secs(5)).0,
        End::Closed(1008),
        "control"
    );
    assert!(own.get(&demo.url("wiki", "/")).status != 200);
}

/// P-21: the right password and all that the server keeps, without the device's key, open nothing that asks for the device.
/// Control: the same user with the key.
#[test]
fn a_password_without_the_devices_key_opens_nothing_that_asks_for_it() {
    let (demo, device) = enrolled("p21");
    let url = demo.url("wiki", "/p21");
    let mut thief = Visitor::new(&demo);

    let by_password = thief.sign_in_with_password(&demo.url("auth", "/"), "p21", PASSWORD);
    assert_eq!(by_password.status, 200, "she is signed in: {}", by_password.said());
    let page = thief.open(&url);
    assert_ne!(page.host(), "wiki.localhost");
    let challenge = thief.challenge(&page, json!({ "verify": false }));
    let forged = Device {
        enrolled: device.enrolled.clone(),
        ..Device::default()
    };
    let answer = forged.answer(&demo, &challenge.claims);
    assert_eq!(forged.give(&demo, &challenge.claims, &answer).status, 401);
    assert_eq!(thief.finish(&challenge).status, 409);
    assert_ne!(thief.get(&url).status, 200);

    let opened = Visitor::new(&demo).fastpass(&url, &device);
    assert_eq!((opened.url.as_str(), opened.status), (url.as_str(), 200), "control");
}

/// P-23: verification in software is one factor, unless the operator says otherwise.
#[test]
fn verification_in_software_is_one_factor_unless_the_operator_says_otherwise() {
    let demo = Demo::start();
    let device = demo.user_with_device("p23");
    let url = demo.url("news", "/");
    let read = || {
        let mut visitor = Visitor::new(&demo);
        let page = visitor.open(&demo.url("auth", "/"));
        visitor.fastpass_verified_at(&page, &device);
        visitor.open(&url)
    };

    assert_ne!(read().url, url, "one factor");
    demo.configure("sign_in", "  count_software_verification: true");
    demo.reload();

    assert!(
        until(Duration::from_secs(10), || read().url == url),
        "two, says the operator"
    );
}

/// A new user of the shared demo, with a device.
fn enrolled(user: &str) -> (Arc<Demo>, Device) {
    let demo = DEMO.demo();
    let device = demo.user_with_device(user);
    (demo, device)
}

/// A user whose device was enrolled with an administrator's token.
fn without_password(demo: &Demo, user: &str) -> Device {
    demo.command(&["user", "create", user, "--email", "someone@example.com"]);
    demo.command(&["group", "add", "employees", user]);
    let token = demo.command(&["user", "enrollment-token", user, "--json"]).json();
    let token = token["token"].as_str().unwrap();
    let mut device = Device::default();
    device.enroll(demo, token, &format!("{user}-laptop"));
    device
}

/// The form that asks for this user's password, for their own page.
fn password_form(visitor: &mut Visitor<'_>, user: &str) -> latchkey_tests::visitor::Page {
    let url = visitor.demo().url("auth", "/");
    visitor.password_page(&url, user)
}

/// The System Log's lines about what this device proved.
fn proved(demo: &Demo, device: &Device) -> Vec<Value> {
    let events = demo.events("filter=eventType%20eq%20%22user.authentication.auth_via_mfa%22");
    let of_device = |event: &Value| {
        event["target"]
            .to_string()
            .contains(device.enrolled["device"].as_str().unwrap())
    };
    events.into_iter().filter(of_device).collect()
}

/// So many are asked for; chance would not make two of them alike.
const CHALLENGES: usize = 50;
