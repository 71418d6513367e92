//! What do the states of a device do to everything that hangs on it?

use super::world::{World, admin, issuer};
use crate::{
    Certificate, CertificateState, Command, DeviceState, Enrollment, EnrollmentState, HoldCause, Outcome, Refusal,
    RevocationReason, Touched,
};

/// D-03 (the directory's half), D-13, D-14: from the plan on, no enrolment, link, certificate or report counts.
#[test]
fn deactivation_ends_everything_that_rests_on_the_device() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let other = world.device(alice);
    world
        .run(Command::ReportDevice(world.report(laptop.device, "jamf")))
        .unwrap();
    let generation = world.enrollment_of(&laptop).generation;

    let plan = world.run(Command::DeactivateDevice(laptop.device)).unwrap();

    assert_eq!(
        world.device_of(&laptop).state,
        DeviceState::Deactivated { at: world.now }
    );
    assert_eq!(
        world.enrollment_of(&laptop).state,
        EnrollmentState::Ended { at: world.now }
    );
    assert_eq!(world.enrollment_of(&laptop).generation, generation + 1);
    let revoked = CertificateState::Revoked {
        at: world.now,
        reason: RevocationReason::CessationOfOperation,
    };
    assert_eq!(world.certificate_of(&laptop).state, revoked);
    assert_eq!(world.snapshot.users_of_device(laptop.device).count(), 0);
    assert_eq!(world.snapshot.reports_of_device(laptop.device).count(), 0);
    assert_eq!(world.snapshot.revoked_certificates(&issuer()).count(), 1);
    let touched = Touched::of(&plan.changes);
    assert_eq!(touched.devices, [laptop.device].into());
    // Named without a look at a later snapshot, from which the enrolments may be gone.
    assert_eq!(touched.users, [alice].into());
    // The control: the user's other device has lost nothing.
    assert_eq!(world.device_of(&other).state, DeviceState::Active);
    assert_eq!(world.enrollment_of(&other).state, EnrollmentState::Active);
    assert_eq!(world.certificate_of(&other).state, CertificateState::Live);
    assert_eq!(world.snapshot.devices_of_user(alice).count(), 1);
}

/// D-18: one event for the device and one for each thing that ended, with one transaction and one actor.
#[test]
fn deactivation_logs_each_thing_it_ends_exactly_once() {
    let mut world = World::new();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let laptop = world.device(alice);
    world.add_account(laptop.device, bob);
    let start = world.log.len();

    world.run(Command::DeactivateDevice(laptop.device)).unwrap();

    let mut types = world.event_types_since(start);
    assert_eq!(types.first(), Some(&"device.lifecycle.deactivate"));
    types.sort_unstable();
    assert_eq!(
        types,
        [
            "device.lifecycle.deactivate",
            "device.user.remove",
            "device.user.remove",
            "pki.cert.lifecycle.revoke",
            "pki.cert.lifecycle.revoke",
            "user.mfa.factor.deactivate",
            "user.mfa.factor.deactivate",
        ]
    );
    let events = &world.log[start..];
    assert!(
        events
            .iter()
            .all(|event| event.transaction == events[0].transaction && event.actor == admin())
    );
    assert!(
        events
            .iter()
            .enumerate()
            .all(|(n, event)| event.id == format!("{}-{n}", event.transaction))
    );
    assert!(events.iter().skip(1).all(|event| {
        event
            .targets
            .iter()
            .any(|target| target.id == laptop.device.to_string())
    }));
}

/// D-22 (the directory's half): both users' enrolments on the device end.
#[test]
fn deactivation_ends_the_enrolments_of_every_user_of_the_device() {
    let mut world = World::new();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let first = world.device(alice);
    let second = world.add_account(first.device, bob);

    world.run(Command::DeactivateDevice(first.device)).unwrap();

    assert_eq!(
        world.enrollment_of(&first).state,
        EnrollmentState::Ended { at: world.now }
    );
    assert_eq!(
        world.enrollment_of(&second).state,
        EnrollmentState::Ended { at: world.now }
    );
}

/// D-19: a second deactivation is refused, changes nothing and logs nothing but its failure.
#[test]
fn a_second_deactivation_changes_nothing_and_repeats_no_event() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    world.run(Command::DeactivateDevice(laptop.device)).unwrap();
    let (before, start) = (world.snapshot.clone(), world.log.len());

    let refused = world.run(Command::DeactivateDevice(laptop.device));

    assert_eq!(
        refused.unwrap_err().to_string(),
        "a device that is deactivated cannot become deactivated"
    );
    assert_eq!(world.snapshot, before);
    assert_eq!(world.event_types_since(start), ["device.lifecycle.deactivate"]);
    assert!(matches!(&world.log[start].outcome, Outcome::Failure { reason } if reason.contains("deactivated")));
}

