//! Whom does the agent not believe, and how does it say so? Nobody but the gateway it pinned; and nothing is left
//! behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;

use device_checks::wire::OrganizationId;
use serde_json::json;
use support::agent::{Agent, walk};
use support::gateway::FakeGateway;

/// P-13: a challenge that is not the pinned organisation's, or not for now, is not answered.
#[test]
fn a_challenge_that_is_not_right_is_not_answered() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
    for wrong in [
        json!({ "orgId": OrganizationId::from_random(9) }),
        json!({ "origin": "https://evil.example" }),
        json!({ "exp": 1 }),
        json!({ "verificationUri": "https://evil.example/" }),
    ] {
        gateway.behave(|behaviour| behaviour.challenge = wrong.clone());
        let refused = agent.run(&["report"]);
        assert_eq!(refused.code, 1, "{wrong}");
        assert!(refused.err.contains("the challenge is not answered"), "{refused:?}");
    }
    gateway.behave(|behaviour| (behaviour.challenge, behaviour.key) = (json!({}), [8; 32]));
    assert!(agent.run(&["report"]).err.contains("did not pin"));
    assert_eq!(gateway.answers().len(), 1, "the one at enrolment");
    gateway.behave(|behaviour| behaviour.key = [7; 32]);
    assert_eq!(agent.run(&["report"]).code, 0);
}

/// E-22: a receipt that is forged, or a certificate that is another's, leaves nothing behind.
#[test]
fn an_answer_that_the_pinned_gateway_did_not_sign_is_not_kept() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    for spoil in [
        |behaviour: &mut support::gateway::Behaviour| behaviour.key = [8; 32],
        |behaviour: &mut support::gateway::Behaviour| (behaviour.key, behaviour.foreign_certificate) = ([7; 32], true),
    ] {
        gateway.behave(spoil);
        let refused = agent.enroll(&gateway.url(), &gateway.authority(), &[]);
        assert_eq!(refused.code, 1);
        assert!(refused.err.contains("not believed"), "{refused:?}");
        let left: Vec<_> = walk(&agent.state())
            .filter(|entry| entry.path().extension().is_some_and(|ending| ending != "lock"))
            .map(|entry| entry.file_name())
            .filter(|name| name != "sealing.key")
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    gateway.behave(|behaviour| behaviour.foreign_certificate = false);
    assert_eq!(agent.enroll(&gateway.url(), &gateway.authority(), &[]).code, 0);
}

/// E-22: a man in the middle with another certificate gets no enrolment, no password and no token.
#[test]
fn a_man_in_the_middle_with_another_certificate_gets_nothing() {
    let (middle, gateway, agent) = (FakeGateway::start(), FakeGateway::start(), Agent::new());

    let refused = agent.enroll(&middle.url(), &gateway.authority(), &[]);

    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("not the gateway"), "{refused:?}");
    assert!(middle.requests().is_empty());
    assert_eq!(
        agent.enroll(&middle.url(), &middle.authority(), &[]).code,
        0,
        "with its own CA it is one"
    );
}

/// E-22: after enrolment, another organisation at the same address is not answered.
#[test]
fn another_organisation_in_the_same_place_is_not_answered() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
    let before = gateway.requests().len();
    for (organization, key) in [(9, [7; 32]), (1, [9; 32])] {
        gateway.behave(|behaviour| {
            behaviour.organization = OrganizationId::from_random(organization);
            (behaviour.key, behaviour.named_key) = (key, key);
        });
        for words in [
            &["report"][..],
            &["assert", "--url", "https://app.localhost/"],
            &["rename", "x"],
            &["renew"],
        ] {
            let refused = agent.run(words);
            assert_eq!(refused.code, 1, "{words:?}");
            assert!(refused.err.contains("nothing was sent"), "{refused:?}");
        }
        let doctor = agent.run(&["doctor"]);
        assert_eq!(doctor.code, 1);
        assert!(doctor.out.contains("WRONG organisation"), "{doctor:?}");
    }
    let asked = gateway.requests();
    assert!(
        asked[before..]
            .iter()
            .all(|request| request.starts_with("GET /.well-known/")),
        "{asked:?}"
    );
    gateway.behave(|behaviour| *behaviour = support::gateway::Behaviour::default());
    assert_eq!(agent.run(&["report"]).code, 0);
}

