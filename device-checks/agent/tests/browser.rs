//! Does a device enrol through the browser, and only through one on its own machine?

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use device_checks::loopback::{ENROLLMENT_CHALLENGE_TYPE, EnrollmentProved};
use device_checks::wire::{AttemptId, KeyThumbprint, OrganizationId, PublicKey};
use device_checks::{AUTHENTICATOR, ExpectedProof, verify_enrollment_proof};
use serde_json::{Value, json};
use support::agent::{Agent, walk};
use support::gateway::{FakeGateway, TOKEN};
use support::page::{Heard, Page};
use support::service::Service;

/// E-20, E-22: proved on the loopback, enrolled with the token that the page brings, and followed to the end.
#[test]
fn a_user_enrols_in_the_browser() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let pin = agent.file("pin", "2468");
    let (mut service, page, key) = begin(&agent, &gateway, &["--pin-file", &pin]);
    assert_eq!(page.get("/enroll/status").json(), json!({ "step": "waiting" }));
    let claims = challenge(&gateway, &key);

    let proved: EnrollmentProved = serde_json::from_value(prove(&gateway, &page, &claims).json()).unwrap();

    let issuer = gateway.url();
    let expected = ExpectedProof {
        audience: &issuer,
        attempt: AttemptId::from_random(7),
        nonce: claims["nonce"].as_str().unwrap(),
        now: device_checks::wire::Timestamp::from_secs(claims["iat"].as_i64().unwrap()),
    };
    verify_enrollment_proof(&proved.proof, &proved.key, &expected).unwrap();
    assert_eq!(json!(proved.key.thumbprint()), json!(key));

    assert_eq!(
        page.post("/enroll/token", &json!({ "token": TOKEN, "name": "desk" }))
            .status,
        204
    );
    let ended = follow(&page);
    assert_eq!(ended, json!({ "step": "done", "message": "desk" }));
    let (code, said) = service.end();
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains(TOKEN), "{said}");
    assert_eq!(gateway.device_name(), "desk");
    assert_eq!(gateway.evidence().0.instance_key, proved.key);
    assert!(gateway.has_verification());
    let asked = gateway.requests();
    assert!(
        !asked.iter().any(|one| one.contains("/agent/v1/authenticate")),
        "no password was asked for"
    );
    assert_eq!(agent.run(&["accounts", "list", "--json"]).json()[0]["login"], "alice");
}

/// X-13, E-24: whoever lures a user onto the page of an installation elsewhere gets nothing from the one here.
#[test]
fn a_page_for_another_installation_is_proved_nothing() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let (_service, page, key) = begin(&agent, &gateway, &[]);
    let own = challenge(&gateway, &key);
    let elsewhere = PublicKey { x: [1; 32], y: [2; 32] }.thumbprint();
    for (claim, value) in [
        ("key", json!(elsewhere)),
        ("iss", json!("https://evil.example")),
        ("aud", json!(gateway.url())),
        ("orgId", json!(OrganizationId::from_random(9))),
        ("exp", json!(1)),
        ("nonce", json!("short")),
        ("origin", json!("https://evil.example")),
    ] {
        let mut wrong = own.clone();
        wrong[claim] = value.clone();
        let heard = prove(&gateway, &page, &wrong);
        assert_eq!(
            (heard.status, heard.json()["error"].as_str()),
            (400, Some("bad-challenge")),
            "{claim} = {value}"
        );
    }
    gateway.behave(|behaviour| behaviour.key = [8; 32]);
    assert_eq!(prove(&gateway, &page, &own).status, 400, "signed by another key");
    gateway.behave(|behaviour| behaviour.key = [7; 32]);
    let other_type = gateway.sign("latchkey-challenge+jwt", &own);
    assert_eq!(
        page.post("/enroll/prove", &json!({ "challengeRequest": other_type }))
            .status,
        400
    );

    let unproved = page.post("/enroll/token", &json!({ "token": TOKEN }));
    assert_eq!(
        (unproved.status, unproved.json()["error"].as_str()),
        (400, Some("bad-challenge"))
    );
    assert_eq!(page.get("/enroll/status").json()["step"], "waiting");

    assert_eq!(prove(&gateway, &page, &own).status, 200, "control: its own");
    assert_eq!(page.post("/enroll/token", &json!({ "token": TOKEN })).status, 204);
}

