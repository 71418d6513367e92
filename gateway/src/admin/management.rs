//! Which certificates say that devices are managed? Those of the gateway's own management CA are issued and ended here.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::routing::post;
use axum::{Json, Router};
use certs::{IssuedCertificate, Terms, VerifiedRequest};
use directory::{Command, Device, NewManagementCertificate, Scope};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{Object, parsed};
use super::call::Call;
use super::shape::{View, time};
use crate::api_error::{ApiError, fault};
use crate::logs::Chain;
use crate::world::World;

/// The routes about management certificates.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v1/management-certificates", post(issue))
        .route(
            "/api/v1/management-certificates/{fingerprint}/lifecycle/revoke",
            post(revoke),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Issue {
    device: String,
    certificate_request: String,
    lifetime: Option<u64>,
}

/// Issues one for the key of a request; it counts once the device shows it.
async fn issue(call: Call, Object(asked): Object<Issue>) -> Result<(StatusCode, Json<Value>), ApiError> {
    let view = call.read(Scope::CertificatesManage)?;
    let device = view.find_device(&asked.device)?;
    let request = VerifiedRequest::parse_pem(&asked.certificate_request)
        .map_err(|bad| ApiError::invalid("certificateRequest", Chain(&bad)))?;
    let lifetime = asked.lifetime.map_or(USUAL, Duration::from_secs);
    if lifetime.is_zero() || lifetime > LONGEST {
        return Err(ApiError::invalid(
            "lifetime",
            "expected seconds, from 1 to 31536000 (a year)",
        ));
    }
    let (issued, chain, issuer) = sign(&view, &device, &request, lifetime)?;
    let certificate = NewManagementCertificate {
        fingerprint: issued.fingerprint,
        issuer,
        serial: issued.serial.clone(),
        not_after: issued.not_after,
    };
    let answer = json!({
        "fingerprint": issued.fingerprint,
        "device": device.id,
        "notAfter": time(issued.not_after),
        "certificate": chain,
    });
    let device = device.id;
    call.submit(Command::IssueManagement { device, certificate }).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

fn sign(
    view: &View,
    device: &Device,
    request: &VerifiedRequest,
    lifetime: Duration,
) -> Result<(IssuedCertificate, String, directory::Fingerprint), ApiError> {
    let authority = view.trust.own_manager.as_ref().ok_or_else(|| {
        ApiError::invalid(
            "management.certificate_authority",
            "expected in the configuration of the gateway",
        )
    })?;
    let terms = Terms {
        now: view.now,
        lifetime,
        random: rand::random(),
    };
    let hardware = device.hardware.as_ref().map(|hardware| hardware.id);
    let issued = authority.issue_management(request, device.id, hardware, &terms);
    let issued = issued.map_err(|error| fault(&error, "a management certificate could not be issued"))?;
    let chain = issued.pem() + &authority.certificate_pem();
    Ok((issued, chain, authority.fingerprint()))
}

async fn revoke(call: Call, Path(fingerprint): Path<String>) -> Result<StatusCode, ApiError> {
    let known =
        parsed("fingerprint", &fingerprint).map_err(|_| ApiError::not_found("management certificate", &fingerprint))?;
    call.submit(Command::RevokeManagement(known)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How long one lasts where nobody says.
const USUAL: Duration = Duration::from_hours(24 * 90);
const LONGEST: Duration = Duration::from_hours(24 * 365);
