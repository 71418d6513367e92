//! How does somebody sign in with a browser? One step after the other, each a page; what was proved becomes a session.
//!
//! Until somebody has proved something, pages are the same for every username. Forms are answered with a redirect, so that
//! the back button asks nothing twice.

mod device;
mod email;
mod enroll;
mod home;
pub(super) mod next;
mod offers;
mod prove;
mod push;
mod recovery;
pub(super) mod standing;
pub(super) mod state;
mod under_way;
mod visitor;
mod webauthn;

use std::sync::Arc;

use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use directory::{FactorProof, SessionCommand, SessionEnd, User};
use http::StatusCode;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::application_host::see_other;
use super::transaction::Transaction;
use crate::api_error::ApiError;
use crate::pages::{self, Application, CodePage, DevicePage, Identify, Methods, Notice, PasswordPage, Severity};
use crate::request::{Arrived, Site, View, detail_of_end, title_of_end};
use crate::sessions::Grip;
use crate::sign_in::{actor_of, prove_code, prove_password};
use crate::world::World;

pub(super) use device::{PROBE_MS, problem};
pub(super) use home::line as device_line;
use next::Next;
pub(super) use prove::carry_on;
use prove::{Proved, proved};
use state::{Goal, State};
pub(crate) use under_way::UnderWay;
pub(super) use visitor::{Standing, Visitor};

/// The routes on the auth host.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/sign-in", get(enter))
        .route("/sign-in/user", post(user))
        .route("/sign-in/methods", get(methods))
        .route("/sign-in/password", get(password_page).post(password))
        .route("/sign-in/totp", get(code_page).post(code))
        .route("/sign-in/device", get(device_page))
        .route("/sign-in/device/challenge", post(device::challenge))
        .route("/sign-in/device/finish", post(device::finish))
        .route("/sign-in/push", get(push::page).post(push::ask))
        .route("/sign-in/push/wait", get(push::wait))
        .route("/sign-in/push/status", get(push::status))
        .route("/sign-in/push/finish", post(push::finish))
        .route("/sign-in/next", get(go_on))
        .route("/sign-in/another", get(another))
        .merge(email::routes())
        .merge(recovery::routes())
        .merge(home::routes())
        .merge(enroll::routes())
        .merge(webauthn::routes())
}

#[derive(Deserialize)]
struct Entry {
    app: Option<String>,
    tx: Option<String>,
}

/// Whoever comes from an application, or by themselves.
async fn enter(visitor: Visitor, Query(entry): Query<Entry>) -> Response {
    let goal = match (entry.tx, entry.app) {
        (None, None) => Goal::Home,
        (None, Some(app)) => return visitor.expired(&front_page(&visitor, &app)),
        (Some(sealed), app) => match Transaction::open(&visitor.world.seal, &sealed, visitor.view.now) {
            Ok(transaction) if next::served(&visitor.view, &transaction).is_some() => Goal::Application(transaction),
            Ok(_) | Err(_) => return visitor.expired(&front_page(&visitor, &app.unwrap_or_default())),
        },
    };
    let state = State::new(goal, visitor.browser(), visitor.view.now);
    follow(&visitor, state).await
}

/// The front page of an application that is configured, or one's own page.
fn front_page(visitor: &Visitor, application: &str) -> String {
    let setup = &visitor.view.setup;
    let known = setup
        .config
        .applications()
        .iter()
        .find(|known| known.name == application);
    let origin = known.and_then(|known| setup.origin_of(known));
    origin.map_or_else(|| "/".to_owned(), |origin| format!("{origin}/"))
}

#[derive(Deserialize)]
struct Step {
    state: String,
}

/// Goes on with a sign-in.
async fn go_on(mut visitor: Visitor, Query(Step { state }): Query<Step>) -> Response {
    match visitor.open(&state) {
        Ok(state) => follow(&visitor, state).await,
        Err(_) => visitor.expired("/"),
    }
}

