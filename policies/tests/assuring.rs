//! To which assurance levels does a device belong under the shipped policies, and until when?

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use directory::{Posture, Timestamp};
use policies::{Ages, Assured, DeviceFacts, PolicyFile, PolicySet, SHIPPED, cases};

#[test]
fn the_managers_word_of_today_makes_a_standard_device_until_it_is_a_day_old() {
    let device = DeviceFacts {
        mdm: Some(encrypted_and_locked()),
        ..device()
    };
    let ages = Ages {
        mdm: Some(ago(3600)),
        ..Ages::default()
    };

    let assured = assure(&device, &ages);

    assert_eq!(
        assured,
        Assured {
            levels: ["standard".to_owned()].into(),
            ends: Some(ago(3600 - 86_400))
        }
    );
}

#[test]
fn yesterdays_word_makes_no_standard_device() {
    let device = DeviceFacts {
        mdm: Some(encrypted_and_locked()),
        ..device()
    };
    let ages = Ages {
        mdm: Some(ago(86_400)),
        ..Ages::default()
    };

    assert!(assure(&device, &ages).levels.is_empty());
}

/// S-10: A signal that was not sent counts as not satisfied. Control: the tests above.
#[test]
fn a_word_that_leaves_a_signal_out_makes_no_standard_device() {
    let half = Posture {
        screen_lock: None,
        ..encrypted_and_locked()
    };
    let device = DeviceFacts {
        mdm: Some(half),
        ..device()
    };
    let ages = Ages {
        mdm: Some(ago(60)),
        ..Ages::default()
    };

    assert!(assure(&device, &ages).levels.is_empty());
}

#[test]
fn a_devices_own_word_counts_only_on_attested_hardware() {
    let attested = DeviceFacts {
        reported: encrypted_and_locked(),
        secure_hardware: true,
        hardware_key: true,
        ..device()
    };
    let unproved = DeviceFacts {
        hardware_key: false,
        ..attested.clone()
    };
    let ages = Ages {
        reported: Some(ago(60)),
        ..Ages::default()
    };

    assert!(assure(&attested, &ages).levels.contains("standard"));
    assert!(assure(&unproved, &ages).levels.is_empty());
}

#[test]
fn a_device_without_its_protections_belongs_to_no_level() {
    let jailbroken = Posture {
        jailbroken: Some(true),
        ..Posture::default()
    };
    let device = DeviceFacts {
        mdm: Some(encrypted_and_locked()),
        reported: jailbroken,
        ..device()
    };
    let ages = Ages {
        mdm: Some(ago(60)),
        ..Ages::default()
    };

    assert!(assure(&device, &ages).levels.is_empty());
}

fn assure(device: &DeviceFacts, ages: &Ages) -> Assured {
    let files: Vec<PolicyFile> = SHIPPED
        .iter()
        .map(|(name, text)| PolicyFile {
            name: (*name).into(),
            text: (*text).into(),
        })
        .collect();
    PolicySet::load(&files).unwrap().assure(device, ages, NOW)
}

fn encrypted_and_locked() -> Posture {
    Posture {
        disk_encrypted: Some(true),
        screen_lock: Some(true),
        ..Posture::default()
    }
}

fn device() -> DeviceFacts {
    let file = r#"{ "users": { "alice": {} }, "devices": { "laptop": { "registered": true } },
        "applications": { "wiki": {} }, "cases": [
            { "name": "asked", "request": { "user": "alice", "device": "laptop", "app": "wiki" }, "decision": "allow" } ] }"#;
    cases::requests(file)
        .unwrap()
        .remove(0)
        .1
        .device
        .unwrap()
        .as_ref()
        .clone()
}

fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_secs(NOW.secs() - seconds)
}

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
