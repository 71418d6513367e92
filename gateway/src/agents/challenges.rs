//! What does a device say of itself when it is asked? A challenge, and its one answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use device_checks::wire::{ANSWERS_PATH, AnswerTaken, Answered, AskChallenge, Challenged, Nonce, Signal, SignalReport};
use device_checks::{
    AUTHENTICATOR, CHALLENGE_TYPE, Challenge, Demand, DeviceSignals, ExpectedAnswer, KeyType, Outcome, Refuted,
    SignInAsked, VerifiedAnswer, answering_enrollment, management, verify_answer,
};
use directory::{
    Actor, AttemptId, Command, DeviceId, Enrollment, EnrollmentId, Factor, Failure, ManagementAnswer, Posture,
    Reported, SecretHash, SignalAnswer, Snapshot, Timestamp, UserId,
};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use tracing::info;

use super::accounts::check;
use super::organization::organization;
use super::step::Asked;
use crate::api_error::{ApiError, fault};
use crate::logs::Chain;
use crate::nonces::LIFETIME;
use crate::request::Arrived;
use crate::setup::Setup;
use crate::sign_in::actor_of;
use crate::store::SubmitError;
use crate::world::World;

/// The challenges that wait for their answer, and the answers that wait to be used.
pub(crate) struct Challenges {
    waiting: Cache<AttemptId, Pending>,
    answered: Cache<AttemptId, (SecretHash, Answer)>,
}

/// A challenge that waits for its answer.
#[derive(Debug, Clone)]
struct Pending {
    purpose: Purpose,
    nonce: Arc<str>,
    ends: Timestamp,
}

/// What a challenge is for.
#[derive(Debug, Clone)]
enum Purpose {
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

impl Challenges {
    /// None waits yet.
    pub(crate) fn new() -> Self {
        Self {
            waiting: bounded(GOOD_FOR * 2),
            answered: bounded(USED_WITHIN),
        }
    }

    /// Takes the answer to a challenge of this browser, once.
    pub(crate) fn take(&self, attempt: AttemptId, bound_to: SecretHash) -> Option<Answer> {
        let (bound, _) = self.answered.get(&attempt)?;
        // An answer for another browser stays for that one.
        let own = (bound == bound_to).then(|| self.answered.remove(&attempt))??;
        Some(own.1)
    }
}

/// One that is dropped for want of room is asked for anew; none is taken twice.
fn bounded<V: Clone + Send + Sync + 'static>(lifetime: Duration) -> Cache<AttemptId, V> {
    let cache = Cache::builder()
        .max_capacity(MOST)
        .eviction_policy(EvictionPolicy::lru());
    cache.time_to_live(lifetime).build()
}

/// Hands out a nonce for one assertion.
pub(super) async fn nonce(State(world): State<Arc<World>>) -> Json<Nonce> {
    Json(Nonce {
        nonce: world.nonces.issue(world.clock.now()),
        expires_in: LIFETIME.as_secs(),
    })
}

/// Asks a device to say what it is like now. Whoever knows an enrolment may have a challenge: only its key can answer it.
pub(super) async fn challenge(State(world): State<Arc<World>>, body: Bytes) -> Result<Json<Challenged>, ApiError> {
    let AskChallenge { enrollment } = super::read(&body)?;
    if world.directory.snapshot().enrollment(enrollment).is_none() {
        return Err(ApiError::ProofRefused("there is no such enrolment".to_owned()));
    }
    let (_, challenge) = make(&world, Purpose::Report(enrollment))?;
    Ok(Json(Challenged { challenge }))
}

/// Makes a challenge for a page to hand on.
///
/// # Errors
/// If it cannot be signed.
pub(crate) fn challenge_for(world: &World, wanted: Wanted) -> Result<(AttemptId, String), ApiError> {
    make(world, Purpose::SignIn(wanted))
}

fn make(world: &World, purpose: Purpose) -> Result<(AttemptId, String), ApiError> {
    let (now, setup) = (world.clock.now(), world.setup.load());
    let attempt = AttemptId::from_random(rand::random());
    let nonce = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let ends = now.plus(GOOD_FOR);
    let (demand, sign_in) = match &purpose {
        Purpose::Report(_) => (Confirmation::Silent, None),
        Purpose::SignIn(wanted) => (wanted.demand, Some(wanted.shown.clone())),
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
        method: "signed_nonce".to_owned(),
        user_mediation,
        user_verification,
        sign_in,
    };
    let signed = world.signer.sign(CHALLENGE_TYPE, &challenge);
    let challenge = signed.map_err(|error| fault(&error, "a challenge could not be signed"))?;
    let nonce = nonce.into();
    world
        .challenges
        .waiting
        .insert(attempt, Pending { purpose, nonce, ends });
    Ok((attempt, challenge))
}

