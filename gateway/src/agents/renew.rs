//! May this device have a new certificate? It shows the old one on its connection, and asks for the same key.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::{Extension, Json};
use certs::{IssuedCertificate, VerifiedRequest};
use device_checks::wire::{Renew, Renewed};
use directory::{Command, Enrollment, Fingerprint, NewCertificate, RenewCertificate, Timestamp};
use http::StatusCode;

use super::finish::issue;
use crate::api_error::ApiError;
use crate::logs::Chain;
use crate::request::{Arrived, DeviceIdentity};
use crate::sign_in::actor_of;
use crate::world::World;

/// Renews the certificate of the connection.
pub(super) async fn renew(
    State(world): State<Arc<World>>,
    Extension(arrived): Extension<Arc<Arrived>>,
    Extension(identified): Extension<Arc<DeviceIdentity>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Renewed>), ApiError> {
    let asked: Renew = super::read(&body)?;
    let request = VerifiedRequest::parse_pem(&asked.certificate_request)
        .map_err(|bad| ApiError::invalid("certificateRequest", Chain(&bad)))?;
    let shown = identified.certificate.as_ref().ok_or(ApiError::InvalidToken)?;
    let now = world.clock.now();
    let enrollment = &identified.enrollment;
    let Renewal { issued, command } = renewed(&world, &request, enrollment, shown.fingerprint, now)?;
    let certificate = issued.pem() + &world.authority.certificate_pem();
    let actor = actor_of(&identified.user, arrived.peer);
    world
        .directory
        .submit(command, actor, vec![(issued.fingerprint, issued.der)])
        .await?;
    Ok((StatusCode::CREATED, Json(Renewed { certificate })))
}

/// A further certificate of an account, and what makes it count.
pub(super) struct Renewal {
    pub(super) issued: IssuedCertificate,
    pub(super) command: Command,
}

/// Issues a further certificate for an account's own key, beside the one that is shown.
pub(super) fn renewed(
    world: &World,
    request: &VerifiedRequest,
    enrollment: &Enrollment,
    shown: Fingerprint,
    now: Timestamp,
) -> Result<Renewal, ApiError> {
    // Nothing is signed for a key that the directory would refuse.
    if request.key() != enrollment.key {
        return Err(ApiError::Refused(directory::Refusal::OtherKey));
    }
    let setup = world.setup.load_full();
    let enrolled = enrollment.created;
    if enrolled < before(now, setup.config.enrollment.maximum_age) {
        return Err(ApiError::Refused(directory::Refusal::EnrollmentTooOld));
    }
    let issued = issue(world, request, enrollment.device, (now, enrolled))?;
    let command = Command::RenewCertificate(RenewCertificate {
        shown,
        certificate: NewCertificate {
            fingerprint: issued.fingerprint,
            serial: issued.serial.clone(),
            issuer: world.authority.fingerprint(),
            not_before: issued.not_before,
            not_after: issued.not_after,
        },
        key: request.key(),
        most_alive: setup.config.enrollment.certificates_alive,
        enrolled_since: before(now, setup.config.enrollment.maximum_age),
    });
    Ok(Renewal { issued, command })
}

fn before(now: Timestamp, age: std::time::Duration) -> Timestamp {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.millis().saturating_sub(age))
}
