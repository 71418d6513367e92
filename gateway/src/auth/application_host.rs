//! What does the gateway answer on an application's own host? A code becomes the cookie of a session there; a page renews its
//! device's proof; somebody signs out.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use directory::{SecretHash, SessionCommand, SessionEnd};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::renewal;
use super::transaction::{BadCode, Exchange, Transaction};
use crate::cookies::{Cookie, CookieSecret};
use crate::logs::Chain;
use crate::pages::{Language, Link, Message, Shell};
use crate::request::{Arrived, Denial, SignInAt, View};
use crate::sign_in::{actor_of, nobody};
use crate::store::SubmitError;
use crate::world::World;

/// The routes under `/.latchkey/` on every application's host.
pub(crate) fn application_router(world: Arc<World>) -> Router {
    Router::new()
        .route("/.latchkey/session", get(exchange))
        .route("/.latchkey/sign-out", get(ask_to_sign_out).post(sign_out))
        .route("/.latchkey/renew", post(renewal::begin))
        .route("/.latchkey/renew/finish", post(renewal::finish))
        .route("/.latchkey/renew.js", get(renewal::script))
        .merge(super::language::routes("/.latchkey"))
        .fallback(super::not_found)
        .with_state(world)
}

/// Where somebody who is denied can sign in, and whether a browser goes there by itself.
pub(crate) fn way_to_sign_in(
    world: &World,
    view: &View,
    arrived: &Arrived,
    headers: &HeaderMap,
    denial: &Denial,
) -> Option<SignInAt> {
    let known = Cookie::Binding.read(headers).ok().flatten();
    let (binding, cookies) = match known {
        Some(binding) => (binding, Vec::new()),
        None => {
            let new = CookieSecret::random();
            let set = Cookie::Binding.set(&new);
            (new, vec![set])
        }
    };
    let transaction = Transaction::of(arrived, &view.setup, binding.hash(), view.now);
    let sealed = transaction.seal(&world.seal).ok()?;
    let name = arrived.site.name();
    let navigates = arrived.browser && arrived.method == http::Method::GET && !arrived.websocket;
    let page = format!("{}/sign-in?app={name}", view.setup.auth_origin);
    Some(SignInAt {
        url: format!("{page}&tx={sealed}"),
        page,
        at_once: navigates && goes_by_itself(world, view, arrived, denial),
        // A script that is denied is no reason for a cookie.
        cookies: if navigates { cookies } else { Vec::new() },
    })
}

/// Whether signing in, or proving more, may help: then the browser is sent there. Whom an administrator shut out gets an
/// explanation first.
fn goes_by_itself(world: &World, view: &View, arrived: &Arrived, denial: &Denial) -> bool {
    match denial {
        Denial::NotSignedIn | Denial::SessionOver | Denial::ProofTooOld(_) => !is_going_round(arrived, view),
        Denial::SessionEnded(end) => match end {
            SessionEnd::SignedOut
            | SessionEnd::SignedOutEverywhere
            | SessionEnd::Replaced
            | SessionEnd::Expired
            | SessionEnd::TooMany
            | SessionEnd::FactorChanged
            | SessionEnd::Admin => true,
            SessionEnd::UserInactive
            | SessionEnd::DeviceDeactivated
            | SessionEnd::DeviceSuspended
            | SessionEnd::DeviceDeleted
            | SessionEnd::AccountRemoved => false,
        },
        Denial::Policy(_) => !is_going_round(arrived, view) && super::sign_in::more_would_help(world, view, arrived),
        _ => false,
    }
}

/// Whether the browser has just come from there: what did not help then does not help now.
fn is_going_round(arrived: &Arrived, view: &View) -> bool {
    let made = arrived.session.as_ref().map(|grip| grip.made());
    made.is_some_and(|made| made.until(view.now).is_some_and(|age| age < JUST_NOW))
}

const JUST_NOW: std::time::Duration = std::time::Duration::from_secs(5);

#[derive(Deserialize)]
struct Code {
    code: Option<String>,
}

