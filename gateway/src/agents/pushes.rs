//! How does an agent hear that its user signs in elsewhere, and what becomes of what they say? A stream, and one answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use device_checks::wire::Answered;
use device_checks::{
    ExpectedPushAnswer, KeyType, PushOutcome, VerifiedPushAnswer, push_answering_enrollment, verify_push_answer,
};
use directory::{
    Command, Enrollment, EnrollmentId, EnrollmentState, Factor, Failure, Method, Refusal, Snapshot, Timestamp,
};
use futures_util::stream;
use http::{HeaderMap, StatusCode, header};
use tracing::info;

use super::accounts::{From, check, holder};
use super::asked::{Confirmation, Signed};
use super::step::Asked;
use crate::api_error::ApiError;
use crate::hosts::Endless;
use crate::logs::Chain;
use crate::pushes::{Connected, Push};
use crate::request::Arrived;
use crate::sign_in::{actor_of, nobody};
use crate::store::SubmitError;
use crate::world::World;

/// Opens the stream of an account, for as long as the account counts; an older one ends.
pub(super) async fn stream(
    State(world): State<Arc<World>>,
    axum::Extension(arrived): Asked,
    Path(id): Path<EnrollmentId>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (_, enrollment, _) = holder(&world, &arrived, id, from.device, &headers)?;
    let connected = world.pushes.lines.open(enrollment.user, id).ok_or(ApiError::Busy)?;
    // Looked at again: a change before it was opened is seen here, a later one by whoever follows the changes.
    may_be_asked(&world.directory.snapshot(), id).map_err(ApiError::Refused)?;
    let told = Told {
        world,
        connected,
        id,
        begun: false,
    };
    let body = Body::from_stream(stream::unfold(told, |mut told| async move {
        let said = told.next().await?;
        Some((Ok::<_, Infallible>(said), told))
    }));
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, axum::Extension(Endless), body).into_response())
}

/// What an agent is told.
struct Told {
    world: Arc<World>,
    connected: Connected,
    id: EnrollmentId,
    begun: bool,
}

impl Told {
    /// The next line: one that says something, or an empty one. It ends when the line does, or the account counts no longer.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some(EMPTY);
        }
        match tokio::time::timeout(BEAT, self.connected.next()).await {
            Ok(said) => said,
            Err(_) => may_be_asked(&self.world.directory.snapshot(), self.id)
                .is_ok()
                .then_some(EMPTY),
        }
    }
}

/// Ends the streams of accounts that count no longer.
pub(crate) fn end_streams(world: &World, of: impl IntoIterator<Item = (directory::UserId, EnrollmentId)>) {
    let directory = world.directory.snapshot();
    for (user, enrollment) in of {
        if may_be_asked(&directory, enrollment).is_err() {
            world.pushes.lines.close(user, enrollment);
        }
    }
}

/// Whether an account may be asked at all now.
///
/// # Errors
/// Says why not.
pub(crate) fn may_be_asked(directory: &Snapshot, id: EnrollmentId) -> Result<Arc<Enrollment>, Refusal> {
    let enrollment = directory.enrollment(id).ok_or(Refusal::EnrollmentNotActive)?;
    check(directory, &enrollment)?;
    let signs = enrollment.state == EnrollmentState::Active && enrollment.methods.contains(&Method::SignedNonce);
    match signs && directory.fastpass().enabled {
        true => Ok(enrollment),
        false => Err(Refusal::EnrollmentNotActive),
    }
}

