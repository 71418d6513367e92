//! Which answer of a device signs somebody in, and where? That of the key that was asked, once, to the browser that asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{Demo, NOBODY, host};
use latchkey_tests::device::{Device, Key, now};
use latchkey_tests::shared::Shared;
use latchkey_tests::visitor::{Challenge, Visitor};
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// P-15 (five cases), and jwt-none, jwt-kid-trav, jwt-jku, jwt-crit, jwt-typ, jwt-psychic-alg, jwt-ecdsa-der, assert-otherkey
/// at the endpoint that takes answers of a sign-in. The control is the good answer to the very same challenge.
#[test]
fn an_answer_that_is_not_by_the_enrolled_key_signs_nobody_in() {
    let (demo, device) = enrolled("p15");
    let (_, other_user) = enrolled("p15b");
    let other_device = another_device(&demo, "p15");
    let mut visitor = Visitor::new(&demo);
    let challenge = ask(&mut visitor, "wiki");
    let claims = device.answer(&demo, &challenge.claims);
    let refused = |what: &str, token: &str| {
        let answer = device.give_token(&demo, &challenge.claims, token);
        assert_eq!(
            (answer.status, &answer.json()["errorCode"]),
            (401, &json!("E0000011")),
            "{what}"
        );
    };

    let by = |key: &Key| key.sign(TYPE, &claims);
    refused("another device's key", &by(&other_device.possession));
    refused("another user's key", &by(&other_user.possession));
    refused("the instance's key", &by(&device.instance));
    refused(
        "another's key under the right name",
        &other_user.possession.sign_as(&device.possession, TYPE, &claims),
    );
    let kid = device.possession.public().thumbprint().to_string();
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "None" }),
        json!({ "alg": "nOnE" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "ES384" }),
        json!({ "kid": "../../dev/null" }),
        json!({ "kid": "/etc/passwd" }),
        json!({ "kid": "' OR 1=1 --" }),
        json!({ "kid": "\u{0}" }),
        json!({ "kid": "x".repeat(60_000) }),
        json!({ "jku": "http://127.0.0.1:1/" }),
        json!({ "x5u": "https://evil.test/" }),
        json!({ "jwk": device.possession.public() }),
        json!({ "crit": ["x"] }),
    ] {
        let mut whole = json!({ "alg": "ES256", "typ": TYPE, "kid": kid });
        whole
            .as_object_mut()
            .unwrap()
            .extend(header.as_object().unwrap().clone());
        let head = URL_SAFE_NO_PAD.encode(whole.to_string());
        let signature = URL_SAFE_NO_PAD.encode([1; 64]);
        for signature in ["", &signature] {
            let answer = device.give_token(&demo, &challenge.claims, &format!("{head}.{payload}.{signature}"));
            assert!(matches!(answer.status, 400 | 401 | 413), "{header}: {}", answer.status);
        }
    }
    let head = URL_SAFE_NO_PAD.encode(json!({ "alg": "HS256", "typ": TYPE, "kid": kid }).to_string());
    let signed = format!("{head}.{payload}");
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &device.possession.public().sec1());
    let tag = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&secret, signed.as_bytes()));
    refused("HS256 with the public key as its secret", &format!("{signed}.{tag}"));
    for typ in [
        "latchkey-device-assertion+jwt",
        "latchkey-instance-proof+jwt",
        "dpop+jwt",
        "at+jwt",
        "JWT",
    ] {
        refused(typ, &device.possession.sign(typ, &claims));
    }
    let good = by(&device.possession);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let raw = p256::ecdsa::Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    refused(
        "a signature in DER",
        &format!("{signed}.{}", URL_SAFE_NO_PAD.encode(raw.to_der().as_bytes())),
    );
    refused("a signature cut short", &good[..good.len() - 2]);
    assert_eq!(visitor.finish(&challenge).status, 409);

    assert_eq!(
        device.give_token(&demo, &challenge.claims, &good).status,
        200,
        "control"
    );
    assert_eq!(visitor.finish(&challenge).status, 200, "control");
}

