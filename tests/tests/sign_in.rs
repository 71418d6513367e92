//! Who is somebody with a password, and what do strangers learn by guessing?

use std::time::{Duration, Instant};

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{ALICE, Demo, NOBODY};
use latchkey_tests::device::Device;
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;
use latchkey_tests::timing::assert_alike;
use latchkey_tests::websocket::End;
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// E-06: a wrong password enrols nothing and leaves a failure in the System Log. Control: the right one.
#[test]
fn a_wrong_password_is_refused_and_recorded() {
    let demo = DEMO.demo();
    demo.user("e06", PASSWORD, &["employees"]);
    let device = Device::default();

    let refused = device.authenticate(&demo, "e06", "wrong horse", None);

    assert_eq!(
        (refused.status, &refused.json()["errorCode"]),
        (401, &"E0000004".into())
    );
    let failures = failures(&demo, "e06");
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(!failures[0].to_string().contains("wrong horse"));
    let devices = demo.admin("GET", "/api/v1/users/e06/devices", None).json();
    assert_eq!(devices, json!([]));
    assert_eq!(
        device.authenticate(&demo, "e06", PASSWORD, None).json()["status"],
        "SUCCESS"
    );
}

/// E-07, E-08: where the global session policy wants a second factor, who has one is asked for it, and who has none is told
/// what is missing; nothing is made before it is there.
#[test]
fn a_second_factor_is_asked_for_where_the_policy_wants_one() {
    let demo = Demo::start();
    demo.user("e07", PASSWORD, &["employees"]);
    demo.user("e08", PASSWORD, &["employees"]);
    let secret = demo.command(&["user", "totp", "e07"]).stdout.trim().to_owned();
    let rule = "\n@id(\"session.second-factor\")\n@deny_reason(\"Signing in takes a second factor.\")\n\
                @advice(\"sign-in-second-factor\")\nforbid (principal, action == Action::\"createSession\", resource)\n\
                unless { context has session && context.session.factorCount >= 2 };\n";
    let file = demo.file("policies/organization.cedar");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + rule).unwrap();
    let device = Device::default();
    let says = |answer: &Value| answer["message"] == "Signing in takes a second factor.";
    let asked = || says(&device.authenticate(&demo, "e07", PASSWORD, None).json());
    assert!(until(Duration::from_secs(10), asked));

    let challenged = device.authenticate(&demo, "e07", PASSWORD, None).json();
    assert_eq!(
        (&challenged["factors"], &challenged["token"]),
        (&json!(["totp"]), &Value::Null)
    );
    assert_eq!(challenged["status"], "FACTOR_REQUIRED");
    let missing = device.authenticate(&demo, "e08", PASSWORD, None);
    assert_eq!(
        (missing.status, &missing.json()["errorCode"]),
        (403, &"E0000006".into())
    );
    assert!(
        missing.text().contains("totp") && missing.text().contains("has none"),
        "{}",
        missing.text()
    );
    let wrong = device.authenticate(&demo, "e07", PASSWORD, Some("000000"));
    assert_eq!((wrong.status, &wrong.json()["errorCode"]), (401, &"E0000004".into()));
    assert_eq!(demo.admin("GET", "/api/v1/users/e08/devices", None).json(), json!([]));

    let code = latchkey_tests::totp::code(&secret);
    let granted = device.authenticate(&demo, "e07", PASSWORD, Some(&code));
    assert_eq!(granted.json()["status"], "SUCCESS", "{}", granted.text());
    let burnt = device.authenticate(&demo, "e07", PASSWORD, Some(&code));
    assert_eq!(burnt.status, 401, "a code is used once");
    let token = granted.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(device.begin(&demo, &token, &device.beginning("e07-laptop")).status, 200);
}