/// Takes the answer to a push, once.
pub(super) async fn answer(
    State(world): State<Arc<World>>,
    axum::Extension(arrived): Asked,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let Answered { attempt, answer } = super::read(&body)?;
    let refused = |why: &dyn std::fmt::Display| {
        info!(request = %arrived.id, %why, "an answer to a push was refused");
        ApiError::ProofRefused("the answer is not a good one to this push".to_owned())
    };
    let now = world.clock.now();
    let claimed = push_answering_enrollment(&answer).map_err(|error| refused(&error))?;
    let push = world.pushes.get(attempt).filter(|push| push.is_open(now));
    let push = push.ok_or_else(|| refused(&"there is no such push"))?;
    let directory = world.directory.snapshot();
    let enrollment = directory.enrollment(claimed);
    let enrollment = enrollment.filter(|enrollment| push.user == Some(enrollment.user) && push.went_to(enrollment.id));
    let enrollment = enrollment.ok_or_else(|| refused(&"the push went to somebody else"))?;
    let setup = world.setup.load_full();
    let expected = ExpectedPushAnswer {
        audience: &setup.auth_origin,
        attempt,
        now,
    };
    let verified = verify_push_answer(&answer, &enrollment, &expected).map_err(|error| refused(&error))?;
    if verified.nonce() != push.nonce {
        return Err(refused(&"the nonce is another push's"));
    }
    let taking = Taking {
        world: &world,
        arrived: &arrived,
        directory: &directory,
        enrollment: &enrollment,
        now,
    };
    if let Err(refusal) = may_be_asked(&directory, enrollment.id) {
        taking.fail("the device or the account is not active").await;
        return Err(ApiError::Refused(refusal));
    }
    if !push.begin_answer(now) {
        return Err(refused(&"it was answered before"));
    }
    match taking.weigh(&push, &verified).await {
        Worth::Yes(signed) => push.answered(Some(signed)),
        Worth::No => push.answered(None),
        // The others may still answer.
        Worth::Nothing => {
            push.set_aside(enrollment.id);
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    world.pushes.withdraw(&push, Some(enrollment.id));
    Ok(StatusCode::NO_CONTENT)
}

/// An answer that is being taken.
struct Taking<'a> {
    world: &'a World,
    arrived: &'a Arrived,
    directory: &'a Snapshot,
    enrollment: &'a Arc<Enrollment>,
    now: Timestamp,
}

/// What an answer is worth.
enum Worth {
    /// The user approved.
    Yes(Signed),
    /// The user did not, or not rightly.
    No,
    /// Nobody was there to say anything.
    Nothing,
}

impl Taking<'_> {
    /// Weighs an answer. A number that was to match and does not is a no, and so is a possession key where the user was to be
    /// verified.
    async fn weigh(&self, push: &Push, verified: &VerifiedPushAnswer) -> Worth {
        let verification = verified.key_type() == KeyType::UserVerification;
        let typed = verified.number.as_deref();
        let matches = push
            .number
            .is_none_or(|number| typed.is_some_and(|typed| number.is(typed)));
        match verified.outcome {
            PushOutcome::Approved if !matches => self.fail("the number was wrong").await,
            PushOutcome::Approved if push.demand == Confirmation::Verified && !verification => {
                self.fail("the user was not verified").await;
            }
            PushOutcome::Approved => {
                return Worth::Yes(Signed {
                    user: self.enrollment.user,
                    enrollment: self.enrollment.id,
                    generation: self.enrollment.generation,
                    device: self.enrollment.device,
                    key_type: verified.key_type(),
                    confirmed: match verification {
                        true => Confirmation::Verified,
                        false => Confirmation::Approved,
                    },
                    at: self.now,
                });
            }
            PushOutcome::Denied => self.fail("the user said no").await,
            PushOutcome::NotMe => {
                self.world.pushes.caps.stop(self.enrollment.user, self.now);
                self.record(Command::ReportSuspicion(self.enrollment.id)).await;
            }
            PushOutcome::Cancelled | PushOutcome::VerificationUnavailable => {
                self.fail("nobody confirmed").await;
                return Worth::Nothing;
            }
        }
        self.world.sign_ins.failures.add(self.enrollment.user, self.now);
        Worth::No
    }

    async fn fail(&self, reason: &'static str) {
        let failure = Failure {
            user: Some(self.enrollment.user),
            factor: Factor::Push,
            reason,
            enrollment: Some(self.enrollment.id),
            origin: None,
        };
        self.record(Command::RecordFailure(failure)).await;
    }

    /// Writes down what came to nothing; that the directory refuses it is what is written down.
    async fn record(&self, command: Command) {
        let peer = self.arrived.peer;
        let user = self.directory.user(self.enrollment.user);
        let actor = user.map_or_else(|| nobody(peer), |user| actor_of(&user, peer));
        let recorded = self.world.directory.submit(command, actor, Vec::new()).await;
        if let Err(error @ SubmitError::Unavailable(_)) = recorded {
            tracing::error!(error = %Chain(&error), "a push that was refused could not be written down");
        }
    }
}

/// How often a stream says that it lives.
const BEAT: Duration = Duration::from_secs(25);

const EMPTY: Bytes = Bytes::from_static(b"\n");
