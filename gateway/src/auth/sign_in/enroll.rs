//! How does somebody add the device at which they sit, in the browser? The page gets the proof of the agent's key over the
//! loopback first: a token exists only for an agent on the same machine.

use std::sync::Arc;

use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use device_checks::loopback::{ENROLLMENT_CHALLENGE_TYPE, EnrollmentChallenge};
use device_checks::{AUTHENTICATOR, ExpectedProof, verify_enrollment_proof};
use directory::{
    AttemptId, Command, EnrollmentTokenId, Factor, KeyThumbprint, NewEnrollmentToken, PublicKey, SessionId, Timestamp,
    TokenOrigin,
};
use http::StatusCode;
use policies::{Denied, OrganizationAction, Registration};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::device::{PROBE_MS, problem};
use super::follow;
use super::state::{Goal, State};
use super::visitor::Visitor;
use crate::admin::Secret;
use crate::api_error::{ApiError, fault};
use crate::pages::{self, EnrollDevice, EnrollSearch, EnrollStart, Link, Message, PageReason};
use crate::request::{messages, organization_request, page_reason};
use crate::sign_in::actor_of;
use crate::waiting::Waiting;
use crate::world::World;

/// The routes.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/enroll-device", get(show))
        .route("/enroll-device/challenge", post(challenge))
        .route("/enroll-device/token", post(token))
}

/// Where a device is added.
pub(super) fn url(key: Option<&KeyThumbprint>) -> String {
    key.map_or_else(
        || "/enroll-device".to_owned(),
        |key| format!("/enroll-device?key={key}"),
    )
}

/// The challenges that wait for an agent's proof.
pub(crate) struct EnrollmentChallenges(Waiting<SessionId, AttemptId, Asking>);

#[derive(Debug, Clone)]
struct Asking {
    session: SessionId,
    key: KeyThumbprint,
    nonce: Arc<str>,
    ends: Timestamp,
}

impl EnrollmentChallenges {
    /// None waits yet.
    pub(crate) fn new() -> Self {
        Self(Waiting::new(MOST, MOST_OF_ONE_SESSION, GOOD_FOR * 2))
    }
}

#[derive(Deserialize)]
struct Entry {
    key: Option<KeyThumbprint>,
}

