//! Which certificates did devices get, and which of them no longer count?

use std::sync::Arc;

use axum::extract::Path;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use directory::{Certificate, Command, Fingerprint, RevocationReason, Scope};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::body::{Object, Parameters, parsed};
use super::call::Call;
use super::page::{self, Listing};
use super::search::{self, Term};
use crate::api_error::ApiError;
use crate::world::World;

/// The routes about certificates.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v1/certificates", get(list))
        .route("/api/v1/certificates/{fingerprint}", get(show))
        .route("/api/v1/certificates/{fingerprint}/lifecycle/{verb}", post(lifecycle))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    limit: Option<u32>,
    after: Option<String>,
    device: Option<String>,
    search: Option<String>,
}

/// All certificates, or those of one device, deleted ones too.
async fn list(call: Call, listing: Listing, Parameters(asked): Parameters<List>) -> Result<Response, ApiError> {
    let view = call.read(Scope::CertificatesRead)?;
    let size = page::size(asked.limit, page::USUAL, page::MOST)?;
    let after: Option<Fingerprint> = asked.after.as_deref().map(|after| parsed("after", after)).transpose()?;
    let terms = asked
        .search
        .as_deref()
        .map(|search| search::parse(search, SEARCHABLE))
        .transpose();
    let terms = terms
        .map_err(|bad| ApiError::invalid("search", bad))?
        .unwrap_or_default();
    let all: Box<dyn Iterator<Item = Arc<Certificate>>> = match &asked.device {
        Some(device) => Box::new(view.snapshot.certificates_of_device(parsed("device", device)?)),
        None => Box::new(view.snapshot.certificates()),
    };
    let found = all.filter(|certificate| {
        after.is_none_or(|after| certificate.fingerprint > after) && terms.iter().all(|term| holds(term, certificate))
    });
    let (page, next) = page::cut(found, size, |certificate| certificate.fingerprint.to_string());
    Ok(listing.answer(
        page.into_iter()
            .map(|certificate| view.certificate(&certificate))
            .collect(),
        next,
    ))
}

async fn show(call: Call, Path(fingerprint): Path<String>) -> Result<Json<Value>, ApiError> {
    let view = call.read(Scope::CertificatesRead)?;
    Ok(Json(view.certificate(&*view.find_certificate(&fingerprint)?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: Option<RevocationReason>,
}

async fn lifecycle(
    call: Call,
    Path((fingerprint, verb)): Path<(String, String)>,
    Object(Why { reason }): Object<Why>,
) -> Result<StatusCode, ApiError> {
    let fingerprint = call
        .read(Scope::CertificatesManage)?
        .find_certificate(&fingerprint)?
        .fingerprint;
    let command = match (verb.as_str(), reason) {
        ("revoke", reason) => {
            let reason = reason.unwrap_or(RevocationReason::Unspecified);
            Command::RevokeCertificate { fingerprint, reason }
        }
        ("hold", None) => Command::HoldCertificate(fingerprint),
        ("release", None) => Command::ReleaseCertificate(fingerprint),
        ("hold" | "release", Some(_)) => return Err(ApiError::invalid("reason", "expected with `revoke` only")),
        _ => return Err(ApiError::not_found("lifecycle operation", &verb)),
    };
    call.submit(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What certificates can be searched by.
#[derive(Debug, Clone, Copy)]
enum Attribute {
    Fingerprint,
    Serial,
}

const SEARCHABLE: &[(&str, Attribute)] = &[("fingerprint", Attribute::Fingerprint), ("serial", Attribute::Serial)];

fn holds(term: &Term<Attribute>, certificate: &Certificate) -> bool {
    match term.attribute {
        Attribute::Fingerprint => term.holds(&certificate.fingerprint.to_string()),
        Attribute::Serial => term.holds(&certificate.serial.to_string()),
    }
}
