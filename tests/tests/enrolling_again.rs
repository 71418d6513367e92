//! Who enrols again, at the same time, with what is another's, or from what was shut out?

use std::time::Duration;

use latchkey_tests::agent::PASSWORD;
use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::device::Device;
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;
use serde_json::json;

static DEMO: Shared = Shared::new();

/// E-24, X-13 (without a browser): a token is for the instance that asked for it. Control: that instance.
#[test]
fn a_stolen_token_enrols_nothing_elsewhere() {
    let demo = DEMO.demo();
    demo.user("e24", PASSWORD, &["employees"]);
    let (mut owner, thief) = (Device::default(), Device::default());
    let token = owner.token(&demo, "e24", PASSWORD);
    let count = demo.count_devices("e24");

    // The thief speaks for itself, claims the owner's key, and replays the owner's own proof with another body.
    let own_key = thief.begin(&demo, &token, &thief.beginning("thief"));
    let other_key = thief.step(
        &demo,
        "/agent/v1/enrollments/begin",
        Some(&token),
        &owner.beginning("thief"),
    );
    let proof = owner.proof(
        &demo,
        "/agent/v1/enrollments/begin",
        Some(&token),
        &owner.beginning("owner").to_string(),
    );
    let body = owner.beginning("thief").to_string();
    let replayed = thief.step_with(&demo, "/agent/v1/enrollments/begin", Some(&token), &body, &proof);

    for refused in [&own_key, &other_key, &replayed] {
        assert_eq!(
            (refused.status, &refused.json()["errorCode"]),
            (401, &"E0000011".into()),
            "{}",
            refused.text()
        );
    }
    assert_eq!(demo.count_devices("e24"), count);
    owner.enroll(&demo, &token, "e24-laptop");
}

/// E-25: while one user enrols a device another cannot; the same user's new attempt takes the earlier one's place.
#[test]
fn one_user_at_a_time_enrols_a_device() {
    let demo = DEMO.demo();
    demo.user("e25a", PASSWORD, &["employees"]);
    demo.user("e25b", PASSWORD, &["employees"]);
    let first = Device::default();
    let other = Device {
        instance: first.instance.clone(),
        ..Device::default()
    };
    let token = first.token(&demo, "e25a", PASSWORD);
    let begun = first.begin(&demo, &token, &first.beginning("e25")).json();

    let others = other.token(&demo, "e25b", PASSWORD);
    let refused = other.begin(&demo, &others, &other.beginning("e25"));
    assert_eq!(
        (refused.status, &refused.json()["errorCode"]),
        (409, &"E0000265".into())
    );

    let again = first.begin(&demo, &token, &first.beginning("e25")).json();
    assert_eq!(
        first.finish(&demo, &token, &first.ending(&demo, &begun)).status,
        404,
        "superseded"
    );
    assert_eq!(first.finish(&demo, &token, &first.ending(&demo, &again)).status, 201);
    assert_eq!(
        other.begin(&demo, &others, &other.beginning("e25")).status,
        200,
        "control: it is done"
    );
}

/// E-26, D-12, D-21: from a device that is shut out nobody enrols and nobody leaves; it stays as it is.
#[test]
fn a_device_that_is_shut_out_neither_enrols_nor_is_left() {
    let demo = DEMO.demo();
    for (user, verb, status) in [("e26a", "suspend", "SUSPENDED"), ("e26b", "deactivate", "DEACTIVATED")] {
        demo.user(user, PASSWORD, &["employees"]);
        let mut device = Device::default();
        let token = device.token(&demo, user, PASSWORD);
        device.enroll(&demo, &token, &format!("{user}-laptop"));
        let id = device.enrolled["device"].as_str().unwrap().to_owned();
        assert_eq!(
            demo.admin("POST", &format!("/api/v1/devices/{id}/lifecycle/{verb}"), None)
                .status,
            204
        );
        let enrollments = demo.device(&device.enrolled["device"])["enrollments"].clone();

        let again = Device {
            instance: device.instance.clone(),
            ..Device::default()
        };
        let released = demo.enrollment_token(user);
        let refused = again.begin(&demo, &released, &again.beginning("again"));
        let left = device.leave(&demo);

        assert_eq!(
            (refused.status, &refused.json()["errorCode"]),
            (403, &"E0000152".into()),
            "{}",
            refused.text()
        );
        assert_eq!(
            (left.status, &left.json()["errorCode"]),
            (403, &"E0000152".into()),
            "{}",
            left.text()
        );
        let now = demo.device(&device.enrolled["device"]);
        assert_eq!((&now["status"], &now["enrollments"]), (&status.into(), &enrollments));
    }
}

/// D-23: a device that was deleted is told so, and can be added again as a new one.
#[test]
fn a_deleted_device_is_told_and_comes_back_as_a_new_one() {
    let demo = DEMO.demo();
    demo.user("d23", PASSWORD, &["employees"]);
    let mut device = Device::default();
    let token = device.token(&demo, "d23", PASSWORD);
    device.enroll(&demo, &token, "d23-laptop");
    let id = device.enrolled["device"].as_str().unwrap().to_owned();
    demo.command(&["device", "deactivate", &id]);
    demo.command(&["device", "delete", &id]);

    let path = device.account(&format!("?device={id}"));
    let gone = demo.curl(NOBODY, &demo.url("auth", &path), &[]);
    assert_eq!((gone.status, &gone.json()["errorCode"]), (410, &"E0000153".into()));

    let mut again = Device {
        instance: device.instance.clone(),
        ..Device::default()
    };
    let token = again.token(&demo, "d23", PASSWORD);
    again.enroll(&demo, &token, "d23-laptop");
    assert_ne!(again.enrolled["device"].as_str(), Some(id.as_str()));
}

