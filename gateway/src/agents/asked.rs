//! What was a device asked, and what did it answer? A challenge waits for its answer, an answer for the page that asked.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use device_checks::wire::{ANSWERS_PATH, Signal};
use device_checks::{AUTHENTICATOR, CHALLENGE_TYPE, Challenge, Demand, KeyType, SIGNED_NONCE, SignInAsked};
use directory::{AttemptId, DeviceId, Enrollment, EnrollmentId, SecretHash, Timestamp, UserId};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use super::organization::organization;
use crate::api_error::{ApiError, fault};
use crate::factors::throttle::Source;
use crate::waiting::Waiting;
use crate::world::World;

/// The challenges that wait for their answer, and the answers that wait to be used.
pub(crate) struct Challenges {
    waiting: Waiting<Source, AttemptId, Pending>,
    answered: Cache<AttemptId, (Wanted, Answer)>,
}

/// A challenge that waits for its answer.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) purpose: Purpose,
    pub(super) nonce: Arc<str>,
    pub(super) ends: Timestamp,
}

/// What a challenge is for.
#[derive(Debug, Clone)]
pub(super) enum Purpose {
    /// The device itself asked, to report what it is like.
    Report(EnrollmentId),
    /// A page asked, to sign its user in.
    SignIn(Wanted),
}

/// What a page wants of a device.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The hash of the cookie of the browser that gets the answer.
    pub(crate) bound_to: SecretHash,
    /// Whose device it has to be, where that is known.
    pub(crate) user: Option<UserId>,
    /// What the person has to do.
    pub(crate) demand: Confirmation,
    /// What they are shown.
    pub(crate) shown: SignInAsked,
    /// The origin of the application whose page renews its session by it: that page hands it on, and no other.
    pub(crate) renews: Option<String>,
}

/// What somebody has to do before a device signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Confirmation {
    /// Nothing.
    Silent,
    /// Approve.
    Approved,
    /// Approve with PIN or biometric.
    Verified,
}

/// What a device answered to a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It signed.
    Approved(Signed),
    /// Its user said no.
    Denied,
    /// Nobody answered, or nobody could be verified.
    Unavailable,
    /// It signed, but it was shut out, or the account on it was.
    ShutOut,
}

/// Proof that a device signed for a page, in time, by a key that counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signed {
    /// The user.
    pub(crate) user: UserId,
    /// The enrolment whose key it is.
    pub(crate) enrollment: EnrollmentId,
    /// Its generation.
    pub(crate) generation: u32,
    /// The device.
    pub(crate) device: DeviceId,
    /// Which key signed.
    pub(crate) key_type: KeyType,
    /// What the user had done.
    pub(crate) confirmed: Confirmation,
    /// When.
    pub(crate) at: Timestamp,
}

/// The page that an answer is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForPage<'a> {
    /// The hash of its browser's cookie.
    pub(crate) bound_to: SecretHash,
    /// The application that was named to the person.
    pub(crate) application: &'a str,
    /// Whether it renews a session.
    pub(crate) renews: bool,
}

impl Challenges {
    /// None waits yet.
    pub(crate) fn new() -> Self {
        let answered = Cache::builder()
            .max_capacity(MOST as u64)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(USED_WITHIN);
        Self {
            waiting: Waiting::new(MOST, MOST_OF_ONE_SOURCE, GOOD_FOR * 2),
            answered: answered.build(),
        }
    }

    /// A challenge that can be answered now.
    pub(super) fn pending(&self, attempt: AttemptId, now: Timestamp) -> Option<Pending> {
        self.waiting.get(&attempt).filter(|pending| now < pending.ends)
    }

    /// Takes a challenge out: of two who bring the same answer one does.
    pub(super) fn begin_answer(&self, attempt: AttemptId) -> Option<Pending> {
        self.waiting.take(&attempt)
    }

    /// Keeps the answer for the page that asked.
    pub(super) fn keep(&self, attempt: AttemptId, wanted: Wanted, answer: Answer) {
        self.answered.insert(attempt, (wanted, answer));
    }

