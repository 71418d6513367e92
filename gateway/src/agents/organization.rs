//! Who is the gateway? What a device pins when it enrols, and what enrolment takes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use device_checks::wire::{FastPass, Organization, VERSION};
use directory::{FastPassSettings, KeyProtection, OrganizationId, Snapshot, UserVerification};

use crate::api_error::ApiError;
use crate::world::World;

/// Answers with the organisation's document.
pub(super) async fn show(State(world): State<Arc<World>>) -> Result<Json<Organization>, ApiError> {
    let directory = world.directory.snapshot();
    let setup = world.setup.load();
    let evidence = setup.trust.verifies_evidence().then(|| "tpm".to_owned());
    Ok(Json(Organization {
        versions: vec![VERSION],
        organization: organization(&directory)?,
        issuer: setup.auth_origin.clone(),
        device_origin: setup.device_origin.clone(),
        challenge_keys: vec![world.signer.public()],
        attestation: evidence.into_iter().collect(),
        fastpass: fastpass(&directory),
        loopback_ports: setup.config.sign_in.loopback_ports.clone(),
    }))
}

/// Which organisation this is; every gateway founds one when it first starts.
pub(super) fn organization(directory: &Snapshot) -> Result<OrganizationId, ApiError> {
    let settings = directory.settings();
    settings
        .map(|settings| settings.organization)
        .ok_or_else(|| ApiError::not_found("organisation", "of this gateway"))
}

/// What enrolment takes.
pub(super) fn fastpass(directory: &Snapshot) -> FastPass {
    let FastPassSettings {
        enabled,
        key_protection,
        user_verification,
        ..
    } = directory
        .settings()
        .map(|settings| settings.fastpass)
        .unwrap_or_default();
    FastPass {
        enabled,
        hardware_required: key_protection == KeyProtection::Hardware,
        user_verification_required: user_verification == UserVerification::Required,
    }
}
