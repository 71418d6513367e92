//! How does somebody sign in by mail? They ask for a letter, and type its code or open its link in the same browser.
//!
//! A page that is looked at sends nothing and uses nothing up: mail scanners and previews open every link. What is shown is
//! the same for every username.

use std::sync::Arc;

use axum::extract::Query;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use directory::{Place, User};
use http::StatusCode;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::prove::{Proved, proved};
use super::state::State;
use super::visitor::Visitor;
use super::{Leading, Step, device, go_on_after, offers, status, title};
use crate::api_error::ApiError;
use crate::auth::application_host::see_other;
use crate::factors::letters::Asker;
use crate::factors::mailed::{Asked, GOOD_FOR, Secrets};
use crate::factors::throttle::{AccountKey, RetryAfter, Source};
use crate::mail::{Letter, address_of};
use crate::pages::{self, EmailCode, EmailElsewhere, EmailLink, EmailStart};
use crate::sign_in::{prove_mailed_code, prove_mailed_link, recipient};
use crate::world::World;

/// The routes.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/sign-in/email", get(start).post(code))
        .route("/sign-in/email/send", post(send))
        .route("/sign-in/email/code", get(code_page))
        .route("/sign-in/email/link", get(link_page).post(link))
}

async fn start(mut visitor: Visitor, Query(Step { state }): Query<Step>) -> Response {
    match visitor.open(&state) {
        Ok(state) => show_start(&visitor, &state, None),
        Err(_) => visitor.expired("/"),
    }
}

/// Puts a letter on its way, if there is anybody who gets it; what is answered does not depend on that.
async fn send(mut visitor: Visitor, Form(Step { state }): Form<Step>) -> Response {
    let Ok(state) = visitor.open(&state) else {
        return visitor.expired("/");
    };
    let Some(username) = whose(&visitor, &state) else {
        return visitor.expired("/");
    };
    let now = visitor.view.now;
    let source = Source::from(visitor.arrived.peer);
    if let Err(RetryAfter(wait)) = visitor.world.sign_ins.letters.ask(source, now) {
        return show_start(&visitor, &state, Some(wait.as_secs().saturating_add(1)));
    }
    let secrets = Secrets::from_random(rand::random(), &rand::random());
    let found = recipient(&visitor.view, &username);
    let sealed = state.seal(&visitor.world.seal);
    let asked = Asked {
        account: AccountKey::of(&username),
        recipient: found.as_ref().map(|(_, recipient)| *recipient),
        state: sealed.clone(),
        ends: now.plus(GOOD_FOR),
    };
    let mailed = &visitor.world.sign_ins.mailed;
    mailed.keep(visitor.browser(), asked, &secrets, |code| visitor.bind(code));
    if let Some((user, _)) = found {
        write_to(&visitor, &state, &user, &secrets);
    }
    visitor.answer(see_other(&format!("/sign-in/email/code?state={sealed}")))
}

/// Whose letter it is: of who is signed in, has proved something, or was typed.
fn whose(visitor: &Visitor, state: &State) -> Option<String> {
    let known = offers::half_known(visitor, state).map(|user| user.login.clone());
    known.or_else(|| state.username.clone())
}

fn write_to(visitor: &Visitor, state: &State, user: &User, secrets: &Secrets) {
    let (world, now) = (&visitor.world, visitor.view.now);
    let Some(to) = address_of(user) else { return };
    let [browser, _] = Place::of(&visitor.client());
    let asker = match world.directory.sessions().knows(user.id, &browser, now) {
        true => Asker::Known(visitor.browser()),
        false => Asker::Strangers,
    };
    if !world.sign_ins.letters.send(user.id, asker, now) {
        tracing::warn!(user = %user.id, "too many letters were asked for: this one is not sent");
        metrics::counter!("latchkey_mails_total", "outcome" => "capped").increment(1);
        return;
    }
    let origin = &visitor.view.setup.auth_origin;
    let texts = visitor.shell().texts;
    world.outbox.put(Letter {
        texts,
        user: user.id,
        to,
        application: device::application(visitor, state),
        browser: texts.browser_in_letter(&visitor.browser_name()).into_owned(),
        address: visitor.arrived.peer.to_canonical(),
        asked: now,
        ends: now.plus(GOOD_FOR),
        code: secrets.readable(),
        link: Zeroizing::new(format!("{origin}/sign-in/email/link?token={}", *secrets.link)),
    });
}

