//! What does the auth host answer? Enrolment, the keys and the revocation list that others check with, and an honest page.

mod account;
mod application_host;
mod enroll;
pub(crate) mod manage;
mod renewal;
mod revocation;
mod sign_in;
mod transaction;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use http::{HeaderMap, header};

use crate::pages::{Language, Link, Message, content_security_policy};
use crate::request::Arrived;
use crate::world::World;

pub(crate) use application_host::{application_router, way_to_sign_in};
pub(crate) use revocation::{CrlCache, crl_url};
pub(crate) use sign_in::UnderWay;

/// The routes of the auth host.
pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .merge(sign_in::routes())
        .merge(account::routes())
        .route("/renew", get(renewal::frame))
        .route("/enroll", post(enroll::enroll))
        .route("/.well-known/jwks.json", get(jwks))
        .route("/crl/{file}", get(revocation::crl))
        .merge(crate::agents::routes())
        .fallback(not_found)
        .with_state(world)
}

async fn jwks(State(world): State<Arc<World>>) -> Response {
    (
        [(header::CACHE_CONTROL, "public, max-age=300")],
        Json(world.identities.jwks()),
    )
        .into_response()
}

async fn not_found(
    State(world): State<Arc<World>>,
    Extension(arrived): Extension<Arc<Arrived>>,
    headers: HeaderMap,
) -> Response {
    let setup = world.setup.load();
    let texts = Language::asked(&headers, setup.config.language).texts();
    let said = &texts.refusals;
    let page = page(&Message {
        link: Some(Link {
            href: "/",
            text: said.nowhere_link,
        }),
        texts,
        name: setup.brand.name(),
        ..Message::new(said.nowhere_title, said.nowhere_lead, &arrived.id)
    });
    (http::StatusCode::NOT_FOUND, page).into_response()
}

/// Sends a page that needs no other file.
pub(crate) fn page(message: &Message<'_>) -> Response {
    match message.render() {
        Ok(html) => (
            [(header::CONTENT_SECURITY_POLICY, content_security_policy())],
            Html(html),
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
