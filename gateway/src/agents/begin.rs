//! Which device begins to enrol, and may it? What is known of it decides the policies; then it is asked to prove more.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use device_checks::attestation::endorsement_key_kind;
use device_checks::wire::{Begin, Begun, VERSION};
use directory::{AttemptId, Device, DeviceId, EnrollmentToken, InstanceId, PublicKey, Snapshot, User, UserId};
use policies::{OrganizationAction, Registration};

use super::attempts::{Attempt, Machine, PATIENCE};
use super::authenticate::organization_request;
use super::evidence;
use super::organization::fastpass;
use super::step::{Granted, Step};
use crate::api_error::ApiError;
use crate::request::Arrived;
use crate::sign_in::session_of;
use crate::world::World;

/// Begins an enrolment.
pub(super) async fn begin(State(world): State<Arc<World>>, step: Step) -> Result<Json<Begun>, ApiError> {
    let asked: Begin = step.read()?;
    if asked.version != VERSION {
        return Err(ApiError::invalid("version", format_args!("expected {VERSION}")));
    }
    let granted = step.token(&world, &asked.instance_key)?;
    step.check(&world, &asked.instance_key)?;
    let now = world.clock.now();
    let directory = world.directory.snapshot();
    let instance = instance(&directory, &asked)?;
    let trust = world.setup.load().trust.clone();
    let (machine, credential) = evidence::weigh(&asked.statement, &trust, now)?;
    let known = device(&directory, &granted, &machine, &asked.instance_key)?;
    let device = known.map_or_else(|| DeviceId::from_random(rand::random()), |device| device.id);
    validate_name(&asked.name)?;
    let attests = machine_attests(&machine);
    may_register(
        &world,
        &granted.token,
        &granted.user,
        (&machine, attests),
        &step.arrived,
    )?;
    let attempt = Attempt {
        id: AttemptId::from_random(rand::random()),
        secret: granted.token.secret,
        user: granted.user.id,
        instance_key: asked.instance_key,
        instance,
        device,
        name: asked.name,
        platform: asked.platform,
        key_store: asked.key_store,
        nonce: URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()),
        machine,
        ends: now.plus(PATIENCE),
    };
    let begun = Begun {
        attempt: attempt.id,
        nonce: attempt.nonce.clone(),
        user: granted.user.id,
        login: granted.user.login.clone(),
        credential,
        fastpass: fastpass(&directory),
        expires_in: PATIENCE.as_secs(),
    };
    let begin = world.attempts.begin(attempt, now);
    begin.map_err(|_| ApiError::EnrollmentUnderWay)?;
    Ok(Json(begun))
}

/// The instance that asks: known by its key alone. An id that another key has is copied.
fn instance(directory: &Snapshot, asked: &Begin) -> Result<InstanceId, ApiError> {
    let known = directory.instance_by_key(asked.instance_key.thumbprint());
    let claimed = asked.instance.and_then(|id| directory.instance(id));
    if claimed.is_some_and(|claimed| claimed.key != asked.instance_key) {
        return Err(ApiError::ProofRefused(
            "the authenticator instance has another key".to_owned(),
        ));
    }
    Ok(known.map_or_else(|| InstanceId::from_random(rand::random()), |known| known.id))
}

/// The device that this enrolment would be on, if it is known.
pub(super) fn device(
    directory: &Snapshot,
    granted: &Granted,
    machine: &Machine,
    instance_key: &PublicKey,
) -> Result<Option<Arc<Device>>, ApiError> {
    directory
        .device_to_enroll(&granted.token, machine.id(), Some(instance_key.thumbprint()))
        .map_err(ApiError::Refused)
}

fn machine_attests(machine: &Machine) -> bool {
    machine.endorsed().is_some_and(|machine| machine.attested)
}

/// An attempt keeps the name: no longer one than a device can have.
fn validate_name(name: &str) -> Result<(), ApiError> {
    match name.chars().count() {
        1..=LONGEST_NAME => Ok(()),
        _ => Err(ApiError::invalid(
            "name",
            format_args!("expected 1 to {LONGEST_NAME} characters"),
        )),
    }
}

/// Whether a machine is proved to be none of those that are shut out: each of them is known by a key of the same kind. A
/// TPM has several endorsement keys, and two kinds say nothing of each other.
fn is_another(directory: &Snapshot, user: UserId, machine: &Machine) -> bool {
    let Some(machine) = machine.endorsed() else {
        return false;
    };
    let kind = |der: &[u8]| endorsement_key_kind(der);
    directory.shut_out_devices(user).all(|device| {
        let known = device.hardware.as_ref();
        known.is_some_and(|known| {
            let leaf = known.chain.first().and_then(|leaf| STANDARD.decode(leaf).ok());
            let kinds = leaf
                .as_deref()
                .and_then(kind)
                .zip(machine.chain.first().and_then(|leaf| kind(leaf)));
            known.id != machine.id && kinds.is_some_and(|(one, other)| one == other)
        })
    })
}

/// Asks the policies whether this user may enrol a device that proves this much: `attested` where hardware is.
pub(super) fn may_register(
    world: &World,
    token: &EnrollmentToken,
    user: &Arc<User>,
    (machine, attested): (&Machine, bool),
    arrived: &Arrived,
) -> Result<(), ApiError> {
    let view = world.view();
    let admin_token = token.origin == directory::TokenOrigin::Admin;
    let mut request = organization_request(&view, user, None, arrived);
    if let Some((session, ages)) = session_of(token, user) {
        request.session = Some(Arc::new(session));
        request.ages = ages;
    }
    let registration = Registration {
        admin_token,
        known_hardware: !is_another(&view.directory, user.id, machine),
        lost_trust_before: view.directory.has_lost_trust(user.id),
        attested,
    };
    let action = OrganizationAction::RegisterDevice(registration);
    let decided = view.decider.decide_organization(&action, &request);
    decided.map(drop).map_err(ApiError::Policy)
}

/// Asks the same for a device that proves nothing.
pub(crate) fn may_register_unproved(
    world: &World,
    token: &EnrollmentToken,
    user: &Arc<User>,
    arrived: &Arrived,
) -> Result<(), ApiError> {
    may_register(world, token, user, (&Machine::Unknown, false), arrived)
}

/// How long a device's name may be, in characters.
const LONGEST_NAME: usize = 255;