/// X-08, P-19: the same strict checks as for sign-ins.
#[test]
fn a_page_of_another_origin_or_under_another_name_is_refused() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let (_service, page, key) = begin(&agent, &gateway, &[]);
    let token = gateway.sign(ENROLLMENT_CHALLENGE_TYPE, &challenge(&gateway, &key));
    let body = json!({ "challengeRequest": token }).to_string();
    let (host, json) = (
        format!("Host: 127.0.0.1:{}\r\n", page.port),
        "Content-Type: application/json\r\n",
    );
    for fields in [
        format!("{host}{json}"),
        format!("{host}{json}Origin: null\r\n"),
        format!("{host}{json}Origin: https://evil.example\r\n"),
        format!("Host: localhost:{}\r\n{json}Origin: {}\r\n", page.port, page.origin),
    ] {
        for (method, path) in [
            ("GET", "/probe"),
            ("GET", "/enroll/status"),
            ("POST", "/enroll/prove"),
            ("POST", "/enroll/token"),
            ("POST", "/challenge"),
        ] {
            let heard = page.send(method, path, &fields, &body);
            assert!(heard.status == 403 && heard.is_silent(), "{fields} {path}: {heard:?}");
        }
    }
    assert!(gateway.answers().is_empty());
    assert_eq!(
        page.challenge(&gateway.challenge(&json!({}))).status,
        404,
        "it answers no challenges"
    );
    assert_eq!(
        page.send("POST", "/enroll/prove", &(page.fields() + json), &body)
            .status,
        200
    );
}

/// A token is taken once; a second one is somebody else's.
#[test]
fn a_second_token_is_not_taken() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let (mut service, page, key) = begin(&agent, &gateway, &[]);
    assert_eq!(prove(&gateway, &page, &challenge(&gateway, &key)).status, 200);
    assert_eq!(page.post("/enroll/token", &json!({})).status, 400);
    assert_eq!(
        page.post("/enroll/token", &json!({ "token": TOKEN, "name": "first" }))
            .status,
        204
    );

    let second = page.post("/enroll/token", &json!({ "token": "lke_other", "name": "second" }));

    assert_eq!((second.status, second.json()["error"].as_str()), (409, Some("busy")));
    assert_eq!(follow(&page)["message"], "first");
    assert_eq!(service.end().0, 0);
}

/// What fails is told on the page, and leaves nothing behind.
#[test]
fn an_enrolment_that_fails_is_told_and_leaves_nothing() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    gateway.behave(|behaviour| behaviour.refuses = Some(("/agent/v1/enrollments/finish", 403, "E0000152")));
    let (mut service, page, key) = begin(&agent, &gateway, &[]);
    assert_eq!(prove(&gateway, &page, &challenge(&gateway, &key)).status, 200);
    assert_eq!(page.post("/enroll/token", &json!({ "token": TOKEN })).status, 204);

    let ended = follow(&page);

    assert_eq!(ended["step"], "failed");
    assert!(ended["message"].as_str().unwrap().contains("E0000152"), "{ended}");
    let (code, said) = service.end();
    assert!(code == 1 && said.contains("E0000152"), "{said}");
    let kept = |name: &str| name != "sealing.key" && name != "lock" && !name.ends_with(".lock");
    let left: Vec<_> = walk(&agent.state())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| kept(name))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Who gives up takes the key along.
#[test]
fn an_enrolment_that_its_user_ends_leaves_nothing() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let (mut service, page, _) = begin(&agent, &gateway, &[]);
    assert_eq!(page.get("/probe").json()["enrolling"], true);

    service.interrupt();

    let (code, said) = service.end();
    assert!(code == 1 && said.contains("nothing was enrolled"), "{said}");
    let state = agent.state();
    let mut names = walk(&state).map(|entry| entry.file_name().into_string().unwrap());
    assert!(!names.any(|name| name.ends_with(".key") && name != "sealing.key"));
}

