//! Does a change of how a user confirms leave one working account, whatever goes wrong? At each point where it can.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use device_checks::KeyType;
use device_checks::wire::{FINISH_PATH, RECOVER_PATH};
use serde_json::{Value, json};
use support::agent::{Agent, Said, walk};
use support::gateway::{FakeGateway, TOKEN};

/// L-01: a change that the gateway refuses changes nothing: the old keys sign, and nothing is left of the new ones.
#[test]
fn a_change_that_is_refused_leaves_everything_as_it_was() {
    let (gateway, agent) = enrolled();
    let before = (state(&agent), keys(&agent));
    gateway.behave(|behaviour| behaviour.refuses = Some((FINISH_PATH, 400, "E0000158")));

    let refused = set(&agent, "none");

    assert!(refused.code == 1 && refused.err.contains("E0000158"), "{refused:?}");
    assert_eq!((state(&agent), keys(&agent)), before);
    assert_eq!(signed(&gateway, &agent, "2468"), Some(KeyType::UserVerification));
    gateway.behave(|behaviour| behaviour.refuses = None);
    set(&agent, "none").json();
    assert_eq!(state(&agent)["accounts"][0]["verification"], Value::Null, "control");
}

/// L-01: where the gateway enrolled the new keys and its answer was lost, they are found to count, at once or with a later command;
/// until then both are kept.
#[test]
fn a_change_whose_answer_is_lost_is_found_out() {
    let (gateway, agent) = enrolled();
    let old = keys(&agent);
    gateway.behave(|behaviour| {
        behaviour.loses_answers = true;
        behaviour.refuses = Some((RECOVER_PATH, 503, "E0000009"));
    });

    let lost = set(&agent, "none");
    let kept = (state(&agent), keys(&agent));
    let still_lost = agent.run(&["verification"]);
    gateway.behave(|behaviour| behaviour.refuses = None);
    let found = agent.run(&["verification", "--json"]);

    assert!(lost.code == 1 && lost.err.contains("did not say whether"), "{lost:?}");
    assert_eq!(kept.0["accounts"][0]["verification"]["method"], "pin");
    assert!(kept.1.len() > old.len() && old.iter().all(|key| kept.1.contains(key)));
    assert!(still_lost.err.contains("not known yet"), "{still_lost:?}");
    assert_eq!(found.json()[0]["verification"], Value::Null, "{found:?}");
    let after = state(&agent);
    assert_eq!(
        (after["accounts"].as_array().unwrap().len(), &after["pending"]),
        (1, &Value::Null)
    );
    assert!(
        !keys(&agent)
            .iter()
            .any(|key| old.contains(key) && key.ends_with(".key") && !is_instances(&after, key))
    );
    let asked = agent.run(&["assert", "--url", URL]);
    assert_eq!(checked(&gateway, &asked), Some(KeyType::ProofOfPossession));

    set(&agent, "none").json();
    assert_eq!(state(&agent)["pending"], Value::Null, "control: asked at once");
}

/// L-01: whose account it is not changes nothing of it.
#[test]
fn another_users_sign_in_changes_nothing() {
    let (gateway, agent) = enrolled();
    let before = (state(&agent), keys(&agent));
    gateway.behave(|behaviour| behaviour.user = ("bob", 2));
    let token = agent.file("token", TOKEN);

    let refused = agent.run(&["verification", "set", "none", "--token-file", &token]);

    assert!(
        refused.code == 1 && refused.err.contains("`bob` signed in"),
        "{refused:?}"
    );
    assert_eq!((state(&agent), keys(&agent)), before);
    gateway.behave(|behaviour| behaviour.user = ("alice", 1));
    let control = agent.run(&["verification", "set", "none", "--token-file", &token]);
    assert_eq!(control.code, 0, "control: {control:?}");
}

/// A forgotten PIN is replaced with a sign-in; the old one opens nothing then.
#[test]
fn a_forgotten_pin_is_replaced() {
    let (gateway, agent) = enrolled();
    let new = agent.file("new-pin", "8642");
    let password = agent.file("password", "correct horse");

    let changed = agent.run(&[
        "verification",
        "set",
        "pin",
        "--password-file",
        &password,
        "--pin-file",
        &new,
    ]);

    assert_eq!(changed.code, 0, "{changed:?}");
    assert_eq!(signed(&gateway, &agent, "2468"), None);
    assert_eq!(
        signed(&gateway, &agent, "8642"),
        Some(KeyType::UserVerification),
        "control"
    );
}

/// Alice with the PIN 2468.
fn enrolled() -> (FakeGateway, Agent) {
    let (gateway, agent) = (FakeGateway::start(), Agent::new());
    let pin = agent.file("pin", "2468");
    agent
        .enroll(&gateway.url(), &gateway.authority(), &["--pin-file", &pin])
        .json();
    (gateway, agent)
}

fn set(agent: &Agent, how: &str) -> Said {
    let password = agent.file("password", "correct horse");
    agent.run(&["verification", "set", how, "--password-file", &password, "--json"])
}

/// By which key an assertion with this PIN is signed.
fn signed(gateway: &FakeGateway, agent: &Agent, pin: &str) -> Option<KeyType> {
    let pin = agent.file("tried", pin);
    let said = agent.run(&["assert", "--url", URL, "--verify-user", "--pin-file", &pin]);
    checked(gateway, &said)
}

fn checked(gateway: &FakeGateway, said: &Said) -> Option<KeyType> {
    let token = said.out.trim().strip_prefix("Device-Assertion: ")?;
    gateway.check_assertion(token, "GET", URL)
}

fn state(agent: &Agent) -> Value {
    let text = std::fs::read_to_string(agent.state().join("agent.json")).unwrap();
    serde_json::from_str(&text).unwrap_or(json!(null))
}

/// The files of keys, sorted.
fn keys(agent: &Agent) -> Vec<String> {
    let folder = agent.state().join("keys");
    let files = walk(&folder).map(|file| file.file_name().into_string().unwrap());
    let mut files: Vec<String> = files.filter(|file| file.ends_with(".key")).collect();
    files.sort();
    files
}

fn is_instances(state: &Value, file: &str) -> bool {
    let instance = state["instance"]["key"]["reference"]["file"].as_str().unwrap();
    file == "sealing.key" || file.starts_with(instance)
}

const URL: &str = "https://app.localhost/";
