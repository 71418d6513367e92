//! Does a PAM service stand before the user-verification key? The real libpam, with services of this test's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use device_checks::wire::VerificationMethod;
use device_checks::{Amr, KeyType, Outcome};
use serde_json::{Value, json};
use support::agent::{Agent, Said};
use support::gateway::FakeGateway;
use support::page::Page;
use support::pam::{Pam, module, user};
use support::service::Service;

/// E-21: whoever chooses a finger is verified by it before a key is made for it; whose finger is refused, or who has no such
/// service, enrols nothing. Control: the right finger.
#[test]
fn who_chooses_a_finger_has_to_show_it() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let (pam, finger) = (Pam::of(&agent), agent.file("finger", "wrong"));
    let by_finger = |more: &[&str]| enroll(&gateway, &agent, &pam, &[&["--verify", "fingerprint"], more].concat());

    let missing = by_finger(&[]);
    pam.set_finger("latchkey-fingerprint", &finger);
    let wrong = by_finger(&[]);
    let other = by_finger(&["--pam-service", "nobodys"]);
    let both = by_finger(&["--pin-file", &agent.file("pin", "2468")]);

    assert!(
        missing.err.contains("no PAM service `latchkey-fingerprint`"),
        "{missing:?}"
    );
    assert!(
        wrong.err.contains("Place your finger on the reader") && wrong.err.contains("does not verify you"),
        "{wrong:?}"
    );
    assert!(other.err.contains("no PAM service `nobodys`"), "{other:?}");
    assert_eq!([missing.code, wrong.code, other.code, both.code], [1, 1, 1, 2]);
    assert!(!gateway.requests().iter().any(|request| request.contains("/finish")));
    assert!(!agent.state().join("agent.json").exists());

    agent.file("finger", "right");
    let enrolled = by_finger(&[]).json();
    assert_eq!(gateway.method(), Some(VerificationMethod::Fingerprint));
    assert_eq!(
        (
            &enrolled["verification"]["method"],
            &enrolled["verification"]["enforcedBy"],
            &enrolled["verification"]["pamService"]
        ),
        (
            &json!("fingerprint"),
            &json!("software"),
            &json!("latchkey-fingerprint")
        )
    );
}

/// P-06: each use of the key takes the finger anew, and with a refused one nothing is signed.
#[test]
fn each_signature_takes_the_finger() {
    let (gateway, agent, pam) = by_finger();
    let asked = ["assert", "--url", "https://app.localhost/", "--verify-user"];
    let sign = || agent.run_with(&asked, |command| pam.wrap(command));

    let signed = sign();
    agent.file("finger", "wrong");
    let refused = sign();

    let token = signed.out.trim().strip_prefix("Device-Assertion: ").unwrap();
    let key = gateway.check_assertion(token, "GET", "https://app.localhost/");
    assert_eq!(key, Some(KeyType::UserVerification), "control: {signed:?}");
    assert!(refused.code == 1 && refused.out.is_empty(), "{refused:?}");
    let possession = agent.run(&["assert", "--url", "https://app.localhost/"]);
    assert_eq!(possession.code, 0, "control: {possession:?}");
}

/// P-06, P-07: the user says yes to a sign-in first, and is verified then; what signs says how. Whoever says no, cancels, or has the
/// wrong finger is told so by the possession key.
#[test]
fn a_sign_in_takes_a_yes_and_then_the_finger() {
    let (gateway, agent, pam) = by_finger();
    let no_message = "! grep -q '\"kind\":\"message\"' \"$QUESTION\"";
    let (uv, pop) = (KeyType::UserVerification, KeyType::ProofOfPossession);
    for (script, finger, key, outcome, expected) in [
        ("exit 0", "right", uv, Outcome::Approved, &["sign-in"][..]),
        ("exit 0", "wrong", pop, Outcome::VerificationUnavailable, &["sign-in"]),
        ("exit 1", "right", pop, Outcome::Denied, &["sign-in"]),
        (no_message, "slow", pop, Outcome::Cancelled, &["sign-in", "message"]),
    ] {
        agent.file("finger", finger);
        let _waiting = (finger == "slow").then(|| pam.set_waiting("latchkey-fingerprint"));
        let (prompt, seen) = prompt(&agent, script);
        let (service, page) = start(&agent, &gateway, &pam, &prompt);

        let heard = page.challenge(&gateway.challenge(&asks()));

        assert_eq!(heard.json(), json!({ "approved": key == uv }), "{script} {finger}");
        let answers = gateway.answers();
        let answer = answers.last().unwrap();
        assert_eq!((answer.key_type, answer.outcome), (key, outcome), "{script} {finger}");
        let amr = if key == uv {
            vec![Amr::Fpt, Amr::Fingerprint]
        } else {
            vec![Amr::Fpt]
        };
        assert_eq!(answer.amr, amr);
        service.stop();
        let seen = told(&seen);
        // What a service says while it is about to end may be withdrawn before it is seen.
        let seen: Vec<&Value> = seen
            .iter()
            .filter(|seen| finger == "slow" || seen["kind"] != "message")
            .collect();
        let shown: Vec<&str> = seen.iter().map(|seen| seen["kind"].as_str().unwrap()).collect();
        assert_eq!(shown, expected, "{script} {finger}");
        assert_eq!(
            (&seen[0]["pin"], &seen[0]["then"]),
            (&json!(false), &json!("fingerprint"))
        );
    }
}

