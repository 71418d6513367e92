//! What do enrolments by an authenticator change, and which of them are refused?

use std::time::Duration;

use super::world::World;
use crate::{
    AuthenticatorEnroll, AuthenticatorId, CertificateState, Command, DeviceId, DeviceState, Enroll, EnrollmentState,
    FastPassUpdate, Hardware, HardwareId, InstanceId, KeyProtection, ManagementAnswer, Method, NewCertificate,
    OrganizationId, Protected, PublicKey, Refusal, RenewCertificate, SecretHash, UserVerification, Verification,
    VerificationMethod,
};

/// E-16: another user on the same authenticator instance gets an account of their own on the one device.
#[test]
fn two_users_of_one_instance_share_the_device() {
    let mut world = founded();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let first = by_authenticator(&mut world, alice, 1, None);
    let device = first.device.id;
    world.run(Command::Enroll(first.clone().into())).unwrap();

    let mut second = by_authenticator(&mut world, bob, 1, None);
    second.device.id = device;
    world.run(Command::Enroll(second.clone().into())).unwrap();

    assert_eq!(world.snapshot.devices().count(), 1);
    assert_eq!(world.snapshot.users_of_device(device).count(), 2);
    assert_eq!(world.snapshot.instances_of_device(device).count(), 1);
    assert_ne!(first.key, second.key);
}

/// E-10: a key is enrolled once, whether for possession or for verification.
#[test]
fn no_key_is_enrolled_twice_in_any_role() {
    let mut world = founded();
    let alice = world.user("alice");
    let first = by_authenticator(&mut world, alice, 1, None);
    world.run(Command::Enroll(first.clone().into())).unwrap();
    let known = first.authenticator.as_ref().unwrap();
    let (possession, verification) = (known.public_key, known.verification.clone().unwrap().key);

    for taken in [possession, verification] {
        let mut copy = by_authenticator(&mut world, alice, 2, None);
        let authenticator = copy.authenticator.as_mut().unwrap();
        authenticator.verification = Some(verification_by(taken));
        assert_eq!(world.run(Command::Enroll(copy.into())), Err(Refusal::KeyKnown));
        let mut copy = by_authenticator(&mut world, alice, 2, None);
        copy.key = taken.thumbprint();
        assert_eq!(world.run(Command::Enroll(copy.into())), Err(Refusal::KeyKnown));
    }

    let control = by_authenticator(&mut world, alice, 2, None);
    assert!(world.run(Command::Enroll(control.into())).is_ok());
}

/// D-17: the same machine is the same device with its history; after it was deleted it is a new one.
#[test]
fn a_machine_that_enrols_again_is_recognised_until_it_is_deleted() {
    let mut world = founded();
    let alice = world.user("alice");
    let first = by_authenticator(&mut world, alice, 1, Some(7));
    let device = first.device.id;
    world.run(Command::Enroll(first.clone().into())).unwrap();

    // The disk was wiped: another instance on the same machine.
    let mut again = by_authenticator(&mut world, alice, 2, Some(7));
    assert_eq!(
        world.run(Command::Enroll(again.clone().into())),
        Err(Refusal::DeviceChanged)
    );
    again.device.id = device;
    world.run(Command::Enroll(again.clone().into())).unwrap();

    assert_eq!(world.snapshot.devices().count(), 1);
    let earlier = world.snapshot.enrollment(first.enrollment).unwrap();
    assert!(matches!(earlier.state, EnrollmentState::Ended { .. }));
    let certificate = world.snapshot.certificate(&first.certificate.fingerprint).unwrap();
    assert!(matches!(certificate.state, CertificateState::Revoked { .. }));

    world.run(Command::DeactivateDevice(device)).unwrap();
    world.run(Command::DeleteDevice(device)).unwrap();
    let new = by_authenticator(&mut world, alice, 3, Some(7));
    world.run(Command::Enroll(new.clone().into())).unwrap();
    assert_ne!(new.device.id, device);
    assert_eq!(
        world.snapshot.device_by_hardware(hardware(7)).map(|device| device.id),
        Some(new.device.id)
    );
}

