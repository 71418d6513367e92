//! Who may enrol a device, with what, and what comes of it?

use std::time::Duration;

use super::world::World;
use crate::{Command, DeviceState, EnrollmentState, NewEnrollmentToken, Refusal, SecretHash, TokenOrigin};

/// E-15 (the directory's half): one enrolment makes one device, linked to exactly its user.
#[test]
fn an_enrolment_makes_one_device_for_one_user() {
    let mut world = World::new();
    let alice = world.user("alice");

    let laptop = world.device(alice);

    assert_eq!(world.snapshot.devices().count(), 1);
    let linked: Vec<_> = world
        .snapshot
        .users_of_device(laptop.device)
        .map(|user| user.id)
        .collect();
    assert_eq!(linked, [alice]);
    assert_eq!(
        world.snapshot.enrollment_by_key(&laptop.key).map(|known| known.id),
        Some(laptop.enrollment)
    );
    assert_eq!(world.certificate_of(&laptop).device, laptop.device);
}

/// E-19 (the directory's half): the log names the enrolment, the link, the factor and the certificate.
#[test]
fn an_enrolment_logs_what_it_made() {
    let mut world = World::new();
    let alice = world.user("alice");
    let secret = world.token(alice, None);
    let enroll = world.enrolment(secret);
    let start = world.log.len();

    world.run(Command::Enroll(enroll.into())).unwrap();

    let expected = [
        "device.enrollment.create",
        "device.user.add",
        "user.mfa.factor.activate",
        "pki.cert.issue",
    ];
    assert_eq!(world.event_types_since(start), expected);
}

/// E-05 (the directory's half): an unknown, used or expired token enrols nothing; a good one does.
#[test]
fn only_an_unused_unexpired_token_enrols() {
    let mut world = World::new();
    let alice = world.user("alice");
    let (secret, late) = (world.token(alice, None), world.token(alice, None));
    let good = world.enrolment(secret);
    let again = world.enrolment(secret);
    let unknown = world.enrolment(SecretHash::of("guessed"));
    let expired = world.enrolment(late);

    assert_eq!(world.run(Command::Enroll(unknown.into())), Err(Refusal::TokenUnknown));
    assert!(world.run(Command::Enroll(good.into())).is_ok());
    let before = world.snapshot.clone();
    assert_eq!(world.run(Command::Enroll(again.into())), Err(Refusal::TokenUsed));
    world.now = world.now.plus(Duration::from_secs(600));
    assert_eq!(world.run(Command::Enroll(expired.into())), Err(Refusal::TokenExpired));
    assert_eq!(world.snapshot, before);
}

/// E-10: a key that is or was enrolled is refused, on the same device and on another.
#[test]
fn a_known_key_is_refused() {
    let mut world = World::new();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let laptop = world.device(alice);
    let secret = world.token(bob, None);
    let mut copy = world.enrolment(secret);
    let own_key = std::mem::replace(&mut copy.key, laptop.key);

    assert_eq!(world.run(Command::Enroll(copy.clone().into())), Err(Refusal::KeyKnown));
    world.run(Command::DeactivateDevice(laptop.device)).unwrap();
    assert_eq!(world.run(Command::Enroll(copy.clone().into())), Err(Refusal::KeyKnown));
    copy.key = own_key;
    assert!(world.run(Command::Enroll(copy.into())).is_ok());
}

#[test]
fn a_known_certificate_or_serial_number_is_refused() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let known = world.certificate_of(&laptop).clone();
    let secret = world.token(alice, None);
    let good = world.enrolment(secret);
    let (mut same_certificate, mut same_serial) = (good.clone(), good.clone());
    same_certificate.certificate.fingerprint = known.fingerprint;
    same_serial.certificate.serial = known.serial.clone();

    assert_eq!(
        world.run(Command::Enroll(same_certificate.into())),
        Err(Refusal::CertificateKnown)
    );
    assert_eq!(
        world.run(Command::Enroll(same_serial.into())),
        Err(Refusal::CertificateKnown)
    );
    assert!(world.run(Command::Enroll(good.into())).is_ok());
}

/// E-16: a second user on the device makes a second link, not a second record.
#[test]
fn a_second_user_enrols_on_the_same_device() {
    let mut world = World::new();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let first = world.device(alice);
    let name = world.device_of(&first).name.clone();

    let second = world.add_account(first.device, bob);

    assert_eq!(world.snapshot.devices().count(), 1);
    assert_eq!(world.snapshot.users_of_device(first.device).count(), 2);
    assert_eq!(world.snapshot.enrollments_of_device(first.device).count(), 2);
    assert_ne!(first.key, second.key);
    assert_eq!(world.device_of(&first).name, name, "the record keeps its name");
}

/// E-17: of two devices of one user, one goes and the other stays.
#[test]
fn removing_one_device_leaves_the_users_other_one_working() {
    let mut world = World::new();
    let alice = world.user("alice");
    let (first, second) = (world.device(alice), world.device(alice));

    world.run(Command::DeactivateDevice(first.device)).unwrap();
    world.run(Command::DeleteDevice(first.device)).unwrap();

    assert_eq!(world.device_of(&second).state, DeviceState::Active);
    assert_eq!(world.enrollment_of(&second).state, EnrollmentState::Active);
}

/// E-26: from a suspended or deactivated device nobody enrols, and its state stays.
#[test]
fn a_device_that_is_not_active_takes_no_enrolment() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let secret = world.token(alice, Some(laptop.device));
    let mut enroll = world.enrolment(secret);
    enroll.device.id = laptop.device;

    world.run(Command::SuspendDevice(laptop.device)).unwrap();
    assert_eq!(
        world.run(Command::Enroll(enroll.clone().into())),
        Err(Refusal::DeviceNotActive)
    );
    assert!(matches!(world.device_of(&laptop).state, DeviceState::Suspended { .. }));
    let token = NewEnrollmentToken {
        id: crate::EnrollmentTokenId::from_random(77),
        secret: SecretHash::of("another"),
        user: alice,
        device: Some(laptop.device),
        origin: TokenOrigin::Admin,
        factors: Default::default(),
        proofs: Vec::new(),
        session: None,
        bound_to: None,
        ends: world.now.plus(Duration::from_secs(60)),
    };
    assert_eq!(
        world.run(Command::CreateEnrollmentToken(token)),
        Err(Refusal::DeviceNotActive)
    );

    world.run(Command::UnsuspendDevice(laptop.device)).unwrap();
    assert!(world.run(Command::Enroll(enroll.into())).is_ok());
}

#[test]
fn a_token_for_one_device_does_not_enrol_another() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let secret = world.token(alice, Some(laptop.device));
    let mut enroll = world.enrolment(secret);

    assert_eq!(
        world.run(Command::Enroll(enroll.clone().into())),
        Err(Refusal::TokenForOtherDevice)
    );
    enroll.device.id = laptop.device;
    assert!(world.run(Command::Enroll(enroll.into())).is_ok());
}

#[test]
fn a_token_does_not_enrol_for_a_user_who_is_not_active() {
    let mut world = World::new();
    let alice = world.user("alice");
    let secret = world.token(alice, None);
    let enroll = world.enrolment(secret);

    world.run(Command::SuspendUser(alice)).unwrap();
    assert_eq!(
        world.run(Command::Enroll(enroll.clone().into())),
        Err(Refusal::UserNotActive)
    );
    world.run(Command::UnsuspendUser(alice)).unwrap();
    assert!(world.run(Command::Enroll(enroll.into())).is_ok());
}
