//! What do commands about users, groups and API tokens do?

use std::time::Duration;

use super::world::{World, new_user};
use crate::{
    ApiTokenId, CertificateState, Command, DeviceUpdate, EnrollmentState, GroupUpdate, NewApiToken, Ownership, Refusal,
    Scope, SecretHash, Touched, UserId, UserStatus, UserUpdate,
};

#[test]
fn a_login_is_unique_without_regard_to_case() {
    let mut world = World::new();
    let alice = world.user("alice");
    let bob = world.user("bob");
    let taken = Refusal::NotUnique {
        what: "user",
        field: "login",
    };

    assert_eq!(
        world.run(Command::CreateUser(new_user(UserId::from_random(99), "ALICE"))),
        Err(taken.clone())
    );
    let rename = |login: &str| UserUpdate {
        login: Some(login.to_owned()),
        ..UserUpdate::default()
    };
    assert_eq!(
        world.run(Command::UpdateUser {
            user: bob,
            update: rename("Alice")
        }),
        Err(taken)
    );
    assert!(
        world
            .run(Command::UpdateUser {
                user: alice,
                update: rename("Alice")
            })
            .is_ok()
    );
    assert_eq!(world.snapshot.user_by_login("aLICE").map(|user| user.id), Some(alice));
}

#[test]
fn an_update_changes_only_what_is_given() {
    let mut world = World::new();
    let alice = world.user("alice");
    let update = UserUpdate {
        user_type: Some("contractor".to_owned()),
        ..UserUpdate::default()
    };

    world.run(Command::UpdateUser { user: alice, update }).unwrap();

    let user = world.snapshot.user(alice).unwrap();
    assert_eq!(
        (user.login.as_str(), user.email.as_str()),
        ("alice", "someone@example.com")
    );
    assert_eq!(user.user_type, "contractor");
    assert_eq!(user.version, world.snapshot.revision());
}

#[test]
fn what_could_break_a_header_is_refused() {
    let mut world = World::new();
    let bad = [
        ("al ice", "a@b"),
        ("alice", "a@b\r\nX-Latchkey-Groups: admins"),
        ("alice", "a@b,c@d"),
    ];

    for (login, email) in bad {
        let new = crate::NewUser {
            email: email.to_owned(),
            ..new_user(UserId::from_random(5), login)
        };
        assert!(
            matches!(world.run(Command::CreateUser(new)), Err(Refusal::Invalid { .. })),
            "{login:?} {email:?}"
        );
    }

    let group = world.group("employees");
    let update = GroupUpdate {
        name: Some("employees,admins".to_owned()),
        ..GroupUpdate::default()
    };
    assert!(matches!(
        world.run(Command::UpdateGroup { group, update }),
        Err(Refusal::Invalid { .. })
    ));
}

/// A suspended user's enrolments stay as they are: the user's status alone shuts them out, and lets them back in.
#[test]
fn a_suspension_of_the_user_touches_no_device() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);

    let plan = world.run(Command::SuspendUser(alice)).unwrap();

    assert_eq!(
        world.snapshot.user(alice).unwrap().status,
        UserStatus::Suspended { at: world.now }
    );
    assert_eq!(world.enrollment_of(&laptop).state, EnrollmentState::Active);
    assert_eq!(
        Touched::of(&plan.changes),
        Touched {
            users: [alice].into(),
            ..Touched::default()
        }
    );
}

#[test]
fn a_user_is_deleted_only_after_deactivation_and_takes_their_enrolments_along() {
    let mut world = World::new();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    let of_alice = world.device(alice);
    let of_bob = world.add_account(of_alice.device, bob);

    assert!(matches!(
        world.run(Command::DeleteUser(alice)),
        Err(Refusal::IllegalTransition(_))
    ));
    world.run(Command::DeactivateUser(alice)).unwrap();
    world.run(Command::DeleteUser(alice)).unwrap();

    assert!(world.snapshot.user(alice).is_none());
    assert!(matches!(
        world.enrollment_of(&of_alice).state,
        EnrollmentState::Ended { .. }
    ));
    assert!(matches!(
        world.certificate_of(&of_alice).state,
        CertificateState::Revoked { .. }
    ));
    assert_eq!(world.enrollment_of(&of_bob).state, EnrollmentState::Active);
    assert_eq!(world.certificate_of(&of_bob).state, CertificateState::Live);
    assert_eq!(world.device_of(&of_bob).version, world.snapshot.revision());
}

#[test]
fn membership_reaches_through_groups_in_groups() {
    let mut world = World::new();
    let alice = world.user("alice");
    let (employees, finance, payroll) = (world.group("employees"), world.group("finance"), world.group("payroll"));

    world
        .run(Command::AddSubgroup {
            group: employees,
            subgroup: finance,
        })
        .unwrap();
    world
        .run(Command::AddSubgroup {
            group: finance,
            subgroup: payroll,
        })
        .unwrap();
    world
        .run(Command::AddMember {
            group: payroll,
            user: alice,
        })
        .unwrap();

    let user = world.snapshot.user(alice).unwrap();
    assert_eq!(
        world.snapshot.effective_groups(&user),
        [employees, finance, payroll].into()
    );
    assert_eq!(
        world
            .snapshot
            .members(payroll)
            .map(|member| member.id)
            .collect::<Vec<_>>(),
        [alice]
    );
    assert_eq!(world.snapshot.members(employees).count(), 0);
}

