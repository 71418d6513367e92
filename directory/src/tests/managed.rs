//! To which device does a management certificate belong?

use super::world::{Enrolled, World};
use crate::{
    Command, Fingerprint, ManagementAnswer, ManagementState, NewManagementCertificate, Posture, Reported, Serial,
    SignalAnswer,
};

/// S-06, S-11: shown when asked, it is the device's; not shown the next time, it gives nothing until it is shown again.
#[test]
fn a_management_certificate_counts_while_it_is_shown() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let managed = |world: &World| world.snapshot.proved_management(laptop.device).is_some();

    answer(&mut world, &laptop, ManagementAnswer::Proved(certificate(1)));
    assert!(managed(&world));
    answer(&mut world, &laptop, ManagementAnswer::Absent);
    assert!(!managed(&world));
    answer(&mut world, &laptop, ManagementAnswer::Proved(certificate(1)));
    assert!(managed(&world));
    answer(&mut world, &laptop, ManagementAnswer::NotAsked);
    assert!(managed(&world));
}

/// S-07, X-06 (the directory's half): the second claimant is refused and reported, and the first keeps it.
#[test]
fn a_management_certificate_is_bound_to_one_device() {
    let mut world = World::new();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let (laptop, other) = (world.device(alice), world.device(bob));
    answer(&mut world, &laptop, ManagementAnswer::Proved(certificate(1)));

    answer(&mut world, &other, ManagementAnswer::Proved(certificate(1)));

    assert!(world.snapshot.proved_management(other.device).is_none());
    assert!(world.snapshot.proved_management(laptop.device).is_some());
    let refused = world.log.last().unwrap();
    assert_eq!(refused.event_type.as_str(), "pki.cert.bind");
    assert!(!refused.succeeded());
    answer(&mut world, &other, ManagementAnswer::Proved(certificate(2)));
    assert!(world.snapshot.proved_management(other.device).is_some(), "control");
}

#[test]
fn a_newer_management_certificate_takes_the_place_of_the_older() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    answer(&mut world, &laptop, ManagementAnswer::Proved(certificate(1)));

    answer(&mut world, &laptop, ManagementAnswer::Proved(certificate(2)));

    let proved = world.snapshot.proved_management(laptop.device).unwrap();
    assert_eq!(proved.fingerprint, certificate(2).fingerprint);
    assert_eq!(world.snapshot.management_of_device(laptop.device).count(), 2);
}

/// D-14: a deactivated device's management certificate is unbound; it stays that device's as long as its record lives.
#[test]
fn deactivation_unbinds_and_deletion_forgets() {
    let mut world = World::new();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let (laptop, other) = (world.device(alice), world.device(bob));
    answer(&mut world, &laptop, ManagementAnswer::Proved(certificate(1)));

    world.run(Command::DeactivateDevice(laptop.device)).unwrap();
    let known = world
        .snapshot
        .management_certificate(&certificate(1).fingerprint)
        .unwrap();
    assert!(matches!(known.state, ManagementState::Unbound { .. }));
    answer(&mut world, &other, ManagementAnswer::Proved(certificate(1)));
    assert!(world.snapshot.proved_management(other.device).is_none());

    world.run(Command::DeleteDevice(laptop.device)).unwrap();
    answer(&mut world, &other, ManagementAnswer::Proved(certificate(1)));
    assert!(world.snapshot.proved_management(other.device).is_some());
}

/// D-14: what the gateway's own CA issued to a device is revoked with it, for good, also on another device.
#[test]
fn what_was_revoked_of_a_deleted_device_counts_nowhere() {
    let mut world = World::new();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let (laptop, other) = (world.device(alice), world.device(bob));
    let issue = Command::IssueManagement {
        device: laptop.device,
        certificate: certificate(1),
    };
    world.run(issue).unwrap();
    answer(&mut world, &laptop, ManagementAnswer::Proved(certificate(1)));
    assert!(world.snapshot.proved_management(laptop.device).is_some(), "control");

    world.run(Command::DeactivateDevice(laptop.device)).unwrap();
    world.run(Command::DeleteDevice(laptop.device)).unwrap();
    answer(&mut world, &other, ManagementAnswer::Proved(certificate(1)));

    assert!(world.snapshot.proved_management(other.device).is_none());
    let known = world
        .snapshot
        .management_certificate(&certificate(1).fingerprint)
        .unwrap();
    assert!(matches!(known.state, ManagementState::Revoked { .. }));
}

fn answer(world: &mut World, device: &Enrolled, management: ManagementAnswer) {
    let answer = SignalAnswer {
        enrollment: device.enrollment,
        reported: Reported {
            posture: Posture::default(),
            kernel: None,
            serial: None,
            tpm_version: None,
            at: world.now,
        },
        management,
    };
    world.run(Command::TakeAnswer(answer.into())).unwrap();
}

fn certificate(number: u8) -> NewManagementCertificate {
    NewManagementCertificate {
        fingerprint: Fingerprint::of(&[number]),
        issuer: Fingerprint::of(b"the management CA"),
        serial: Serial::from_octets(vec![number]).unwrap(),
        not_after: crate::Timestamp::from_secs(1_800_000_000),
    }
}
