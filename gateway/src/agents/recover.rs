//! What became of an enrolment whose answer never came? The device asks by the keys that it made for it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use certs::VerifiedRequest;
use device_checks::wire::{Enrolled, Recover};
use directory::{CertificateState, Enrollment, KeyThumbprint, PublicKey, Refusal, Snapshot};
use http::StatusCode;

use super::accounts::check;
use super::enrolled::Answer;
use super::renew::{Renewal, renewed};
use super::step::Step;
use crate::api_error::ApiError;
use crate::logs::Chain;
use crate::sign_in::actor_of;
use crate::world::World;

/// Answers as the lost answer would have, with another certificate for the same key: what was issued first is not kept where it
/// could be read. Nothing that was not enrolled becomes so.
pub(super) async fn recover(
    State(world): State<Arc<World>>,
    step: Step,
) -> Result<(StatusCode, Json<Enrolled>), ApiError> {
    let asked: Recover = step.read()?;
    step.check(&world, &asked.instance_key)?;
    let request = VerifiedRequest::parse_pem(&asked.certificate_request)
        .map_err(|bad| ApiError::invalid("certificateRequest", Chain(&bad)))?;
    let directory = world.directory.snapshot();
    let enrollment = enrolled_by(&directory, request.key(), &asked.instance_key)?;
    check(&directory, &enrollment).map_err(ApiError::Refused)?;
    let user = directory.user(enrollment.user).ok_or(ApiError::DeviceDeleted)?;
    let device = directory.device(enrollment.device).ok_or(ApiError::DeviceDeleted)?;
    let now = world.clock.now();
    let certificates = directory.certificates_of_device(device.id);
    let shown = certificates
        .filter(|known| known.enrollment == enrollment.id && known.state == CertificateState::Live)
        .max_by_key(|known| known.not_after)
        .ok_or(ApiError::Refused(Refusal::CertificateNotLive))?;
    let Renewal { issued, command } = renewed(&world, &request, &enrollment, shown.fingerprint, now)?;
    let certificate = issued.pem() + &world.authority.certificate_pem();
    let actor = actor_of(&user, step.arrived.peer);
    let accepted = world
        .directory
        .submit(command, actor, vec![(issued.fingerprint, issued.der)])
        .await?;
    let trust = world.setup.load().trust.clone();
    let hardware = device.hardware.as_ref();
    let attested = hardware.and_then(|hardware| trust.attested(hardware, now));
    let answer = Answer {
        attempt: asked.attempt,
        nonce: &asked.nonce,
        instance_key: &asked.instance_key,
        root_class: attested.map(|attested| attested.class),
        now,
    };
    let enrolled = answer.enrolled(&world, &accepted.snapshot, enrollment.id, certificate)?;
    Ok((StatusCode::CREATED, Json(enrolled)))
}

/// The account that this instance enrolled with this possession key.
fn enrolled_by(directory: &Snapshot, key: KeyThumbprint, instance: &PublicKey) -> Result<Arc<Enrollment>, ApiError> {
    let is_own = |enrollment: &Arc<Enrollment>| {
        let known = enrollment.instance.and_then(|id| directory.instance(id));
        enrollment.key == key && known.is_some_and(|known| known.key == *instance)
    };
    let enrollment = directory.enrollment_by_key(&key).filter(is_own);
    enrollment.ok_or_else(|| ApiError::not_found("enrolment by the key", &key.to_string()))
}