/// E-26, D-12, D-21: a device that is shut out enrols nobody, whether its machine or its instance gives it away, and stays
/// what it is.
#[test]
fn a_device_that_is_shut_out_cannot_be_enrolled_again() {
    for shut_out in [Command::SuspendDevice, Command::DeactivateDevice] {
        let mut world = founded();
        let alice = world.user("alice");
        let first = by_authenticator(&mut world, alice, 1, Some(7));
        let device = first.device.id;
        world.run(Command::Enroll(first.into())).unwrap();
        world.run(shut_out(device)).unwrap();
        let state = world.snapshot.device(device).unwrap().state;

        for (instance, machine) in [(1, Some(7)), (2, Some(7)), (1, None), (1, Some(8))] {
            let mut again = by_authenticator(&mut world, alice, instance, machine);
            again.device.id = device;
            assert_eq!(world.run(Command::Enroll(again.into())), Err(Refusal::DeviceNotActive));
        }
        assert_eq!(world.snapshot.device(device).unwrap().state, state);
        assert!(world.snapshot.has_lost_trust(alice));
        let elsewhere = by_authenticator(&mut world, alice, 2, Some(8));
        assert!(
            world.run(Command::Enroll(elsewhere.into())).is_ok(),
            "control: other hardware"
        );
    }
}

/// X-12 (the directory's half): what was lost is lost until an admin activates the device; other users lost nothing.
#[test]
fn a_user_has_lost_trust_while_a_device_of_theirs_is_shut_out() {
    let mut world = founded();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let laptop = world.device(alice);
    let left = world.add_account(laptop.device, bob);
    world.run(Command::EndEnrollment(left.enrollment)).unwrap();
    assert!(!world.snapshot.has_lost_trust(alice));

    world.now = world.now.plus(Duration::from_secs(1));
    world.run(Command::DeactivateDevice(laptop.device)).unwrap();
    assert!(world.snapshot.has_lost_trust(alice));
    assert!(!world.snapshot.has_lost_trust(bob), "had left before");

    world.run(Command::ActivateDevice(laptop.device)).unwrap();
    assert!(!world.snapshot.has_lost_trust(alice));
}

/// P-22 (the directory's half): an instance's key that turns up on another machine enrols nothing there.
#[test]
fn a_copied_instance_is_refused_on_another_machine() {
    let mut world = founded();
    let alice = world.user("alice");
    let first = by_authenticator(&mut world, alice, 1, Some(7));
    world.run(Command::Enroll(first.clone().into())).unwrap();

    let copied = by_authenticator(&mut world, alice, 1, Some(8));
    assert_eq!(
        world.run(Command::Enroll(copied.into())),
        Err(Refusal::InstanceElsewhere)
    );

    let mut control = by_authenticator(&mut world, alice, 1, Some(7));
    control.device.id = first.device.id;
    assert!(world.run(Command::Enroll(control.into())).is_ok());
}

/// E-12, E-13: a software key is enough unless the organisation asks for hardware; then only a proved one is.
#[test]
fn the_settings_say_which_keys_are_enough() {
    let mut world = founded();
    let alice = world.user("alice");
    let software = by_authenticator(&mut world, alice, 1, None);
    world.run(Command::Enroll(software.into())).unwrap();

    let update = FastPassUpdate {
        key_protection: Some(KeyProtection::Hardware),
        ..FastPassUpdate::default()
    };
    world.run(Command::UpdateFastPass(update)).unwrap();
    let software = by_authenticator(&mut world, alice, 2, None);
    assert_eq!(
        world.run(Command::Enroll(software.into())),
        Err(Refusal::HardwareRequired)
    );
    let mut unattested = by_authenticator(&mut world, alice, 2, Some(7));
    unattested.authenticator.as_mut().unwrap().attested = false;
    assert_eq!(
        world.run(Command::Enroll(unattested.into())),
        Err(Refusal::HardwareRequired)
    );
    let attested = by_authenticator(&mut world, alice, 2, Some(7));
    assert!(world.run(Command::Enroll(attested.into())).is_ok());
}

