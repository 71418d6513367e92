//! Which signatures of devices count, on which requests? Every case of the attack classes assert and jwt, with its control.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::device::{Device, Key, field, nonce, now, random};
use latchkey_tests::shared::Shared;
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// S-05: the device proved itself with its key on this request: it is registered, and the proof is an assertion.
#[test]
fn a_signed_request_is_the_devices() {
    let (demo, device) = enrolled("s05");

    let answer = device.get(&demo, NOBODY, "wiki", "/s05");

    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    assert_eq!(told["headers"]["x-latchkey-user"], "s05");
    assert_eq!(told["headers"]["x-latchkey-device"], device.enrolled["device"]);
    let line = demo.decisions().about("wiki", "/s05").unwrap();
    assert_eq!(
        (&line["signals"]["registered"], &line["signals"]["proof"]),
        (&true.into(), &"assertion".into())
    );
    assert_eq!(
        demo.curl(NOBODY, &demo.url("wiki", "/s05"), &[]).status,
        401,
        "a request without one is nobody's"
    );
}

/// X-20 (the assertion's half): the application gets nothing of the assertion, and whoever is refused learns nothing.
#[test]
fn an_assertion_is_never_passed_on_and_every_refusal_is_alike() {
    let (demo, device) = enrolled("x20");
    let told = device.get(&demo, NOBODY, "wiki", "/").json();
    assert!(!told.to_string().to_lowercase().contains("device-assertion"), "{told}");

    let url = demo.url("wiki", "/");
    let known = device.assertion(&demo, "GET", &url);
    let mut unknown = known.clone();
    unknown["iss"] = "enr00000000000000001".into();
    let refusals: Vec<Value> = [
        field(&Key::new(), &known),
        field(&Key::new(), &unknown),
        "Device-Assertion: x".to_owned(),
    ]
    .iter()
    .map(|field| {
        let answer = demo.curl(NOBODY, &url, &["-H", field]);
        assert_eq!(answer.status, 401);
        assert!(answer.header("device-assertion-nonce").is_some());
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("request_id");
        body
    })
    .collect();
    assert!(refusals.iter().all(|body| *body == refusals[0]), "{refusals:?}");
}

/// P-15: only the enrolled key, named as such, with ES256. Cases jwt-none, jwt-kid-trav, jwt-jku, jwt-crit, jwt-typ,
/// jwt-psychic-alg, jwt-ecdsa-der, assert-otherkey, assert-user-swap.
#[test]
fn an_answer_that_is_not_by_the_enrolled_key_is_refused() {
    let (demo, device) = enrolled("p15");
    let (_, other_user) = enrolled("p15b");
    let mut other_device = Device::default();
    let token = other_device.token(&demo, "p15", PASSWORD);
    other_device.enroll(&demo, &token, "p15-tablet");
    let url = demo.url("wiki", "/");
    let claims = || device.assertion(&demo, "GET", &url);
    let refused = |what: &str, field: String| {
        let answer = demo.curl(NOBODY, &url, &["-H", &field]);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "assertion-refused"),
            "{what}"
        );
    };

    refused("another device's key", field(&other_device.possession, &claims()));
    refused("another user's key", field(&other_user.possession, &claims()));
    refused("the instance's key", field(&device.instance, &claims()));
    let mut swapped = claims();
    swapped["sub"] = other_user.enrolled["user"].clone();
    refused("another user's name", device.field(&swapped));
    let kid = device.possession.public().thumbprint().to_string();
    let payload = URL_SAFE_NO_PAD.encode(claims().to_string());
    for (what, header) in [
        ("alg none", json!({ "alg": "none", "typ": TYPE, "kid": kid })),
        ("alg nOnE", json!({ "alg": "nOnE", "typ": TYPE, "kid": kid })),
        ("RS256", json!({ "alg": "RS256", "typ": TYPE, "kid": kid })),
        ("ES384", json!({ "alg": "ES384", "typ": TYPE, "kid": kid })),
        (
            "kid traversal",
            json!({ "alg": "ES256", "typ": TYPE, "kid": "../../dev/null" }),
        ),
        ("kid SQL", json!({ "alg": "ES256", "typ": TYPE, "kid": "' OR 1=1 --" })),
        (
            "jku",
            json!({ "alg": "ES256", "typ": TYPE, "kid": kid, "jku": "http://127.0.0.1:1/" }),
        ),
        (
            "x5u",
            json!({ "alg": "ES256", "typ": TYPE, "kid": kid, "x5u": "http://127.0.0.1:1/" }),
        ),
        (
            "jwk",
            json!({ "alg": "ES256", "typ": TYPE, "kid": kid, "jwk": device.possession.public() }),
        ),
        (
            "crit",
            json!({ "alg": "ES256", "typ": TYPE, "kid": kid, "crit": ["x"] }),
        ),
    ] {
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let signature = URL_SAFE_NO_PAD.encode([1; 64]);
        for signature in ["", &signature] {
            refused(what, format!("Device-Assertion: {header}.{payload}.{signature}"));
        }
    }
    // HS256 with the public key as its secret.
    let header = URL_SAFE_NO_PAD.encode(json!({ "alg": "HS256", "typ": TYPE, "kid": kid }).to_string());
    let signed = format!("{header}.{payload}");
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &device.possession.public().sec1());
    let tag = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&secret, signed.as_bytes()));
    refused("HS256", format!("Device-Assertion: {signed}.{tag}"));
    for typ in ["latchkey-answer+jwt", "latchkey-instance-proof+jwt", "dpop+jwt", "JWT"] {
        refused(
            typ,
            format!("Device-Assertion: {}", device.possession.sign(typ, &claims())),
        );
    }
    let good = device.field(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let raw = p256::ecdsa::Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let der = URL_SAFE_NO_PAD.encode(raw.to_der().as_bytes());
    refused("a signature in DER", format!("{signed}.{der}"));
    let cut = good.len() - 2;
    refused("a signature cut short", good[..cut].to_owned());
    assert_eq!(demo.curl(NOBODY, &url, &["-H", &good]).status, 200, "control");
}

