//! Which sessions are there, on what does each rest, and how does an admin end them?

use std::sync::Arc;

use axum::extract::Path;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use directory::{
    Basis, EnrollmentId, FactorProof, Generation, Scope, Session, SessionCommand, SessionEnd, SessionId, Timestamp,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Parameters;
use super::call::Call;
use super::page::{self, Listing};
use super::shape::{View, time};
use crate::api_error::ApiError;
use crate::world::World;

/// The routes about sessions.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v1/sessions", get(list))
        .route("/api/v1/sessions/{id}", get(show).delete(end))
        .route("/api/v1/users/{name}/sessions", get(of_user).delete(end_of_user))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    limit: Option<u32>,
    after: Option<SessionId>,
}

async fn list(call: Call, listing: Listing, Parameters(asked): Parameters<List>) -> Result<Response, ApiError> {
    let view = call.read(Scope::UsersRead)?;
    let size = page::size(asked.limit, page::USUAL, page::MOST)?;
    let found = call.sessions().live_after(asked.after.unwrap_or(SessionId::FIRST));
    let found = found.into_iter().filter(|(session, _)| view.counts(session));
    let (page, next) = page::cut(found, size, |(session, _)| session.id.to_string());
    let page = page.into_iter().map(|(session, seen)| view.session(&session, seen));
    Ok(listing.answer(page.collect(), next))
}

async fn show(call: Call, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let view = call.read(Scope::UsersRead)?;
    let (session, seen) = find(&call, &view, &id)?;
    Ok(Json(view.session(&session, seen)))
}

/// Ends one session, in its browser and at every application.
async fn end(call: Call, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let view = call.read(Scope::UsersManage)?;
    let (session, _) = find(&call, &view, &id)?;
    call.submit_session(SessionCommand::End {
        session: session.id,
        cause: SessionEnd::Admin,
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn of_user(call: Call, Path(name): Path<String>) -> Result<Json<Vec<Value>>, ApiError> {
    let view = call.read(Scope::UsersRead)?;
    let mut sessions = call.sessions().of_user(view.find_user(&name)?.id);
    sessions.retain(|(session, _)| view.counts(session));
    let shapes = sessions.iter().map(|(session, seen)| view.session(session, *seen));
    Ok(Json(shapes.collect()))
}

/// Signs a user out everywhere.
async fn end_of_user(call: Call, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    let user = call.read(Scope::UsersManage)?.find_user(&name)?.id;
    call.submit_session(SessionCommand::EndAll {
        user,
        cause: SessionEnd::Admin,
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The session with this id, while it goes on: what ended is found no more.
fn find(call: &Call, view: &View, id: &str) -> Result<(Arc<Session>, Timestamp), ApiError> {
    let known = id.parse().ok().and_then(|id| call.sessions().find(id));
    known
        .filter(|(session, _)| view.counts(session))
        .ok_or_else(|| ApiError::not_found("session", id))
}

impl View {
    fn counts(&self, session: &Session) -> bool {
        session.end(&self.snapshot).is_none()
    }

    /// A session, by what was proved last.
    fn session(&self, session: &Session, seen: Timestamp) -> Value {
        let user = self.snapshot.user(session.user);
        let newest = session.generations.iter().max_by_key(|generation| generation.number);
        json!({
            "id": session.id,
            "userId": session.user,
            "login": user.map(|user| user.login.clone()),
            "status": "ACTIVE",
            "createdAt": time(session.created),
            "lastUsed": time(seen),
            "browser": session.client.name,
            "address": session.client.address,
            "origin": newest.and_then(|generation| self.origin(generation)),
            "factors": newest.map(|generation| generation.proofs.iter().map(factor).collect::<Vec<_>>()),
            "generations": newest.map(|generation| generation.number),
            "risk": newest.map(|generation| generation.risk.score()),
        })
    }

    /// The device whose key signed the session in, whatever has been proved beside.
    fn origin(&self, generation: &Generation) -> Option<Value> {
        let (enrollment, device) = generation.proofs.iter().find_map(key_of)?;
        Some(json!({
            "device": device,
            "name": self.snapshot.device(device).map(|device| device.name.clone()),
            "enrollment": enrollment,
        }))
    }
}

fn key_of(proof: &FactorProof) -> Option<(EnrollmentId, directory::DeviceId)> {
    match proof.basis {
        Basis::Enrollment { id, device, .. } => Some((id, device)),
        Basis::Authenticator { .. } | Basis::Mail { .. } => None,
    }
}

fn factor(proof: &FactorProof) -> Value {
    json!({
        "method": proof.factor,
        "at": time(proof.at),
        "properties": proof.properties.names().collect::<Vec<_>>(),
    })
}
