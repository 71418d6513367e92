//! What comes of a sign-in that races with the deactivation of its device? Whoever is first, nothing of it is alive afterwards.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use directory::{
    AuthenticatorId, Basis, Client, Command, DeviceProof, EnrollmentId, Factor, FactorProof, NewSession, Properties,
    Protected, Raise, Risk, SecretHash, SessionCommand, SessionId,
};

use crate::store::Directory;
use crate::store::commands::SubmitError;
use crate::store::samples::{Place, START, admin, create_token, create_user, der, device, enroll, user};

/// D-20: in a thousand interleavings no session that rests on the device's key is alive once the deactivation is answered.
/// Every other sign-in adds the key to a session by password instead; each goes on to an application by a code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_by_the_key_is_alive_after_the_answer() {
    let place = Place::new();
    let directory = Arc::new(place.open());
    let all: Vec<u128> = (1..=ROUNDS).collect();

    let mut first = 0;
    // As many at once as the writer takes without letting anybody wait for long.
    for some in all.chunks(AT_ONCE) {
        for one in some
            .iter()
            .map(|n| tokio::spawn(prepare(directory.clone(), *n)))
            .collect::<Vec<_>>()
        {
            one.await.unwrap();
        }
        for one in some
            .iter()
            .map(|n| tokio::spawn(race(directory.clone(), *n)))
            .collect::<Vec<_>>()
        {
            first += u32::from(one.await.unwrap());
        }
    }

    for n in all {
        assert!(!is_alive(&directory, n), "round {n}");
        let session = directory.sessions().find(SessionId::from_random(n));
        let by_password = session.is_some_and(|(session, _)| session.end(&directory.snapshot()).is_none());
        assert!(!by_password || n % 2 == 1, "round {n}: a session by the key alone");
    }
    // Both came first often enough for this to say something.
    assert!(
        (50..ROUNDS - 50).contains(&u128::from(first)),
        "{first} sign-ins were first"
    );
}

/// A user with an enrolled device, and in every other round with a session by password.
async fn prepare(directory: Arc<Directory>, n: u128) {
    let Command::CreateEnrollmentToken(mut token) = create_token(n) else {
        unreachable!("a token")
    };
    token.ends = START.plus(Duration::from_hours(1000));
    let Command::Enroll(enroll) = enroll(n) else {
        unreachable!("an enrolment")
    };
    let certificate = vec![(enroll.certificate.fingerprint, der(n))];
    let password = Command::SetPassword {
        user: user(n),
        id: AuthenticatorId::from_random(n),
        hash: Protected::new("$argon2id$hash".to_owned()),
    };
    for (command, der) in [
        (create_user(n), Vec::new()),
        (Command::CreateEnrollmentToken(token), Vec::new()),
        (Command::Enroll(enroll), certificate),
        (password, Vec::new()),
    ] {
        directory.submit(command, admin(), der).await.unwrap();
    }
    if n % 2 == 1 {
        let begin = begin(n, by_password(&directory, n), None);
        directory.submit_session(begin, admin()).await.unwrap();
    }
}

/// Lets both go at once; whether the sign-in was first.
async fn race(directory: Arc<Directory>, n: u128) -> bool {
    let sign_in = async {
        pause(n % 5).await;
        let signed = match n % 2 {
            1 => directory.submit_session(raise(&directory, n), admin()).await,
            _ => {
                let (proof, device) = by_key(n);
                directory.submit_session(begin(n, proof, Some(device)), admin()).await
            }
        };
        // The code leads to an application even where the device ended in between, unless that is seen.
        let admitted = directory.submit_session(admit(n), admin()).await;
        if let Err(error) = &admitted {
            assert!(matches!(error, SubmitError::Refused(_)), "{error}");
        }
        signed.is_ok()
    };
    let deactivate = async {
        pause(n % 7).await;
        let command = Command::DeactivateDevice(device(n));
        directory.submit(command, admin(), Vec::new()).await.unwrap();
        assert!(!is_alive(&directory, n), "round {n}, at the answer");
    };
    tokio::join!(sign_in, deactivate).0
}

async fn pause(turns: u128) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// Whether the user has a session that counts and rests on a key.
fn is_alive(directory: &Directory, n: u128) -> bool {
    let sessions = directory.sessions().of_user(user(n));
    let snapshot = directory.snapshot();
    sessions.iter().any(|(session, _)| {
        let mut proofs = session.generations.iter().flat_map(|generation| &generation.proofs);
        session.end(&snapshot).is_none() && proofs.any(|proof| proof.factor == Factor::Fastpass)
    })
}

fn by_key(n: u128) -> (FactorProof, DeviceProof) {
    let (id, generation) = (EnrollmentId::from_random(n), 0);
    let basis = Basis::Enrollment {
        id,
        generation,
        device: device(n),
    };
    let device = DeviceProof {
        enrollment: id,
        generation,
        at: START,
    };
    (proof(Factor::Fastpass, basis), device)
}

fn by_password(directory: &Directory, n: u128) -> FactorProof {
    let snapshot = directory.snapshot();
    let known = snapshot.password_of(user(n)).unwrap();
    let basis = Basis::Authenticator {
        id: known.id,
        set: known.updated,
    };
    proof(Factor::Password, basis)
}

fn proof(factor: Factor, basis: Basis) -> FactorProof {
    FactorProof {
        factor,
        at: START,
        basis,
        properties: Properties::default(),
    }
}

fn begin(n: u128, proof: FactorProof, device: Option<DeviceProof>) -> SessionCommand {
    SessionCommand::Begin(Box::new(NewSession {
        id: SessionId::from_random(n),
        user: user(n),
        client: Client {
            browser: SecretHash::of(&format!("browser {n}")),
            name: "Firefox on Linux".to_owned(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        },
        proofs: vec![proof],
        device,
        risk: Risk::default(),
        installed: None,
        cookie: SecretHash::of(&format!("cookie {n}")),
        host: "auth.localhost".to_owned(),
        replaces: None,
    }))
}

fn raise(directory: &Directory, n: u128) -> SessionCommand {
    let (proof, device) = by_key(n);
    let base = directory.sessions().find(SessionId::from_random(n));
    SessionCommand::Raise(Box::new(Raise {
        session: SessionId::from_random(n),
        base: base.map_or(0, |(session, _)| session.generations[0].number),
        proofs: vec![proof],
        device: Some(device),
        risk: Risk::default(),
        installed: Some(true),
        shown: SecretHash::of(&format!("cookie {n}")),
        cookie: SecretHash::of(&format!("raised {n}")),
    }))
}

fn admit(n: u128) -> SessionCommand {
    SessionCommand::Admit {
        session: SessionId::from_random(n),
        generation: match n % 2 {
            1 => 2,
            _ => 1,
        },
        cookie: SecretHash::of(&format!("application {n}")),
        host: "wiki.localhost".to_owned(),
        replaces: None,
    }
}

const ROUNDS: u128 = 1000;
const AT_ONCE: usize = 50;