/// Once a user has a second factor, enrolling a device takes it, whatever the session policy says.
#[test]
fn whoever_has_a_second_factor_enrols_with_it() {
    let demo = DEMO.demo();
    demo.user("second", PASSWORD, &["employees"]);
    let device = Device::default();
    assert_eq!(
        device.authenticate(&demo, "second", PASSWORD, None).json()["status"],
        "SUCCESS",
        "control"
    );

    demo.command(&["user", "totp", "second"]);
    let asked = device.authenticate(&demo, "second", PASSWORD, None).json();
    assert_eq!(asked["status"], "FACTOR_REQUIRED");

    let factors = demo.admin("GET", "/api/v1/users/second/factors", None).json();
    assert!(!factors.to_string().contains("secret"), "{factors}");
    demo.command(&["user", "remove-factor", "second", factors[0]["id"].as_str().unwrap()]);
    assert_eq!(
        device.authenticate(&demo, "second", PASSWORD, None).json()["status"],
        "SUCCESS"
    );
    let refused = demo.admin(
        "POST",
        "/api/v1/users/second",
        Some(r#"{"tags":{"factors":["second"]}}"#),
    );
    assert_eq!(refused.status, 400, "the tag is the gateway's own");
}

/// X-17: a thousand wrong passwords slow down whoever sends them, and nobody and nothing else. Control: a suspension cuts.
#[test]
fn a_thousand_wrong_passwords_lock_nobody_out() {
    let demo = Demo::start();
    let password = std::fs::read_to_string(demo.file("users/alice.password"))
        .unwrap()
        .trim()
        .to_owned();
    let mut socket = demo.websocket(ALICE, "wiki", None).unwrap();
    let mut device = Device::default();
    let token = device.token(&demo, "alice", &password);
    device.enroll(&demo, &token, "alice-signing");
    let stranger = Device::default();

    let statuses = guess(&demo, &stranger, "alice", 1000);

    let wrong = statuses.iter().filter(|status| **status == 401).count();
    assert!((5..=8).contains(&wrong), "{wrong} guesses were looked at");
    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)));
    assert_eq!(
        socket.echo("still here").as_deref(),
        Ok("still here"),
        "her WebSocket goes on"
    );
    assert_eq!(device.get(&demo, NOBODY, "wiki", "/").status, 200, "her device signs");
    assert_eq!(
        demo.admin("GET", "/api/v1/users/alice", None).json()["status"],
        "ACTIVE"
    );
    let elsewhere = from(&demo, "127.0.0.2", &stranger, "alice", &password);
    assert_eq!(
        (elsewhere.status, &elsewhere.json()["status"]),
        (200, &"SUCCESS".into())
    );
    // Whatever time went by: two seconds are left at least.
    assert!(until(Duration::from_secs(30), || {
        let wrong = from(&demo, "127.0.0.1", &stranger, "alice", "wrong horse");
        wrong
            .header("retry-after")
            .is_some_and(|wait| wait.parse::<u64>().is_ok_and(|wait| wait >= 3))
    }));
    let throttled = from(&demo, "127.0.0.1", &stranger, "alice", &password);
    assert_eq!(
        (throttled.status, &throttled.json()["errorCode"]),
        (429, &"E0000047".into())
    );
    assert!(
        throttled
            .header("retry-after")
            .is_some_and(|wait| wait.parse::<u64>().is_ok_and(|wait| wait >= 1))
    );

    demo.command(&["user", "suspend", "alice"]);
    let (end, _) = socket.end_within(Duration::from_secs(5));
    assert_eq!(end, End::Closed(1008), "control: a suspension cuts");
    assert_eq!(from(&demo, "127.0.0.2", &stranger, "alice", &password).status, 401);
}

