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
    AUTHENTICATOR, CHALLENGE_TYPE, Challenge, Demand, DeviceSignals, ExpectedAnswer, KeyType, Outcome, VerifiedAnswer,
    answering_enrollment, management, verify_answer,
};
use directory::{
    AttemptId, Command, Enrollment, EnrollmentId, ManagementAnswer, Posture, Reported, SignalAnswer, Snapshot,
    Timestamp,
};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tracing::info;

use super::accounts::check;
use super::organization::organization;
use super::step::Asked;
use crate::api_error::{ApiError, fault};
use crate::logs::Chain;
use crate::nonces::LIFETIME;
use crate::setup::Setup;
use crate::sign_in::actor_of;
use crate::world::World;

/// The challenges that wait for their answer.
pub(crate) struct Challenges(Cache<AttemptId, Pending>);

/// A challenge that waits for its answer.
#[derive(Debug, Clone)]
struct Pending {
    enrollment: EnrollmentId,
    nonce: Arc<str>,
    ends: Timestamp,
}

impl Challenges {
    /// None waits yet.
    pub(crate) fn new() -> Self {
        // One that is dropped for want of room is asked for anew; none is taken twice.
        let cache = Cache::builder()
            .max_capacity(MOST)
            .eviction_policy(EvictionPolicy::lru());
        Self(cache.time_to_live(GOOD_FOR * 2).build())
    }
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
    let (now, setup) = (world.clock.now(), world.setup.load());
    let directory = world.directory.snapshot();
    if directory.enrollment(enrollment).is_none() {
        return Err(ApiError::ProofRefused("there is no such enrolment".to_owned()));
    }
    let attempt = AttemptId::from_random(rand::random());
    let nonce = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let ends = now.plus(GOOD_FOR);
    let challenge = Challenge {
        iss: setup.auth_origin.clone(),
        aud: AUTHENTICATOR.to_owned(),
        iat: now.secs(),
        exp: ends.secs(),
        jti: attempt,
        nonce: nonce.clone(),
        org_id: organization(&directory)?,
        transaction_id: attempt,
        verification_uri: format!("{}{ANSWERS_PATH}", setup.auth_origin),
        origin: setup.auth_origin.clone(),
        signals: Signal::ALL.to_vec(),
        management_issuers: setup.trust.issuer_hashes(),
        key_types: vec![KeyType::ProofOfPossession, KeyType::UserVerification],
        method: "signed_nonce".to_owned(),
        user_mediation: Demand::None,
        user_verification: Demand::Discouraged,
        sign_in: None,
    };
    let signed = world.signer.sign(CHALLENGE_TYPE, &challenge);
    let challenge = signed.map_err(|error| fault(&error, "a challenge could not be signed"))?;
    world.challenges.0.insert(
        attempt,
        Pending {
            enrollment,
            nonce: nonce.into(),
            ends,
        },
    );
    Ok(Json(Challenged { challenge }))
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
    let pending = world.challenges.0.get(&attempt).filter(|pending| now < pending.ends);
    let pending = pending.filter(|pending| pending.enrollment == claimed);
    let pending = pending.ok_or_else(|| refused(&"there is no such challenge"))?;
    let directory = world.directory.snapshot();
    let enrollment = directory
        .enrollment(claimed)
        .ok_or_else(|| refused(&"the enrolment is unknown"))?;
    let setup = world.setup.load_full();
    let expected = ExpectedAnswer {
        audience: &setup.auth_origin,
        attempt,
        origin: &setup.auth_origin,
        signals: &Signal::ALL,
        now,
    };
    let verified = verify_answer(&answer, enrollment, &expected).map_err(|error| refused(&error))?;
    if verified.nonce() != &*pending.nonce {
        return Err(refused(&"the nonce is another challenge's"));
    }
    check(&directory, enrollment).map_err(ApiError::Refused)?;
    // Of two who bring the same answer one takes the challenge out.
    world
        .challenges
        .0
        .remove(&attempt)
        .ok_or_else(|| refused(&"it was answered before"))?;
    if verified.outcome != Outcome::Approved {
        return Err(refused(&"the user did not approve"));
    }
    let user = directory
        .user(enrollment.user)
        .ok_or_else(|| refused(&"the user is unknown"))?;
    let command = Command::TakeAnswer(Box::new(SignalAnswer {
        enrollment: enrollment.id,
        reported: reported(&verified.signals, now),
        management: claim(
            &setup,
            &directory,
            enrollment,
            &verified,
            (attempt, &pending.nonce),
            now,
        ),
    }));
    let actor = actor_of(user, arrived.connection.peer);
    let accepted = world.directory.submit(command, actor, Vec::new()).await?;
    let device = accepted
        .snapshot
        .device(enrollment.device)
        .ok_or(ApiError::DeviceDeleted)?;
    let known = setup.trust.on_record(&accepted.snapshot, device, None, now);
    Ok(Json(AnswerTaken {
        managed: DeviceSignals::of(&known, now).managed,
    }))
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

/// How many may wait.
const MOST: u64 = 100_000;

/// How many management certificates of one answer are looked at.
const MOST_CERTIFICATES: usize = 4;
