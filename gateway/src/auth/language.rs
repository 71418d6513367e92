//! How does somebody choose a language, and what do pages load? The same below `/` of the auth host and below `/.latchkey/` of
//! each application's.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::application_host::see_other;
use crate::pages::{self, Asset, Language};
use crate::request::{Arrived, Site};
use crate::setup::Setup;
use crate::world::World;

/// The routes below a path.
pub(super) fn routes(prefix: &str) -> Router<Arc<World>> {
    Router::new()
        .route(&format!("{prefix}/language"), post(choose))
        .route(&format!("{prefix}/assets/{{name}}"), get(asset))
}

#[derive(Deserialize)]
struct Choice {
    language: String,
}

/// Has the browser remember a language on this host, and goes back to the page that it was chosen on.
async fn choose(
    State(world): State<Arc<World>>,
    Extension(arrived): Extension<Arc<Arrived>>,
    headers: HeaderMap,
    Form(choice): Form<Choice>,
) -> Response {
    let Some(language) = Language::of(&choice.language) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let origin = own_origin(&world.setup.load(), &arrived);
    // Our own pages tell where they are; nobody is sent anywhere else.
    let page = headers.get(header::REFERER).and_then(|page| page.to_str().ok());
    let path = page.and_then(|page| page.strip_prefix(origin.as_str()));
    let path = path.filter(|path| path.starts_with('/')).unwrap_or("/");
    let mut answer = see_other(&format!("{origin}{path}"));
    answer.headers_mut().append(header::SET_COOKIE, language.remember());
    answer
}

/// The origin of the host that was asked.
fn own_origin(setup: &Setup, arrived: &Arrived) -> String {
    match arrived.site {
        Site::Application(_) => format!("https://{}", setup.authority_of(&arrived.host)),
        Site::Auth | Site::Admin | Site::Device | Site::ForwardAuth => setup.auth_origin.clone(),
    }
}

/// A file that pages load.
async fn asset(State(world): State<Arc<World>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let asset = pages::asset(&name).or_else(|| world.setup.load().brand.asset(&name));
    send_asset(asset, &headers)
}

/// Sends a file that pages load, unless the browser has it.
pub(super) fn send_asset(asset: Option<Asset>, headers: &HeaderMap) -> Response {
    let Some(asset) = asset else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let known = headers.get(header::IF_NONE_MATCH).map(|tag| tag.as_bytes());
    let known = known == Some(asset.etag.as_bytes());
    let fields = [
        (header::CACHE_CONTROL, asset.caching.to_owned()),
        (header::ETAG, asset.etag),
        (header::CONTENT_TYPE, asset.content_type.to_owned()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, fields).into_response();
    }
    let is_svg = asset.content_type == "image/svg+xml";
    let mut answer = (fields, asset.body).into_response();
    if is_svg {
        let policy = HeaderValue::from_static(PICTURE);
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

/// What an SVG may do that is opened by itself: be looked at, with the styles that are in it.
const PICTURE: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";
