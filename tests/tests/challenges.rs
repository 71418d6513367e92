//! What counts as the answer of a device that was asked what it is like?

use std::sync::Arc;

use latchkey_tests::demo::Demo;
use latchkey_tests::device::{Device, now};
use latchkey_tests::shared::Shared;
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// P-17: the answer to one challenge is none to another, and none the second time. Cases assert-posture-types.
#[test]
fn a_challenge_is_answered_once_and_by_its_own_answer() {
    let (demo, device) = enrolled("p17c");
    let (first, second) = (device.challenge(&demo), device.challenge(&demo));
    let post = |challenge: &Value, claims: &Value| device.give(&demo, challenge, claims).status;
    let answer = |challenge: &Value| device.answer(&demo, challenge);

    assert_eq!(post(&second, &answer(&first)), 401, "the first's answer to the second");
    let mut mixed = answer(&second);
    mixed["nonce"] = first["nonce"].clone();
    assert_eq!(post(&second, &mixed), 401, "the second's with the first's nonce");
    for (name, value) in [
        ("outcome", json!("denied")),
        ("signals", json!({ "diskEncrypted": "true" })),
        ("signals", json!({ "diskEncrypted": 1 })),
        ("signals", json!({ "managed": true })),
        ("signals", json!([true])),
    ] {
        let third = device.challenge(&demo);
        let mut wrong = answer(&third);
        wrong[name] = value.clone();
        assert!(matches!(post(&third, &wrong), 400 | 401), "{name} = {value}");
    }
    let third = device.challenge(&demo);
    let mut lured = answer(&third);
    lured["origin"] = json!("https://evil.example");
    assert_eq!(post(&third, &lured), 403, "asked by somebody else's page");
    let mut good = answer(&second);
    good["signals"] = json!({ "diskEncrypted": true });
    assert_eq!(post(&second, &good), 200);
    assert_eq!(post(&second, &good), 401, "twice");
    assert_eq!(
        demo.device(&device.enrolled["device"])["reported"]["posture"]["diskEncrypted"],
        true
    );
    assert_eq!(post(&first, &answer(&first)), 200, "control: the first is still open");
}

/// assert-posture-stale: what a device says is of the moment the gateway took it, whatever the device would say.
/// assert-nonce-late and assert-cedar-error are proved in gateway/src/nonces.rs and policies/tests/deciding.rs.
#[test]
fn a_report_is_as_old_as_its_answer() {
    let (demo, device) = enrolled("stale");
    assert!(
        demo.device(&device.enrolled["device"])["reported"].is_null(),
        "nothing is said before it is asked"
    );
    let challenge = device.challenge(&demo);
    let mut claims = device.answer(&demo, &challenge);
    claims["signals"] = json!({ "screenLock": true });
    claims["at"] = (now() + 100_000).into();
    let post = |claims: &Value| device.give(&demo, &challenge, claims).status;
    assert_eq!(post(&claims), 401, "a time of its own is an unknown claim");
    claims.as_object_mut().unwrap().remove("at");
    assert_eq!(post(&claims), 200);
    assert_eq!(
        demo.device(&device.enrolled["device"])["reported"]["posture"],
        json!({ "screenLock": true })
    );
}

/// A new user of the shared demo, with a device.
fn enrolled(user: &str) -> (Arc<Demo>, Device) {
    let demo = DEMO.demo();
    let device = demo.user_with_device(user);
    (demo, device)
}