#[test]
fn a_group_is_never_in_itself() {
    let mut world = World::new();
    let (outer, middle, inner) = (world.group("outer"), world.group("middle"), world.group("inner"));
    world
        .run(Command::AddSubgroup {
            group: outer,
            subgroup: middle,
        })
        .unwrap();
    world
        .run(Command::AddSubgroup {
            group: middle,
            subgroup: inner,
        })
        .unwrap();

    assert_eq!(
        world.run(Command::AddSubgroup {
            group: inner,
            subgroup: outer
        }),
        Err(Refusal::Circle)
    );
    assert_eq!(
        world.run(Command::AddSubgroup {
            group: outer,
            subgroup: outer
        }),
        Err(Refusal::Circle)
    );
    assert!(
        world
            .run(Command::AddSubgroup {
                group: outer,
                subgroup: inner
            })
            .is_ok()
    );
}

#[test]
fn a_deleted_group_leaves_nobody_in_it() {
    let mut world = World::new();
    let alice = world.user("alice");
    let (employees, finance) = (world.group("employees"), world.group("finance"));
    world
        .run(Command::AddSubgroup {
            group: employees,
            subgroup: finance,
        })
        .unwrap();
    world
        .run(Command::AddMember {
            group: employees,
            user: alice,
        })
        .unwrap();

    let plan = world.run(Command::DeleteGroup(employees)).unwrap();

    assert!(world.snapshot.user(alice).unwrap().groups.is_empty());
    assert!(world.snapshot.group(finance).unwrap().parents.is_empty());
    assert!(world.snapshot.group_by_name("employees").is_none());
    assert_eq!(world.snapshot.groups_version(), world.snapshot.revision());
    assert_eq!(Touched::of(&plan.changes).users, [alice].into());
}

#[test]
fn the_groups_version_grows_with_groups_and_not_with_members() {
    let mut world = World::new();
    let alice = world.user("alice");
    let group = world.group("employees");
    let version = world.snapshot.groups_version();

    world.run(Command::AddMember { group, user: alice }).unwrap();
    assert_eq!(world.snapshot.groups_version(), version);
    assert_eq!(world.snapshot.user(alice).unwrap().version, world.snapshot.revision());

    let update = GroupUpdate {
        description: Some("all of us".to_owned()),
        ..GroupUpdate::default()
    };
    world.run(Command::UpdateGroup { group, update }).unwrap();
    assert_eq!(world.snapshot.groups_version(), world.snapshot.revision());
}

#[test]
fn a_device_gets_a_new_name_and_is_found_by_it() {
    let mut world = World::new();
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let old = world.device_of(&laptop).name.clone();
    let update = DeviceUpdate {
        name: Some("alice-laptop".to_owned()),
        ownership: Some(Ownership::Corporate),
        ..DeviceUpdate::default()
    };

    world
        .run(Command::UpdateDevice {
            device: laptop.device,
            update,
        })
        .unwrap();

    let named: Vec<_> = world
        .snapshot
        .devices_named("alice-laptop")
        .map(|device| device.id)
        .collect();
    assert_eq!(named, [laptop.device]);
    assert_eq!(world.snapshot.devices_named(&old).count(), 0);
    assert_eq!(world.device_of(&laptop).ownership, Ownership::Corporate);
}

#[test]
fn an_api_token_is_found_by_its_secret_and_revoked_once() {
    let mut world = World::new();
    let secret = SecretHash::of("secret");
    let new = NewApiToken {
        id: ApiTokenId::from_random(1),
        name: "ci".to_owned(),
        secret,
        scopes: [Scope::DevicesRead].into(),
        networks: Vec::new(),
        ends: world.now.plus(Duration::from_secs(60)),
        demo: false,
    };
    let scopeless = NewApiToken {
        scopes: Default::default(),
        ..new.clone()
    };

    assert!(matches!(
        world.run(Command::CreateApiToken(scopeless)),
        Err(Refusal::Invalid { field: "scopes", .. })
    ));
    world.run(Command::CreateApiToken(new.clone())).unwrap();
    assert!(matches!(
        world.run(Command::CreateApiToken(new.clone())),
        Err(Refusal::NotUnique { .. })
    ));
    assert_eq!(world.snapshot.api_token_by_secret(&secret).unwrap().revoked, None);

    let plan = world.run(Command::RevokeApiToken(new.id)).unwrap();
    assert_eq!(
        world.snapshot.api_token_by_secret(&secret).unwrap().revoked,
        Some(world.now)
    );
    assert_eq!(Touched::of(&plan.changes).api_tokens, [new.id].into());
    assert!(matches!(
        world.run(Command::RevokeApiToken(new.id)),
        Err(Refusal::IllegalTransition(_))
    ));
}
