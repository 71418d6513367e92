//! What does the auth host answer? Enrolment, the keys and the revocation list that others check with, and an honest page.

mod account;
mod application_host;
mod enroll;
mod errors;
mod language;
pub(crate) mod manage;
mod renewal;
mod revocation;
mod sign_in;
mod transaction;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use http::{HeaderMap, Method, StatusCode, header};

use crate::pages::{Language, Link, Message, Shell};
use crate::request::Arrived;
use crate::setup::Setup;
use crate::world::World;

pub(crate) use application_host::{application_router, way_to_sign_in};
pub(crate) use errors::for_people;
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
        .merge(language::routes(""))
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
    let shell = shell(&setup, &arrived, &headers);
    let said = &shell.texts.refusals;
    let page = Message {
        link: Some(Link {
            href: "/",
            text: said.nowhere_link,
        }),
        ..Message::new(said.nowhere_title, said.nowhere_lead, shell)
    };
    page.respond(StatusCode::NOT_FOUND)
}

/// What a page has, for whoever asks with these headers.
fn shell<'a>(setup: &'a Setup, arrived: &'a Arrived, headers: &HeaderMap) -> Shell<'a> {
    Shell {
        texts: Language::asked(headers, setup.config.language).texts(),
        place: arrived.site.place(),
        offers_languages: arrived.method == Method::GET,
        ..Shell::new(&arrived.id, &setup.brand)
    }
}
