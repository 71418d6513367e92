//! How does a page of an application renew its device's proof without losing its place? By a challenge that a frame of the
//! auth host hands to the agent; the cookie that began it is replaced.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use device_checks::SignInAsked;
use directory::{AttemptId, DeviceProof, SecretHash, SessionCommand};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::agents::{Answer, Confirmation, ForPage, Wanted, challenge_for};
use crate::cookies::{Cookie, CookieSecret};
use crate::pages::{self, ENGLISH, Language, RenewFrame, Shell};
use crate::request::{Arrived, Denial, SessionInUse, Shown, Site, identify};
use crate::sign_in::actor_of;
use crate::world::World;

/// The script that pages load.
pub(super) async fn script(headers: HeaderMap) -> Response {
    super::language::send_asset(pages::asset("renew.js"), &headers)
}

#[derive(Serialize)]
struct Begun {
    frame: String,
    challenge: String,
    attempt: AttemptId,
}

/// Begins: hands out a challenge for the device of this session.
pub(super) async fn begin(
    State(world): State<Arc<World>>,
    Extension(arrived): Extension<Arc<Arrived>>,
) -> Result<Response, Response> {
    let session = session_of(&world, &arrived)?;
    let setup = world.setup.load_full();
    let origin = match &arrived.site {
        Site::Application(served) => setup.origin_of(&served.application),
        Site::Auth | Site::Admin | Site::Device | Site::ForwardAuth => None,
    };
    let origin = origin.ok_or_else(|| refused(&arrived))?;
    let wanted = Wanted {
        bound_to: session.grip.secret(),
        user: Some(session.session.user),
        demand: Confirmation::Silent,
        shown: SignInAsked {
            application: arrived.site.name().to_owned(),
            browser: session.session.client.name.clone(),
            address: arrived.peer.to_canonical().to_string(),
            place: None,
            login_hint: world
                .directory
                .snapshot()
                .user(session.session.user)
                .map(|user| user.login.clone()),
        },
        renews: Some(origin),
    };
    let peer = arrived.peer;
    let (attempt, challenge) = challenge_for(&world, wanted, peer).map_err(IntoResponse::into_response)?;
    let frame = format!("{}/renew?app={}", setup.auth_origin, arrived.site.name());
    Ok(no_store(Json(Begun {
        frame,
        challenge,
        attempt,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finish {
    attempt: AttemptId,
}

/// Ends: the device's answer makes a new generation, and the cookie that was shown is dead at once.
pub(super) async fn finish(
    State(world): State<Arc<World>>,
    Extension(arrived): Extension<Arc<Arrived>>,
    Json(Finish { attempt }): Json<Finish>,
) -> Result<Response, Response> {
    let session = session_of(&world, &arrived)?;
    let shown: SecretHash = session.grip.secret();
    let page = ForPage {
        bound_to: shown,
        application: arrived.site.name(),
        renews: true,
    };
    let Some(Answer::Approved(signed)) = world.challenges.take(attempt, page) else {
        return Err(refused(&arrived));
    };
    let directory = world.directory.snapshot();
    let user = directory
        .user(session.session.user)
        .filter(|user| user.id == signed.user);
    let user = user.ok_or_else(|| refused(&arrived))?;
    let cookie = CookieSecret::random();
    let command = SessionCommand::Renew(Box::new(directory::Renewal {
        session: session.session.id,
        base: session.grip.generation(),
        device: DeviceProof {
            enrollment: signed.enrollment,
            generation: signed.generation,
            at: signed.at,
        },
        shown,
        cookie: cookie.hash(),
    }));
    let actor = actor_of(&user, arrived.peer);
    let renewed = world.directory.submit_session(command, actor).await;
    renewed.map_err(|_| refused(&arrived))?;
    let fields = [(header::SET_COOKIE, Cookie::Session.set(&cookie))];
    Ok((StatusCode::NO_CONTENT, fields).into_response())
}

#[derive(Deserialize)]
pub(super) struct Framed {
    app: String,
}

/// The frame on the auth host. It shows nothing, and only the application's own pages may frame it.
pub(super) async fn frame(
    State(world): State<Arc<World>>,
    Extension(arrived): Extension<Arc<Arrived>>,
    Query(Framed { app }): Query<Framed>,
    headers: HeaderMap,
) -> Response {
    let setup = world.setup.load_full();
    let known = setup.config.applications().iter().find(|known| known.name == app);
    let Some(origin) = known.and_then(|known| setup.origin_of(known)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let page = RenewFrame {
        shell: Shell {
            texts: Language::asked(&headers, setup.config.language).texts(),
            ..Shell::new(&arrived.id, &setup.brand)
        },
        application: &origin,
        ports: &setup.config.sign_in.loopback_ports,
        probe_timeout_ms: super::sign_in::PROBE_MS,
        answer_timeout_ms: 15_000,
    };
    pages::respond(StatusCode::OK, &page)
}

#[expect(clippy::result_large_err, reason = "an answer is an answer")]
fn session_of(world: &World, arrived: &Arrived) -> Result<SessionInUse, Response> {
    let shown = Shown {
        certificate: None,
        assertion: None,
        session: arrived.session.as_ref(),
    };
    let identified = identify(shown, &world.directory.snapshot(), world.clock.now());
    match identified.map(|identified| identified.session) {
        Ok(Some(session)) => Ok(session),
        Ok(None) => Err(denied(&Denial::NotSignedIn)),
        Err(unidentified) => Err(denied(&unidentified.denial)),
    }
}

/// What scripts of applications are told is in English; they go by its code.
fn denied(denial: &Denial) -> Response {
    let status = StatusCode::from_u16(denial.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    super::sign_in::problem(status, denial.code(), denial.title(&ENGLISH), &denial.detail(&ENGLISH))
}

fn refused(arrived: &Arrived) -> Response {
    tracing::info!(request = %arrived.id, "a renewal came to nothing");
    let detail = "The device did not answer, or its answer does not count. Reload the page to sign in again.";
    let title = "Your device did not prove itself";
    super::sign_in::problem(StatusCode::FORBIDDEN, "not-renewed", title, detail)
}

fn no_store(answer: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], answer).into_response()
}
