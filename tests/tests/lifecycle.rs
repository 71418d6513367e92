//! Which state may a device go to, who is told, and what is written down?

use std::collections::BTreeSet;

use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::shared::Shared;
use serde_json::Value;

static DEMO: Shared = Shared::new();

/// D-01: every pair of state and command that is not in the table is refused and changes nothing but the log.
#[test]
fn only_the_lifecycles_own_transitions_pass() {
    let demo = DEMO.demo();
    let table = [
        ("ACTIVE", "activate", None),
        ("ACTIVE", "suspend", Some("SUSPENDED")),
        ("ACTIVE", "unsuspend", None),
        ("ACTIVE", "deactivate", Some("DEACTIVATED")),
        ("SUSPENDED", "activate", None),
        ("SUSPENDED", "suspend", None),
        ("SUSPENDED", "unsuspend", Some("ACTIVE")),
        ("SUSPENDED", "deactivate", Some("DEACTIVATED")),
        ("DEACTIVATED", "activate", Some("ACTIVE")),
        ("DEACTIVATED", "suspend", None),
        ("DEACTIVATED", "unsuspend", None),
        ("DEACTIVATED", "deactivate", None),
    ];
    demo.enroll("bob", "cycled");
    let id = demo.device_id("cycled");

    for (from, command, to) in table {
        bring(&demo, &id, from);
        let answer = lifecycle(&demo, &id, command);
        let now = status(&demo, &id);
        match to {
            Some(to) => assert_eq!((answer, now.as_str()), (204, to), "{command} when {from}"),
            None => assert!(
                (400..500).contains(&answer) && now == from,
                "{command} when {from}: {answer}, {now}"
            ),
        }
    }

    let events = events_about(&demo, &id);
    let failures = events
        .iter()
        .filter(|event| event["outcome"]["result"] == "FAILURE")
        .count();
    assert_eq!(failures, table.iter().filter(|(_, _, to)| to.is_none()).count());
}

/// D-02: only a deactivated device can be deleted; then it is gone, and its certificate stays revoked.
#[test]
fn a_device_that_counts_cannot_be_deleted() {
    let demo = DEMO.demo();
    demo.enroll("bob", "kept-record");
    let id = demo.device_id("kept-record");
    let path = format!("/api/v1/devices/{id}");

    for state in ["ACTIVE", "SUSPENDED"] {
        bring(&demo, &id, state);
        let refused = demo.admin("DELETE", &path, None);
        assert!((400..500).contains(&refused.status), "{state}: {}", refused.status);
        assert_eq!(status(&demo, &id), state);
    }
    bring(&demo, &id, "DEACTIVATED");
    let deleted = demo.admin("DELETE", &path, None);
    let gone = demo.admin("GET", &path, None);

    assert_eq!((deleted.status, gone.status), (204, 404));
    assert_eq!(gone.json()["errorCode"], "E0000007");
    let answer = demo.curl(Some("kept-record"), &demo.url("wiki", "/"), &[]);
    assert_eq!((answer.status, answer.code().as_str()), (403, "certificate-revoked"));
}

/// D-18, D-19: once each, in one transaction, by the admin; a second deactivation adds nothing but its failure.
#[test]
fn deactivation_writes_down_everything_it_ended_once() {
    let demo = DEMO.demo();
    demo.enroll("bob", "logged");
    let id = demo.device_id("logged");

    let first = lifecycle(&demo, &id, "deactivate");
    let second = lifecycle(&demo, &id, "deactivate");

    assert_eq!(first, 204);
    assert!((400..500).contains(&second));
    let events = events_about(&demo, &id);
    let deactivation = one(&events, "device.lifecycle.deactivate");
    let transaction = &deactivation["transaction"]["id"];
    assert!(transaction.as_str().is_some_and(|id| !id.is_empty()), "{deactivation}");
    let together: Vec<Value> = events_of(&demo)
        .into_iter()
        .filter(|event| &event["transaction"]["id"] == transaction)
        .collect();
    let kinds: Vec<&str> = together
        .iter()
        .filter_map(|event| event["eventType"].as_str())
        .collect();
    let expected = BTreeSet::from([
        "device.lifecycle.deactivate",
        "user.mfa.factor.deactivate",
        "pki.cert.lifecycle.revoke",
        "device.user.remove",
    ]);
    assert_eq!(kinds.iter().copied().collect::<BTreeSet<_>>(), expected);
    assert_eq!(kinds.len(), expected.len(), "one of each: {kinds:?}");
    for event in &together {
        assert_eq!(
            (&event["actor"]["id"], &event["outcome"]["result"]),
            (&deactivation["actor"]["id"], &"SUCCESS".into())
        );
    }
}