/// S-12, and jwt-aud, jwt-exp, jwt-two-at, assert-nonce-wrong, assert-replay-app, assert-posture-types for the answers of a
/// sign-in: each claim wrong in turn, and each left out. Control: the good answer to the same challenge afterwards.
#[test]
fn a_claim_that_is_wrong_in_an_answer_signs_nobody_in() {
    let (demo, device) = enrolled("s12");
    let mut visitor = Visitor::new(&demo);
    let challenge = ask(&mut visitor, "wiki");
    let other = ask(&mut visitor, "wiki");
    let given = |change: &dyn Fn(&mut Value)| {
        let mut claims = device.answer(&demo, &challenge.claims);
        change(&mut claims);
        device.give(&demo, &challenge.claims, &claims).status
    };

    let long: Vec<bool> = vec![true; 4_000];
    for (name, values) in [
        (
            "aud",
            vec![
                json!(demo.url("wiki", "")),
                json!([demo.url("auth", "")]),
                json!(null),
                json!(7),
            ],
        ),
        (
            "exp",
            vec![json!(now() - 61), json!("soon"), json!(1e308), json!(-1), json!(null)],
        ),
        ("iat", vec![json!(now() + 120), json!(now() - 1000)]),
        (
            "nonce",
            vec![json!(""), json!("never issued"), other.claims["nonce"].clone()],
        ),
        ("tx", vec![other.claims["jti"].clone(), json!("")]),
        (
            "sub",
            vec![json!("s12"), json!("a@b@c"), json!("s12\u{0}"), json!("\u{455}12")],
        ),
        (
            "iss",
            vec![
                json!(""),
                json!("enr00000000000000001"),
                device.enrolled["device"].clone(),
            ],
        ),
        ("keyType", vec![json!("userVerification"), json!("other")]),
        ("amr", vec![json!(["fpt", "pin"]), json!("fpt"), json!([])]),
        ("outcome", vec![json!("maybe"), json!(true)]),
        (
            "signals",
            vec![
                json!({ "diskEncrypted": "true" }),
                json!({ "diskEncrypted": 1 }),
                json!(long),
            ],
        ),
        ("admin", vec![json!(true)]),
    ] {
        for value in values {
            let status = given(&|claims| claims[name] = value.clone());
            assert!(matches!(status, 400 | 401), "{name} = {value}: {status}");
        }
    }
    for missing in [
        "iss", "aud", "sub", "iat", "exp", "tx", "nonce", "amr", "keyType", "origin", "outcome",
    ] {
        let status = given(&|claims| drop(claims.as_object_mut().unwrap().remove(missing)));
        assert!(matches!(status, 400 | 401), "without {missing}: {status}");
    }
    assert_eq!(visitor.finish(&challenge).status, 409);

    assert_eq!(given(&|_| {}), 200, "control");
    assert_eq!(visitor.finish(&challenge).status, 200, "control");
}

/// P-17, jwt-jti-replay: an answer counts once, also of ten at the same time, for its own transaction, in its own browser.
#[test]
fn an_answer_counts_once_for_its_own_transaction_in_its_own_browser() {
    let (demo, device) = enrolled("p17");
    let (mut visitor, mut stranger) = (Visitor::new(&demo), Visitor::new(&demo));
    let (first, second) = (ask(&mut visitor, "wiki"), ask(&mut visitor, "wiki"));
    let foreign = ask(&mut stranger, "wiki");
    let answer = device.possession.sign(TYPE, &device.answer(&demo, &first.claims));

    assert_eq!(
        device.give_token(&demo, &second.claims, &answer).status,
        401,
        "the first's to the second"
    );
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| device.give_token(&demo, &first.claims, &answer).status))
            .collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(visitor.finish(&second).status, 409, "nobody answered the second");
    let stolen = Challenge {
        attempt: first.attempt.clone(),
        ..foreign
    };
    assert_eq!(stranger.finish(&stolen).status, 409, "in another browser");
    let moved = Challenge {
        state: first.state.clone(),
        ..stolen
    };
    assert_eq!(
        stranger.finish(&moved).status,
        400,
        "with the first's page in another browser"
    );
    assert_eq!(stranger.jar.session("auth"), None);

    assert_eq!(visitor.finish(&first).status, 200, "control: its own browser");
    assert_eq!(visitor.finish(&first).status, 409, "twice");
}

