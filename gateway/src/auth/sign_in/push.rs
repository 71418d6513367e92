//! How does somebody sign in with another device of theirs? A page has it asked, shows a number, and waits.
//!
//! Whoever proved nothing sees the same page whether there is such a user or not, whether they have a device or not, and
//! whether it was asked or not: then nobody approves, and it was too late.

use std::sync::Arc;

use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use device_checks::SignInAsked;
use directory::{AttemptId, NumberChallenge, Place, User};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::prove::{by_push, proved, risk_of};
use super::state::State;
use super::visitor::Visitor;
use super::{Leading, Step, device, offers, title};
use crate::agents::{Signed, Wish, begin_push};
use crate::api_error::ApiError;
use crate::auth::application_host::see_other;
use crate::pages::{self, Notice, PushPage, PushWait, Severity};
use crate::pushes::{Asking, Push, Taken, Trust};

/// Says what will happen, and asks nobody yet: whatever looks at an address asks nobody's device.
pub(super) async fn page(mut visitor: Visitor, Query(Step { state }): Query<Step>) -> Response {
    match visitor.open(&state) {
        Ok(state) => show(&visitor, &state, None),
        Err(_) => visitor.expired("/"),
    }
}

/// Begins a push, and goes on to where it is waited for.
pub(super) async fn ask(mut visitor: Visitor, Form(Step { state }): Form<Step>) -> Response {
    let Ok(state) = visitor.open(&state) else {
        return visitor.expired("/");
    };
    let (user, trust) = whom(&visitor, &state);
    let in_use = visitor.session().and_then(|session| session.generation()?.device);
    let peer = visitor.arrived.peer;
    let zones: Vec<&str> = visitor.view.setup.config.zones_of(peer).collect();
    let wish = Wish {
        asking: Asking {
            bound_to: visitor.browser(),
            application: device::application(&visitor, &state),
            user: user.as_ref().map(|user| user.id),
            with_number: needs_number(&visitor, user.as_ref(), trust),
            demand: offers::demand_of_push(&visitor, &state),
        },
        shown: SignInAsked {
            application: device::application(&visitor, &state),
            browser: visitor.browser_name(),
            address: peer.to_canonical().to_string(),
            place: (!zones.is_empty()).then(|| zones.join(", ")),
            login_hint: user.as_ref().map(|user| user.login.clone()),
        },
        trust,
        but: in_use.and_then(|proof| proof.device(&visitor.view.directory)),
    };
    let attempt = begin_push(&visitor.world, wish, peer);
    visitor.answer(see_other(&wait_url(&state.seal(&visitor.world.seal), attempt)))
}

/// Who is to be asked, and what speaks for this browser: that the user signed in with it before, or that something of theirs
/// was proved in it.
fn whom(visitor: &Visitor, state: &State) -> (Option<Arc<User>>, Option<Trust>) {
    let proved = offers::half_known(visitor, state);
    let typed = state.username.as_deref().filter(|_| proved.is_none());
    let named = typed.and_then(|username| visitor.view.directory.user_by_login(username));
    let known = |user: &Arc<User>| {
        let [browser, _] = Place::of(&visitor.client());
        let sessions = visitor.world.directory.sessions();
        sessions
            .knows(user.id, &browser, visitor.view.now)
            .then_some(Trust::Known)
    };
    let trust = match (&proved, &named) {
        (Some(user), _) => known(user).or(Some(Trust::Proved)),
        (None, named) => named.as_ref().and_then(known),
    };
    (proved.or(named), trust)
}