/// S-12, and the cases assert-nonce-wrong, assert-replay-app, jwt-aud, jwt-exp, jwt-two-at: each claim wrong in turn.
#[test]
fn an_assertion_with_a_claim_that_is_not_so_is_refused() {
    let (demo, device) = enrolled("s12");
    let url = demo.url("wiki", "/page");
    let status = |change: &dyn Fn(&mut Value)| {
        let mut claims = device.assertion(&demo, "GET", &url);
        change(&mut claims);
        demo.curl(NOBODY, &url, &["-H", &device.field(&claims)]).status
    };
    let set = |name: &'static str, value: Value| status(&move |claims: &mut Value| claims[name] = value.clone());

    for (name, values) in [
        (
            "aud",
            vec![
                json!(demo.url("wiki", "")),
                json!([demo.url("auth", "")]),
                json!(null),
                json!(""),
            ],
        ),
        ("htm", vec![json!("POST"), json!("get")]),
        (
            "htu",
            vec![
                json!(demo.url("payroll", "/page")),
                json!(demo.url("wiki", "/other")),
                json!(url.replace("https", "http")),
            ],
        ),
        ("iat", vec![json!(now() + 120), json!(now() - 1000)]),
        (
            "exp",
            vec![
                json!(now() - 61),
                json!(now() + 1000),
                json!("soon"),
                json!(1e308),
                json!(-1),
                json!(null),
            ],
        ),
        ("nonce", vec![json!(""), json!(random()), json!("x".repeat(10_000))]),
        ("keyType", vec![json!("userVerification"), json!("other")]),
        ("amr", vec![json!(["fpt", "pin"]), json!([]), json!("fpt")]),
        (
            "sub",
            vec![
                json!("s12"),
                json!("usr00000000000000001"),
                json!("a@b@c"),
                json!("s12\u{0}"),
            ],
        ),
        ("iss", vec![json!(device.enrolled["device"]), json!("")]),
        ("admin", vec![json!(true)]),
    ] {
        for value in values {
            assert_eq!(set(name, value.clone()), 401, "{name} = {value}");
        }
    }
    for missing in [
        "iss", "aud", "sub", "iat", "exp", "jti", "nonce", "htm", "htu", "amr", "keyType",
    ] {
        let without = status(&|claims: &mut Value| {
            claims.as_object_mut().unwrap().remove(missing);
        });
        assert_eq!(without, 401, "without {missing}");
    }
    assert_eq!(status(&|_| {}), 200, "control");
}

/// S-12: a signature over other claims, bit for bit: any change of the signed text is refused.
#[test]
fn a_changed_bit_anywhere_is_refused() {
    let (demo, device) = enrolled("bits");
    let url = demo.url("wiki", "/");
    let good = device.field(&device.assertion(&demo, "GET", &url));
    let token = good.strip_prefix("Device-Assertion: ").unwrap();

    for at in (0..token.len()).step_by(37) {
        let mut changed = token.as_bytes().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let field = format!("Device-Assertion: {}", String::from_utf8(changed).unwrap());
        assert_eq!(demo.curl(NOBODY, &url, &["-H", &field]).status, 401, "{at}");
    }
    assert_eq!(
        demo.curl(NOBODY, &url, &["-H", &good]).status,
        200,
        "control: its nonce was not burnt"
    );
}