/// Takes the answer to a challenge, once, and keeps what the device said.
pub(super) async fn answer(
    State(world): State<Arc<World>>,
    axum::Extension(arrived): Asked,
    body: Bytes,
) -> Result<Json<AnswerTaken>, ApiError> {
    let Answered { attempt, answer } = super::read(&body)?;
    let refused = |why: &dyn std::fmt::Display| {
        info!(request = %arrived.id, %why, "an answer to a challenge was refused");
        ApiError::ProofRefused("the answer is not a good one to this challenge".to_owned())
    };
    let now = world.clock.now();
    let claimed = answering_enrollment(&answer).map_err(|error| refused(&error))?;
    let pending = world
        .challenges
        .waiting
        .get(&attempt)
        .filter(|pending| now < pending.ends);
    let pending = pending.ok_or_else(|| refused(&"there is no such challenge"))?;
    let directory = world.directory.snapshot();
    let enrollment = directory
        .enrollment(claimed)
        .ok_or_else(|| refused(&"the enrolment is unknown"))?;
    if !pending.purpose.is_for(enrollment) {
        return Err(refused(&"the challenge was made for somebody else"));
    }
    let setup = world.setup.load_full();
    let expected = ExpectedAnswer {
        audience: &setup.auth_origin,
        attempt,
        origin: &setup.auth_origin,
        signals: &Signal::ALL,
        now,
    };
    let taking = Taking {
        world: &world,
        arrived: &arrived,
        directory: &directory,
        enrollment,
        now,
    };
    let verified = match verify_answer(&answer, enrollment, &expected) {
        Ok(verified) => verified,
        Err(Refuted::Origin { seen }) => return Err(taking.decline(seen).await),
        Err(error) => return Err(refused(&error)),
    };
    if verified.nonce() != &*pending.nonce {
        return Err(refused(&"the nonce is another challenge's"));
    }
    if let Err(refusal) = check(&directory, enrollment) {
        taking.fail("the device or the account is not active").await;
        return Err(ApiError::Refused(refusal));
    }
    // Of two who bring the same answer one takes the challenge out.
    let pending = world.challenges.waiting.remove(&attempt);
    let pending = pending.ok_or_else(|| refused(&"it was answered before"))?;
    let management = claim(
        &setup,
        &directory,
        enrollment,
        &verified,
        (attempt, &pending.nonce),
        now,
    );
    match pending.purpose {
        Purpose::Report(_) => {
            if verified.outcome != Outcome::Approved {
                return Err(refused(&"the user did not approve"));
            }
            taking.keep(&verified, management).await?;
        }
        Purpose::SignIn(wanted) => {
            taking.keep_if_new(&verified, management).await?;
            let answer = taking.weigh(&verified, &wanted).await;
            world.challenges.answered.insert(attempt, (wanted.bound_to, answer));
        }
    }
    let directory = world.directory.snapshot();
    let device = directory.device(enrollment.device).ok_or(ApiError::DeviceDeleted)?;
    let known = setup.trust.on_record(&directory, device, None, now);
    Ok(Json(AnswerTaken {
        managed: DeviceSignals::of(&known, now).managed,
    }))
}

impl Purpose {
    fn is_for(&self, enrollment: &Enrollment) -> bool {
        match self {
            Self::Report(id) => *id == enrollment.id,
            Self::SignIn(wanted) => wanted.user.is_none_or(|user| user == enrollment.user),
        }
    }
}

/// An answer that is being taken.
struct Taking<'a> {
    world: &'a World,
    arrived: &'a Arrived,
    directory: &'a Snapshot,
    enrollment: &'a Arc<Enrollment>,
    now: Timestamp,
}

