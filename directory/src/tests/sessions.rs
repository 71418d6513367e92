//! What do commands make of sessions, and how long does what they rest on hold?

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::world::{Enrolled, World, admin};
use crate::{
    Basis, Client, Command, DeviceProof, Factor, FactorProof, KnownSessions, NewEnrollmentToken, NewSession,
    Properties, Raise, Refusal, Renewal, Risk, SecretHash, Session, SessionCommand, SessionId, TokenOrigin,
    TransactionId, UserId,
};

/// Facts of one device are never joined to what another has signed. Control: the device that signed renews.
#[test]
fn a_renewal_is_by_the_device_that_signed_in() {
    let (mut world, sessions) = (World::new(), Sessions::default());
    let alice = world.user("alice");
    let (own, other) = (world.device(alice), world.device(alice));
    let by_own = vec![signed(&world, &own)];
    let session = sessions.begin(&mut world, alice, by_own);

    let renew = |world: &mut World, by: &Enrolled, cookie| {
        let renewal = Renewal {
            session,
            base: sessions.newest(session),
            device: proof(world, by),
            shown: sessions.cookie(session),
            cookie: SecretHash::of(cookie),
        };
        sessions.run(world, SessionCommand::Renew(Box::new(renewal)))
    };
    assert_eq!(renew(&mut world, &other, "two"), Err(Refusal::DeviceChanged));
    assert_eq!(renew(&mut world, &own, "three"), Ok(()));
}

/// Proving more in a session makes nothing usual that was not when it began.
#[test]
fn risk_of_places_stays_with_a_session_that_is_raised() {
    let (mut world, sessions) = (World::new(), Sessions::default());
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let by_laptop = vec![signed(&world, &laptop)];
    let session = sessions.begin(&mut world, alice, by_laptop);

    let raise = Raise {
        session,
        base: 1,
        proofs: vec![signed(&world, &laptop)],
        device: None,
        risk: Risk {
            recent_failures: 10,
            ..Risk::default()
        },
        installed: None,
        shown: sessions.cookie(session),
        cookie: SecretHash::of("raised"),
    };
    sessions
        .run(&mut world, SessionCommand::Raise(Box::new(raise)))
        .unwrap();

    let raised = sessions.session(session).unwrap();
    let risk = raised
        .generations
        .iter()
        .max_by_key(|generation| generation.number)
        .unwrap()
        .risk;
    assert_eq!((risk.new_browser, risk.new_network, risk.recent_failures), (25, 15, 10));
}

/// Who guessed a password is known in no place by that, not for a day. Control: who signed with a key is at once.
#[test]
fn a_place_is_known_at_once_by_a_key_and_a_day_later_by_knowledge() {
    let (mut world, sessions) = (World::new(), Sessions::default());
    let alice = world.user("alice");
    let laptop = world.device(alice);
    let by_laptop = vec![signed(&world, &laptop)];
    let by_key = sessions.begin(&mut world, alice, by_laptop);
    let known_from = sessions.session(by_key).unwrap().place_known_from();
    assert_eq!(known_from, world.now);

    let by_password = Session {
        generations: vec![crate::Generation {
            number: 1,
            proofs: vec![FactorProof {
                factor: Factor::Password,
                properties: Properties::default(),
                ..signed(&world, &laptop)
            }],
            device: None,
            risk: Risk::default(),
            installed: None,
        }],
        ..Session::clone(&sessions.session(by_key).unwrap())
    };
    assert_eq!(
        by_password.place_known_from(),
        world.now.plus(Duration::from_secs(86_400))
    );
}

/// D-08: an enrolment token that a device's signature paid for goes with the device. Control: before that it is good.
#[test]
fn an_enrolment_token_goes_with_what_was_proved_for_it() {
    for shut_out in [false, true] {
        let mut world = World::new();
        let alice = world.user("alice");
        let laptop = world.device(alice);
        let random = world.fresh();
        let secret = SecretHash::of(&random.to_string());
        let new = NewEnrollmentToken {
            id: crate::EnrollmentTokenId::from_random(random),
            secret,
            user: alice,
            device: None,
            origin: TokenOrigin::SignIn,
            factors: [Factor::Fastpass].into(),
            proofs: vec![signed(&world, &laptop)],
            session: None,
            bound_to: None,
            ends: world.now.plus(Duration::from_secs(600)),
        };
        world.run(Command::CreateEnrollmentToken(new)).unwrap();
        if shut_out {
            world.run(Command::DeactivateDevice(laptop.device)).unwrap();
        }

        let enroll = world.enrolment(secret);
        let enrolled = world.run(Command::Enroll(enroll.into()));

        match shut_out {
            false => assert!(enrolled.is_ok()),
            true => assert_eq!(enrolled.map(drop), Err(Refusal::TokenGroundless)),
        }
    }
}

/// The sessions of a test.
#[derive(Default)]
struct Sessions(RefCell<BTreeMap<SessionId, Arc<Session>>>);

impl Sessions {
    fn run(&self, world: &mut World, command: SessionCommand) -> Result<(), Refusal> {
        let transaction = TransactionId::from_random(world.fresh());
        let planned = world
            .snapshot
            .plan_session(self, &command, &admin(), transaction, world.now);
        let planned = planned.map_err(|refused| refused.reason)?;
        let changed = planned
            .sessions
            .into_iter()
            .map(|session| (session.id, Arc::new(session)));
        self.0.borrow_mut().extend(changed);
        Ok(())
    }

    fn begin(&self, world: &mut World, user: UserId, proofs: Vec<FactorProof>) -> SessionId {
        let id = SessionId::from_random(world.fresh());
        let new = NewSession {
            id,
            user,
            client: Client {
                browser: SecretHash::of("browser"),
                name: "a browser".to_owned(),
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            },
            proofs,
            device: None,
            risk: Risk {
                new_browser: 25,
                new_network: 15,
                recent_failures: 0,
            },
            installed: None,
            cookie: SecretHash::of("one"),
            host: "auth.localhost".to_owned(),
            replaces: None,
        };
        self.run(world, SessionCommand::Begin(Box::new(new))).unwrap();
        id
    }

    fn cookie(&self, id: SessionId) -> SecretHash {
        self.session(id).unwrap().cookies.first().unwrap().secret
    }

    fn newest(&self, id: SessionId) -> u32 {
        let session = self.session(id).unwrap();
        session
            .generations
            .iter()
            .map(|generation| generation.number)
            .max()
            .unwrap()
    }
}

impl KnownSessions for Sessions {
    fn session(&self, id: SessionId) -> Option<Arc<Session>> {
        self.0.borrow().get(&id).cloned()
    }

    fn sessions_of(&self, user: UserId) -> Vec<Arc<Session>> {
        let sessions = self.0.borrow();
        let of_user = sessions
            .values()
            .filter(|session| session.user == user && session.is_live());
        of_user.cloned().collect()
    }
}

fn proof(world: &World, by: &Enrolled) -> DeviceProof {
    let enrollment = world.snapshot.enrollment(by.enrollment).unwrap();
    DeviceProof {
        enrollment: enrollment.id,
        generation: enrollment.generation,
        at: world.now,
    }
}

fn signed(world: &World, by: &Enrolled) -> FactorProof {
    let enrollment = world.snapshot.enrollment(by.enrollment).unwrap();
    FactorProof {
        factor: Factor::Fastpass,
        at: world.now,
        basis: Basis::Enrollment {
            id: enrollment.id,
            generation: enrollment.generation,
            device: enrollment.device,
        },
        properties: Properties {
            phishing_resistant: true,
            ..Properties::default()
        },
    }
}