/// E-06, E-07: a wrong password and a missing factor are told, with what helps.
#[test]
fn who_cannot_say_who_they_are_is_told_what_is_missing() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let wrong = agent.file("wrong", "wrong\n");
    let authority = agent.file("ca.pem", &gateway.authority());
    let url = gateway.url();
    let base = [
        "enroll",
        "--gateway",
        &url,
        "--ca",
        &authority,
        "--keys",
        "software",
        "--name",
        "x",
    ];
    let refused = agent.run(&[&base[..], &["--user", "alice", "--password-file", &wrong]].concat());
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("E0000004") && refused.err.contains("what helps: check username"),
        "{refused:?}"
    );

    gateway.behave(|behaviour| behaviour.factor_required = true);
    let missing = agent.enroll(&url, &gateway.authority(), &[]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("--totp"), "{missing:?}");
    assert_eq!(agent.enroll(&url, &gateway.authority(), &["--totp", "123456"]).code, 0);
}

#[test]
fn without_a_terminal_the_missing_flag_is_named() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let authority = agent.file("ca.pem", &gateway.authority());
    let url = gateway.url();
    let base = ["enroll", "--gateway", &url, "--ca", &authority, "--keys", "software"];
    for (words, flag) in [
        (&["enroll"][..], "--gateway"),
        (&base[..], "--user"),
        (&[&base[..], &["--user", "alice"]].concat(), "--password-file"),
    ] {
        let said = agent.run(words);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(flag), "{said:?}");
    }
    assert_eq!(
        agent.run(&["enroll", "--json"]).err.trim_start().chars().next(),
        Some('{')
    );
}

/// A suspended device is not removed behind the gateway's back, unless its user says so.
#[test]
fn an_account_that_the_gateway_keeps_is_forgotten_only_on_demand() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
    gateway.behave(|behaviour| behaviour.refuses = Some(("/agent/v1/enrollments/enr", 403, "E0000152")));
    let kept = agent.run(&["accounts", "remove", "alice"]);
    assert_eq!(kept.code, 1);
    assert!(kept.err.contains("E0000152"), "{kept:?}");
    assert!(agent.state().join("alice.pem").exists());
    assert_eq!(agent.run(&["accounts", "remove", "alice", "--forget"]).code, 0);
    assert!(!agent.state().join("alice.pem").exists());
}

/// E-09: no request carries a private key, and nothing but the sealed files holds one.
#[test]
fn a_private_key_never_leaves_the_device() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let pin = agent.file("pin", "2468");
    agent
        .enroll(&gateway.url(), &gateway.authority(), &["--pin-file", &pin])
        .json();
    agent.run(&["report"]);
    agent.run(&["renew"]);
    let requests = gateway.requests();
    assert!(requests.len() > 6);
    for request in requests {
        assert!(
            !request.contains("PRIVATE") && !request.contains("\"d\"") && !request.contains("2468"),
            "{request}"
        );
    }
    for entry in walk(&agent.state()) {
        let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
        assert!(!text.contains("PRIVATE KEY"), "{}", entry.path().display());
    }
}

#[test]
fn two_commands_do_not_write_at_once() {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    agent.enroll(&gateway.url(), &gateway.authority(), &[]).json();
    let folder = latchkey_agent::state::Folder::new(agent.state());
    let writer = folder.write().unwrap();
    let refused = agent.run(&["rename", "x"]);
    assert!(
        refused.code == 1 && refused.err.contains("another latchkey-agent command"),
        "{refused:?}"
    );
    drop(writer);
    assert_eq!(agent.run(&["rename", "x"]).code, 0);
}