/// X-20: known and unknown users, users without a password and users who are not active are refused alike, in words and time.
#[test]
fn nobody_learns_who_exists() {
    let demo = Demo::start();
    demo.user("known", PASSWORD, &["employees"]);
    demo.user("suspended", PASSWORD, &["employees"]);
    demo.command(&["user", "suspend", "suspended"]);
    demo.command(&["user", "create", "nopassword", "--email", "someone@example.com"]);
    let device = Device::default();
    let cases = [
        ("known", "wrong password"),
        ("unknown", PASSWORD),
        ("nopassword", PASSWORD),
        ("suspended", PASSWORD),
    ];
    let mut times = vec![Vec::new(); cases.len()];
    let mut bodies = Vec::new();

    for round in 0..5 {
        for (index, (user, password)) in cases.iter().enumerate() {
            // Each source guesses once, so that nobody is throttled.
            let source = format!("127.1.{round}.{}", index + 1);
            let begun = Instant::now();
            let answer = from(&demo, &source, &device, user, password);
            times[index].push(begun.elapsed());
            assert_eq!(answer.status, 401, "{user}");
            let mut body = answer.json();
            body.as_object_mut().unwrap().remove("errorId");
            bodies.push(body);
        }
    }

    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_alike(&times);
    assert_eq!(
        from(&demo, "127.1.9.9", &device, "known", PASSWORD).status,
        200,
        "control"
    );
}

/// What is no JSON of ours is said to be so without a word of it: it may hold a password.
#[test]
fn a_malformed_sign_in_is_refused_without_repeating_it() {
    let demo = DEMO.demo();
    let device = Device::default();
    for body in [
        json!({ "username": "alice", "password": PASSWORD }),
        json!({ "username": "alice", "password": [PASSWORD], "instanceKey": device.instance.public() }),
        json!({ "username": "alice", "password": PASSWORD, "instanceKey": device.instance.public(), PASSWORD: 1 }),
    ] {
        let refused = device.step(&demo, "/agent/v1/authenticate", None, &body);
        assert_eq!(refused.status, 400, "{body}");
        assert!(!refused.text().contains("horse"), "{}", refused.text());
    }
    let long = device.authenticate(&demo, "alice", &"x".repeat(5_000), None);
    assert_eq!(long.status, 401);
    let large = device.authenticate(&demo, "alice", &"x".repeat(70_000), None);
    assert_eq!(large.status, 413);
    assert!(!demo.process().output().contains("horse"));
}

/// The failures in the System Log that concern a user.
fn failures(demo: &Demo, user: &str) -> Vec<Value> {
    let id = demo.admin("GET", &format!("/api/v1/users/{user}"), None).json()["id"].clone();
    let events = demo.events(&format!("filter=target.id%20eq%20%22{}%22", id.as_str().unwrap()));
    events
        .into_iter()
        .filter(|event| event["outcome"]["result"] == "FAILURE")
        .collect()
}

/// Wrong passwords on a few kept connections, as fast as they go.
fn guess(demo: &Demo, device: &Device, user: &str, count: usize) -> Vec<u16> {
    let body =
        json!({ "username": user, "password": "wrong horse", "instanceKey": device.instance.public() }).to_string();
    let mut client = demo.raw(NOBODY, "auth");
    (0..count)
        .map(|_| {
            let proof = device.proof(demo, "/agent/v1/authenticate", None, &body);
            let host = format!("auth.localhost:{}", demo.address().port());
            let request = format!(
                "POST /agent/v1/authenticate HTTP/1.1\r\nHost: {host}\r\nInstance-Proof: {proof}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            client.send(request.as_bytes());
            client.answer().map_or(0, |answer| answer.status)
        })
        .collect()
}

/// Signs in from this address.
fn from(demo: &Demo, source: &str, device: &Device, user: &str, password: &str) -> latchkey_tests::curl::CurlAnswer {
    let body = json!({ "username": user, "password": password, "instanceKey": device.instance.public() }).to_string();
    let proof = format!(
        "Instance-Proof: {}",
        device.proof(demo, "/agent/v1/authenticate", None, &body)
    );
    let url = demo.url("auth", "/agent/v1/authenticate");
    demo.curl(
        NOBODY,
        &url,
        &["--interface", source, "-H", &proof, "--data-binary", &body],
    )
}