/// E-21: where verification is preferred a possession key alone is enough, where it is required it is not.
#[test]
fn a_required_verification_key_must_be_there() {
    let mut world = founded();
    let alice = world.user("alice");
    let without = |world: &mut World, instance| {
        let mut enroll = by_authenticator(world, alice, instance, None);
        enroll.authenticator.as_mut().unwrap().verification = None;
        world.run(Command::Enroll(enroll.into()))
    };
    assert!(without(&mut world, 1).is_ok());

    let update = FastPassUpdate {
        user_verification: Some(UserVerification::Required),
        ..FastPassUpdate::default()
    };
    world.run(Command::UpdateFastPass(update)).unwrap();

    assert_eq!(without(&mut world, 2), Err(Refusal::UserVerificationRequired));
    let with = by_authenticator(&mut world, alice, 2, None);
    assert!(world.run(Command::Enroll(with.into())).is_ok());
}

/// whatever certifies a key, what looks at a finger or a face is software. Control: a PIN.
#[test]
fn no_hardware_verifies_a_finger_or_a_face() {
    let hardware = |method| Verification::new(key(1), method, true).hardware;
    assert!(hardware(VerificationMethod::Pin), "control");
    assert!(!hardware(VerificationMethod::Fingerprint) && !hardware(VerificationMethod::Face));
}

/// E-23 (the directory's half): without FastPass an enrolment is its certificate alone.
#[test]
fn without_fastpass_no_signed_nonce_is_enrolled() {
    let mut world = founded();
    let alice = world.user("alice");
    let with = by_authenticator(&mut world, alice, 1, None);
    world.run(Command::Enroll(with.clone().into())).unwrap();
    let update = FastPassUpdate {
        enabled: Some(false),
        ..FastPassUpdate::default()
    };
    world.run(Command::UpdateFastPass(update)).unwrap();
    let without = by_authenticator(&mut world, alice, 2, None);
    world.run(Command::Enroll(without.clone().into())).unwrap();

    let methods = |enroll: &Enroll| world.snapshot.enrollment(enroll.enrollment).unwrap().methods.clone();
    assert_eq!(methods(&with), [Method::Certificate, Method::SignedNonce].into());
    assert_eq!(methods(&without), [Method::Certificate].into());
}

/// E-24, X-13 (the directory's half): a token that one instance got works with no other.
#[test]
fn a_bound_token_works_with_its_instance_alone() {
    let mut world = founded();
    let alice = world.user("alice");
    let mut thief = by_authenticator(&mut world, alice, 2, None);
    let secret = SecretHash::of("bound");
    world
        .run(Command::CreateEnrollmentToken(crate::NewEnrollmentToken {
            id: crate::EnrollmentTokenId::from_random(1),
            secret,
            user: alice,
            device: None,
            origin: crate::TokenOrigin::SignIn,
            factors: Default::default(),
            proofs: Vec::new(),
            session: None,
            bound_to: Some(key(1_000 + 1).thumbprint()),
            ends: world.now.plus(Duration::from_secs(60)),
        }))
        .unwrap();
    thief.secret = secret;

    assert_eq!(
        world.run(Command::Enroll(thief.into())),
        Err(Refusal::TokenForOtherInstance)
    );
    let mut bare = world.enrolment(secret);
    bare.secret = secret;
    assert_eq!(
        world.run(Command::Enroll(bare.into())),
        Err(Refusal::TokenForOtherInstance)
    );
    let mut owner = by_authenticator(&mut world, alice, 1, None);
    owner.secret = secret;
    assert!(world.run(Command::Enroll(owner.into())).is_ok());
}

/// X-05 (the directory's half): a renewal is for the same key of a live certificate, and only so many stay alive.
#[test]
fn a_certificate_is_renewed_for_its_own_key_and_the_oldest_make_room() {
    let mut world = founded();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let renew = |world: &mut World, shown, key| RenewCertificate {
        shown,
        certificate: NewCertificate {
            not_before: world.now,
            ..world.enrolment(SecretHash::of("unused")).certificate
        },
        key,
        most_alive: 2,
        enrolled_since: world.now,
    };

    let other_key = renew(&mut world, laptop.certificate, key(99).thumbprint());
    assert_eq!(world.run(Command::RenewCertificate(other_key)), Err(Refusal::OtherKey));
    let second = renew(&mut world, laptop.certificate, laptop.key);
    world.run(Command::RenewCertificate(second.clone())).unwrap();
    world.now = world.now.plus(Duration::from_secs(1));
    let late = renew(&mut world, laptop.certificate, laptop.key);
    assert_eq!(
        world.run(Command::RenewCertificate(late.clone())),
        Err(Refusal::EnrollmentTooOld)
    );
    let third = RenewCertificate {
        enrolled_since: world.enrollment_of(&laptop).created,
        ..late
    };
    world.run(Command::RenewCertificate(third)).unwrap();

    assert!(matches!(
        world.certificate_of(&laptop).state,
        CertificateState::Revoked { .. }
    ));
    let live = world
        .snapshot
        .certificates_of_device(laptop.device)
        .filter(|certificate| certificate.state == CertificateState::Live);
    assert_eq!(live.count(), 2);
    let again = RenewCertificate {
        shown: laptop.certificate,
        ..second
    };
    assert_eq!(
        world.run(Command::RenewCertificate(again)),
        Err(Refusal::CertificateNotLive)
    );
}

