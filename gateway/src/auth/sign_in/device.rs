//! How does the page have the device sign? It gets a challenge here, hands it on over the loopback, and comes back.

use axum::Json;
use axum::response::{IntoResponse, Response};
use device_checks::SignInAsked;
use directory::{AttemptId, User};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::offers;
use super::prove::{by_device, proved};
use super::state::State;
use super::visitor::Visitor;
use crate::agents::{Answer, Confirmation, ForPage, Wanted, challenge_for};
use crate::api_error::ApiError;
use crate::pages::DeviceSearch;
use crate::request::messages;
use crate::setup::Setup;

/// How a page of a sign-in looks for a device. A silent search asks nobody anything, whatever is needed in the end.
pub(super) fn search<'a>(
    setup: &'a Setup,
    sealed: &'a str,
    demand: Confirmation,
    login_hint: Option<&'a str>,
    silent: bool,
) -> DeviceSearch<'a> {
    DeviceSearch {
        state: sealed,
        ports: &setup.config.sign_in.loopback_ports,
        probe_timeout_ms: PROBE_MS,
        answer_timeout_ms: ANSWER_MS,
        challenge_url: "/sign-in/device/challenge",
        finish_url: "/sign-in/device/finish",
        silent,
        verify: !silent && demand == Confirmation::Verified,
        login_hint,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Question {
    state: String,
    verify: Option<bool>,
    login_hint: Option<String>,
}

#[derive(Serialize)]
struct Asked {
    challenge: String,
    attempt: AttemptId,
    verify: bool,
}

/// Hands out a challenge. It says nothing of any user: whoever answers it has to have one of their keys.
pub(super) async fn challenge(mut visitor: Visitor, Json(question): Json<Question>) -> Response {
    let Ok(state) = visitor.open(&question.state) else {
        return too_old(&visitor);
    };
    let demand = match question.verify {
        Some(false) => Confirmation::Silent,
        Some(true) => Confirmation::Verified,
        None => offers::demand(&visitor, &state),
    };
    let known = visitor.identified().map(|identified| identified.user.clone());
    let typed = question.login_hint.or_else(|| state.username.clone());
    let hint = known.as_ref().map(|user| user.login.clone()).or(typed);
    let wanted = Wanted {
        bound_to: visitor.browser(),
        user: known.map(|user| user.id),
        demand,
        shown: SignInAsked {
            application: application(&visitor, &state),
            browser: visitor.browser_name(),
            address: visitor.arrived.peer.to_canonical().to_string(),
            place: None,
            login_hint: hint.map(|hint| hint.chars().take(LONGEST_HINT).collect()),
        },
        renews: None,
    };
    let source = visitor.arrived.peer;
    match challenge_for(&visitor.world, wanted, source) {
        Ok((attempt, challenge)) => visitor.answer(no_store(Json(Asked {
            challenge,
            attempt,
            verify: demand == Confirmation::Verified,
        }))),
        Err(error) => error.into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finish {
    state: String,
    attempt: AttemptId,
}

/// Takes the answer that the device gave to this browser's challenge, once.
pub(super) async fn finish(mut visitor: Visitor, Json(finish): Json<Finish>) -> Response {
    let Ok(state) = visitor.open(&finish.state) else {
        return too_old(&visitor);
    };
    let texts = &visitor.shell().texts.device;
    let page = ForPage {
        bound_to: visitor.browser(),
        application: &application(&visitor, &state),
        renews: false,
    };
    let answer = visitor.world.challenges.take(finish.attempt, page);
    let signed = match answer {
        Some(Answer::Approved(signed)) => signed,
        Some(Answer::Denied) => {
            return problem(StatusCode::FORBIDDEN, "denied", texts.denied_title, texts.denied_text);
        }
        Some(Answer::Unavailable) => {
            return problem(
                StatusCode::FORBIDDEN,
                "unavailable",
                texts.timed_out_title,
                texts.timed_out_text,
            );
        }
        Some(Answer::ShutOut) => {
            let texts = &visitor.shell().texts.notices;
            return problem(
                StatusCode::FORBIDDEN,
                "device-shut-out",
                texts.device_shut_out_title,
                texts.device_shut_out_text,
            );
        }
        None => {
            let (title, text) = (texts.not_taken_title, texts.not_taken_text);
            return problem(StatusCode::CONFLICT, "not-answered", title, text);
        }
    };
    let by_device = by_device(&visitor, &signed).filter(|proved| is_expected(&visitor, &state, &proved.user));
    let outcome = match by_device {
        Some(by_device) => proved(&visitor, state, by_device).await,
        None => Err(ApiError::NotAuthenticated),
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
        Err(ApiError::Fault) => ApiError::Fault.into_response(),
        Err(_) => problem(
            StatusCode::FORBIDDEN,
            "not-taken",
            texts.not_taken_title,
            texts.not_taken_text,
        ),
    }
}

/// Whose device answers another's username signs nobody in.
pub(super) fn is_expected(visitor: &Visitor, state: &State, user: &User) -> bool {
    let typed = |username: &str| {
        let known = visitor.view.directory.user_by_login(username);
        known.is_some_and(|known| known.id == user.id)
    };
    state.username.as_deref().is_none_or(typed)
}

/// What the person is told that they open.
pub(super) fn application(visitor: &Visitor, state: &State) -> String {
    let own = || visitor.view.setup.brand.name().to_owned();
    super::title(state).map_or_else(own, |leading| leading.name)
}

pub(super) fn too_old(visitor: &Visitor) -> Response {
    let texts = &visitor.shell().texts.expired;
    let answer = problem(StatusCode::BAD_REQUEST, "sign-in-over", texts.title, texts.lead);
    visitor.answer(answer)
}

/// A problem as scripts of pages read it (RFC 9457).
pub(crate) fn problem(status: StatusCode, code: &str, title: &str, detail: &str) -> Response {
    let body = json!({
        "type": format!("urn:latchkey:problem:{code}"),
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
        "code": code,
    });
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, body.to_string()).into_response()
}

pub(super) fn no_store(answer: impl IntoResponse) -> Response {
    let caching = [(header::CACHE_CONTROL, "no-store")];
    (caching, answer).into_response()
}

/// How long one port may take to say that an agent is there, in milliseconds. Where nobody listens the answer is there at once;
/// a busy machine with an agent takes its time.
pub(in crate::auth) const PROBE_MS: u64 = 1000;

/// How long somebody may take to confirm, in milliseconds.
const ANSWER_MS: u64 = 120_000;

const LONGEST_HINT: usize = 320;
