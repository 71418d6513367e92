//! What may users give up, and what does a release let them do?

use std::time::Duration;

use super::world::World;
use crate::{AuthenticatorId, Command, OrganizationId, Protected, Refusal, UserId};

/// The last way in stays: a code is none, and what an administrator takes away is theirs to take.
#[test]
fn users_do_not_shut_themselves_out() {
    let mut world = founded();
    let alice = world.user("alice");
    let password = password(&mut world, alice);
    let code = totp(&mut world, alice);

    assert_eq!(
        world.run(Command::GiveUpAuthenticator(password)),
        Err(Refusal::LastFactor)
    );
    assert!(world.run(Command::GiveUpAuthenticator(code)).is_ok());
    assert_eq!(
        world.run(Command::GiveUpAuthenticator(password)),
        Err(Refusal::LastFactor)
    );
    assert!(world.snapshot.password_of(alice).is_some());

    assert!(world.run(Command::RemoveAuthenticator(password)).is_ok());
}

/// A certificate alone signs nobody in: it does not count as a way that is left.
#[test]
fn an_account_without_fastpass_is_no_way_in() {
    let mut world = founded();
    let alice = world.user("alice");
    let password = password(&mut world, alice);
    let secret = world.token(alice, None);
    let enroll = world.enrolment(secret);
    world.run(Command::Enroll(enroll.clone().into())).unwrap();

    assert_eq!(
        world.run(Command::GiveUpAuthenticator(password)),
        Err(Refusal::LastFactor)
    );
    assert!(world.run(Command::GiveUpEnrollment(enroll.enrollment)).is_ok());
}

#[test]
fn a_release_counts_once_and_until_it_ends() {
    let mut world = founded();
    let alice = world.user("alice");
    let ends = world.now.plus(Duration::from_hours(8));
    let release = Command::ReleaseUser { user: alice, ends };
    assert_eq!(world.run(Command::UseRelease(alice)), Err(Refusal::NotReleased));

    world.run(release.clone()).unwrap();
    assert!(world.snapshot.user(alice).unwrap().released(world.now).is_some());
    world.run(Command::UseRelease(alice)).unwrap();
    assert_eq!(world.run(Command::UseRelease(alice)), Err(Refusal::NotReleased));

    world.run(release.clone()).unwrap();
    world.now = ends;
    assert_eq!(world.run(Command::UseRelease(alice)), Err(Refusal::NotReleased));
    assert!(matches!(
        world.run(release),
        Err(Refusal::Invalid { field: "ends", .. })
    ));
}

#[test]
fn nobody_is_released_who_is_shut_out() {
    let mut world = founded();
    let alice = world.user("alice");
    world.run(Command::SuspendUser(alice)).unwrap();

    let ends = world.now.plus(Duration::from_hours(8));
    let released = world.run(Command::ReleaseUser { user: alice, ends });

    assert_eq!(released, Err(Refusal::UserNotActive));
}

fn founded() -> World {
    let mut world = World::new();
    let id = OrganizationId::from_random(world.fresh());
    world.run(Command::FoundOrganization(id)).unwrap();
    world
}

fn password(world: &mut World, user: UserId) -> AuthenticatorId {
    let id = AuthenticatorId::from_random(world.fresh());
    let hash = Protected::new("hash".to_owned());
    world.run(Command::SetPassword { user, id, hash }).unwrap();
    id
}

fn totp(world: &mut World, user: UserId) -> AuthenticatorId {
    let id = AuthenticatorId::from_random(world.fresh());
    let secret = Protected::new("secret".to_owned());
    world.run(Command::SetTotp { user, id, secret }).unwrap();
    id
}