/// Begins anew, as somebody else.
async fn another(mut visitor: Visitor, Query(Step { state }): Query<Step>) -> Response {
    match visitor.open(&state) {
        Ok(state) => {
            let state = State {
                username: None,
                partial: None,
                another: true,
                ..state
            };
            visitor.make_way();
            identify_page(&visitor, &state, None, None)
        }
        Err(_) => visitor.expired("/"),
    }
}

/// Shows what follows: the way out, what is missing, or the first question.
pub(super) async fn follow(visitor: &Visitor, state: State) -> Response {
    if let Some(session) = visitor.session() {
        return match next::after(visitor, &state, &session.grip.clone()) {
            Next::Leave(url) => visitor.answer(see_other(&url)),
            Next::Ask { denied, ways } => offers::ask(visitor, &state, &denied, &ways),
            Next::Nothing { denied } => offers::nothing(visitor, &state, &denied),
        };
    }
    if let Some(partial) = state.partial {
        return offers::go_on_with(visitor, &state, partial);
    }
    match visitor.standing {
        Standing::Ended(end) => {
            let texts = visitor.shell().texts;
            let (title, text) = (title_of_end(texts, end), detail_of_end(texts, end));
            let notice = Notice {
                severity: severity(end),
                title,
                text,
            };
            identify_page(visitor, &state, Some(notice), None)
        }
        Standing::Out | Standing::In(_) => identify_page(visitor, &state, None, None),
    }
}

fn severity(end: SessionEnd) -> Severity {
    match end {
        SessionEnd::DeviceDeactivated | SessionEnd::UserInactive => Severity::Error,
        SessionEnd::DeviceSuspended
        | SessionEnd::DeviceDeleted
        | SessionEnd::AccountRemoved
        | SessionEnd::FactorChanged
        | SessionEnd::Admin
        | SessionEnd::TooMany => Severity::Warning,
        SessionEnd::SignedOut | SessionEnd::SignedOutEverywhere | SessionEnd::Replaced | SessionEnd::Expired => {
            Severity::Info
        }
    }
}

#[derive(Deserialize)]
struct Username {
    state: String,
    username: String,
    installed: Option<String>,
}

/// Takes the username. Whether there is such a user makes no difference to anything.
async fn user(mut visitor: Visitor, Form(form): Form<Username>) -> Response {
    let Ok(state) = visitor.open(&form.state) else {
        return visitor.expired("/");
    };
    let username = form.username.trim();
    if username.is_empty() || username.chars().count() > LONGEST_USERNAME {
        let missing = visitor.shell().texts.identify.missing;
        return identify_page(&visitor, &state, None, Some(missing));
    }
    let state = State {
        username: Some(username.to_owned()),
        partial: None,
        installed: form
            .installed
            .and_then(|installed| installed.parse().ok())
            .or(state.installed),
        ..state
    };
    let url = offers::first_way(&visitor, &state);
    visitor.answer(see_other(&url))
}