/// D-02: only a deactivated device can be deleted.
#[test]
fn a_device_is_deleted_only_after_it_was_deactivated() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let start = world.log.len();

    let active = world.run(Command::DeleteDevice(laptop.device));
    world.run(Command::SuspendDevice(laptop.device)).unwrap();
    let suspended = world.run(Command::DeleteDevice(laptop.device));

    assert!(matches!(active, Err(Refusal::IllegalTransition(_))));
    assert!(matches!(suspended, Err(Refusal::IllegalTransition(_))));
    assert!(world.snapshot.device(laptop.device).is_some());
    assert_eq!(world.log[start..].iter().filter(|event| !event.succeeded()).count(), 2);

    world.run(Command::DeactivateDevice(laptop.device)).unwrap();
    world.run(Command::DeleteDevice(laptop.device)).unwrap();

    assert!(world.snapshot.device(laptop.device).is_none());
    assert!(matches!(
        world.run(Command::ActivateDevice(laptop.device)),
        Err(Refusal::NotFound { what: "device", .. })
    ));
}

/// D-14: a deleted device's certificates stay revoked and on the CRL.
#[test]
fn a_deleted_device_leaves_its_revoked_certificates_behind() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    world.run(Command::DeactivateDevice(laptop.device)).unwrap();

    world.run(Command::DeleteDevice(laptop.device)).unwrap();

    assert!(matches!(
        world.certificate_of(&laptop).state,
        CertificateState::Revoked { .. }
    ));
    let on_crl: Vec<_> = world
        .snapshot
        .revoked_certificates(&issuer())
        .map(|known| known.fingerprint)
        .collect();
    assert_eq!(on_crl, [laptop.certificate]);
    assert!(world.snapshot.enrollment(laptop.enrollment).is_none());
    assert_eq!(world.snapshot.enrollments_of_user(alice).count(), 0);
}

/// D-15, D-21 (the directory's half): a suspended device's certificates are on hold and come back with it.
#[test]
fn a_suspension_holds_the_certificates_and_its_end_releases_them() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let before = world.enrollment_of(&laptop).generation;

    world.run(Command::SuspendDevice(laptop.device)).unwrap();

    let held = CertificateState::Held {
        at: world.now,
        cause: HoldCause::DeviceSuspended,
    };
    assert_eq!(world.certificate_of(&laptop).state, held);
    assert_eq!(world.enrollment_of(&laptop).state, EnrollmentState::Suspended);
    assert_eq!(world.enrollment_of(&laptop).generation, before + 1);
    assert_eq!(world.snapshot.revoked_certificates(&issuer()).count(), 1);

    world.run(Command::UnsuspendDevice(laptop.device)).unwrap();

    assert_eq!(world.certificate_of(&laptop).state, CertificateState::Live);
    assert_eq!(world.enrollment_of(&laptop).state, EnrollmentState::Active);
    assert_eq!(
        world.enrollment_of(&laptop).generation,
        before + 1,
        "what was interrupted does not come back"
    );
    assert_eq!(world.snapshot.revoked_certificates(&issuer()).count(), 0);
}

/// D-15: unsuspending releases what the suspension held, not what an admin held.
#[test]
fn an_admins_hold_outlives_a_suspension() {
    let mut world = World::new();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let held = world.device(alice);
    let other = world.add_account(held.device, bob);
    world.run(Command::HoldCertificate(held.certificate)).unwrap();

    world.run(Command::SuspendDevice(held.device)).unwrap();
    world.run(Command::UnsuspendDevice(held.device)).unwrap();

    assert!(matches!(
        world.certificate_of(&held).state,
        CertificateState::Held {
            cause: HoldCause::Admin,
            ..
        }
    ));
    assert_eq!(world.certificate_of(&other).state, CertificateState::Live);
    world.run(Command::ReleaseCertificate(held.certificate)).unwrap();
    assert_eq!(world.certificate_of(&held).state, CertificateState::Live);
}

/// D-15, D-16: activation brings neither old certificates nor old keys back.
#[test]
fn an_activated_device_has_to_enrol_anew_with_a_new_key() {
    let mut world = World::new();
    let alice = world.user("alice");
    let old = world.device(alice);
    world.run(Command::DeactivateDevice(old.device)).unwrap();

    world.run(Command::ActivateDevice(old.device)).unwrap();

    assert_eq!(world.device_of(&old).state, DeviceState::Active);
    assert!(matches!(world.enrollment_of(&old).state, EnrollmentState::Ended { .. }));
    assert!(matches!(
        world.certificate_of(&old).state,
        CertificateState::Revoked { .. }
    ));
    let secret = world.token(alice, Some(old.device));
    let mut again = world.enrolment(secret);
    again.device.id = old.device;
    again.key = old.key;
    assert_eq!(world.run(Command::Enroll(again.clone().into())), Err(Refusal::KeyKnown));
    again.key = crate::KeyThumbprint::of(b"a new key");
    assert!(world.run(Command::Enroll(again.into())).is_ok());
}

