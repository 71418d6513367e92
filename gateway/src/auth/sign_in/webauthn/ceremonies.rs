//! Which questions to security keys wait for their answer? Each once, for minutes, in the browser that asked.

use std::sync::Arc;
use std::time::Duration;

use directory::{AttemptId, SecretHash, UserId};
use webauthn_rs_core::proto::{AuthenticationState, RegistrationState};

use crate::factors::throttle::Source;
use crate::waiting::Waiting;

/// The questions that wait.
pub(crate) struct Ceremonies {
    sign_ins: Waiting<Source, AttemptId, Arc<Bound<SigningIn>>>,
    registrations: Waiting<UserId, AttemptId, Arc<Bound<Registering>>>,
}

/// A question of one browser.
struct Bound<T> {
    browser: SecretHash,
    question: T,
}

/// A key is asked to sign its user in.
#[derive(Clone)]
pub(super) struct SigningIn {
    /// What was asked.
    pub(super) state: AuthenticationState,
    /// Whose key it has to be, where that is known.
    pub(super) user: Option<UserId>,
}

/// A key is asked for a new credential.
#[derive(Clone)]
pub(super) struct Registering {
    /// What was asked.
    pub(super) state: RegistrationState,
    /// For whom.
    pub(super) user: UserId,
}

impl Ceremonies {
    /// None waits yet.
    pub(crate) fn new() -> Self {
        Self {
            sign_ins: Waiting::new(MOST, MOST_OF_ONE_SOURCE, GOOD_FOR),
            registrations: Waiting::new(MOST, MOST_OF_ONE_USER, GOOD_FOR),
        }
    }

    pub(super) fn keep_sign_in(&self, source: Source, browser: SecretHash, question: SigningIn) -> AttemptId {
        let id = AttemptId::from_random(rand::random());
        self.sign_ins.keep(source, id, Arc::new(Bound { browser, question }));
        id
    }

    /// Takes a question of this browser out, once. Another browser's stays for that one.
    pub(super) fn take_sign_in(&self, id: AttemptId, browser: SecretHash) -> Option<SigningIn> {
        self.sign_ins.get(&id).filter(|bound| bound.browser == browser)?;
        self.sign_ins.take(&id).map(|bound| bound.question.clone())
    }

    pub(super) fn keep_registration(&self, browser: SecretHash, question: Registering) -> AttemptId {
        let id = AttemptId::from_random(rand::random());
        let user = question.user;
        self.registrations.keep(user, id, Arc::new(Bound { browser, question }));
        id
    }

    /// Takes a question to this user in this browser out, once.
    pub(super) fn take_registration(&self, id: AttemptId, browser: SecretHash, user: UserId) -> Option<Registering> {
        let own = |bound: &Arc<Bound<Registering>>| bound.browser == browser && bound.question.user == user;
        self.registrations.get(&id).filter(own)?;
        self.registrations.take(&id).map(|bound| bound.question.clone())
    }
}

/// How long a question can be answered.
const GOOD_FOR: Duration = Duration::from_mins(5);

/// How many may wait.
const MOST: usize = 100_000;

/// How many of one source: each page that is open has one.
const MOST_OF_ONE_SOURCE: usize = 10_000;

const MOST_OF_ONE_USER: usize = 8;