/// A service that does not end is not waited for longer than the challenge can be answered.
#[test]
fn a_service_that_does_not_end_is_ended() {
    let (gateway, agent, pam) = by_finger();
    let _waiting = pam.set_waiting("latchkey-fingerprint");
    let (service, page) = start(&agent, &gateway, &pam, "exit 0");
    let begun = Instant::now();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let mut soon = asks();
    soon["iat"] = json!(now - 2);
    soon["exp"] = json!(now + 3);

    let heard = page.challenge(&gateway.challenge(&soon));

    assert_eq!(heard.json(), json!({ "approved": false }));
    assert!(begun.elapsed().as_secs() < 30);
    assert!(service.stop().contains("did not verify you in time"));
}

/// What a service asks for is typed where the user is asked, and reaches nobody else: a password as well as a finger.
#[test]
fn what_a_service_asks_for_is_passed_on() {
    let (gateway, agent, pam) = by_finger();
    let known = agent.file("known", &format!("{}:open sesame:latchkey-fingerprint\n", user()));
    let matrix = format!("{} passdb={known}", module("pam_matrix.so"));
    pam.set(
        "latchkey-fingerprint",
        &format!("auth required {matrix}\naccount required {matrix}\n"),
    );
    for (typed, approved) in [("echo open sesame", true), ("echo guess", false), ("exit 1", false)] {
        let asked = "grep -q '\"kind\":\"input\".*\"hidden\":true' \"$QUESTION\"";
        let (prompt, seen) = prompt(&agent, &format!("if {asked}; then {typed}; fi"));
        let (service, page) = start(&agent, &gateway, &pam, &prompt);

        let heard = page.challenge(&gateway.challenge(&asks()));

        assert_eq!(heard.json(), json!({ "approved": approved }), "{typed}");
        assert!(told(&seen).iter().any(|seen| seen["kind"] == "input"), "{typed}");
        assert!(!service.stop().contains("sesame"));
    }
}

/// The doctor says that what verifies a user is gone. Control: it is there.
#[test]
fn the_doctor_misses_a_service_that_is_gone() {
    let (_gateway, agent, pam) = by_finger();
    let verdict = || {
        let said = agent.run_with(&["doctor", "--json"], |command| pam.wrap(command));
        let findings: Value = serde_json::from_str(&said.out).unwrap();
        let findings = findings
            .as_array()
            .or_else(|| findings["findings"].as_array())
            .unwrap()
            .clone();
        let finding = findings
            .iter()
            .find(|finding| finding["check"] == "confirming of alice")
            .unwrap();
        finding["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(verdict(), "good", "control");
    std::fs::remove_file(agent.path().join("pam.d/latchkey-fingerprint")).unwrap();
    assert_eq!(verdict(), "wrong");
}

/// Alice, who enrolled with the right finger.
fn by_finger() -> (FakeGateway, Agent, Pam) {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let pam = Pam::of(&agent);
    pam.set_finger("latchkey-fingerprint", &agent.file("finger", "right"));
    enroll(&gateway, &agent, &pam, &["--verify", "fingerprint"]).json();
    (gateway, agent, pam)
}

fn enroll(gateway: &FakeGateway, agent: &Agent, pam: &Pam, more: &[&str]) -> Said {
    agent.enroll_with(&gateway.url(), &gateway.authority(), more, |command| pam.wrap(command))
}

fn start(agent: &Agent, gateway: &FakeGateway, pam: &Pam, prompt: &str) -> (Service, Page) {
    Service::start_with(agent, gateway, Some(prompt), |command| pam.wrap(command))
}

/// A program that writes down what it is told, and says this; and where it writes.
fn prompt(agent: &Agent, script: &str) -> (String, PathBuf) {
    let all = agent.path().join(format!("told-{:016x}", rand::random::<u64>()));
    let one = all.with_extension("last");
    let (one, shown) = (one.display(), all.display());
    let program = format!("export QUESTION='{one}'; cat > '{one}'; cat '{one}' >> '{shown}'; {script}");
    (program, all)
}

/// What such a program was told.
fn told(file: &Path) -> Vec<Value> {
    let told = std::fs::read_to_string(file).unwrap_or_default();
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn asks() -> Value {
    json!({ "userMediation": "NONE", "userVerification": "REQUIRED" })
}
