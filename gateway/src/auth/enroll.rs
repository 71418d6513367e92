//! How does a device enrol with an admin's token? It sends a certificate request, and gets its certificate.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use certs::{BadRequest, IssueError, IssuedCertificate, Terms, VerifiedRequest};
use directory::{
    Actor, ActorKind, Command, DeviceId, Enroll, EnrollmentId, EnrollmentToken, KeyStore, NewCertificate, NewDevice,
    Platform, SecretHash, User,
};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::crl_url;
use crate::agents::may_register_unproved;
use crate::api_error::{api_error, refusal};
use crate::logs::Chain;
use crate::request::Arrived;
use crate::store::SubmitError;
use crate::world::World;

/// What the device says of itself; nothing of it is taken for proved.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    name: Option<String>,
    platform: Option<Platform>,
}

/// Enrols a device: the token in `Authorization: Bearer TOKEN`, the certificate request in PEM as the body.
pub(super) async fn enroll(
    State(world): State<Arc<World>>,
    Extension(arrived): Extension<Arc<Arrived>>,
    about: Result<Query<About>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let about = match about {
        Ok(Query(about)) => about,
        Err(rejection) => {
            let summary = format!(
                "query: expected `name` and `platform` at most: {}",
                rejection.body_text()
            );
            return api_error(StatusCode::BAD_REQUEST, "E0000001", &summary, &[]);
        }
    };
    let directory = world.directory.snapshot();
    let token = bearer(&headers).and_then(|secret| directory.enrollment_token_by_secret(&SecretHash::of(secret)));
    let user = token.and_then(|token| directory.user(token.user));
    // A stranger without a token gets no signature made and no line in the System Log written.
    let (Some(token), Some(user)) = (token, user) else {
        metrics::counter!("latchkey_enrollments_total", "outcome" => "unknown-token").increment(1);
        let summary = "Expected a valid enrolment token in Authorization: Bearer TOKEN";
        return api_error(StatusCode::UNAUTHORIZED, "E0000011", summary, &[]);
    };
    let asked = Asked {
        token,
        user: &user,
        about: &about,
        arrived: &arrived,
    };
    if let Err(refused) = may_register_unproved(&world, token, &user, &arrived) {
        return refused.into_response();
    }
    match try_enroll(&world, &asked, &body).await {
        Ok(chain) => (
            StatusCode::CREATED,
            [(header::CONTENT_TYPE, "application/pem-certificate-chain")],
            chain,
        )
            .into_response(),
        Err(failure) => failure.into_response(),
    }
}

/// Says why an enrolment came to nothing.
#[derive(Debug, thiserror::Error)]
enum EnrollError {
    #[error("the certificate request")]
    Request(#[source] BadRequest),
    #[error("issuing the certificate")]
    Issue(#[source] IssueError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

async fn try_enroll(world: &World, asked: &Asked<'_>, request: &str) -> Result<String, EnrollError> {
    let request = VerifiedRequest::parse_pem(request).map_err(EnrollError::Request)?;
    let device = asked.device();
    let setup = world.setup.load_full();
    let terms = Terms {
        now: world.clock.now(),
        lifetime: setup.config.enrollment.certificate_lifetime,
        random: rand::random(),
    };
    let url = crl_url(&setup, &world.authority);
    let issued = world
        .authority
        .issue_device(&request, device.id, &terms, Some(&url))
        .map_err(EnrollError::Issue)?;
    let chain = issued.pem() + &world.authority.certificate_pem();
    let command = Command::Enroll(Box::new(Enroll {
        secret: asked.token.secret,
        device,
        enrollment: EnrollmentId::from_random(rand::random()),
        key: request.key(),
        // Where the key lives is claimed at best: only attestation proves more.
        key_store: KeyStore::Software,
        certificate: recorded(world, &issued),
        authenticator: None,
    }));
    world
        .directory
        .submit(command, asked.actor(), vec![(issued.fingerprint, issued.der)])
        .await?;
    Ok(chain)
}

/// Who enrols what, by which token.
struct Asked<'a> {
    token: &'a EnrollmentToken,
    user: &'a User,
    about: &'a About,
    arrived: &'a Arrived,
}

impl Asked<'_> {
    fn device(&self) -> NewDevice {
        let id = self
            .token
            .device
            .unwrap_or_else(|| DeviceId::from_random(rand::random()));
        let suffix = self.arrived.id.get(..6).unwrap_or_default();
        let name = self
            .about
            .name
            .clone()
            .unwrap_or_else(|| format!("{}-{suffix}", self.user.login));
        NewDevice {
            id,
            name,
            platform: self.about.platform.unwrap_or(Platform::Linux),
        }
    }

    fn actor(&self) -> Actor {
        Actor {
            kind: ActorKind::User,
            id: self.user.id.to_string(),
            display_name: self.user.login.clone(),
            address: Some(self.arrived.peer),
        }
    }
}

fn recorded(world: &World, issued: &IssuedCertificate) -> NewCertificate {
    NewCertificate {
        fingerprint: issued.fingerprint,
        serial: issued.serial.clone(),
        issuer: world.authority.fingerprint(),
        not_before: issued.not_before,
        not_after: issued.not_after,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl IntoResponse for EnrollError {
    fn into_response(self) -> Response {
        match self {
            Self::Request(bad) => {
                let cause = Chain(&bad).to_string();
                api_error(
                    StatusCode::BAD_REQUEST,
                    "E0000001",
                    "Api validation failed: certificate request",
                    &[&cause],
                )
            }
            Self::Submit(error) => refusal(&error),
            Self::Issue(error) => {
                tracing::error!(error = %Chain(&error), "a certificate could not be issued");
                api_error(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "E0000009",
                    "Internal Server Error",
                    &[],
                )
            }
        }
    }
}