/// The guided page, once somebody is signed in and may add a device.
async fn show(visitor: Visitor, entry: Result<Query<Entry>, axum::extract::rejection::QueryRejection>) -> Response {
    let Ok(Query(Entry { key })) = entry else {
        return visitor.expired("/enroll-device");
    };
    let state = State::new(Goal::Device(key), visitor.browser(), visitor.view.now);
    let Some(identified) = visitor.identified() else {
        return follow(&visitor, state).await;
    };
    if let Err(denied) = may_register(&visitor) {
        return refuse(&visitor, &state, &denied);
    }
    let setup = visitor.view.setup.clone();
    let Some(key) = key else {
        let page = EnrollStart {
            shell: visitor.shell(),
            gateway: &setup.auth_origin,
        };
        return visitor.answer(pages::respond(StatusCode::OK, &page));
    };
    let (sealed, key) = (state.seal(&visitor.world.seal), key.to_string());
    let name = format!("{}-device", identified.user.login);
    let another = format!("/sign-in/another?state={sealed}");
    let page = EnrollDevice {
        shell: visitor.shell(),
        user: &identified.user.login,
        another_account: &another,
        name: &name,
        search: EnrollSearch {
            state: &sealed,
            key: &key,
            ports: &setup.config.sign_in.loopback_ports,
            probe_timeout_ms: PROBE_MS,
            answer_timeout_ms: ENROLLED_WITHIN_MS,
            challenge_url: "/enroll-device/challenge",
            token_url: "/enroll-device/token",
            done_url: "/",
        },
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

/// Whether the policies let whoever is signed in add a device. What it proves of itself is judged when it does.
fn may_register(visitor: &Visitor) -> Result<(), Denied> {
    let Some(identified) = visitor.identified() else {
        return Ok(());
    };
    let view = &visitor.view;
    let request = organization_request(&visitor.world.facts, view, &visitor.arrived, identified);
    let registration = Registration {
        attested: true,
        lost_trust_before: view.directory.has_lost_trust(identified.user.id),
        ..Registration::default()
    };
    let action = OrganizationAction::RegisterDevice(registration);
    view.decider.decide_organization(&action, &request).map(drop)
}

fn refuse(visitor: &Visitor, state: &State, denied: &Denied) -> Response {
    let again = format!("/sign-in/another?state={}", state.seal(&visitor.world.seal));
    let reasons: Vec<PageReason<'_>> = denied
        .reasons
        .iter()
        .map(|reason| page_reason(visitor.shell().texts, reason))
        .collect();
    let texts = &visitor.shell().texts.refusals;
    let message = Message {
        reasons: &reasons,
        link: Some(Link {
            href: &again,
            text: texts.device_again,
        }),
        code: "enrollment-refused",
        ..visitor.message(texts.device_title, texts.device_lead)
    };
    visitor.answer(message.respond(StatusCode::FORBIDDEN))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    state: String,
}

#[derive(Serialize)]
struct Asked {
    challenge: String,
}

/// Asks the agent that opened the browser to prove that it is on the same machine.
async fn challenge(visitor: Visitor, Json(step): Json<Step>) -> Response {
    match make_challenge(&visitor, &step.state) {
        Ok(challenge) => Json(Asked { challenge }).into_response(),
        Err(error) => tell(&visitor, &error),
    }
}

fn make_challenge(visitor: &Visitor, sealed: &str) -> Result<String, ApiError> {
    let (key, login, session) = admitted(visitor, sealed)?;
    let now = visitor.view.now;
    let attempt = AttemptId::from_random(rand::random());
    let nonce = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let ends = now.plus(GOOD_FOR);
    let origin = &visitor.view.setup.auth_origin;
    let settings = visitor.view.directory.settings();
    let organization = settings.map(|settings| settings.organization);
    let challenge = EnrollmentChallenge {
        iss: origin.clone(),
        aud: AUTHENTICATOR.to_owned(),
        iat: now.secs(),
        exp: ends.secs(),
        jti: attempt,
        nonce: nonce.clone(),
        org_id: organization.ok_or(ApiError::NotAuthenticated)?,
        origin: origin.clone(),
        key,
        login,
    };
    let signed = visitor.world.signer.sign(ENROLLMENT_CHALLENGE_TYPE, &challenge);
    let signed = signed.map_err(|error| fault(&error, "an enrolment challenge could not be signed"))?;
    let asking = Asking {
        session,
        key,
        nonce: nonce.into(),
        ends,
    };
    visitor.world.under_way.enrollments.0.keep(session, attempt, asking);
    Ok(signed)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proved {
    state: String,
    key: PublicKey,
    proof: String,
}

/// Gives the agent whose key proved to be here a token that only that key can use.
async fn token(visitor: Visitor, Json(proved): Json<Proved>) -> Response {
    match make_token(&visitor, &proved).await {
        Ok(token) => Json(json!({ "token": token })).into_response(),
        Err(error) => tell(&visitor, &error),
    }
}

async fn make_token(visitor: &Visitor, proved: &Proved) -> Result<String, ApiError> {
    let (key, _, session) = admitted(visitor, &proved.state)?;
    let refused = |why: &dyn std::fmt::Display| {
        tracing::info!(request = %visitor.arrived.id, %why, "an agent's proof was refused");
        ApiError::ProofRefused("the agent's proof is not a good one".to_owned())
    };
    if proved.key.thumbprint() != key {
        return Err(refused(&"it is by another key than that which opened the browser"));
    }
    let (attempt, waiting) = waiting_for(visitor, &proved.proof).ok_or_else(|| refused(&"nothing waits for it"))?;
    let now = visitor.view.now;
    if waiting.session != session || waiting.key != key || waiting.ends <= now {
        return Err(refused(&"it is for another sign-in"));
    }
    let expected = ExpectedProof {
        audience: &visitor.view.setup.auth_origin,
        attempt,
        nonce: &waiting.nonce,
        now,
    };
    verify_enrollment_proof(&proved.proof, &proved.key, &expected).map_err(|error| refused(&error))?;
    visitor
        .world
        .under_way
        .enrollments
        .0
        .take(&attempt)
        .ok_or_else(|| refused(&"it was used before"))?;
    let (Some(identified), Some(session)) = (visitor.identified(), visitor.session()) else {
        return Err(ApiError::NotAuthenticated);
    };
    let proofs = session
        .generation()
        .map(|generation| generation.proofs.clone())
        .unwrap_or_default();
    let secret = Secret::enrollment(rand::random());
    let factors: std::collections::BTreeSet<Factor> = proofs.iter().map(|proof| proof.factor).collect();
    let new = NewEnrollmentToken {
        id: EnrollmentTokenId::from_random(rand::random()),
        secret: secret.hash(),
        user: identified.user.id,
        device: None,
        origin: TokenOrigin::SignIn,
        factors,
        proofs,
        session: Some(session.session.id),
        bound_to: Some(key),
        ends: now.plus(visitor.view.setup.config.enrollment.token_lifetime),
    };
    let actor = actor_of(&identified.user, visitor.arrived.peer);
    visitor
        .world
        .directory
        .submit(Command::CreateEnrollmentToken(new), actor, Vec::new())
        .await?;
    Ok(secret.reveal().to_owned())
}

/// The challenge that a proof names, which is verified by what was kept of it.
fn waiting_for(visitor: &Visitor, proof: &str) -> Option<(AttemptId, Asking)> {
    let attempt = device_checks::proved_attempt(proof).ok()?;
    Some((attempt, visitor.world.under_way.enrollments.0.get(&attempt)?))
}

/// For which key, user and session a device is being added, if the policies still let it be.
fn admitted(visitor: &Visitor, sealed: &str) -> Result<(KeyThumbprint, String, SessionId), ApiError> {
    let state = State::open(&visitor.world.seal, sealed, visitor.browser(), visitor.view.now);
    let state = state.map_err(|_| ApiError::InvalidToken)?;
    let Goal::Device(Some(key)) = state.goal else {
        return Err(ApiError::InvalidToken);
    };
    let (Some(identified), Some(session)) = (visitor.identified(), visitor.session()) else {
        return Err(ApiError::NotAuthenticated);
    };
    may_register(visitor).map_err(ApiError::Policy)?;
    Ok((key, identified.user.login.clone(), session.session.id))
}

/// What the page shows of an error, in its language.
fn tell(visitor: &Visitor, error: &ApiError) -> Response {
    let texts = visitor.shell().texts;
    let said = &texts.enroll;
    let (status, code, title, text) = match error {
        ApiError::Policy(denied) => {
            let (title, text) = (texts.refusals.device_title, messages(texts, denied));
            return problem(StatusCode::FORBIDDEN, "enrollment-refused", title, &text);
        }
        ApiError::ProofRefused(_) => (
            StatusCode::FORBIDDEN,
            "proof-refused",
            said.not_this_title,
            said.not_this_text,
        ),
        ApiError::InvalidToken | ApiError::NotAuthenticated => (
            StatusCode::BAD_REQUEST,
            "sign-in-over",
            texts.expired.title,
            said.too_old_text,
        ),
        _ => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal-error",
            texts.faults.internal_title,
            said.fault_text,
        ),
    };
    problem(status, code, title, text)
}

/// How long an agent may take to prove itself.
const GOOD_FOR: std::time::Duration = std::time::Duration::from_secs(120);

/// How long an enrolment may take in the page's eyes, in milliseconds.
const ENROLLED_WITHIN_MS: u64 = 300_000;

/// How many may wait; each takes a session.
const MOST: usize = 10_000;

/// How many of one session may wait.
const MOST_OF_ONE_SESSION: usize = 16;
