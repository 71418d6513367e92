//! What does a device say of itself when it is asked? A challenge, and its one answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use device_checks::wire::{AnswerTaken, Answered, AskChallenge, Challenged, Nonce, Signal, SignalReport};
use device_checks::{
    DeviceSignals, ExpectedAnswer, KeyType, Outcome, Refuted, VerifiedAnswer, answering_enrollment, management,
    verify_answer,
};
use directory::{
    Actor, AttemptId, Command, Enrollment, Factor, Failure, ManagementAnswer, Posture, Reported, SignalAnswer,
    Snapshot, Timestamp,
};
use tracing::info;

use super::accounts::check;
use super::asked::{Answer, Confirmation, Purpose, Signed, Wanted, make};
use super::step::Asked;
use crate::api_error::ApiError;
use crate::logs::Chain;
use crate::nonces::LIFETIME;
use crate::request::Arrived;
use crate::setup::Setup;
use crate::sign_in::actor_of;
use crate::store::SubmitError;
use crate::world::World;

/// Hands out a nonce for one assertion.
pub(super) async fn nonce(State(world): State<Arc<World>>) -> Json<Nonce> {
    Json(Nonce {
        nonce: world.nonces.issue(world.clock.now()),
        expires_in: LIFETIME.as_secs(),
    })
}

/// Asks a device to say what it is like now. Whoever knows an enrolment may have a challenge: only its key can answer it.
pub(super) async fn challenge(
    State(world): State<Arc<World>>,
    axum::Extension(arrived): Asked,
    body: Bytes,
) -> Result<Json<Challenged>, ApiError> {
    let AskChallenge { enrollment } = super::read(&body)?;
    if world.directory.snapshot().enrollment(enrollment).is_none() {
        return Err(ApiError::ProofRefused("there is no such enrolment".to_owned()));
    }
    let (_, challenge) = make(&world, Purpose::Report(enrollment), arrived.peer)?;
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
    let pending = world.challenges.pending(attempt, now);
    let pending = pending.ok_or_else(|| refused(&"there is no such challenge"))?;
    let directory = world.directory.snapshot();
    let enrollment = directory
        .enrollment(claimed)
        .ok_or_else(|| refused(&"the enrolment is unknown"))?;
    if !pending.purpose.is_for(&enrollment) {
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
        enrollment: &enrollment,
        now,
    };
    let verified = match verify_answer(&answer, &enrollment, &expected) {
        Ok(verified) => verified,
        Err(Refuted::Origin { seen }) => return Err(taking.decline(seen).await),
        Err(error) => return Err(refused(&error)),
    };
    if verified.nonce() != &*pending.nonce {
        return Err(refused(&"the nonce is another challenge's"));
    }
    if let Err(refusal) = check(&directory, &enrollment) {
        taking.fail("the device or the account is not active").await;
        // The page may say so: whoever sees it has the device.
        if let Some(Purpose::SignIn(wanted)) = world.challenges.begin_answer(attempt).map(|pending| pending.purpose) {
            world.challenges.keep(attempt, wanted, Answer::ShutOut);
        }
        return Err(ApiError::Refused(refusal));
    }
    let pending = world.challenges.begin_answer(attempt);
    let pending = pending.ok_or_else(|| refused(&"it was answered before"))?;
    let management = claim(
        &setup,
        &directory,
        &enrollment,
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
            if !directory.fastpass().enabled {
                taking.fail("devices sign nobody in").await;
                return Err(ApiError::Refused(directory::Refusal::EnrollmentNotActive));
            }
            taking.keep_if_new(&verified, management).await?;
            let answer = taking.weigh(&verified, &wanted).await;
            world.challenges.keep(attempt, wanted, answer);
        }
    }
    let directory = world.directory.snapshot();
    let device = directory.device(enrollment.device).ok_or(ApiError::DeviceDeleted)?;
    let known = setup.trust.on_record(&directory, &device, None, now);
    Ok(Json(AnswerTaken {
        managed: DeviceSignals::of(&known, now).managed,
    }))
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
        let known = device.as_ref().and_then(|device| device.reported.as_ref());
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
            Some(user) => actor_of(&user, self.arrived.peer),
            None => crate::sign_in::nobody(self.arrived.peer),
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
        .and_then(|device| device.hardware.as_ref().map(|hardware| hardware.id));
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

/// For how long a device need not be written down to have said the same again.
const SAID_LATELY: Duration = Duration::from_mins(10);

/// How many management certificates of one answer are looked at.
const MOST_CERTIFICATES: usize = 4;
