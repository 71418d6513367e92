//! What does an MDM say of a device? The admin API takes its reports under the name that is configured for it.

use std::sync::Arc;

use axum::extract::Path;
use axum::routing::put;
use axum::{Json, Router};
use directory::{Command, Fingerprint, MdmReport, Posture, Revision, Scope, Timestamp};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::body::{Object, parsed};
use super::call::Call;
use crate::api_error::ApiError;
use crate::world::World;

/// The routes about reports.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new().route("/api/v1/devices/{id}/reports/{source}", put(report).delete(withdraw))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    managed: bool,
    #[serde(default)]
    posture: Posture,
    certificate: Option<Fingerprint>,
    at: Option<String>,
    ends: String,
}

/// A report without a time of its own is of now.
async fn report(
    call: Call,
    Path((id, source)): Path<(String, String)>,
    Object(said): Object<Report>,
) -> Result<Json<Value>, ApiError> {
    let view = call.read(Scope::ReportsManage)?;
    let device = view.find_device(&id)?.id;
    if !view.trust.mdm_sources.contains(&source) {
        let known = view.trust.mdm_sources.join(", ");
        return Err(ApiError::invalid(
            "source",
            format_args!("expected a configured MDM source, one of: {known}"),
        ));
    }
    let at = said
        .at
        .as_deref()
        .map(|at| parsed("at", at))
        .transpose()?
        .unwrap_or(view.now);
    let ends: Timestamp = parsed("ends", &said.ends)?;
    let report = MdmReport {
        device,
        source: source.clone(),
        managed: said.managed,
        posture: said.posture,
        certificate: said.certificate,
        at,
        ends,
        version: Revision::default(),
    };
    let view = call.submit(Command::ReportDevice(report)).await?;
    let report = view
        .snapshot
        .report(device, &source)
        .ok_or_else(|| ApiError::not_found("report by", &source))?;
    Ok(Json(view.report(report)))
}

/// A source that is no longer configured can still be withdrawn.
async fn withdraw(call: Call, Path((id, source)): Path<(String, String)>) -> Result<StatusCode, ApiError> {
    let device = call.read(Scope::ReportsManage)?.find_device(&id)?.id;
    call.submit(Command::WithdrawReport { device, source }).await?;
    Ok(StatusCode::NO_CONTENT)
}
