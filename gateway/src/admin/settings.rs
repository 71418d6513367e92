//! What does the organisation ask of FastPass? Read and changed as a whole record; what is not given stays.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use directory::{Command, FastPassSettings, FastPassUpdate, KeyProtection, NumberChallenge, Scope, UserVerification};
use serde::Deserialize;

use super::body::Object;
use super::call::Call;
use super::shape::View;
use crate::api_error::ApiError;
use crate::world::World;

/// The routes about settings.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new().route("/api/v1/settings/fastpass", get(show).post(update))
}

async fn show(call: Call) -> Result<Json<FastPassSettings>, ApiError> {
    settings(&call.read(Scope::SettingsRead)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Update {
    enabled: Option<bool>,
    key_protection: Option<KeyProtection>,
    user_verification: Option<UserVerification>,
    number_challenge: Option<NumberChallenge>,
}

/// FastPass stays enabled as long as a policy looks at devices: nobody could meet it otherwise.
async fn update(call: Call, Object(update): Object<Update>) -> Result<Json<FastPassSettings>, ApiError> {
    call.read(Scope::SettingsManage)?;
    if update.enabled == Some(false) {
        let reading = call.policies().policies_reading_device();
        if !reading.is_empty() {
            let ids: Vec<&str> = reading.iter().map(policies::PolicyId::as_str).collect();
            return Err(ApiError::DeviceConditions(ids.join(", ")));
        }
    }
    let command = Command::UpdateFastPass(FastPassUpdate {
        enabled: update.enabled,
        key_protection: update.key_protection,
        user_verification: update.user_verification,
        number_challenge: update.number_challenge,
    });
    settings(&call.submit(command).await?)
}

fn settings(view: &View) -> Result<Json<FastPassSettings>, ApiError> {
    let settings = view.snapshot.settings();
    settings
        .map(|settings| Json(settings.fastpass))
        .ok_or_else(|| ApiError::not_found("settings", "fastpass"))
}
