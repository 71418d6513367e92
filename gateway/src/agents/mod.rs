//! What do devices ask of the gateway? To enrol, to prove themselves, to be renewed: the endpoints of `docs/protocol.md`.

mod accounts;
mod activate;
mod asked;
mod attempts;
mod authenticate;
mod begin;
mod challenges;
mod enrolled;
mod evidence;
mod finish;
mod organization;
mod push;
mod pushes;
mod recover;
mod renew;
mod signer;
mod step;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use device_checks::wire;
use serde::de::DeserializeOwned;

use crate::api_error::ApiError;
use crate::world::World;

pub(crate) use asked::{Answer, Challenges, Confirmation, ForPage, Signed, Wanted, challenge_for};
pub(crate) use attempts::Attempts;
pub(crate) use begin::may_register_unproved;
pub(crate) use push::{Wish, begin_push};
pub(crate) use pushes::end_streams;
pub(crate) use signer::ChallengeSigner;

/// The routes on the auth host.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route(wire::ORGANIZATION_PATH, get(organization::show))
        .route(wire::AUTHENTICATE_PATH, post(authenticate::authenticate))
        .route(wire::BEGIN_PATH, post(begin::begin))
        .route(wire::ACTIVATE_PATH, post(activate::activate))
        .route(wire::FINISH_PATH, post(finish::finish))
        .route(wire::RECOVER_PATH, post(recover::recover))
        .route(wire::NONCE_PATH, post(challenges::nonce))
        .route(wire::CHALLENGES_PATH, post(challenges::challenge))
        .route(wire::ANSWERS_PATH, post(challenges::answer))
        .route(wire::PUSH_ANSWERS_PATH, post(pushes::answer))
        .route("/agent/v1/enrollments/{id}/pushes", get(pushes::stream))
        .route("/agent/v1/enrollments/{id}", get(accounts::show).delete(accounts::end))
        .route("/agent/v1/enrollments/{id}/rename", post(accounts::rename))
        .route("/agent/v1/enrollments/{id}/totp", post(accounts::give_totp))
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
}

/// The routes of the device host, where the connection itself proves the device.
pub(crate) fn device_router(world: Arc<World>) -> Router {
    Router::new()
        .route(wire::RENEW_PATH, post(renew::renew))
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .fallback(|request: axum::extract::Request| async move { ApiError::not_found("path", request.uri().path()) })
        .with_state(world)
}

/// Reads a JSON body whose members are all known.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::invalid("body", format_args!("expected JSON: {error}")))
}