fn identify_page(visitor: &Visitor, state: &State, notice: Option<Notice<'_>>, error: Option<&str>) -> Response {
    let sealed = state.seal(&visitor.world.seal);
    let setup = visitor.view.setup.clone();
    let application = title(state);
    let search = offers::looks_for_device(visitor, state)
        .then(|| device::search(&setup, &sealed, agents_demand(visitor, state), None, true));
    let passkeys = offers::looks_for_passkeys(visitor, state).then(|| webauthn::search(&sealed, true));
    let page = Identify {
        shell: visitor.shell(),
        application: application.as_ref().map(Leading::page),
        state: &sealed,
        username: state.username.as_deref(),
        notice,
        error,
        search,
        passkeys,
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

fn agents_demand(visitor: &Visitor, state: &State) -> crate::agents::Confirmation {
    offers::demand(visitor, state)
}

async fn methods(mut visitor: Visitor, Query(Step { state }): Query<Step>) -> Response {
    let Ok(state) = visitor.open(&state) else {
        return visitor.expired("/");
    };
    let sealed = state.seal(&visitor.world.seal);
    let application = title(&state);
    let links = offers::Links::of(&sealed);
    let page = Methods {
        shell: visitor.shell(),
        application: application.as_ref().map(Leading::page),
        username: state.username.as_deref().unwrap_or_default(),
        change: &links.change,
        notice: None,
        offers: offers::before_anybody_is_known(&visitor, &state, &links),
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

async fn device_page(mut visitor: Visitor, Query(Step { state }): Query<Step>) -> Response {
    let Ok(state) = visitor.open(&state) else {
        return visitor.expired("/");
    };
    let sealed = state.seal(&visitor.world.seal);
    let application = title(&state);
    let links = offers::Links::of(&sealed);
    let (demand, setup) = (offers::demand(&visitor, &state), visitor.view.setup.clone());
    let known = visitor.identified().map(|identified| identified.user.login.clone());
    let username = known.or_else(|| state.username.clone());
    let other = offers::other_way(&visitor, &state, &links);
    let page = DevicePage {
        shell: visitor.shell(),
        application: application.as_ref().map(Leading::page),
        username: username.as_deref(),
        change: &links.change,
        other: other.as_deref(),
        search: device::search(&setup, &sealed, demand, username.as_deref(), false),
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

async fn password_page(mut visitor: Visitor, Query(Step { state }): Query<Step>) -> Response {
    match visitor.open(&state) {
        Ok(state) => show_password(&visitor, &state, None, None),
        Err(_) => visitor.expired("/"),
    }
}

fn show_password(visitor: &Visitor, state: &State, error: Option<&str>, wait: Option<u64>) -> Response {
    let sealed = state.seal(&visitor.world.seal);
    let application = title(state);
    let links = offers::Links::of(&sealed);
    let other = offers::other_way(visitor, state, &links);
    let username = offers::username(visitor, state);
    let page = PasswordPage {
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

async fn code_page(mut visitor: Visitor, Query(Step { state }): Query<Step>) -> Response {
    match visitor.open(&state) {
        Ok(state) => show_code(&visitor, &state, None, None),
        Err(_) => visitor.expired("/"),
    }
}

fn show_code(visitor: &Visitor, state: &State, error: Option<&str>, wait: Option<u64>) -> Response {
    let sealed = state.seal(&visitor.world.seal);
    let application = title(state);
    let links = offers::Links::of(&sealed);
    let other = offers::other_way(visitor, state, &links);
    let username = offers::username(visitor, state);
    let page = CodePage {
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

#[derive(Deserialize)]
struct Password {
    state: String,
    password: Zeroizing<String>,
    username: Option<String>,
}

/// Takes the password of who is signed in, or of whose username was typed.
async fn password(mut visitor: Visitor, Form(form): Form<Password>) -> Response {
    let Ok(state) = visitor.open(&form.state) else {
        return visitor.expired("/");
    };
    let username = match (visitor.identified(), &state.username) {
        (Some(identified), _) => identified.user.login.clone(),
        (None, Some(username)) => username.clone(),
        (None, None) => form.username.unwrap_or_default(),
    };
    let source = visitor.arrived.peer;
    let typed = prove_password(&visitor.world, &username, form.password, source).await;
    let wrong = visitor.shell().texts.password.wrong;
    go_on_after(&visitor, &state, typed, wrong, show_password).await
}

#[derive(Deserialize)]
struct Code {
    state: String,
    code: Zeroizing<String>,
}

/// Takes a code of who is signed in, or has proved a password.
async fn code(mut visitor: Visitor, Form(form): Form<Code>) -> Response {
    let Ok(state) = visitor.open(&form.state) else {
        return visitor.expired("/");
    };
    let Some(user) = offers::half_known(&visitor, &state) else {
        return visitor.expired("/");
    };
    let source = visitor.arrived.peer;
    let code: String = form
        .code
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    let typed = prove_code(&visitor.world, &user, &code, source).await;
    let typed = typed.map(|proof| (user, proof));
    let wrong = visitor.shell().texts.code.wrong;
    go_on_after(&visitor, &state, typed, wrong, show_code).await
}

/// Goes on with what somebody typed, or shows the page again with what is wrong, or how long to wait.
async fn go_on_after(
    visitor: &Visitor,
    state: &State,
    typed: Result<(Arc<User>, FactorProof), ApiError>,
    wrong: &str,
    show: impl FnOnce(&Visitor, &State, Option<&str>, Option<u64>) -> Response,
) -> Response {
    let led = match typed {
        Ok((user, proof)) => {
            let by_what_was_typed = Proved {
                user,
                proof: Some(proof),
                device: None,
            };
            proved(visitor, state.clone(), by_what_was_typed).await
        }
        Err(error) => Err(error),
    };
    match led {
        Ok(led) => visitor.answer(led.with_cookie(see_other(&led.to))),
        Err(ApiError::NotAuthenticated | ApiError::Refused(_)) => show(visitor, state, Some(wrong), None),
        Err(ApiError::Throttled(wait)) => show(visitor, state, None, Some(wait.as_secs().saturating_add(1))),
        Err(ApiError::Busy) => show(visitor, state, None, Some(2)),
        Err(ApiError::Policy(denied)) => offers::nothing_begins(visitor, &denied),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn status(error: Option<&str>, wait: Option<u64>) -> StatusCode {
    match (error, wait) {
        (_, Some(_)) => StatusCode::TOO_MANY_REQUESTS,
        (Some(_), None) => StatusCode::UNAUTHORIZED,
        (None, None) => StatusCode::OK,
    }
}

/// Whether more than what a request shows would open the application to it.
pub(super) fn more_would_help(world: &World, view: &View, arrived: &Arrived) -> bool {
    let Site::Application(served) = &arrived.site else {
        return false;
    };
    // A device that shows something beside the session is judged as it stands.
    if arrived.connection.certificate.is_some() || arrived.presented.is_some() {
        return false;
    }
    let shown = crate::request::Shown {
        certificate: None,
        assertion: None,
        session: arrived.session.as_ref(),
    };
    let Ok(identified) = crate::request::identify(shown, &view.directory, view.now) else {
        return false;
    };
    let transaction = Transaction::of(arrived, &view.setup, directory::SecretHash::of(""), view.now);
    let stands = (&identified, arrived.peer);
    next::more_would_help(world, view, &transaction, served, stands)
}

/// Ends a session for its user.
///
/// # Errors
/// The store fails.
pub(super) async fn end_session(
    world: &World,
    arrived: &Arrived,
    grip: &Grip,
    cause: SessionEnd,
) -> Result<(), ApiError> {
    let session = grip.session();
    let directory = world.directory.snapshot();
    let peer = arrived.peer;
    let actor = directory
        .user(session.user)
        .map_or_else(|| crate::sign_in::nobody(peer), |user| actor_of(&user, peer));
    let command = match cause {
        SessionEnd::SignedOutEverywhere => SessionCommand::EndAll {
            user: session.user,
            cause,
        },
        _ => SessionCommand::End {
            session: session.id,
            cause,
        },
    };
    match world.directory.submit_session(command, actor).await {
        // It may have ended already.
        Ok(_) | Err(crate::store::SubmitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The application that a sign-in leads to, for its page.
struct Leading {
    name: String,
    origin: String,
}

impl Leading {
    fn page(&self) -> Application<'_> {
        Application {
            name: &self.name,
            origin: &self.origin,
        }
    }
}

fn title(state: &State) -> Option<Leading> {
    let transaction = state.transaction()?;
    let mut letters = transaction.application.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    Some(Leading {
        name: first.chain(letters).collect(),
        origin: transaction.origin(),
    })
}

const LONGEST_USERNAME: usize = 320;