/// Exchanges a code for the cookie of a session at this host.
async fn exchange(
    State(world): State<Arc<World>>,
    Extension(arrived): Extension<Arc<Arrived>>,
    Query(Code { code }): Query<Code>,
    headers: HeaderMap,
) -> Response {
    let (now, setup) = (world.clock.now(), world.setup.load_full());
    let shell = super::shell(&setup, &arrived, &headers);
    let binding = Cookie::Binding.read(&headers).ok().flatten();
    let has_binding = binding.is_some();
    let code = code.unwrap_or_default();
    let taken = world
        .under_way
        .codes
        .take(&code, &arrived.host, binding.map(|binding| binding.hash()), now);
    let exchange = match taken {
        Ok(exchange) => exchange,
        Err(bad) => {
            tracing::info!(request = %arrived.id, why = %bad, "a code was refused");
            return match bad {
                // Of two tabs that began at once one has lost its cookie: it begins anew with the other's. A browser that
                // keeps no cookies would go round for ever.
                BadCode::OtherBrowser { target } if has_binding => begin_anew(&arrived, shell, &target),
                BadCode::OtherBrowser { .. } | BadCode::Unknown | BadCode::Elsewhere => start_again(shell, None),
            };
        }
    };
    let known = arrived.session.as_ref();
    let replaces = known
        .filter(|grip| grip.session().id == exchange.session)
        .map(|grip| grip.secret());
    let secret = CookieSecret::random();
    let admitted = admit(&world, &arrived, &exchange, secret.hash(), replaces).await;
    match admitted {
        Ok(()) => {
            let location = format!("{}{}", exchange.transaction.origin(), exchange.transaction.target);
            let mut answer = see_other(&location);
            answer
                .headers_mut()
                .append(header::SET_COOKIE, Cookie::Session.set(&secret));
            if let Some(language) = exchange
                .language
                .filter(|chosen| Language::chosen(&headers) != Some(*chosen))
            {
                answer.headers_mut().append(header::SET_COOKIE, language.remember());
            }
            answer
        }
        // Another tab has the session rest on more meanwhile.
        Err(SubmitError::Refused(_)) if is_alive(&world, &exchange) => {
            begin_anew(&arrived, shell, &exchange.transaction.target)
        }
        Err(SubmitError::Refused(_)) => start_again(shell, None),
        Err(error @ SubmitError::Unavailable(_)) => {
            tracing::error!(error = %Chain(&error), "a session could not be admitted");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

async fn admit(
    world: &World,
    arrived: &Arrived,
    exchange: &Exchange,
    cookie: SecretHash,
    replaces: Option<SecretHash>,
) -> Result<(), SubmitError> {
    let directory = world.directory.snapshot();
    let session = world.directory.sessions().find(exchange.session);
    let user = session.and_then(|(session, _)| directory.user(session.user));
    let actor = user.map_or_else(|| nobody(arrived.peer), |user| actor_of(&user, arrived.peer));
    let command = SessionCommand::Admit {
        session: exchange.session,
        generation: exchange.generation,
        cookie,
        host: arrived.host.clone(),
        replaces,
    };
    world.directory.submit_session(command, actor).await.map(drop)
}

/// A link cannot sign anybody out; it leads to where one can.
async fn ask_to_sign_out(State(world): State<Arc<World>>) -> Response {
    see_other(&format!("{}/", world.setup.load().auth_origin))
}

/// Ends the session that this host's cookie stands for, here and at every other application.
async fn sign_out(State(world): State<Arc<World>>, Extension(arrived): Extension<Arc<Arrived>>) -> Response {
    if let Some(grip) = &arrived.session
        && let Err(error) = super::sign_in::end_session(&world, &arrived, grip, SessionEnd::SignedOut).await
    {
        return error.into_response();
    }
    let location = format!("{}/signed-out", world.setup.load().auth_origin);
    let mut answer = see_other(&location);
    answer.headers_mut().append(header::SET_COOKIE, Cookie::Session.clear());
    answer
}

/// Sends the browser on, whatever method it came with (RFC 9110, section 15.4.4).
pub(super) fn see_other(location: &str) -> Response {
    let mut answer = StatusCode::SEE_OTHER.into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

/// Whether the session of a code goes on.
fn is_alive(world: &World, exchange: &Exchange) -> bool {
    let known = world.directory.sessions().find(exchange.session);
    known.is_some_and(|(session, _)| session.end(&world.directory.snapshot()).is_none())
}

/// Says that this way in is over, and goes to what was asked for as if for the first time.
fn begin_anew(arrived: &Arrived, shell: Shell<'_>, target: &str) -> Response {
    let url = format!("https://{}{target}", arrived.authority);
    let mut answer = start_again(shell, Some(&url));
    if let Ok(refresh) = HeaderValue::from_str(&format!("0; url={url}")) {
        answer.headers_mut().insert(header::REFRESH, refresh);
    }
    answer
}

fn start_again(shell: Shell<'_>, at: Option<&str>) -> Response {
    let texts = shell.texts;
    let message = Message {
        link: Some(Link {
            href: at.unwrap_or("/"),
            text: texts.expired.start,
        }),
        code: "sign-in-over",
        ..Message::new(texts.denials.code_over_title, texts.denials.code_over, shell)
    };
    message.respond(StatusCode::BAD_REQUEST)
}
