//! *Your account*: what does somebody see and change of their own? Devices, sessions, what they sign in with, what happened.

mod activity;
mod devices;
mod factors;
mod password;
mod recovery_codes;
mod sessions;
mod totp;

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use serde::Deserialize;

use super::application_host::see_other;
use super::manage::AccountPage;
use super::sign_in::state::{Goal, State};
use super::sign_in::{Visitor, follow};
use crate::pages::{Message, Notice, Severity};
use crate::request::Identified;
use crate::world::World;

/// The routes. The first page is the auth host's own.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/account", get(async || see_other("/")))
        .route("/account/devices", get(devices::show))
        .route("/account/devices/rename", post(devices::rename))
        .route(
            "/account/devices/remove",
            get(devices::ask_to_remove).post(devices::remove),
        )
        .route("/account/sessions", get(sessions::show))
        .route("/account/sessions/end", post(sessions::end))
        .route("/account/sessions/end-others", post(sessions::end_others))
        .route("/account/factors", get(factors::show))
        .route("/account/factors/rename", post(factors::rename))
        .route(
            "/account/factors/remove",
            get(factors::ask_to_remove).post(factors::remove),
        )
        .route("/account/password", get(password::show).post(password::change))
        .route(
            "/account/recovery-codes",
            get(recovery_codes::show).post(recovery_codes::make),
        )
        .route("/account/totp", get(totp::show).post(totp::add))
        .route("/account/activity", get(activity::show))
}

/// What has just happened, where a page is come to by a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Done {
    Renamed,
    Removed,
    Ended,
    Changed,
    Added,
    KeyAdded,
    /// Nothing: the last way in stays.
    Last,
    /// Nothing: the device is shut out.
    ShutOut,
    /// Nothing: the name is none.
    BadName,
}

#[derive(Deserialize)]
pub(super) struct Arrival {
    done: Option<Done>,
}

impl Arrival {
    /// What is said of it.
    fn notice(&self, visitor: &Visitor) -> Option<Notice<'static>> {
        let texts = &visitor.shell().texts.account;
        let (severity, title, text) = match self.done? {
            Done::Renamed => (Severity::Success, texts.renamed, ""),
            Done::Removed => (Severity::Success, texts.removed, ""),
            Done::Ended => (Severity::Success, texts.ended, ""),
            Done::Changed => (Severity::Success, texts.changed, texts.changed_text),
            Done::Added => (Severity::Success, texts.added, ""),
            Done::KeyAdded => (Severity::Success, texts.key_added, ""),
            Done::Last => (Severity::Warning, texts.last, texts.last_text),
            Done::ShutOut => (Severity::Warning, texts.shut_out, texts.shut_out_text),
            Done::BadName => (Severity::Warning, texts.bad_name, ""),
        };
        Some(Notice { severity, title, text })
    }
}

/// Who is signed in; or the sign-in, which leads back here.
async fn identified_or_sign_in(visitor: &Visitor, page: AccountPage) -> Result<&Identified, Response> {
    match visitor.identified() {
        Some(identified) => Ok(identified),
        None => Err(follow(visitor, state(visitor, page)).await),
    }
}

/// Whoever sends a form is signed in, and the form is one of this page in this browser.
#[expect(clippy::result_large_err, reason = "an answer is an answer")]
fn sent_from(visitor: &mut Visitor, sealed: &str, page: AccountPage) -> Result<(), Response> {
    let opened = visitor
        .open(sealed)
        .ok()
        .filter(|state| state.goal == Goal::Account(page));
    match opened.is_some() && visitor.identified().is_some() {
        true => Ok(()),
        false => Err(visitor.expired(&page.path())),
    }
}

fn state(visitor: &Visitor, page: AccountPage) -> State {
    State::new(Goal::Account(page), visitor.browser(), visitor.view.now)
}

fn sealed(visitor: &Visitor, page: AccountPage) -> String {
    state(visitor, page).seal(&visitor.world.seal)
}

/// Back to a page, which says what has happened.
fn done(visitor: &Visitor, path: &str, done: &str) -> Response {
    visitor.answer(see_other(&format!("{path}?done={done}")))
}

/// What is asked for is not there, or somebody else's.
fn nothing_there(visitor: &Visitor, page: AccountPage) -> Response {
    let texts = &visitor.shell().texts.account;
    let path = page.path();
    let message = Message {
        link: Some(crate::pages::Link {
            href: &path,
            text: texts.back,
        }),
        ..visitor.message(texts.gone, texts.gone_text)
    };
    visitor.answer(message.respond(StatusCode::NOT_FOUND))
}