impl Taking<'_> {
    /// A page of another origin handed the challenge on: nobody is signed in, and an administrator sees it.
    async fn decline(&self, seen: String) -> ApiError {
        self.record("FastPass declined phishing attempt", Some(short(&seen)))
            .await;
        metrics::counter!("latchkey_phishing_declined_total").increment(1);
        ApiError::PhishingDeclined
    }

    async fn fail(&self, reason: &'static str) {
        self.record(reason, None).await;
    }

    async fn record(&self, reason: &'static str, origin: Option<String>) {
        let failure = Command::RecordFailure(Failure {
            user: Some(self.enrollment.user),
            factor: Factor::Fastpass,
            reason,
            enrollment: Some(self.enrollment.id),
            origin,
        });
        if let Err(error @ SubmitError::Unavailable(_)) =
            self.world.directory.submit(failure, self.actor(), Vec::new()).await
        {
            tracing::error!(error = %Chain(&error), "a failed sign-in could not be written down");
        }
    }

    /// What the answer is worth to the page. Verification that was demanded is never met by the possession key.
    async fn weigh(&self, verified: &VerifiedAnswer, wanted: &Wanted) -> Answer {
        let verification = verified.key_type() == KeyType::UserVerification;
        match verified.outcome {
            Outcome::Approved if wanted.demand == Confirmation::Verified && !verification => {
                self.fail("the user was not verified").await;
                Answer::Unavailable
            }
            Outcome::Approved => Answer::Approved(Signed {
                user: self.enrollment.user,
                enrollment: self.enrollment.id,
                generation: self.enrollment.generation,
                device: self.enrollment.device,
                key_type: verified.key_type(),
                confirmed: match verification {
                    true => Confirmation::Verified,
                    false => wanted.demand,
                },
                at: self.now,
            }),
            Outcome::Denied => {
                self.fail("the user said no").await;
                Answer::Denied
            }
            Outcome::Cancelled | Outcome::VerificationUnavailable | Outcome::ForeignOrigin => {
                self.fail("nobody confirmed").await;
                Answer::Unavailable
            }
        }
    }

    /// Keeps what the device said.
    async fn keep(&self, verified: &VerifiedAnswer, management: ManagementAnswer) -> Result<(), ApiError> {
        let command = Command::TakeAnswer(Box::new(SignalAnswer {
            enrollment: self.enrollment.id,
            reported: reported(&verified.signals, self.now),
            management,
        }));
        self.world.directory.submit(command, self.actor(), Vec::new()).await?;
        Ok(())
    }

    /// The same, unless it is on record already: signing in changes the directory only where there is something new.
    async fn keep_if_new(&self, verified: &VerifiedAnswer, management: ManagementAnswer) -> Result<(), ApiError> {
        let said = reported(&verified.signals, self.now);
        let device = self.directory.device(self.enrollment.device);
        let known = device.and_then(|device| device.reported.as_ref());
        let is_same = known.is_some_and(|known| {
            known.posture == said.posture
                && known.kernel == said.kernel
                && known.serial == said.serial
                && known.tpm_version == said.tpm_version
                && known.at.plus(SAID_LATELY) > self.now
        });
        let proved = self.directory.proved_management(self.enrollment.device);
        let is_bound = match &management {
            ManagementAnswer::NotAsked => true,
            ManagementAnswer::Proved(shown) => proved.is_some_and(|known| known.fingerprint == shown.fingerprint),
            ManagementAnswer::Absent | ManagementAnswer::Refused { .. } => proved.is_none(),
        };
        match is_same && is_bound {
            true => Ok(()),
            false => self.keep(verified, management).await,
        }
    }

    fn actor(&self) -> Actor {
        match self.directory.user(self.enrollment.user) {
            Some(user) => actor_of(user, self.arrived.connection.peer),
            None => crate::sign_in::nobody(self.arrived.connection.peer),
        }
    }
}

/// What came of the management certificates that the device showed: the first that is good, else why the last is not.
fn claim(
    setup: &Setup,
    directory: &Snapshot,
    enrollment: &Enrollment,
    verified: &VerifiedAnswer,
    challenge: (AttemptId, &str),
    now: Timestamp,
) -> ManagementAnswer {
    if setup.trust.anchors().is_empty() {
        return ManagementAnswer::NotAsked;
    }
    let hardware = directory
        .device(enrollment.device)
        .and_then(|device| device.hardware.as_ref())
        .map(|hardware| hardware.id);
    let expected = management::Expected {
        audience: &setup.auth_origin,
        attempt: challenge.0,
        nonce: challenge.1,
        key: enrollment.key,
        now,
    };
    let claims = verified.management.iter().take(MOST_CERTIFICATES).map(|token| {
        match management::verify(token, setup.trust.anchors(), &expected) {
            Ok(shown) => setup.trust.claim(&shown, enrollment.device, hardware, directory, now),
            Err(bad) => ManagementAnswer::Refused {
                reason: Chain(&bad).to_string(),
            },
        }
    });
    let mut last = ManagementAnswer::Absent;
    for claim in claims {
        last = claim;
        if matches!(last, ManagementAnswer::Proved(_)) {
            break;
        }
    }
    last
}

/// What a device said, as the directory keeps it: its own word, and never more.
fn reported(said: &SignalReport, now: Timestamp) -> Reported {
    Reported {
        posture: Posture {
            os: said.os,
            disk_encrypted: said.disk_encrypted,
            screen_lock: said.screen_lock,
            firewall: said.firewall,
            secure_boot: said.secure_boot,
            antivirus: None,
            jailbroken: None,
            secure_hardware: said.tpm,
        },
        kernel: said.kernel.as_deref().map(short),
        serial: said.serial.as_deref().map(short),
        tpm_version: said.tpm_version.as_deref().map(short),
        at: now,
    }
}

/// A text of a device for people to read: bounded, without control characters.
fn short(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(100)
        .collect()
}

/// How long a challenge can be answered.
const GOOD_FOR: Duration = Duration::from_secs(120);

/// Within which time a page uses the answer.
const USED_WITHIN: Duration = Duration::from_secs(60);

/// For how long a device need not be written down to have said the same again.
const SAID_LATELY: Duration = Duration::from_mins(10);

/// How many may wait.
const MOST: u64 = 100_000;

/// How many management certificates of one answer are looked at.
const MOST_CERTIFICATES: usize = 4;