/// P-22 (the instance's half): an instance's id without its key is a copy, and refused. Control: with its key.
#[test]
fn a_copied_instance_id_is_refused() {
    let demo = DEMO.demo();
    demo.user("p22", PASSWORD, &["employees"]);
    let mut device = Device::default();
    let token = device.token(&demo, "p22", PASSWORD);
    device.enroll(&demo, &token, "p22-laptop");

    let copy = Device::default();
    let token = copy.token(&demo, "p22", PASSWORD);
    let mut beginning = copy.beginning("p22-copy");
    beginning["instance"] = device.enrolled["instance"].clone();
    let refused = copy.begin(&demo, &token, &beginning);
    assert_eq!(
        (refused.status, &refused.json()["errorCode"]),
        (401, &"E0000011".into())
    );

    let original = Device {
        instance: device.instance.clone(),
        ..Device::default()
    };
    let token = original.token(&demo, "p22", PASSWORD);
    let mut beginning = original.beginning("p22-again");
    beginning["instance"] = device.enrolled["instance"].clone();
    assert_eq!(original.begin(&demo, &token, &beginning).status, 200);
}

/// after a device of the user was shut out, software keys enrol again only when an admin releases it.
#[test]
fn after_a_loss_of_trust_an_admin_releases_the_next_enrolment() {
    let demo = DEMO.demo();
    demo.user("x12", PASSWORD, &["employees"]);
    let mut device = Device::default();
    let token = device.token(&demo, "x12", PASSWORD);
    device.enroll(&demo, &token, "x12-laptop");
    demo.command(&["device", "deactivate", device.enrolled["device"].as_str().unwrap()]);
    let count = demo.count_devices("x12");

    let mut wiped = Device::default();
    let token = wiped.token(&demo, "x12", PASSWORD);
    let refused = wiped.begin(&demo, &token, &wiped.beginning("x12-again"));
    assert_eq!(
        (refused.status, &refused.json()["errorCode"]),
        (403, &"E0000006".into())
    );
    assert!(refused.text().contains("shut out"), "{}", refused.text());
    assert_eq!(demo.count_devices("x12"), count);

    let released = demo.enrollment_token("x12");
    wiped.enroll(&demo, &released, "x12-again");
}

/// A token is used once, by one of a hundred who try at the same time; the others get nothing.
#[test]
fn of_a_hundred_who_race_for_a_token_one_enrols() {
    let demo = DEMO.demo();
    demo.user("race", PASSWORD, &["employees"]);
    let token = demo.enrollment_token("race");
    let count = demo.count_devices("race");

    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..100)
            .map(|_| {
                scope.spawn(|| {
                    let device = Device::default();
                    let begun = device.begin(&demo, &token, &device.beginning("racer"));
                    match begun.status {
                        200 => {
                            device
                                .finish(&demo, &token, &device.ending(&demo, &begun.json()))
                                .status
                        }
                        status => status,
                    }
                })
            })
            .collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });

    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        1,
        "{statuses:?}"
    );
    assert!(
        statuses.iter().all(|status| matches!(status, 201 | 401 | 404)),
        "{statuses:?}"
    );
    assert_eq!(demo.count_devices("race"), count + 1);
}

/// A certificate request is asked for as much as an agent: by the policies, and for keys in hardware.
#[test]
fn a_certificate_request_is_no_way_around_what_is_asked() {
    let demo = Demo::start();
    let policy = std::fs::read_to_string(demo.file("policies/organization.cedar")).unwrap();
    let barred = "@id(\"barred\") @deny_reason(\"No new devices today.\")\n\
                  forbid (principal, action == Action::\"registerDevice\", resource);\n";
    std::fs::write(demo.file("policies/organization.cedar"), policy.clone() + barred).unwrap();
    let token = demo.enrollment_token("alice");
    let device = Device::default();
    let begin = || device.begin(&demo, &token, &device.beginning("barred")).status;
    assert!(until(Duration::from_secs(10), || begin() == 403));
    let refused = demo.enroll_with(&token, "barred", &demo.request("barred"));
    assert!(
        refused.status == 403 && refused.text().contains("No new devices today."),
        "{}",
        refused.text()
    );
    std::fs::write(demo.file("policies/organization.cedar"), policy).unwrap();
    assert!(until(Duration::from_secs(10), || begin() == 200));
    assert_eq!(demo.fastpass(&json!({ "keyProtection": "HARDWARE" })).status, 200);
    let refused = demo.enroll_with(&token, "barred", &demo.request("barred"));
    assert!(
        refused.status == 400 && refused.text().contains("hardware"),
        "{}",
        refused.text()
    );

    assert_eq!(demo.fastpass(&json!({ "keyProtection": "ANY" })).status, 200);
    let control = demo.enroll_with(&token, "barred", &demo.request("barred"));
    assert_eq!(control.status, 201, "control: {}", control.text());
}