/// P-18, P-19: an answer that a page of another origin had signed is refused, and the System Log names that origin.
#[test]
fn an_answer_that_another_origin_asked_for_is_refused_and_written_down() {
    let (demo, device) = enrolled("p18");
    let mut visitor = Visitor::new(&demo);
    let own = demo.url("auth", "");
    let port = demo.address().port();
    let foreign = [
        "https://evil.example".to_owned(),
        "null".to_owned(),
        format!("https://auth.localhost.evil.example:{port}"),
        format!("https://auth.localhost:{}", port + 1),
        own.replace("https:", "http:"),
        demo.url("wiki", ""),
        format!("{own}/"),
    ];

    for origin in &foreign {
        let challenge = ask(&mut visitor, "wiki");
        let mut answer = device.answer(&demo, &challenge.claims);
        answer["origin"] = json!(origin);
        let refused = device.give(&demo, &challenge.claims, &answer);
        assert_eq!(
            (refused.status, &refused.json()["errorCode"]),
            (403, &json!("E0000212")),
            "{origin}"
        );
        assert_eq!(visitor.finish(&challenge).status, 409, "{origin}");
    }

    let events = demo.events("filter=eventType%20eq%20%22user.authentication.auth_via_mfa%22");
    let declined: Vec<&Value> = events
        .iter()
        .filter(|event| {
            event["outcome"]["reason"]
                .to_string()
                .contains("FastPass declined phishing attempt")
        })
        .filter(|event| event["actor"]["id"] == device.enrolled["user"])
        .collect();
    let named: Vec<&str> = declined
        .iter()
        .filter_map(|event| event["debugContext"]["debugData"]["origin"].as_str())
        .collect();
    assert_eq!(named, foreign, "{declined:?}");
    assert!(declined.iter().all(|event| event["outcome"]["result"] == "FAILURE"));
    let page = visitor.open(&demo.url("wiki", "/p18"));
    assert_eq!(
        visitor.fastpass_at(&page, &device).path(),
        "/p18",
        "control: the right origin"
    );
}

/// P-06, P-07: a person who says no, and a possession key where verification is demanded, sign nobody in, and are written
/// down. Control: the user-verification key.
#[test]
fn a_refusal_and_the_weaker_key_sign_nobody_in() {
    let (demo, device) = enrolled("p07");
    let mut visitor = Visitor::new(&demo);
    let page = visitor.open(&demo.url("wiki", "/p07"));
    let demanded = |visitor: &mut Visitor<'_>| visitor.challenge(&page, json!({ "verify": true }));

    let challenge = demanded(&mut visitor);
    assert_eq!(challenge.claims["userVerification"], "REQUIRED", "{}", challenge.claims);
    let mut no = device.answer(&demo, &challenge.claims);
    no["outcome"] = "denied".into();
    assert_eq!(device.give(&demo, &challenge.claims, &no).status, 200);
    let denied = visitor.finish(&challenge);
    assert_eq!((denied.status, denied.code().as_str()), (403, "denied"));
    let challenge = demanded(&mut visitor);
    let weak = device.answer(&demo, &challenge.claims);
    assert_eq!(device.give(&demo, &challenge.claims, &weak).status, 200);
    let unavailable = visitor.finish(&challenge);
    assert_eq!((unavailable.status, unavailable.code().as_str()), (403, "unavailable"));
    assert_eq!(visitor.jar.session("auth"), None);
    let events = demo.events("filter=eventType%20eq%20%22user.authentication.auth_via_mfa%22");
    let failures: Vec<&Value> = events
        .iter()
        .filter(|event| event["actor"]["id"] == device.enrolled["user"] && event["outcome"]["result"] == "FAILURE")
        .collect();
    assert_eq!(failures.len(), 2, "{failures:?}");

    assert_eq!(visitor.fastpass_verified_at(&page, &device).path(), "/p07", "control");
}