/// E-03: devices come from enrolment, never from an admin's POST. Other tests enrol and delete meanwhile: the name tells.
#[test]
fn no_admin_can_make_a_device() {
    let demo = DEMO.demo();
    let answer = demo.admin(
        "POST",
        "/api/v1/devices",
        Some(r#"{"profile": {"displayName": "made by an admin"}}"#),
    );

    assert_eq!(
        (answer.status, answer.json()["errorCode"].as_str()),
        (405, Some("E0000022"))
    );
    let devices = demo.admin("GET", "/api/v1/devices", None).json();
    let names: Vec<_> = devices
        .as_array()
        .unwrap()
        .iter()
        .map(|device| device["profile"]["displayName"].as_str())
        .collect();
    assert!(!names.contains(&Some("made by an admin")), "{names:?}");
    assert!(!names.is_empty(), "the demo's own devices stand in this list");
}

#[test]
fn the_same_commands_and_log_are_on_the_command_line() {
    let demo = DEMO.demo();
    demo.enroll("bob", "spoken");

    let refused = demo.latchkey(&["device", "unsuspend", "spoken"]);
    demo.command(&["device", "suspend", "spoken"]);
    let shown = demo.command(&["device", "list", "--json"]).json();
    let log = demo.command(&["log", "--json"]).stdout;

    assert!(!refused.success && !refused.stderr.is_empty(), "{refused:?}");
    let device = shown
        .as_array()
        .unwrap()
        .iter()
        .find(|device| device.to_string().contains("\"spoken\""))
        .unwrap();
    assert_eq!(device["status"], "SUSPENDED");
    assert!(log.contains("device.lifecycle.suspend"), "{log}");
    assert_eq!(demo.status(NOBODY, "wiki", "/"), 401);
}

/// Brings a device to a state by legal steps only.
fn bring(demo: &Demo, id: &str, state: &str) {
    let steps: &[&str] = match (status(demo, id).as_str(), state) {
        (from, to) if from == to => &[],
        ("ACTIVE", "SUSPENDED") => &["suspend"],
        ("ACTIVE" | "SUSPENDED", "DEACTIVATED") => &["deactivate"],
        ("SUSPENDED", "ACTIVE") => &["unsuspend"],
        ("DEACTIVATED", "ACTIVE") => &["activate"],
        ("DEACTIVATED", "SUSPENDED") => &["activate", "suspend"],
        (from, to) => panic!("from {from} to {to}"),
    };
    for step in steps {
        assert_eq!(lifecycle(demo, id, step), 204, "{step}");
    }
}

fn lifecycle(demo: &Demo, id: &str, command: &str) -> u16 {
    demo.admin("POST", &format!("/api/v1/devices/{id}/lifecycle/{command}"), None)
        .status
}

fn status(demo: &Demo, id: &str) -> String {
    demo.admin("GET", &format!("/api/v1/devices/{id}"), None).json()["status"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn events_of(demo: &Demo) -> Vec<Value> {
    let answer = demo.admin("GET", "/api/v1/logs?limit=1000&sortOrder=DESCENDING", None);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().unwrap().clone()
}

fn events_about(demo: &Demo, id: &str) -> Vec<Value> {
    let is_about = |event: &Value| {
        event["target"]
            .as_array()
            .unwrap()
            .iter()
            .any(|target| target["id"] == id)
    };
    events_of(demo).into_iter().filter(is_about).collect()
}

fn one<'a>(events: &'a [Value], kind: &str) -> &'a Value {
    let fits: Vec<&Value> = events
        .iter()
        .filter(|event| event["eventType"] == kind && event["outcome"]["result"] == "SUCCESS")
        .collect();
    assert_eq!(fits.len(), 1, "{kind} in {events:?}");
    fits[0]
}