/// D-12: on a device that is shut out an account cannot be given up; afterwards it can, once.
#[test]
fn an_account_ends_once_and_only_on_an_active_device() {
    let mut world = founded();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    world.run(Command::SuspendDevice(laptop.device)).unwrap();
    let before = world.enrollment_of(&laptop).clone();

    assert_eq!(
        world.run(Command::EndEnrollment(laptop.enrollment)),
        Err(Refusal::DeviceNotActive)
    );
    assert_eq!(world.enrollment_of(&laptop), before);

    world.run(Command::UnsuspendDevice(laptop.device)).unwrap();
    let start = world.log.len();
    world.run(Command::EndEnrollment(laptop.enrollment)).unwrap();
    assert_eq!(
        world.event_types_since(start),
        [
            "device.user.remove",
            "user.mfa.factor.deactivate",
            "pki.cert.lifecycle.revoke"
        ]
    );
    assert_eq!(world.device_of(&laptop).state, DeviceState::Active);
    assert_eq!(
        world.run(Command::EndEnrollment(laptop.enrollment)),
        Err(Refusal::EnrollmentNotActive)
    );
}

/// A code is burnt: neither it nor an earlier one works again.
#[test]
fn a_totp_step_is_used_once_and_never_backwards() {
    let mut world = founded();
    let alice = world.user("alice");
    let id = AuthenticatorId::from_random(1);
    let secret = Protected::new("JBSWY3DPEHPK3PXP".to_owned());
    world
        .run(Command::SetTotp {
            user: alice,
            id,
            secret,
        })
        .unwrap();
    let mut used = |step| {
        world
            .run(Command::UseTotp {
                authenticator: id,
                step,
            })
            .map(drop)
    };

    assert_eq!(used(10), Ok(()));
    assert_eq!(used(10), Err(Refusal::CodeUsed));
    assert_eq!(used(9), Err(Refusal::CodeUsed));
    assert_eq!(used(11), Ok(()));
}

/// A recovery code is burnt by its use, and a new set voids the old one. Control: each time one that is left.
#[test]
fn a_recovery_code_counts_once_and_in_its_set_alone() {
    let mut world = founded();
    let alice = world.user("alice");
    let id = AuthenticatorId::from_random(1);
    let set = |world: &mut World, codes: [&str; 2]| {
        let codes = codes.map(SecretHash::of).into();
        world.run(Command::SetRecoveryCodes { user: alice, id, codes }).unwrap();
    };
    let used = |world: &mut World, code: &str| {
        let code = SecretHash::of(code);
        let authenticator = id;
        world.run(Command::UseRecoveryCode { authenticator, code }).map(drop)
    };
    set(&mut world, ["one", "two"]);

    assert_eq!(used(&mut world, "one"), Ok(()));
    assert_eq!(used(&mut world, "one"), Err(Refusal::CodeUsed));
    assert_eq!(used(&mut world, "three"), Err(Refusal::CodeUsed));
    assert_eq!(world.snapshot.recovery_codes_left(alice), 1);
    set(&mut world, ["three", "four"]);
    assert_eq!(used(&mut world, "two"), Err(Refusal::CodeUsed));
    assert_eq!(used(&mut world, "three"), Ok(()));
}

