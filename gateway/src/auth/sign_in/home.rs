//! What does the auth host show to who is signed in, and how do they sign out? Here, or everywhere.

use std::sync::Arc;

use axum::Router;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use device_checks::DeviceSignals;
use directory::{Basis, Device, DeviceState, EnrollmentState, SessionEnd};
use http::{StatusCode, header};
use serde::Deserialize;

use super::device::PROBE_MS;
use super::state::{Goal, State};
use super::visitor::Visitor;
use super::{end_session, follow};
use crate::auth::application_host::see_other;
use crate::cookies::Cookie;
use crate::pages::{self, DeviceLine, DeviceTest, Home, Moment, Notice, Severity, SignedOut};
use crate::world::World;

/// The routes.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/", get(home))
        .route("/sign-out", post(sign_out))
        .route("/sign-out-everywhere", post(sign_out_everywhere))
        .route("/signed-out", get(signed_out))
        .route("/device-test", get(device_test))
}

#[derive(Deserialize)]
struct Arrival {
    enrolled: Option<String>,
}

/// Who is signed in, with their devices; or the sign-in.
async fn home(visitor: Visitor, Query(arrival): Query<Arrival>) -> Response {
    let (Some(identified), Some(session)) = (visitor.identified(), visitor.session()) else {
        let state = State::new(Goal::Home, visitor.browser(), visitor.view.now);
        return follow(&visitor, state).await;
    };
    let directory = &visitor.view.directory;
    let user = &identified.user;
    let known: Vec<_> = directory.devices_of_user(user.id).collect();
    let mut devices: Vec<DeviceLine<'_>> = Vec::new();
    for device in &known {
        devices.push(DeviceLine {
            added: arrival.enrolled.as_deref() == Some(&device.name),
            ..line(&visitor, device)
        });
    }
    // What comes in the address is shown only if there is such a device.
    let texts = &visitor.shell().texts.notices;
    let notice = devices.iter().any(|device| device.added).then_some(Notice {
        severity: Severity::Success,
        title: texts.device_added_title,
        text: texts.device_added_text,
    });
    let state = State::new(Goal::Home, visitor.browser(), visitor.view.now).seal(&visitor.world.seal);
    let page = Home {
        shell: visitor.shell(),
        state: &state,
        user: &user.login,
        since: Moment(session.session.created),
        notice,
        devices,
        sessions: visitor.world.directory.sessions().of_user(user.id).len(),
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

/// A device of who is signed in, in a list.
pub(crate) fn line<'a>(visitor: &'a Visitor, device: &'a Device) -> DeviceLine<'a> {
    let view = &visitor.view;
    let known = view.setup.trust.on_record(&view.directory, device, None, view.now);
    let generation = visitor.session().and_then(|session| session.generation());
    let is_of = |basis: &Basis| matches!(basis, Basis::Enrollment { device: of, .. } if *of == device.id);
    let current = generation.is_some_and(|generation| generation.proofs.iter().any(|proof| is_of(&proof.basis)));
    DeviceLine {
        name: &device.name,
        platform: device.platform,
        managed: DeviceSignals::of(&known, view.now).managed,
        active: device.state == DeviceState::Active,
        current,
        added: false,
        last_proof: last_proof(visitor, device),
    }
}

/// When one of the user's sessions last saw the device prove itself.
fn last_proof(visitor: &Visitor, device: &Device) -> Option<Moment> {
    let user = visitor.identified()?.user.id;
    let directory = &visitor.view.directory;
    let enrollments: Vec<_> = directory
        .enrollments_of_device(device.id)
        .filter(|enrollment| enrollment.user == user && !matches!(enrollment.state, EnrollmentState::Ended { .. }))
        .map(|enrollment| enrollment.id)
        .collect();
    let sessions = visitor.world.directory.sessions().of_user(user);
    let proofs = sessions.iter().flat_map(|(session, _)| &session.generations);
    let proofs = proofs.filter_map(|generation| generation.device);
    let proofs = proofs.filter(|proof| enrollments.contains(&proof.enrollment));
    proofs.map(|proof| proof.at).max().map(Moment)
}

async fn sign_out(visitor: Visitor) -> Response {
    end(&visitor, SessionEnd::SignedOut, "/signed-out").await
}

async fn sign_out_everywhere(visitor: Visitor) -> Response {
    end(&visitor, SessionEnd::SignedOutEverywhere, "/signed-out?everywhere=true").await
}

async fn end(visitor: &Visitor, cause: SessionEnd, to: &str) -> Response {
    // Whether the policies let it go on or not: what the browser holds ends.
    if let Some(grip) = visitor.arrived.session.as_ref().filter(|grip| !grip.is_replaced())
        && let Err(error) = end_session(&visitor.world, &visitor.arrived, grip, cause).await
    {
        return error.into_response();
    }
    let mut answer = see_other(to);
    // Pages that were left open belong to the browser's cookie: with it goes what they could go on with.
    for cookie in [Cookie::Session, Cookie::Browser] {
        let clear = match cookie {
            Cookie::Browser => visitor.rotated(),
            Cookie::Session | Cookie::Binding => cookie.clear(),
        };
        answer.headers_mut().append(header::SET_COOKIE, clear);
    }
    answer
}

#[derive(Deserialize)]
struct Where {
    #[serde(default)]
    everywhere: bool,
}

async fn signed_out(visitor: Visitor, Query(Where { everywhere }): Query<Where>) -> Response {
    let page = SignedOut {
        shell: visitor.shell(),
        everywhere,
        sign_in: "/sign-in",
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

async fn device_test(visitor: Visitor) -> Response {
    let setup = visitor.view.setup.clone();
    let page = DeviceTest {
        shell: visitor.shell(),
        ports: &setup.config.sign_in.loopback_ports,
        probe_timeout_ms: PROBE_MS,
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}
