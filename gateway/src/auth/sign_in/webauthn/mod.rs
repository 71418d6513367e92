//! How does a page have a security key or passkey sign its user in? It gets a question here, hands it to the browser, and
//! brings the answer back.
//!
//! Who has proved nothing is asked for any key that finds its user by itself: no answer names anybody's keys.

mod add;
mod ceremonies;
mod prove;

use std::sync::Arc;

use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use directory::AttemptId;
use http::StatusCode;
use policies::Proves;
use serde::{Deserialize, Serialize};
use serde_json::json;
use webauthn_rs_core::proto::{PublicKeyCredential, RequestChallengeResponse};

use super::device::{no_store, problem, too_old};
use super::offers::{self, Links};
use super::prove::proved;
use super::state::State;
use super::visitor::Visitor;
use super::{Leading, Step, title};
use crate::api_error::{ApiError, fault};
use crate::factors::throttle::Source;
use crate::pages::{self, KeyPage, KeySearch};
use crate::request::messages;
use crate::world::World;

pub(crate) use ceremonies::Ceremonies;
use ceremonies::SigningIn;

/// The routes.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/sign-in/webauthn", get(show))
        .route("/sign-in/webauthn/options", post(options))
        .route("/sign-in/webauthn/finish", post(finish))
        .merge(add::routes())
}

/// How a page asks for a key. A quiet search fills in the username's field, where the browser knows a passkey.
pub(super) fn search(sealed: &str, quiet: bool) -> KeySearch<'_> {
    KeySearch {
        state: sealed,
        options_url: "/sign-in/webauthn/options",
        finish_url: "/sign-in/webauthn/finish",
        quiet,
    }
}

async fn show(mut visitor: Visitor, Query(Step { state }): Query<Step>) -> Response {
    let Ok(state) = visitor.open(&state) else {
        return visitor.expired("/");
    };
    let sealed = state.seal(&visitor.world.seal);
    let links = Links::of(&sealed);
    let application = title(&state);
    let username = offers::username(&visitor, &state);
    let other = offers::other_way(&visitor, &state, &links);
    let page = KeyPage {
        shell: visitor.shell(),
        application: application.as_ref().map(Leading::page),
        username: Some(username.as_str()).filter(|name| !name.is_empty()),
        change: &links.change,
        other: other.as_deref(),
        search: search(&sealed, false),
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    state: String,
}

#[derive(Serialize)]
struct Asked {
    attempt: AttemptId,
    #[serde(flatten)]
    options: RequestChallengeResponse,
}

/// Hands out a question. Whoever has proved something is asked for their own keys, anybody else for no key in particular.
async fn options(mut visitor: Visitor, Json(question): Json<Question>) -> Response {
    let Ok(state) = visitor.open(&question.state) else {
        return too_old(&visitor);
    };
    let known = offers::half_known(&visitor, &state);
    let keys: Vec<_> = known
        .iter()
        .flat_map(|user| visitor.view.directory.webauthn_of(user.id))
        .collect();
    if known.is_some() && keys.is_empty() {
        let texts = &visitor.shell().texts.webauthn;
        return problem(StatusCode::CONFLICT, "no-key", texts.none_title, texts.none_text);
    }
    let verified = has_to_verify(&visitor, &state);
    let asked = visitor
        .view
        .setup
        .webauthn
        .ask(keys.iter().map(|(_, key)| key), verified);
    let (options, state) = match asked {
        Ok(asked) => asked,
        Err(error) => return fault(&error, "a security key could not be asked").into_response(),
    };
    let source = Source::from(visitor.arrived.peer);
    let question = SigningIn {
        state,
        user: known.map(|user| user.id),
    };
    let ceremonies = &visitor.world.under_way.ceremonies;
    let attempt = ceremonies.keep_sign_in(source, visitor.browser(), question);
    visitor.answer(no_store(Json(Asked { attempt, options })))
}

/// Whether only a key that verifies its user would do.
fn has_to_verify(visitor: &Visitor, state: &State) -> bool {
    let ways = offers::ways(visitor, state);
    let mentions = |wanted| ways.iter().flatten().any(|proves| *proves == wanted);
    mentions(Proves::WebauthnVerified) && !mentions(Proves::Webauthn)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Finish {
    state: String,
    attempt: AttemptId,
    credential: PublicKeyCredential,
}

/// Takes the answer to this browser's question, once.
async fn finish(mut visitor: Visitor, Json(finish): Json<Finish>) -> Response {
    let Ok(state) = visitor.open(&finish.state) else {
        return too_old(&visitor);
    };
    let texts = &visitor.shell().texts.webauthn;
    let ceremonies = &visitor.world.under_way.ceremonies;
    let Some(question) = ceremonies.take_sign_in(finish.attempt, visitor.browser()) else {
        let (title, text) = (texts.too_late_title, texts.too_late_text);
        return problem(StatusCode::CONFLICT, "not-answered", title, text);
    };
    let outcome = match prove::by_key(&visitor, &state, &question, &finish.credential).await {
        Ok(by_key) => proved(&visitor, state, by_key).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(led) => visitor.answer(led.with_cookie(no_store(Json(json!({ "next": led.to }))))),
        Err(ApiError::Policy(denied)) => {
            let texts = visitor.shell().texts;
            let title = texts.refusals.sign_in_title;
            problem(
                StatusCode::FORBIDDEN,
                "sign-in-refused",
                title,
                &messages(texts, &denied),
            )
        }
        Err(error @ (ApiError::Fault | ApiError::Throttled(_) | ApiError::Busy)) => error.into_response(),
        Err(_) => problem(
            StatusCode::FORBIDDEN,
            "not-taken",
            texts.not_taken_title,
            texts.not_taken_text,
        ),
    }
}