/// P-17, jwt-jti-replay: an assertion counts once, of many at the same time too, and after a restart not at all.
#[test]
fn an_assertion_counts_once() {
    let mut demo = Demo::start();
    let device = demo.user_with_device("p17");
    let url = demo.url("wiki", "/");
    let once = device.field(&device.assertion(&demo, "GET", &url));

    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| demo.curl(NOBODY, &url, &["-H", &once]).status))
            .collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        1,
        "{statuses:?}"
    );
    assert!(statuses.iter().all(|status| matches!(status, 200 | 401)));

    let unused = device.field(&device.assertion(&demo, "GET", &url));
    demo.restart();
    assert_eq!(
        demo.curl(NOBODY, &url, &["-H", &unused]).status,
        401,
        "its nonce was voided"
    );
    assert_eq!(device.get(&demo, NOBODY, "wiki", "/").status, 200, "control");
    let twice = [
        &device.field(&device.assertion(&demo, "GET", &url)),
        &device.field(&device.assertion(&demo, "GET", &url)),
    ];
    assert_eq!(
        demo.curl(NOBODY, &url, &["-H", twice[0], "-H", twice[1]]).status,
        400,
        "two are ambiguous"
    );
}

/// P-16: nothing that the server keeps makes a signature that it accepts.
#[test]
fn nothing_in_the_servers_files_signs_for_a_device() {
    let (demo, device) = enrolled("p16");
    let url = demo.url("wiki", "/");
    for name in ["assertion.key", "challenge.key"] {
        let pem = std::fs::read_to_string(demo.file(&format!("data/{name}"))).unwrap();
        let key = Key::from_pem(&pem);
        let own_name = field(&key, &device.assertion(&demo, "GET", &url));
        assert_eq!(demo.curl(NOBODY, &url, &["-H", &own_name]).status, 401, "{name}");
        let as_device = key.sign_as(
            &device.possession,
            "latchkey-device-assertion+jwt",
            &device.assertion(&demo, "GET", &url),
        );
        let field = format!("Device-Assertion: {as_device}");
        assert_eq!(
            demo.curl(NOBODY, &url, &["-H", &field]).status,
            401,
            "{name} under the device's name"
        );
    }
    let database = String::from_utf8_lossy(&std::fs::read(demo.file("data/directory.sqlite")).unwrap()).into_owned();
    assert!(!database.contains("PRIVATE KEY"));
    assert_eq!(device.get(&demo, NOBODY, "wiki", "/").status, 200, "control");
}

/// X-04, assert-cert-otherdevice: a certificate and an assertion that differ in user or device let nobody in. Control: a
/// matching pair.
#[test]
fn credentials_that_disagree_let_nobody_in() {
    let (demo, first) = enrolled("x04");
    let (_, other_user) = enrolled("x04b");
    let mut other_device = Device::default();
    let token = other_device.token(&demo, "x04", PASSWORD);
    other_device.enroll(&demo, &token, "x04-tablet");
    for (device, name) in [
        (&first, "x04-laptop-kept"),
        (&other_user, "x04b-kept"),
        (&other_device, "x04-tablet-kept"),
    ] {
        device.keep(&demo, name);
    }

    for certificate in ["x04b-kept", "x04-tablet-kept", "alice-laptop"] {
        let answer = first.get(&demo, Some(certificate), "wiki", "/");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "credentials-disagree"),
            "{certificate}"
        );
    }
    let matching = first.get(&demo, Some("x04-laptop-kept"), "wiki", "/x04");
    assert_eq!(matching.status, 200);
    assert_eq!(
        demo.decisions().about("wiki", "/x04").unwrap()["signals"]["proof"],
        "certificate+assertion"
    );

    // A certificate that no longer counts names nobody else: the assertion beside it goes on alone.
    let certificates = demo
        .admin(
            "GET",
            &format!(
                "/api/v1/certificates?device={}",
                first.enrolled["device"].as_str().unwrap()
            ),
            None,
        )
        .json();
    demo.command(&["cert", "revoke", certificates[0]["fingerprint"].as_str().unwrap()]);
    assert_eq!(demo.status(Some("x04-laptop-kept"), "wiki", "/"), 403);
    assert_eq!(first.get(&demo, Some("x04-laptop-kept"), "wiki", "/").status, 200);
    assert_eq!(
        other_user.get(&demo, Some("x04-laptop-kept"), "wiki", "/").code(),
        "credentials-disagree"
    );
}