/// D-17: an activated device keeps its id; a deleted one that enrols again is another.
#[test]
fn a_device_keeps_its_record_when_activated_and_loses_it_when_deleted() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let created = world.device_of(&laptop).created;
    world.run(Command::DeactivateDevice(laptop.device)).unwrap();
    world.run(Command::ActivateDevice(laptop.device)).unwrap();
    let again = world.add_account(laptop.device, alice);

    assert_eq!(again.device, laptop.device);
    assert_eq!(world.device_of(&again).created, created);

    world.run(Command::DeactivateDevice(laptop.device)).unwrap();
    world.run(Command::DeleteDevice(laptop.device)).unwrap();
    let anew = world.device(alice);

    assert_ne!(anew.device, laptop.device);
}

/// D-14: a revoked certificate never comes back, whatever its device does.
#[test]
fn a_revoked_certificate_stays_revoked() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let reason = RevocationReason::KeyCompromise;

    world
        .run(Command::RevokeCertificate {
            fingerprint: laptop.certificate,
            reason,
        })
        .unwrap();
    world.run(Command::SuspendDevice(laptop.device)).unwrap();
    world.run(Command::UnsuspendDevice(laptop.device)).unwrap();

    assert_eq!(
        world.certificate_of(&laptop).state,
        CertificateState::Revoked { at: world.now, reason }
    );
    assert!(world.run(Command::ReleaseCertificate(laptop.certificate)).is_err());
    assert!(
        world
            .run(Command::RevokeCertificate {
                fingerprint: laptop.certificate,
                reason
            })
            .is_err()
    );
    assert_eq!(
        world.enrollment_of(&laptop).state,
        EnrollmentState::Active,
        "the key itself was not shut out"
    );
}

/// D-12 (the directory's half): an enrolment token made for a device ends with its deactivation, also after activation.
#[test]
fn a_token_for_a_device_does_not_survive_its_deactivation() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let secret = world.token(alice, Some(laptop.device));
    world.run(Command::DeactivateDevice(laptop.device)).unwrap();
    world.run(Command::ActivateDevice(laptop.device)).unwrap();

    let mut enroll = world.enrolment(secret);
    enroll.device.id = laptop.device;

    assert_eq!(world.run(Command::Enroll(enroll.into())), Err(Refusal::TokenExpired));
}

#[test]
fn a_devices_version_grows_with_whatever_hangs_on_it() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let report = world.report(laptop.device, "jamf");
    let commands = [
        Command::ReportDevice(report),
        Command::WithdrawReport {
            device: laptop.device,
            source: "jamf".to_owned(),
        },
        Command::HoldCertificate(laptop.certificate),
        Command::ReleaseCertificate(laptop.certificate),
        Command::SuspendDevice(laptop.device),
        Command::UnsuspendDevice(laptop.device),
        Command::DeactivateDevice(laptop.device),
    ];

    for command in commands {
        world.run(command.clone()).unwrap();

        assert_eq!(
            world.device_of(&laptop).version,
            world.snapshot.revision(),
            "{command:?}"
        );
    }
}

#[test]
fn a_new_record_expects_none_and_a_changed_one_its_old_version() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let before = world.snapshot.clone();
    let version = world.device_of(&laptop).version;

    let plan = world.run(Command::DeactivateDevice(laptop.device)).unwrap();

    assert_eq!(before.version_of(&plan.changes[0]), Some(version));
    assert_eq!(crate::Snapshot::empty().version_of(&plan.changes[0]), None);
}

#[test]
fn a_transition_keeps_every_other_fact_of_a_record() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let (enrollment, certificate) = (
        world.enrollment_of(&laptop).clone(),
        world.certificate_of(&laptop).clone(),
    );

    world.run(Command::SuspendDevice(laptop.device)).unwrap();
    world.run(Command::UnsuspendDevice(laptop.device)).unwrap();

    let revision = world.snapshot.revision();
    assert_eq!(
        *world.enrollment_of(&laptop),
        Enrollment {
            generation: 1,
            version: revision,
            ..(*enrollment).clone()
        }
    );
    assert_eq!(
        *world.certificate_of(&laptop),
        Certificate {
            version: revision,
            ..(*certificate).clone()
        }
    );
}