/// The browser is opened with the page of this instance's key; where it is not to be, it is only said.
#[test]
fn the_browser_is_opened_on_the_page_of_this_instance() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let opened = agent.path().join("opened");
    let browser = agent.path().join("browser");
    fs::write(
        &browser,
        format!("#!/bin/sh\necho \"$1\" > {0}.new; mv {0}.new {0}\n", opened.display()),
    )
    .unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o700)).unwrap();
    let authority = agent.file("ca.pem", &gateway.authority());
    for (more, opens) in [(&["--no-open"][..], false), (&[], true)] {
        let url = gateway.url();
        let words = [
            "enroll",
            "--gateway",
            &url,
            "--ca",
            &authority,
            "--keys",
            "software",
            "--browser",
        ];
        let mut service = Service::spawn(&agent, &[&words[..], more].concat(), |command| {
            command.env("BROWSER", format!("{} %s", browser.display()));
        });
        let said = service.line("/enroll-device?key=");
        let listening = Page {
            port: gateway.ports()[0],
            origin: url.clone(),
        };
        assert_eq!(listening.get("/probe").status, 200);
        while opens && !opened.exists() {
            std::thread::yield_now();
        }
        let shown = fs::read_to_string(&opened).unwrap_or_default();
        assert_eq!(shown.trim(), if opens { said.trim() } else { "" });
        assert!(said.trim().starts_with(&format!("{url}/enroll-device?key=")));
    }
}

/// E-16: a further user joins by the browser with the key of the installation, which stays whatever comes of it.
#[test]
fn a_further_user_joins_through_the_browser() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
    let instance = gateway.evidence().0.instance_key;
    gateway.behave(|behaviour| behaviour.user = ("bob", 2));
    let mut service = Service::spawn(&agent, &["accounts", "add", "--browser", "--no-open"], |_| {});
    let said = service.line("/enroll-device?key=");
    assert!(said.contains(&instance.thumbprint().to_string()));
    let page = Page {
        port: gateway.ports()[0],
        origin: gateway.url(),
    };

    assert_eq!(
        prove(&gateway, &page, &challenge(&gateway, &instance.thumbprint())).status,
        200
    );
    assert_eq!(
        page.post("/enroll/token", &json!({ "token": TOKEN, "name": "other" }))
            .status,
        204
    );

    assert_eq!(follow(&page), json!({ "step": "done", "message": "laptop" }));
    assert_eq!(service.end().0, 0);
    assert_eq!(
        agent
            .run(&["accounts", "list", "--json"])
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn without_a_port_nothing_is_begun() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let listen = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).unwrap();
    let others: Vec<_> = gateway.ports().iter().map(listen).collect();
    let authority = agent.file("ca.pem", &gateway.authority());
    let url = gateway.url();
    let words = [
        "enroll",
        "--gateway",
        &url,
        "--ca",
        &authority,
        "--keys",
        "software",
        "--browser",
        "--no-open",
    ];

    let refused = agent.run(&words);

    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("is taken"), "{refused:?}");
    assert!(!walk(&agent.state()).any(|entry| entry.file_name() == "agent.json"));
    drop(others);
    let (_service, page, _) = begin(&agent, &gateway, &[]);
    assert_eq!(page.get("/probe").status, 200);
}

/// Begins to enrol; the page that found it, and the key that it was opened for.
fn begin(agent: &Agent, gateway: &FakeGateway, more: &[&str]) -> (Service, Page, KeyThumbprint) {
    let authority = agent.file("ca.pem", &gateway.authority());
    let url = gateway.url();
    let words = [
        "enroll",
        "--gateway",
        &url,
        "--ca",
        &authority,
        "--keys",
        "software",
        "--browser",
        "--no-open",
    ];
    let mut service = Service::spawn(agent, &[&words[..], more].concat(), |_| {});
    let said = service.line("/enroll-device?key=");
    let key = said.trim().rsplit_once('=').unwrap().1.parse().unwrap();
    let page = Page {
        port: gateway.ports()[0],
        origin: url,
    };
    (service, page, key)
}

fn challenge(gateway: &FakeGateway, key: &KeyThumbprint) -> Value {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    json!({
        "iss": gateway.url(),
        "aud": AUTHENTICATOR,
        "iat": now,
        "exp": now + 120,
        "jti": AttemptId::from_random(7),
        "nonce": "n".repeat(43),
        "orgId": OrganizationId::from_random(1),
        "origin": gateway.url(),
        "key": key,
        "login": "alice",
    })
}

fn prove(gateway: &FakeGateway, page: &Page, claims: &Value) -> Heard {
    let token = gateway.sign(ENROLLMENT_CHALLENGE_TYPE, claims);
    page.post("/enroll/prove", &json!({ "challengeRequest": token }))
}

/// Reads how far it is until it is over.
fn follow(page: &Page) -> Value {
    loop {
        let progress = page.get("/enroll/status").json();
        if ["done", "failed"].map(Value::from).contains(&progress["step"]) {
            return progress;
        }
    }
}