    /// Takes the answer to a challenge of this page, once. An answer for another page stays for that one.
    pub(crate) fn take(&self, attempt: AttemptId, page: ForPage<'_>) -> Option<Answer> {
        let (wanted, _) = self.answered.get(&attempt)?;
        let own = wanted.bound_to == page.bound_to
            && wanted.shown.application == page.application
            && wanted.renews.is_some() == page.renews;
        own.then(|| self.answered.remove(&attempt))?.map(|(_, answer)| answer)
    }
}

/// Makes a challenge for a page to hand on.
///
/// # Errors
/// If devices sign nobody in, or it cannot be signed.
pub(crate) fn challenge_for(
    world: &World,
    wanted: Wanted,
    source: std::net::IpAddr,
) -> Result<(AttemptId, String), ApiError> {
    if !world.directory.snapshot().fastpass().enabled {
        return Err(ApiError::Refused(directory::Refusal::EnrollmentNotActive));
    }
    make(world, Purpose::SignIn(wanted), source)
}

/// Makes a challenge.
///
/// # Errors
/// If it cannot be signed.
pub(super) fn make(world: &World, purpose: Purpose, source: std::net::IpAddr) -> Result<(AttemptId, String), ApiError> {
    let (now, setup) = (world.clock.now(), world.setup.load());
    let attempt = AttemptId::from_random(rand::random());
    let nonce = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let ends = now.plus(GOOD_FOR);
    let (demand, sign_in, renews) = match &purpose {
        Purpose::Report(_) => (Confirmation::Silent, None, None),
        Purpose::SignIn(wanted) => (wanted.demand, Some(wanted.shown.clone()), wanted.renews.clone()),
    };
    let (user_mediation, user_verification) = match demand {
        Confirmation::Silent => (Demand::None, Demand::Discouraged),
        Confirmation::Approved => (Demand::Required, Demand::Discouraged),
        Confirmation::Verified => (Demand::Required, Demand::Required),
    };
    let challenge = Challenge {
        iss: setup.auth_origin.clone(),
        aud: AUTHENTICATOR.to_owned(),
        iat: now.secs(),
        exp: ends.secs(),
        jti: attempt,
        nonce: nonce.clone(),
        org_id: organization(&world.directory.snapshot())?,
        transaction_id: attempt,
        verification_uri: format!("{}{ANSWERS_PATH}", setup.auth_origin),
        origin: setup.auth_origin.clone(),
        signals: Signal::ALL.to_vec(),
        management_issuers: setup.trust.issuer_hashes(),
        key_types: vec![KeyType::ProofOfPossession, KeyType::UserVerification],
        method: SIGNED_NONCE.to_owned(),
        user_mediation,
        user_verification,
        sign_in,
        renews,
        number: false,
    };
    let pending = Pending {
        purpose,
        nonce: nonce.into(),
        ends,
    };
    world.challenges.waiting.keep(Source::from(source), attempt, pending);
    let signed = world.signer.sign(CHALLENGE_TYPE, &challenge);
    let challenge = signed.map_err(|error| fault(&error, "a challenge could not be signed"))?;
    Ok((attempt, challenge))
}

impl Purpose {
    /// Whether a key of this enrolment may answer.
    pub(super) fn is_for(&self, enrollment: &Enrollment) -> bool {
        match self {
            Self::Report(id) => *id == enrollment.id,
            Self::SignIn(wanted) => wanted.user.is_none_or(|user| user == enrollment.user),
        }
    }
}

/// How long a challenge can be answered.
const GOOD_FOR: Duration = Duration::from_secs(120);

/// Within which time a page uses the answer.
const USED_WITHIN: Duration = Duration::from_secs(60);

/// How many may wait.
const MOST: usize = 100_000;

/// How many of one source may wait for an answer at once; silent ones have it within milliseconds.
const MOST_OF_ONE_SOURCE: usize = 10_000;