/// D-03, D-16 (the assertion's half), assert-reenrolled: what a device that is shut out signs counts for nothing, and its
/// old key never again.
#[test]
fn a_device_that_is_shut_out_signs_in_vain() {
    let (demo, device) = enrolled("d03");
    let id = device.enrolled["device"].as_str().unwrap().to_owned();
    let open = demo.url("wiki", "/events");
    let field = device.field(&device.assertion(&demo, "GET", &open));
    let stream = std::thread::spawn({
        let (ca, field) = (demo.file("ca.pem"), field.clone());
        move || latchkey_tests::curl::curl(&ca, ["-N", "-H", &field, &open])
    });
    assert!(
        demo.decisions()
            .line(|line| line["path"] == "/events" && line["device"] == id.as_str())
            .is_some()
    );

    demo.command(&["device", "suspend", &id]);
    assert_eq!(device.get(&demo, NOBODY, "wiki", "/").code(), "device-suspended");
    let cut = stream.join().unwrap();
    assert_ne!(cut.exit, 0, "the stream was cut: {}", cut.error);
    demo.command(&["device", "unsuspend", &id]);
    assert_eq!(
        device.get(&demo, NOBODY, "wiki", "/").status,
        200,
        "control: unsuspended"
    );
    demo.command(&["device", "deactivate", &id]);
    assert_eq!(device.get(&demo, NOBODY, "wiki", "/").code(), "device-deactivated");
    demo.command(&["device", "activate", &id]);
    assert_eq!(device.get(&demo, NOBODY, "wiki", "/").code(), "enrollment-ended");
    let mut again = Device {
        instance: device.instance.clone(),
        ..Device::default()
    };
    let token = again.token(&demo, "d03", PASSWORD);
    again.enroll(&demo, &token, "d03");
    assert_eq!(again.enrolled["device"].as_str(), Some(id.as_str()));
    assert_eq!(
        again.get(&demo, NOBODY, "wiki", "/").status,
        200,
        "control: enrolled again"
    );
    assert_eq!(device.get(&demo, NOBODY, "wiki", "/").code(), "enrollment-ended");
}

/// X-14 (software): verification by a software PIN does not meet a policy that asks for hardware to enforce it, and meets
/// one that does not.
#[test]
fn a_software_pin_is_software_verification() {
    let demo = Demo::start();
    let device = demo.user_with_device("x14");
    let verified = |app: &str| {
        let url = demo.url(app, "/");
        let mut claims = device.assertion(&demo, "GET", &url);
        claims["keyType"] = "userVerification".into();
        claims["amr"] = json!(["fpt", "pin"]);
        demo.curl(NOBODY, &url, &["-H", &field(&device.verification, &claims)])
    };
    let rule = |app: &str, what: &str| {
        format!(
            "@id(\"{app}.open\") permit (principal, action in Action::\"access\", resource == App::\"{app}\");\n\
             @id(\"{app}.verified\") @deny_reason(\"PIN.\") forbid (principal, action in Action::\"access\", resource == App::\"{app}\")\n\
             unless {{ context has proof && context.proof.{what} }};\n"
        )
    };
    std::fs::write(demo.file("policies/wiki.cedar"), rule("wiki", "userVerified")).unwrap();
    std::fs::write(
        demo.file("policies/payroll.cedar"),
        rule("payroll", "userVerifiedInSoftware"),
    )
    .unwrap();
    let taken = || verified("payroll").status == 200;
    assert!(latchkey_tests::process::until(
        std::time::Duration::from_secs(10),
        taken
    ));

    let hardware = verified("wiki");
    assert_eq!((hardware.status, hardware.code().as_str()), (403, "policy-denied"));
    assert_eq!(
        device.get(&demo, NOBODY, "payroll", "/").status,
        403,
        "possession alone is no verification"
    );
}

/// A new user of the shared demo, with a device.
fn enrolled(user: &str) -> (Arc<Demo>, Device) {
    let demo = DEMO.demo();
    let device = demo.user_with_device(user);
    (demo, device)
}

#[test]
fn a_nonce_differs_from_every_other() {
    let demo = DEMO.demo();
    assert_ne!(nonce(&demo), nonce(&demo));
}

const TYPE: &str = "latchkey-device-assertion+jwt";
