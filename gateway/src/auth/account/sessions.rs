//! Where is somebody signed in? They see each session, and end one, all others, or all.

use axum::Form;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use directory::{Basis, FactorProof, Session, SessionCommand, SessionEnd, SessionId, Timestamp};
use http::StatusCode;
use serde::Deserialize;

use super::{Arrival, done, identified_or_sign_in, nothing_there, sealed, sent_from};
use crate::api_error::ApiError;
use crate::auth::manage::AccountPage;
use crate::auth::sign_in::Visitor;
use crate::pages::{self, Moment, SessionLine, SessionsPage};
use crate::sign_in::actor_of;
use crate::store::SubmitError;

/// The sessions, the one that asks first.
pub(super) async fn show(visitor: Visitor, Query(arrival): Query<Arrival>) -> Response {
    if let Err(answer) = identified_or_sign_in(&visitor, AccountPage::Sessions).await {
        return answer;
    }
    let mut sessions = own(&visitor);
    sessions.sort_by_key(|(session, seen)| (!is_here(&visitor, session.id), std::cmp::Reverse(*seen)));
    let lines = sessions.iter().map(|(session, seen)| line(&visitor, session, *seen));
    let state = sealed(&visitor, AccountPage::Sessions);
    let page = SessionsPage {
        shell: visitor.shell(),
        state: &state,
        notice: arrival.notice(&visitor),
        sessions: lines.collect(),
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

fn line(visitor: &Visitor, session: &Session, seen: Timestamp) -> SessionLine {
    let texts = visitor.shell().texts;
    let newest = session.generations.iter().max_by_key(|generation| generation.number);
    let proofs = newest
        .map(|generation| generation.proofs.as_slice())
        .unwrap_or_default();
    let device_of = |proof: &FactorProof| match proof.basis {
        Basis::Enrollment { device, .. } => visitor.view.directory.device(device),
        Basis::Authenticator { .. } | Basis::Mail { .. } => None,
    };
    let factors = proofs.iter().map(|proof| {
        let factor = texts.factor(proof.factor);
        device_of(proof).map_or_else(|| factor.to_owned(), |device| format!("{factor} ({})", device.name))
    });
    let factors: Vec<String> = factors.collect();
    SessionLine {
        id: session.id.to_string(),
        browser: texts.browser(&session.client.name).into_owned(),
        address: session.client.address.to_string(),
        since: Moment(session.created),
        seen: Moment(seen),
        factors: factors.join(" + "),
        here: is_here(visitor, session.id),
    }
}

#[derive(Deserialize)]
pub(super) struct End {
    state: String,
    id: SessionId,
}

/// Ends another session of the user's.
pub(super) async fn end(mut visitor: Visitor, Form(form): Form<End>) -> Response {
    if let Err(answer) = sent_from(&mut visitor, &form.state, AccountPage::Sessions) {
        return answer;
    }
    let is_own = own(&visitor).iter().any(|(session, _)| session.id == form.id);
    if !is_own || is_here(&visitor, form.id) {
        return nothing_there(&visitor, AccountPage::Sessions);
    }
    end_each(&visitor, [form.id]).await
}

#[derive(Deserialize)]
pub(super) struct EndOthers {
    state: String,
}

/// Ends all but the one that asks.
pub(super) async fn end_others(mut visitor: Visitor, Form(form): Form<EndOthers>) -> Response {
    if let Err(answer) = sent_from(&mut visitor, &form.state, AccountPage::Sessions) {
        return answer;
    }
    let others: Vec<SessionId> = own(&visitor)
        .iter()
        .map(|(session, _)| session.id)
        .filter(|id| !is_here(&visitor, *id))
        .collect();
    end_each(&visitor, others).await
}

async fn end_each(visitor: &Visitor, sessions: impl IntoIterator<Item = SessionId>) -> Response {
    let back = AccountPage::Sessions.path();
    let Some(identified) = visitor.identified() else {
        return visitor.expired(&back);
    };
    for session in sessions {
        let actor = actor_of(&identified.user, visitor.arrived.peer);
        let end = SessionCommand::End {
            session,
            cause: SessionEnd::SignedOutEverywhere,
        };
        match visitor.world.directory.submit_session(end, actor).await {
            // It may have ended by itself.
            Ok(_) | Err(SubmitError::Refused(_)) => {}
            Err(error) => return ApiError::from(error).into_response(),
        }
    }
    done(visitor, &back, "ended")
}

/// The sessions of whoever is signed in that still count, and when each was used last.
fn own(visitor: &Visitor) -> Vec<(std::sync::Arc<Session>, Timestamp)> {
    let Some(identified) = visitor.identified() else {
        return Vec::new();
    };
    let mut sessions = visitor.world.directory.sessions().of_user(identified.user.id);
    sessions.retain(|(session, _)| session.end(&visitor.view.directory).is_none());
    sessions
}

fn is_here(visitor: &Visitor, id: SessionId) -> bool {
    visitor.session().is_some_and(|session| session.session.id == id)
}