/// Whether a number has to match. Where nobody is asked one is shown as well: that says nothing of anybody.
fn needs_number(visitor: &Visitor, user: Option<&Arc<User>>, trust: Option<Trust>) -> bool {
    match visitor.view.directory.fastpass().number_challenge {
        NumberChallenge::Always => true,
        NumberChallenge::Never => false,
        NumberChallenge::HighRiskOnly => {
            let usual = user.filter(|_| trust.is_some());
            usual.is_none_or(|user| risk_of(visitor, user).score() >= HIGH_RISK)
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Waiting {
    state: String,
    push: AttemptId,
}

/// Shows the number, as long as nobody has answered.
pub(super) async fn wait(mut visitor: Visitor, Query(Waiting { state, push }): Query<Waiting>) -> Response {
    let Ok(state) = visitor.open(&state) else {
        return visitor.expired("/");
    };
    match own(&visitor, &state, push) {
        Some(push) => show_wait(&visitor, &state, &push, None),
        None => show(&visitor, &state, Some(over(&visitor))),
    }
}

/// Says to the page's script whether it goes on.
pub(super) async fn status(mut visitor: Visitor, Query(Waiting { state, push }): Query<Waiting>) -> Response {
    let own = visitor.open(&state).ok().and_then(|state| own(&visitor, &state, push));
    let settled = own.is_none_or(|push| push.is_settled(visitor.view.now));
    let caching = [(header::CACHE_CONTROL, "no-store")];
    visitor.answer((caching, Json(json!({ "settled": settled }))).into_response())
}

/// Takes what was answered, once.
pub(super) async fn finish(mut visitor: Visitor, Form(Waiting { state, push }): Form<Waiting>) -> Response {
    let Ok(state) = visitor.open(&state) else {
        return visitor.expired("/");
    };
    let Some(push) = own(&visitor, &state, push) else {
        return show(&visitor, &state, Some(over(&visitor)));
    };
    let texts = &visitor.shell().texts.push;
    let signed = match push.take(visitor.view.now) {
        Taken::Approved(signed) => signed,
        Taken::Open => {
            let notice = notice(Severity::Info, (texts.not_yet_title, texts.not_yet_text));
            return show_wait(&visitor, &state, &push, Some(notice));
        }
        Taken::Refused => {
            let notice = notice(Severity::Error, (texts.refused_title, texts.refused_text));
            return show(&visitor, &state, Some(notice));
        }
        Taken::Over => return show(&visitor, &state, Some(over(&visitor))),
    };
    match take_in(&visitor, &state, &push, &signed).await {
        Ok(led) => visitor.answer(led.with_cookie(see_other(&led.to))),
        Err(ApiError::Policy(denied)) => offers::nothing_begins(&visitor, &denied),
        Err(ApiError::Fault) => ApiError::Fault.into_response(),
        Err(_) => {
            let notice = notice(Severity::Error, (texts.not_taken_title, texts.not_taken_text));
            show(&visitor, &state, Some(notice))
        }
    }
}

async fn take_in(
    visitor: &Visitor,
    state: &State,
    push: &Push,
    signed: &Signed,
) -> Result<super::prove::Led, ApiError> {
    let by_push = by_push(visitor, signed)
        .filter(|proved| push.user == Some(proved.user.id) && device::is_expected(visitor, state, &proved.user));
    proved(visitor, state.clone(), by_push.ok_or(ApiError::NotAuthenticated)?).await
}

/// The push that this browser began, for this application.
fn own(visitor: &Visitor, state: &State, attempt: AttemptId) -> Option<Arc<Push>> {
    let push = visitor.world.pushes.get(attempt)?;
    let own = push.bound_to == visitor.browser() && push.application == device::application(visitor, state);
    own.then_some(push)
}

fn show(visitor: &Visitor, state: &State, notice: Option<Notice<'_>>) -> Response {
    let sealed = state.seal(&visitor.world.seal);
    let (application, links) = (title(state), offers::Links::of(&sealed));
    let other = offers::other_way(visitor, state, &links);
    let username = offers::username_of(visitor, state);
    let page = PushPage {
        shell: visitor.shell(),
        application: application.as_ref().map(Leading::page),
        state: &sealed,
        username: &username,
        change: &links.change,
        other: other.as_deref(),
        notice,
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

fn show_wait(visitor: &Visitor, state: &State, push: &Push, notice: Option<Notice<'_>>) -> Response {
    let sealed = state.seal(&visitor.world.seal);
    let (application, links) = (title(state), offers::Links::of(&sealed));
    let username = offers::username_of(visitor, state);
    let number = push.number.map(|number| number.to_string());
    let page = PushWait {
        shell: visitor.shell(),
        application: application.as_ref().map(Leading::page),
        state: &sealed,
        push: push.attempt.as_str(),
        username: &username,
        change: &links.change,
        other: &links.push,
        number: number.as_deref(),
        status_url: &status_url(&sealed, push.attempt),
        notice,
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

fn over(visitor: &Visitor) -> Notice<'_> {
    let texts = &visitor.shell().texts.push;
    notice(Severity::Warning, (texts.over_title, texts.over_text))
}

fn notice(severity: Severity, (title, text): (&'static str, &'static str)) -> Notice<'static> {
    Notice { severity, title, text }
}

fn wait_url(sealed: &str, attempt: AttemptId) -> String {
    format!("/sign-in/push/wait?push={attempt}&state={sealed}")
}

fn status_url(sealed: &str, attempt: AttemptId) -> String {
    format!("/sign-in/push/status?push={attempt}&state={sealed}")
}

/// From which risk on a number has to match where it is asked for at a high risk only: that of a browser that the user never
/// signed in with, or of another network and a failure of late.
const HIGH_RISK: u8 = 25;