/// D-05, D-21: codes of a device's own rest while it is suspended, and are gone once it is deactivated. Control: those of the
/// user's own app, and of another device.
#[test]
fn codes_of_a_device_go_with_it() {
    let mut world = founded();
    let alice = world.user("alice");
    let (one, other) = (world.device(alice), world.device(alice));
    let secret = || Protected::new("JBSWY3DPEHPK3PXP".to_owned());
    let id = AuthenticatorId::from_random;
    for (number, enrollment) in [(1, one.enrollment), (2, other.enrollment)] {
        let (id, secret) = (id(number), secret());
        world.run(Command::SetDeviceTotp { enrollment, id, secret }).unwrap();
    }
    let (user, own) = (alice, id(3));
    world
        .run(Command::SetTotp {
            user,
            id: own,
            secret: secret(),
        })
        .unwrap();
    let usable = |world: &World| -> Vec<AuthenticatorId> {
        let usable = world.snapshot.usable_totps_of(alice);
        usable.map(|known| known.id).collect()
    };
    let all = usable(&world);
    assert_eq!(all.len(), 3);

    world.run(Command::SuspendDevice(one.device)).unwrap();
    assert!(!usable(&world).contains(&id(1)));
    world.run(Command::UnsuspendDevice(one.device)).unwrap();
    assert_eq!(usable(&world), all, "control");
    world.run(Command::DeactivateDevice(one.device)).unwrap();
    world.run(Command::ActivateDevice(one.device)).unwrap();

    assert!(world.snapshot.authenticator(id(1)).is_none());
    assert_eq!(usable(&world).len(), 2, "the others");
}

#[test]
fn what_is_protected_shows_nowhere() {
    let mut world = founded();
    let alice = world.user("alice");
    let hash = Protected::new("$argon2id$secret".to_owned());
    let id = AuthenticatorId::from_random(1);

    let plan = world.run(Command::SetPassword { user: alice, id, hash }).unwrap();

    assert!(!format!("{plan:?}").contains("secret"));
    assert_eq!(world.snapshot.password_of(alice).unwrap().id, id);
    assert!(world.snapshot.totp_of(alice).is_none());
}

fn founded() -> World {
    let mut world = World::new();
    let organization = OrganizationId::from_random(world.fresh());
    world.run(Command::FoundOrganization(organization)).unwrap();
    world
}

/// What an authenticator with this instance key sends for a new account; machine by machine number.
fn by_authenticator(world: &mut World, user: crate::UserId, instance: u64, machine: Option<u64>) -> Enroll {
    let secret = world.token(user, None);
    let enroll = world.enrolment(secret);
    let fresh = u64::try_from(world.fresh()).unwrap();
    let known = world.snapshot.instance_by_key(key(1_000 + instance).thumbprint());
    let possession = key(10_000 + fresh);
    let authenticator = AuthenticatorEnroll {
        instance: known.map_or(InstanceId::from_random(u128::from(fresh)), |known| known.id),
        instance_key: key(1_000 + instance),
        public_key: possession,
        verification: Some(verification_by(key(20_000 + fresh))),
        hardware: machine.map(|machine| Hardware {
            id: hardware(machine),
            chain: vec!["MA==".to_owned()],
            at: world.now,
        }),
        hardware_key: machine.is_some(),
        attested: machine.is_some(),
        management: ManagementAnswer::NotAsked,
    };
    Enroll {
        key: possession.thumbprint(),
        authenticator: Some(authenticator),
        ..enroll
    }
}

fn verification_by(key: PublicKey) -> Verification {
    Verification {
        key,
        method: VerificationMethod::Pin,
        hardware: false,
    }
}

fn key(number: u64) -> PublicKey {
    let mut x = [0; 32];
    x[..8].copy_from_slice(&number.to_be_bytes());
    PublicKey { x, y: [1; 32] }
}

fn hardware(number: u64) -> HardwareId {
    HardwareId::of(&number.to_be_bytes())
}

#[test]
fn a_new_device_has_the_id_it_is_given() {
    let mut world = founded();
    let alice = world.user("alice");
    let enroll = by_authenticator(&mut world, alice, 1, None);
    let device: DeviceId = enroll.device.id;
    world.run(Command::Enroll(enroll.into())).unwrap();
    assert!(world.snapshot.device(device).is_some());
}
