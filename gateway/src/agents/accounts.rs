//! How does an account on a device stand, and what may its holder do with it? Proved by a signature of its key.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use device_checks::wire::{ASSERTION_FIELD, EnrollmentStatus, GivenTotp, Rename};
use device_checks::{DeviceSignals, KeyType};
use directory::{
    AuthenticatorId, Command, DeviceId, DeviceState, DeviceUpdate, Enrollment, EnrollmentId, EnrollmentState, Method,
    Protected, Refusal, Snapshot, User, UserStatus,
};
use http::{HeaderMap, StatusCode};
use policies::OrganizationAction;
use serde::Deserialize;

use super::authenticate::organization_request;
use super::enrolled::protection;
use super::step::Asked;
use crate::api_error::ApiError;
use crate::factors::totp::TotpSecret;
use crate::pages::ENGLISH;
use crate::request::{Arrived, AssertedRequest, Denial, Presented, present};
use crate::sign_in::actor_of;
use crate::world::World;

/// Which device the account was on, so that whoever comes from a deleted one can be told.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    pub(super) device: Option<DeviceId>,
}

/// Says how the account stands.
pub(super) async fn show(
    State(world): State<Arc<World>>,
    axum::Extension(arrived): Asked,
    Path(id): Path<EnrollmentId>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Json<EnrollmentStatus>, ApiError> {
    let (directory, enrollment, _) = holder(&world, &arrived, id, from.device, &headers)?;
    let gone = || ApiError::DeviceDeleted;
    let device = directory.device(enrollment.device).ok_or_else(gone)?;
    let user = directory.user(enrollment.user).ok_or_else(gone)?;
    let now = world.clock.now();
    let trust = world.setup.load().trust.clone();
    let known = trust.on_record(&directory, &device, Some(&enrollment), now);
    let signals = DeviceSignals::of(&known, now);
    let attested = device
        .hardware
        .as_ref()
        .and_then(|hardware| trust.attested(hardware, now));
    Ok(Json(EnrollmentStatus {
        device: device.id,
        name: device.name.clone(),
        status: "ACTIVE".to_owned(),
        login: user.login.clone(),
        key_protection: protection(signals.hardware_key),
        secure_hardware: signals.secure_hardware,
        root_class: attested.map(|attested| attested.class),
        managed: signals.managed,
        reported: device.reported.as_ref().map(|reported| reported.at.to_string()),
        fastpass: enrollment.methods.contains(&Method::SignedNonce),
    }))
}

/// Gives the device another name.
pub(super) async fn rename(
    State(world): State<Arc<World>>,
    axum::Extension(arrived): Asked,
    Path(id): Path<EnrollmentId>,
    Query(from): Query<From>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let (directory, enrollment, _) = holder(&world, &arrived, id, from.device, &headers)?;
    let Rename { name } = super::read(&body)?;
    let user = directory.user(enrollment.user).ok_or(ApiError::DeviceDeleted)?;
    let command = Command::UpdateDevice {
        device: enrollment.device,
        update: DeviceUpdate {
            name: Some(name),
            ..DeviceUpdate::default()
        },
    };
    let actor = actor_of(&user, arrived.peer);
    world.directory.submit(command, actor, Vec::new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the account up, if the policies let a factor be changed on the strength of this key.
pub(super) async fn end(
    State(world): State<Arc<World>>,
    axum::Extension(arrived): Asked,
    Path(id): Path<EnrollmentId>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let (directory, enrollment, presented) = holder(&world, &arrived, id, from.device, &headers)?;
    let user = directory.user(enrollment.user).ok_or(ApiError::DeviceDeleted)?;
    may_manage(&world, &arrived, &user, &enrollment, &presented)?;
    let actor = actor_of(&user, arrived.peer);
    world
        .directory
        .submit(Command::EndEnrollment(id), actor, Vec::new())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the app on the device a TOTP secret, once; the codes count as long as the account does. What it adds is weaker than the
/// account's own keys, the strongest of which asks for it.
pub(super) async fn give_totp(
    State(world): State<Arc<World>>,
    axum::Extension(arrived): Asked,
    Path(id): Path<EnrollmentId>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<GivenTotp>), ApiError> {
    let (directory, enrollment, presented) = holder(&world, &arrived, id, from.device, &headers)?;
    let user = directory.user(enrollment.user).ok_or(ApiError::DeviceDeleted)?;
    may_manage(&world, &arrived, &user, &enrollment, &presented)?;
    let secret = TotpSecret::from_random(rand::random()).to_base32();
    let command = Command::SetDeviceTotp {
        enrollment: id,
        id: AuthenticatorId::from_random(rand::random()),
        secret: Protected::new(secret.to_string()),
    };
    let actor = actor_of(&user, arrived.peer);
    world.directory.submit(command, actor, Vec::new()).await?;
    let given = GivenTotp {
        secret: secret.to_string(),
    };
    Ok((StatusCode::CREATED, Json(given)))
}

/// Whether the policies let a factor be changed on the strength of this key. What changes is this account, or weaker: its own
/// strongest key is as strong as it is.
fn may_manage(
    world: &World,
    arrived: &Arrived,
    user: &User,
    enrollment: &Enrollment,
    presented: &Presented,
) -> Result<(), ApiError> {
    let strongest = match enrollment.verification {
        Some(_) => KeyType::UserVerification,
        None => KeyType::ProofOfPossession,
    };
    let view = world.view();
    let action = OrganizationAction::ManageAuthenticator {
        as_strong_as_strongest: presented.assertion.key_type() == strongest,
    };
    let request = organization_request(&view, user, None, arrived);
    let decided = view.decider.decide_organization(&action, &request);
    decided.map(drop).map_err(ApiError::Policy)
}

/// The account whose key signed this request, active on an active device of an active user.
///
/// # Errors
/// If there is none, or it counts no longer.
pub(super) fn holder(
    world: &World,
    arrived: &Arrived,
    id: EnrollmentId,
    device: Option<DeviceId>,
    headers: &HeaderMap,
) -> Result<(Arc<Snapshot>, Arc<Enrollment>, Presented), ApiError> {
    let directory = world.directory.snapshot();
    if directory.enrollment(id).is_none() && device.is_some_and(|device| was_deleted(&directory, id, device)) {
        return Err(ApiError::DeviceDeleted);
    }
    if !headers.contains_key(ASSERTION_FIELD) {
        return Err(ApiError::ProofRefused("expected a Device-Assertion".to_owned()));
    }
    let setup = world.setup.load();
    let url = format!("{}{}", setup.auth_origin, arrived.path);
    let asked = AssertedRequest {
        asked_before: false,
        id: &arrived.id,
        audience: &setup.auth_origin,
        method: arrived.method.as_str(),
        url: &url,
        now: world.clock.now(),
    };
    let presented = present(headers, &asked, &directory, &world.nonces).map_err(|denial| refused(&denial))?;
    let presented = presented.filter(|presented| presented.assertion.enrollment() == id);
    let presented = presented.ok_or_else(|| refused(&Denial::AssertionRefused))?;
    let enrollment = directory
        .enrollment(id)
        .ok_or_else(|| refused(&Denial::AssertionRefused))?;
    check(&directory, &enrollment).map_err(ApiError::Refused)?;
    Ok((directory, enrollment, presented))
}

/// Whether the account was on a device that is gone: its certificate's record stays.
fn was_deleted(directory: &Snapshot, enrollment: EnrollmentId, device: DeviceId) -> bool {
    let mut certificates = directory.certificates_of_device(device);
    directory.device(device).is_none() && certificates.any(|certificate| certificate.enrollment == enrollment)
}

/// Whether an account can be used at all now.
pub(super) fn check(directory: &Snapshot, enrollment: &Enrollment) -> Result<(), Refusal> {
    let active = |device: Arc<directory::Device>| device.state == DeviceState::Active;
    if !directory.device(enrollment.device).is_some_and(active) {
        return Err(Refusal::DeviceNotActive);
    }
    match enrollment.state {
        EnrollmentState::Active => {}
        EnrollmentState::Suspended | EnrollmentState::Ended { .. } => return Err(Refusal::EnrollmentNotActive),
    }
    let user = directory.user(enrollment.user);
    if user.is_none_or(|user| user.status != UserStatus::Active) {
        return Err(Refusal::UserNotActive);
    }
    Ok(())
}

fn refused(denial: &Denial) -> ApiError {
    ApiError::ProofRefused(denial.detail(&ENGLISH).into_owned())
}