/// assert-user-swap: where somebody is signed in, the device of another user does not answer for them. Control: their own.
#[test]
fn another_users_device_does_not_answer_for_who_is_signed_in() {
    let (demo, device) = enrolled("swap");
    let (_, other) = enrolled("swapb");
    let mut visitor = Visitor::new(&demo);
    visitor.sign_in_with_password(&demo.url("auth", "/"), "swap", PASSWORD);
    let page = visitor.open(&demo.url("wiki", "/swap"));
    assert_eq!(page.host(), host("auth"), "the wiki asks for a device");
    let challenge = visitor.challenge(&page, json!({ "verify": false }));

    let theirs = other.give(&demo, &challenge.claims, &other.answer(&demo, &challenge.claims));
    assert_eq!(theirs.status, 401);
    let mut named = other.answer(&demo, &challenge.claims);
    named["sub"] = device.enrolled["user"].clone();
    assert_eq!(other.give(&demo, &challenge.claims, &named).status, 401);
    assert_eq!(visitor.finish(&challenge).status, 409);

    assert_eq!(visitor.fastpass_at(&page, &device).path(), "/swap", "control");
    let line = demo
        .decisions()
        .line(|line| line["path"] == "/swap" && line["decision"] == "allow")
        .unwrap();
    assert_eq!(
        (&line["user"], &line["device"]),
        (&json!("swap"), &device.enrolled["device"])
    );
}

/// P-09: the code that opens an application is good once, in the browser that asked, at the host that asked.
#[test]
fn a_code_is_good_once_in_its_browser_at_its_application() {
    let (demo, device) = enrolled("p09");
    let code_of = |visitor: &mut Visitor<'_>| -> String {
        let page = visitor.open(&demo.url("wiki", "/p09"));
        let challenge = visitor.challenge(&page, json!({ "verify": false }));
        device.give(&demo, &challenge.claims, &device.answer(&demo, &challenge.claims));
        visitor.finish(&challenge).json()["next"].as_str().unwrap().to_owned()
    };
    let refused = |visitor: &mut Visitor<'_>, url: &str, what: &str| {
        let answer = visitor.get(url);
        assert_eq!(answer.status, 400, "{what}");
        assert!(
            answer.fields("set-cookie").is_empty() && answer.location().is_none(),
            "{what}"
        );
        assert!(answer.text().contains("sign in again"), "{what}: {}", answer.text());
    };

    let mut own = Visitor::new(&demo);
    let url = code_of(&mut own);
    assert!(url.starts_with(&demo.url("wiki", "/.latchkey/session?code=")), "{url}");
    assert_eq!(own.get(&url).status, 303, "control");
    assert_eq!(own.open(&demo.url("wiki", "/p09")).status, 200, "control");
    refused(&mut own, &url, "twice");

    let (mut second, mut bare) = (Visitor::new(&demo), Visitor::new(&demo));
    let url = code_of(&mut second);
    refused(&mut bare, &url, "a browser without a cookie");
    assert_eq!(second.get(&url).status, 400, "and whoever tries burns it");

    let (mut attacker, mut victim) = (Visitor::new(&demo), Visitor::new(&demo));
    victim.get(&demo.url("wiki", "/"));
    let url = code_of(&mut attacker);
    refused(
        &mut victim,
        &url,
        "login CSRF: an attacker's code in a browser that began a sign-in of its own",
    );
    assert_ne!(victim.get(&demo.url("wiki", "/")).status, 200);

    let mut third = Visitor::new(&demo);
    let url = code_of(&mut third);
    let binding = third
        .jar
        .get(&host("wiki"), "__Host-latchkey-binding")
        .unwrap()
        .to_owned();
    third.jar.set(&host("payroll"), "__Host-latchkey-binding", &binding);
    refused(&mut third, &url.replace("wiki.", "payroll."), "at another application");
}

/// P-14, P-21: a challenge travels inside TLS alone: plain HTTP gets no answer. Control: TLS.
#[test]
fn a_challenge_travels_inside_tls_alone() {
    let demo = DEMO.demo();
    let url = demo.url("auth", "/sign-in");
    assert_eq!(demo.curl(NOBODY, &url.replace("https", "http"), &[]).status, 0);
    assert_eq!(demo.curl(NOBODY, &url, &[]).status, 200);
}

