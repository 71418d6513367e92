//! How does a device come by an account, and what of it goes wrong? A device of nobody's making speaks the protocol.

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::device::{Device, Key};
use latchkey_tests::push::Stream;
use latchkey_tests::shared::Shared;
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// E-01: a device that never enrolled is registered nowhere. Control: after enrolment it is.
#[test]
fn a_device_without_an_enrolment_is_not_registered() {
    let demo = DEMO.demo();
    demo.user("e01", PASSWORD, &["employees"]);
    let (stranger, mut device) = (Device::default(), Device::default());

    let claims = json!({ "iss": "enr00000000000000001", "sub": "usr00000000000000001" });
    let refused = demo.curl(NOBODY, &demo.url("wiki", "/"), &["-H", &stranger.field(&claims)]);

    assert_eq!((refused.status, refused.code().as_str()), (401, "assertion-refused"));
    assert_eq!(demo.count_devices("e01"), 0);
    let token = device.token(&demo, "e01", PASSWORD);
    device.enroll(&demo, &token, "e01-laptop");
    assert_eq!(demo.device(&device.enrolled["device"])["registered"], true);
    assert_eq!(device.get(&demo, NOBODY, "wiki", "/").status, 200);
}

/// E-03: no device is made by the API; the only way in is enrolment.
#[test]
fn an_admin_cannot_make_a_device() {
    let demo = DEMO.demo();
    let refused = demo.admin("POST", "/api/v1/devices", Some(r#"{"name":"made"}"#));
    assert_eq!(
        (refused.status, &refused.json()["errorCode"]),
        (405, &"E0000022".into())
    );
}

/// E-04, E-15: a password is enough where the policies ask for no more, and one device comes of it, linked to its user.
#[test]
fn a_user_with_a_password_enrols_one_device() {
    let demo = DEMO.demo();
    demo.user("e04", PASSWORD, &["employees"]);
    let mut device = Device::default();

    let token = device.token(&demo, "e04", PASSWORD);
    device.enroll(&demo, &token, "e04-laptop");

    let id = &device.enrolled["device"];
    let devices = demo.admin("GET", "/api/v1/users/e04/devices", None).json();
    assert_eq!(
        (devices.as_array().unwrap().len(), &devices[0]["device"]["id"]),
        (1, id)
    );
    let users = demo.admin("GET", &format!("/api/v1/devices/{}/users", id.as_str().unwrap()), None);
    let logins: Vec<Value> = users
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["user"]["profile"]["login"].clone())
        .collect();
    assert_eq!(logins, ["e04"]);
    let shown = demo.device(id);
    assert_eq!(shown["enrollments"][0]["instance"], device.enrolled["instance"]);
    assert_eq!(shown["enrollments"].as_array().unwrap().len(), 1);
}

/// E-05: a token that is none, is used, is over or is an admin's for somebody who may not enrols nothing. Control: E-04.
#[test]
fn no_token_no_device() {
    let demo = DEMO.demo();
    demo.user("e05", PASSWORD, &["employees"]);
    let mut device = Device::default();
    let token = device.token(&demo, "e05", PASSWORD);
    device.enroll(&demo, &token, "e05-laptop");
    let count = demo.count_devices("e05");

    let again = Device {
        instance: device.instance.clone(),
        ..Device::default()
    };
    let short = demo.command(&["user", "enrollment-token", "e05", "--lifetime", "1s", "--json"]);
    let short = short.json()["token"].as_str().unwrap().to_owned();
    latchkey_tests::process::until(std::time::Duration::from_secs(10), || {
        again.begin(&demo, &short, &again.beginning("late")).status == 401
    });
    for bad in [&token, &short, "lke_unknown", "", "ey.ey.ey"] {
        let refused = again.begin(&demo, bad, &again.beginning("e05-again"));
        assert_eq!(
            (refused.status, &refused.json()["errorCode"]),
            (401, &"E0000011".into()),
            "{bad}"
        );
    }
    let without = demo.curl(
        NOBODY,
        &demo.url("auth", "/agent/v1/enrollments/begin"),
        &["--data-binary", &again.beginning("x").to_string()],
    );
    assert_eq!(without.status, 401);
    assert_eq!(demo.count_devices("e05"), count);
}

/// E-09: over the whole exchange the gateway gets public keys alone, and keeps nothing else.
#[test]
fn the_private_key_is_in_no_request_and_in_no_record() {
    let demo = DEMO.demo();
    demo.user("e09", PASSWORD, &["employees"]);
    let mut device = Device::default();
    let token = device.token(&demo, "e09", PASSWORD);
    let begun = device.begin(&demo, &token, &device.beginning("e09-laptop")).json();
    let sent = device.ending(&demo, &begun).to_string();
    device.enrolled = device
        .finish(&demo, &token, &serde_json::from_str(&sent).unwrap())
        .json();

    let database = std::fs::read(demo.file("data/directory.sqlite")).unwrap();
    let log = std::fs::read(demo.file("data/directory.sqlite-wal")).unwrap_or_default();
    for key in [&device.instance, &device.possession, &device.verification] {
        let pem = key.pem();
        let secret = pem.lines().nth(1).unwrap();
        assert!(!sent.contains(secret));
        // The control: the public half is there.
        let public = serde_json::to_value(key.public()).unwrap()["x"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(contains(&database, &public) || contains(&log, &public), "{public}");
        assert!(!contains(&database, secret) && !contains(&log, secret));
    }
    assert!(!contains(&database, PASSWORD) && !contains(&log, PASSWORD));
}

/// E-10: keys differ, and one that is known is refused, also in the other role. Control: a new one.
#[test]
fn a_key_is_enrolled_once() {
    let demo = DEMO.demo();
    demo.user("e10", PASSWORD, &["employees"]);
    let mut first = Device::default();
    let token = first.token(&demo, "e10", PASSWORD);
    first.enroll(&demo, &token, "e10-laptop");

    for (possession, verification) in [
        (first.possession.clone(), Key::new()),
        (Key::new(), first.possession.clone()),
        (Key::new(), first.verification.clone()),
        (first.verification.clone(), Key::new()),
    ] {
        let copy = Device {
            possession,
            verification,
            ..Device::default()
        };
        let token = copy.token(&demo, "e10", PASSWORD);
        let begun = copy.begin(&demo, &token, &copy.beginning("e10-copy")).json();
        let refused = copy.finish(&demo, &token, &copy.ending(&demo, &begun));
        assert_eq!(
            (refused.status, &refused.json()["errorCode"]),
            (400, &"E0000001".into()),
            "{}",
            refused.text()
        );
    }
    let mut second = Device::default();
    let token = second.token(&demo, "e10", PASSWORD);
    second.enroll(&demo, &token, "e10-tablet");
    let keys = |device: &Device| demo.device(&device.enrolled["device"])["enrollments"][0]["key"].clone();
    assert_ne!(keys(&first), keys(&second));
}

/// E-16, E-17: a second user of the same instance shares the device; a second device of the same user is another one.
#[test]
fn users_share_a_device_and_a_user_has_several() {
    let demo = DEMO.demo();
    demo.user("e16a", PASSWORD, &["employees"]);
    demo.user("e16b", PASSWORD, &["employees"]);
    let mut first = Device::default();
    let token = first.token(&demo, "e16a", PASSWORD);
    first.enroll(&demo, &token, "e16-laptop");
    let mut shared = Device {
        instance: first.instance.clone(),
        ..Device::default()
    };
    let token = shared.token(&demo, "e16b", PASSWORD);
    shared.enroll(&demo, &token, "not used");
    let mut second = Device::default();
    let token = second.token(&demo, "e16a", PASSWORD);
    second.enroll(&demo, &token, "e16-tablet");

    assert_eq!(first.enrolled["device"], shared.enrolled["device"]);
    assert_eq!(first.enrolled["instance"], shared.enrolled["instance"]);
    let device = demo.device(&first.enrolled["device"]);
    let mut users: Vec<&str> = device["users"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    users.sort_unstable();
    assert_eq!((&device["name"], users), (&"e16-laptop".into(), vec!["e16a", "e16b"]));
    assert_ne!(first.enrolled["device"], second.enrolled["device"]);

    // One of the two devices is removed: the other works.
    let field = first.field(&first.assertion(&demo, "DELETE", &demo.url("auth", &first.account(""))));
    let weak = demo.curl(
        NOBODY,
        &demo.url("auth", &first.account("")),
        &["-X", "DELETE", "-H", &field],
    );
    assert_eq!(
        weak.status,
        403,
        "a possession key alone gives up no account with a PIN: {}",
        weak.text()
    );
    assert_eq!(first.leave(&demo).status, 204);
    assert_eq!(first.get(&demo, NOBODY, "wiki", "/").code(), "enrollment-ended");
    assert_eq!(second.get(&demo, NOBODY, "wiki", "/").status, 200);
    assert_eq!(shared.get(&demo, NOBODY, "wiki", "/").status, 200);
}

/// E-18: admins see name, platform, users, status, whether it is managed and when it changed; nobody else does.
#[test]
fn the_list_of_devices_is_for_admins() {
    let demo = DEMO.demo();
    demo.user("e18", PASSWORD, &["employees"]);
    let mut device = Device::default();
    let token = device.token(&demo, "e18", PASSWORD);
    device.enroll(&demo, &token, "e18-laptop");

    let shown = demo.device(&device.enrolled["device"]);

    assert_eq!(shown["resourceDisplayName"]["value"], "e18-laptop");
    assert_eq!(
        (&shown["platform"], &shown["status"], &shown["managed"]),
        (&"linux".into(), &"ACTIVE".into(), &"not_managed".into())
    );
    assert_eq!(shown["users"], json!(["e18"]));
    assert!(shown["lastUpdated"].as_str().is_some_and(|at| at.ends_with('Z')));
    let narrow = demo
        .command(&[
            "token",
            "create",
            "narrow",
            "--scope",
            "users.read",
            "--network",
            "127.0.0.0/8",
            "--json",
        ])
        .json();
    let forbidden = demo.admin_as(
        &format!("SSWS {}", narrow["token"].as_str().unwrap()),
        "GET",
        "/api/v1/devices",
        None,
    );
    assert_eq!(
        (forbidden.status, &forbidden.json()["errorCode"]),
        (403, &"E0000006".into())
    );
}

/// E-19: the System Log has the enrolment, the link and one factor for each method, by the user, about the device.
#[test]
fn an_enrolment_is_in_the_system_log() {
    let demo = DEMO.demo();
    demo.user("e19", PASSWORD, &["employees"]);
    let mut device = Device::default();
    let token = device.token(&demo, "e19", PASSWORD);
    device.enroll(&demo, &token, "e19-laptop");

    let events = demo.events(&format!(
        "filter=target.id%20eq%20%22{}%22",
        device.enrolled["device"].as_str().unwrap()
    ));

    let count = |kind: &str| events.iter().filter(|event| event["eventType"] == kind).count();
    let methods = demo.device(&device.enrolled["device"])["enrollments"][0]["methods"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(count("device.enrollment.create"), 1);
    assert_eq!(count("device.user.add"), 1);
    assert_eq!((count("user.mfa.factor.activate"), methods), (2, 2));
    for event in &events {
        assert_eq!(event["actor"]["alternateId"], "e19", "{event}");
        assert_eq!(event["outcome"]["result"], "SUCCESS");
    }
}

/// E-12, E-14: a software key is accepted as what it is, whatever the client says of it.
#[test]
fn a_client_that_claims_hardware_gets_software() {
    let demo = DEMO.demo();
    demo.user("e14", PASSWORD, &["employees"]);
    let mut device = Device::default();
    let token = device.token(&demo, "e14", PASSWORD);
    let mut claim = device.beginning("e14-laptop");
    claim["keyStore"] = "tpm".into();
    let begun = device.begin(&demo, &token, &claim).json();

    device.enrolled = device.finish(&demo, &token, &device.ending(&demo, &begun)).json();

    assert_eq!(device.enrolled["keyProtection"], "SOFTWARE");
    let shown = demo.device(&device.enrolled["device"]);
    assert_eq!(shown["enrollments"][0]["keyStore"], "software");
    assert_eq!(
        (&shown["secureHardware"], &shown["secureHardwarePresent"]),
        (&false.into(), &false.into())
    );
    let vault = device.get(&demo, NOBODY, "vault", "/");
    assert_eq!((vault.status, vault.code().as_str()), (403, "policy-denied"));
    assert!(vault.text().contains("vault.hardware-key"));
    assert_eq!(device.get(&demo, NOBODY, "wiki", "/").status, 200, "control");
}

/// E-13, E-21: what the organisation asks of keys is asked of every enrolment, and refused with nothing made.
#[test]
fn the_settings_are_asked_of_every_enrolment() {
    let demo = Demo::start();
    demo.user("e13", PASSWORD, &["employees"]);
    let attempt = |with_verification: bool| {
        let device = Device::default();
        let token = device.token(&demo, "e13", PASSWORD);
        let begun = device.begin(&demo, &token, &device.beginning("e13-laptop")).json();
        let mut ending = device.ending(&demo, &begun);
        if !with_verification {
            ending.as_object_mut().unwrap().remove("verification");
        }
        device.finish(&demo, &token, &ending)
    };
    let count = demo.count_devices("e13");

    assert_eq!(demo.fastpass(&json!({ "keyProtection": "HARDWARE" })).status, 200);
    let software = attempt(true);
    assert_eq!(
        demo.fastpass(&json!({ "keyProtection": "ANY", "userVerification": "REQUIRED" }))
            .status,
        200
    );
    let unverified = attempt(false);
    assert_eq!(demo.count_devices("e13"), count);

    assert_eq!(
        (software.status, &software.json()["errorCode"]),
        (400, &"E0000001".into()),
        "{}",
        software.text()
    );
    assert!(software.text().contains("hardware"));
    assert_eq!(
        (unverified.status, &unverified.json()["errorCode"]),
        (400, &"E0000158".into())
    );
    assert_eq!(attempt(true).status, 201, "control");
    assert_eq!(demo.fastpass(&json!({ "userVerification": "PREFERRED" })).status, 200);
    assert_eq!(attempt(false).status, 201, "control: declined where it is preferred");
}

/// E-23: FastPass cannot be disabled while a policy looks at devices; where none does it can, and then no device signs, nor is
/// one asked by push.
#[test]
fn without_fastpass_no_device_signs() {
    let demo = Demo::start();
    demo.user("e23", PASSWORD, &["employees"]);
    let refused = demo.fastpass(&json!({ "enabled": false }));
    assert_eq!(
        (refused.status, &refused.json()["errorCode"]),
        (403, &"E0000174".into())
    );
    assert!(refused.text().contains("wiki.registered"), "{}", refused.text());

    for file in ["wiki", "payroll", "vault"] {
        let path = demo.file(&format!("policies/{file}.cedar"));
        std::fs::write(
            path,
            format!(
                "@id(\"{file}.open\")\npermit (principal, action in Action::\"access\", resource == App::\"{file}\");\n"
            ),
        )
        .unwrap();
    }
    let before = demo.user_with_device("e23b");
    let stream = Stream::open(&demo, &before).expect("control: it is asked while it may be");
    let disabled = || demo.fastpass(&json!({ "enabled": false })).status == 200;
    assert!(latchkey_tests::process::until(
        std::time::Duration::from_secs(10),
        disabled
    ));
    assert!(
        stream.ends_within(std::time::Duration::from_secs(1)),
        "it is asked nothing more"
    );
    let mut device = Device::default();
    let token = device.token(&demo, "e23", PASSWORD);
    device.enroll(&demo, &token, "e23-laptop");

    assert_eq!(device.enrolled["fastpass"], false);
    assert_eq!(
        demo.device(&device.enrolled["device"])["enrollments"][0]["methods"],
        json!(["certificate"])
    );
    assert_eq!(device.get(&demo, NOBODY, "wiki", "/").code(), "assertion-refused");
    device.keep(&demo, "e23-laptop");
    assert_eq!(
        demo.status(Some("e23-laptop"), "wiki", "/"),
        200,
        "control: its certificate"
    );
    assert_eq!(demo.admin("GET", "/api/v1/users/e23/factors", None).json(), json!([]));
}

/// What a certificate request asks for beyond its key is not in the certificate, and what is wrong with a step ends it.
#[test]
fn a_step_that_is_not_as_expected_enrols_nothing() {
    let demo = DEMO.demo();
    demo.user("steps", PASSWORD, &["employees"]);
    let device = Device::default();
    let count = demo.count_devices("steps");
    let refused = |change: &dyn Fn(&Device, &mut Value)| {
        let token = device.token(&demo, "steps", PASSWORD);
        let begun = device.begin(&demo, &token, &device.beginning("steps")).json();
        let mut ending = device.ending(&demo, &begun);
        change(&device, &mut ending);
        let answer = device.finish(&demo, &token, &ending);
        assert!(
            matches!(answer.status, 400 | 404),
            "{}: {}",
            answer.status,
            answer.text()
        );
        assert!(!answer.json()["errorSummary"].as_str().unwrap().is_empty());
    };

    refused(&|_, ending| ending["attempt"] = "att00000000000000001".into());
    refused(&|_, ending| ending["certificateRequest"] = "nonsense".into());
    refused(&|_, ending| ending["verification"]["proof"] = "a.b.c".into());
    refused(&|device, ending| {
        // A proof by the verification key for another attempt.
        let proof = json!({ "aud": demo.url("auth", ""), "tx": "att00000000000000001", "nonce": "x" });
        ending["verification"]["proof"] = device.verification.sign("latchkey-key-proof+jwt", &proof).into();
    });
    refused(&|_, ending| {
        ending["possession"] =
            json!({ "fmt": "tpm", "attStmt": { "ver": "2.0", "pubArea": "", "certInfo": "", "sig": "" } })
    });
    refused(&|_, ending| ending["possession"] = json!({ "fmt": "apple", "attStmt": {} }));
    refused(&|_, ending| ending["unknown"] = true.into());
    assert_eq!(demo.count_devices("steps"), count);

    // The control, with a request that asks for the moon.
    let mut device = Device::default();
    let token = device.token(&demo, "steps", PASSWORD);
    let begun = device.begin(&demo, &token, &device.beginning("steps")).json();
    let mut ending = device.ending(&demo, &begun);
    ending["certificateRequest"] = device
        .possession
        .request(&[
            "-addext",
            "basicConstraints=CA:TRUE",
            "-addext",
            "subjectAltName=DNS:*.example.com",
            "-addext",
            "extendedKeyUsage=serverAuth",
        ])
        .into();
    let answer = device.finish(&demo, &token, &ending);
    assert_eq!(answer.status, 201, "{}", answer.text());
    device.enrolled = answer.json();
    let text = latchkey_tests::openssl::openssl(
        ["x509", "-noout", "-text"],
        device.enrolled["certificate"].as_str().unwrap(),
    )
    .text;
    assert!(
        text.contains("CA:FALSE") && text.contains("TLS Web Client Authentication"),
        "{text}"
    );
    assert!(
        !text.contains("example.com") && !text.contains("Server Authentication"),
        "{text}"
    );
}

fn contains(octets: &[u8], text: &str) -> bool {
    octets.windows(text.len()).any(|window| window == text.as_bytes())
}
