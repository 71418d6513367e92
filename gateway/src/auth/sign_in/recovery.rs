//! How does somebody sign in with a recovery code? Beside something else that they proved, and once with each.

use std::sync::Arc;

use axum::extract::Query;
use axum::response::Response;
use axum::routing::get;
use axum::{Form, Router};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::state::State;
use super::visitor::Visitor;
use super::{Leading, Step, go_on_after, offers, status, title};
use crate::pages::{self, RecoveryPage};
use crate::sign_in::prove_recovery_code;
use crate::world::World;

/// The routes.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new().route("/sign-in/recovery", get(page).post(code))
}

async fn page(mut visitor: Visitor, Query(Step { state }): Query<Step>) -> Response {
    match visitor.open(&state) {
        Ok(state) => show(&visitor, &state, None, None),
        Err(_) => visitor.expired("/"),
    }
}

#[derive(Deserialize)]
struct Code {
    state: String,
    code: Zeroizing<String>,
}

/// Takes a recovery code of who is signed in, or has proved something.
async fn code(mut visitor: Visitor, Form(form): Form<Code>) -> Response {
    let Ok(state) = visitor.open(&form.state) else {
        return visitor.expired("/");
    };
    let Some(user) = offers::half_known(&visitor, &state) else {
        return visitor.expired("/");
    };
    let source = visitor.arrived.peer;
    let typed = prove_recovery_code(&visitor.world, &user, &form.code, source).await;
    let typed = typed.map(|proof| (user, proof));
    let wrong = visitor.shell().texts.recovery.wrong;
    go_on_after(&visitor, &state, typed, wrong, show).await
}

fn show(visitor: &Visitor, state: &State, error: Option<&str>, wait: Option<u64>) -> Response {
    let sealed = state.seal(&visitor.world.seal);
    let application = title(state);
    let links = offers::Links::of(&sealed);
    let other = offers::other_way(visitor, state, &links);
    let username = offers::username(visitor, state);
    let page = RecoveryPage {
        shell: visitor.shell(),
        application: application.as_ref().map(Leading::page),
        state: &sealed,
        username: &username,
        change: &links.change,
        other: other.as_deref(),
        error,
        wait,
    };
    visitor.answer(pages::respond(status(error, wait), &page))
}
