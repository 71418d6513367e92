//! What do commands about security keys and passkeys change?

use std::collections::BTreeSet;

use super::world::World;
use crate::{
    AuthenticatorId, AuthenticatorKind, Basis, Command, CredentialId, NewWebauthn, Refusal, UserId, WebauthnKey,
    WebauthnUse,
};

#[test]
fn a_user_has_several_keys_and_no_two_are_the_same() {
    let mut world = World::new();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    assert!(world.run(add(1, alice, b"one")).is_ok());
    assert!(world.run(add(2, alice, b"two")).is_ok());

    assert_eq!(world.run(add(3, alice, b"one")), Err(Refusal::CredentialKnown));
    assert_eq!(world.run(add(4, bob, b"one")), Err(Refusal::CredentialKnown));
    assert_eq!(world.snapshot.webauthn_of(alice).count(), 2);

    world.run(Command::RemoveAuthenticator(id(1))).unwrap();
    assert!(world.run(add(5, bob, b"one")).is_ok(), "control: it is gone from alice");
    let found = world.snapshot.webauthn_by_credential(&credential(b"one")).unwrap();
    assert_eq!(found.user, bob);
}

#[test]
fn a_count_goes_up_or_was_never_there() {
    let mut world = World::new();
    let alice = world.user("alice");
    world.run(add(1, alice, b"one")).unwrap();
    for (counter, taken) in [
        (0, true),
        (0, true),
        (3, true),
        (3, false),
        (2, false),
        (0, false),
        (4, true),
    ] {
        let expected = match taken {
            true => Ok(()),
            false => Err(Refusal::CounterWentBack),
        };
        assert_eq!(world.run(used(counter)).map(drop), expected, "{counter}");
    }
}

/// Using or renaming a key takes nothing away from what rests on it; removing it does.
#[test]
fn a_session_rests_on_a_key_until_it_is_removed() {
    let mut world = World::new();
    let alice = world.user("alice");
    world.run(add(1, alice, b"one")).unwrap();
    let basis = Basis::Authenticator {
        id: id(1),
        set: world.snapshot.authenticator(id(1)).unwrap().updated,
    };
    world.now = world.now.plus(std::time::Duration::from_secs(60));

    world.run(used(1)).unwrap();
    let renamed = Command::RenameWebauthn {
        authenticator: id(1),
        name: "Blue".to_owned(),
    };
    world.run(renamed).unwrap();
    assert_eq!(basis.lost(&world.snapshot), None);
    let (_, key) = world.snapshot.webauthn_of(alice).next().unwrap();
    assert_eq!((key.name.as_str(), key.last_used), ("Blue", Some(world.now)));

    world.run(Command::RemoveAuthenticator(id(1))).unwrap();
    assert!(basis.lost(&world.snapshot).is_some());
}

/// What was stored before a field was there is read, and means less, never more.
#[test]
fn an_earlier_record_is_read() {
    let stored = r#"{"kind":"webauthn","name":"Key","credential":"b25l","public_key":"{}","counter":7,
                     "backup_eligible":false,"backed_up":false}"#;
    let AuthenticatorKind::Webauthn(key) = serde_json::from_str(stored).unwrap() else {
        panic!("another kind")
    };
    assert_eq!(key.credential, credential(b"one"));
    assert!(key.attested_by.is_none() && !key.discoverable && !key.verifies);
}

fn add(number: u128, user: UserId, octets: &[u8]) -> Command {
    let key = WebauthnKey {
        name: "Key".to_owned(),
        credential: credential(octets),
        public_key: "{}".to_owned(),
        counter: 0,
        backup_eligible: false,
        backed_up: false,
        model: None,
        attested_by: None,
        discoverable: true,
        verifies: true,
        transports: BTreeSet::new(),
        last_used: None,
    };
    Command::AddWebauthn(Box::new(NewWebauthn {
        id: id(number),
        user,
        key,
    }))
}

fn used(counter: u32) -> Command {
    Command::UseWebauthn(WebauthnUse {
        authenticator: id(1),
        counter,
        backed_up: false,
        verified: true,
    })
}

fn id(number: u128) -> AuthenticatorId {
    AuthenticatorId::from_random(number)
}

fn credential(octets: &[u8]) -> CredentialId {
    CredentialId::from_octets(octets.to_vec()).unwrap()
}