/// P-16: everything that the database holds is known to somebody else; no word of it is a cookie that counts, and none is a
/// key whose answer counts. Control: the cookie and the key themselves, which are not in it.
#[test]
fn a_dump_of_the_database_signs_nobody_in() {
    let demo = Demo::start();
    let device = demo.user_with_device("p16");
    let mut visitor = Visitor::new(&demo);
    visitor.fastpass(&demo.url("wiki", "/"), &device);
    let words = words(&demo);
    assert!(words.len() > 100, "{}", words.len());
    let mut thief = Visitor::new(&demo);
    let challenge = ask(&mut thief, "wiki");

    for app in ["wiki", "auth"] {
        let cookie = visitor.jar.session(app).unwrap();
        assert!(!words.contains(&cookie), "a cookie of {app} is kept as it is");
    }
    let url = demo.url("wiki", "/");
    let cookies: Vec<&String> = words.iter().filter(|word| word.len() == 43).collect();
    assert!(!cookies.is_empty(), "hashes look like cookies");
    for word in cookies {
        thief.jar.set_session("wiki", word);
        assert_ne!(thief.get(&url).status, 200, "{word}");
    }
    let claims = device.answer(&demo, &challenge.claims);
    let mut tried = 0;
    for key in words.iter().flat_map(|word| keys(word)) {
        tried += 1;
        let token = key.sign_as(&device.possession, TYPE, &claims);
        let body = json!({ "attempt": challenge.attempt, "answer": token });
        let answer = thief.post_json(&demo.url("auth", "/agent/v1/answers"), &body);
        assert_eq!(answer.status, 401);
    }
    assert!(tried > 10, "{tried} keys");

    assert_eq!(visitor.get(&url).status, 200, "control: the cookie");
    assert_eq!(
        device.give(&demo, &challenge.claims, &claims).status,
        200,
        "control: the key"
    );
}

/// A challenge for a page that wants to open this application.
fn ask(visitor: &mut Visitor<'_>, app: &str) -> Challenge {
    let page = visitor.open(&visitor.demo().url(app, "/"));
    visitor.challenge(&page, json!({ "verify": false }))
}

/// A new user of the shared demo, with a device.
fn enrolled(user: &str) -> (Arc<Demo>, Device) {
    let demo = DEMO.demo();
    let device = demo.user_with_device(user);
    (demo, device)
}

/// One more device of a user.
fn another_device(demo: &Demo, user: &str) -> Device {
    let mut device = Device::default();
    let token = device.token(demo, user, PASSWORD);
    device.enroll(demo, &token, &format!("{user}-tablet"));
    device
}

/// Every word in the files of the database that is long enough to be a secret.
fn words(demo: &Demo) -> BTreeSet<String> {
    let files = ["directory.sqlite", "directory.sqlite-wal"];
    let read = |name: &&str| std::fs::read(demo.file(&format!("data/{name}"))).ok();
    let octets: Vec<u8> = files.iter().filter_map(read).flatten().collect();
    let is_of_word = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'+' | b'/' | b'=');
    let runs = octets.split(|octet| !is_of_word(octet)).filter(|run| run.len() >= 20);
    runs.filter_map(|run| String::from_utf8(run.to_vec()).ok()).collect()
}

/// The keys that a word could be, in base64 or hexadecimal.
fn keys(word: &str) -> Vec<Key> {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    let pairs = |text: &str| -> Option<Vec<u8>> {
        let digits = text.as_bytes().chunks(2);
        let octets = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        octets.collect()
    };
    let read = [
        URL_SAFE_NO_PAD.decode(word).ok(),
        STANDARD.decode(word).ok(),
        STANDARD_NO_PAD.decode(word).ok(),
        pairs(word),
    ];
    read.into_iter()
        .flatten()
        .filter_map(|octets| Key::from_octets(&octets))
        .collect()
}

const TYPE: &str = "latchkey-answer+jwt";