async fn code_page(mut visitor: Visitor, Query(Step { state }): Query<Step>) -> Response {
    match visitor.open(&state) {
        Ok(state) => show_code(&visitor, &state, None, None),
        Err(_) => visitor.expired("/"),
    }
}

#[derive(Deserialize)]
struct Code {
    state: String,
    code: Zeroizing<String>,
}

/// Takes the code that came by mail.
async fn code(mut visitor: Visitor, Form(form): Form<Code>) -> Response {
    let Ok(state) = visitor.open(&form.state) else {
        return visitor.expired("/");
    };
    let Some(username) = whose(&visitor, &state) else {
        return visitor.expired("/");
    };
    let digits = form.code.chars().filter(|one| !one.is_whitespace() && *one != '-');
    let code = visitor.bind(&Zeroizing::new(digits.collect::<String>()));
    let source = visitor.arrived.peer;
    let typed = prove_mailed_code(&visitor.world, &username, visitor.browser(), code, source).await;
    let wrong = visitor.shell().texts.email.wrong;
    go_on_after(&visitor, &state, typed, wrong, show_code).await
}

#[derive(Deserialize)]
struct Token {
    token: Zeroizing<String>,
}

/// Shows what opening the link leads to, in the browser that asked for it; in any other, that it is another.
async fn link_page(mut visitor: Visitor, Query(Token { token }): Query<Token>) -> Response {
    let mailed = visitor.world.sign_ins.mailed.of(visitor.browser(), visitor.view.now);
    let Some(mailed) = mailed.filter(|mailed| mailed.has_link(&token)) else {
        return elsewhere(&visitor);
    };
    let Ok(state) = visitor.open(&mailed.state) else {
        return visitor.expired("/");
    };
    let application = title(&state);
    let username = whose(&visitor, &state).unwrap_or_default();
    let page = EmailLink {
        shell: visitor.shell(),
        application: application.as_ref().map(Leading::page),
        token: &token,
        username: &username,
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

/// Takes the link, in the browser that asked for it.
async fn link(mut visitor: Visitor, Form(Token { token }): Form<Token>) -> Response {
    let mailed = visitor.world.sign_ins.mailed.of(visitor.browser(), visitor.view.now);
    let Some(mailed) = mailed.filter(|mailed| mailed.has_link(&token)) else {
        return elsewhere(&visitor);
    };
    let Ok(state) = visitor.open(&mailed.state) else {
        return visitor.expired("/");
    };
    let Some((user, proof)) = prove_mailed_link(&visitor.world, visitor.browser(), &token) else {
        return elsewhere(&visitor);
    };
    let by_mail = Proved {
        user,
        proof: Some(proof),
        device: None,
    };
    match proved(&visitor, state, by_mail).await {
        Ok(led) => visitor.answer(led.with_cookie(see_other(&led.to))),
        Err(ApiError::Policy(denied)) => offers::nothing_begins(&visitor, &denied),
        Err(_) => visitor.expired("/"),
    }
}

fn elsewhere(visitor: &Visitor) -> Response {
    let page = EmailElsewhere { shell: visitor.shell() };
    visitor.answer(pages::respond(StatusCode::BAD_REQUEST, &page))
}

fn show_start(visitor: &Visitor, state: &State, wait: Option<u64>) -> Response {
    let Some(username) = whose(visitor, state) else {
        return visitor.expired("/");
    };
    let sealed = state.seal(&visitor.world.seal);
    let application = title(state);
    let links = offers::Links::of(&sealed);
    let other = offers::other_way(visitor, state, &links);
    let page = EmailStart {
        shell: visitor.shell(),
        application: application.as_ref().map(Leading::page),
        state: &sealed,
        username: &username,
        change: &links.change,
        other: other.as_deref(),
        wait,
    };
    visitor.answer(pages::respond(status(None, wait), &page))
}

fn show_code(visitor: &Visitor, state: &State, error: Option<&str>, wait: Option<u64>) -> Response {
    let Some(username) = whose(visitor, state) else {
        return visitor.expired("/");
    };
    let sealed = state.seal(&visitor.world.seal);
    let application = title(state);
    let links = offers::Links::of(&sealed);
    let other = offers::other_way(visitor, state, &links);
    let page = EmailCode {
        shell: visitor.shell(),
        application: application.as_ref().map(Leading::page),
        state: &sealed,
        username: &username,
        change: &links.change,
        again: &links.email,
        other: other.as_deref(),
        error,
        wait,
    };
    visitor.answer(pages::respond(status(error, wait), &page))
}
