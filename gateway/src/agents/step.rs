//! Who makes this step of an enrolment? The authenticator instance whose key signed it, with the token it was given.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use device_checks::wire::INSTANCE_PROOF_FIELD;
use device_checks::{ExpectedRequest, verify_instance_proof};
use directory::{AttemptId, EnrollmentToken, PublicKey, SecretHash, Timestamp, User, UserStatus};
use http::{HeaderMap, header};
use zeroize::Zeroizing;

use super::attempts::Attempt;
use crate::api_error::ApiError;
use crate::request::Arrived;
use crate::world::World;

/// One request of an authenticator, with what it is proved by.
pub(super) struct Step {
    /// What was asked, and from where.
    pub(super) arrived: Arc<Arrived>,
    /// The body; secret where it holds a password.
    pub(super) body: Zeroizing<Vec<u8>>,
    proof: Option<String>,
    bearer: Option<Zeroizing<String>>,
}

impl FromRequest<Arc<World>> for Step {
    type Rejection = ApiError;

    async fn from_request(request: Request, world: &Arc<World>) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let arrived = request.extensions().get::<Arc<Arrived>>().cloned();
        let arrived = arrived.ok_or_else(|| ApiError::not_found("request", "without its arrival"))?;
        let body = Bytes::from_request(request, world).await;
        let body = body.map_err(|_| ApiError::invalid("body", "expected at most 64 KiB of JSON"))?;
        Ok(Self {
            arrived,
            body: Zeroizing::new(body.to_vec()),
            proof: single(&headers, INSTANCE_PROOF_FIELD).map(str::to_owned),
            bearer: bearer(&headers).map(|token| Zeroizing::new(token.to_owned())),
        })
    }
}

impl Step {
    /// Reads the body.
    ///
    /// # Errors
    /// If it is not as expected.
    pub(super) fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, ApiError> {
        // What is wrong is said without the text: it may hold a password.
        serde_json::from_slice(&self.body).map_err(|error| {
            ApiError::invalid(
                "body",
                format_args!(
                    "expected JSON as documented: {} at line {}, column {}",
                    category(&error),
                    error.line(),
                    error.column()
                ),
            )
        })
    }

    /// Checks that the instance with this key made this step.
    ///
    /// # Errors
    /// If the proof is missing or not a good one.
    pub(super) fn check(&self, world: &World, key: &PublicKey) -> Result<(), ApiError> {
        let proof = self.proof.as_deref();
        let proof = proof.ok_or_else(|| ApiError::ProofRefused("expected one Instance-Proof".to_owned()))?;
        let setup = world.setup.load();
        let url = format!("{}{}", setup.auth_origin, self.arrived.path);
        let expected = ExpectedRequest {
            audience: &setup.auth_origin,
            method: self.arrived.method.as_str(),
            url: &url,
            now: world.clock.now(),
        };
        let bearer = self.bearer.as_ref().map(|token| token.as_str());
        verify_instance_proof(proof, key, &expected, &self.body, bearer)
            .map_err(|refuted| ApiError::ProofRefused(format!("the Instance-Proof: {refuted}")))
    }

    /// Takes the attempt that this step goes on with out of those under way, and the token that it rests on.
    ///
    /// # Errors
    /// If there is none, the token is another's, or the instance that began it did not make this step.
    pub(super) fn attempt(&self, world: &World, id: AttemptId, now: Timestamp) -> Result<(Granted, Attempt), ApiError> {
        let unknown = || ApiError::not_found("attempt", id.as_str());
        let key = world.attempts.key_of(id, now).ok_or_else(unknown)?;
        let granted = self.token(world, &key)?;
        self.check(world, &key)?;
        let attempt = world.attempts.take(id, now).ok_or_else(unknown)?;
        if attempt.secret != granted.token.secret {
            return Err(unknown());
        }
        Ok((granted, attempt))
    }

    /// The enrolment token that this step rests on, and whose it is: not used, not over, of an active user, for this key.
    ///
    /// # Errors
    /// If there is none such: alike whatever is wrong with it.
    pub(super) fn token(&self, world: &World, key: &PublicKey) -> Result<Granted, ApiError> {
        let bearer = self.bearer.as_ref().ok_or(ApiError::InvalidToken)?;
        let directory = world.directory.snapshot();
        let token = directory.enrollment_token_by_secret(&SecretHash::of(bearer));
        let token = token.filter(|token| counts(token, key, world.clock.now()) && has_its_session(world, token));
        let token = token.ok_or_else(|| {
            metrics::counter!("latchkey_enrollments_total", "outcome" => "unknown-token").increment(1);
            ApiError::InvalidToken
        })?;
        let user = directory.user(token.user).ok_or(ApiError::InvalidToken)?;
        if user.status != UserStatus::Active {
            return Err(ApiError::Refused(directory::Refusal::UserNotActive));
        }
        Ok(Granted {
            token: token.clone(),
            user: user.clone(),
        })
    }
}

/// An enrolment token that counts, and its user.
pub(super) struct Granted {
    pub(super) token: Arc<EnrollmentToken>,
    pub(super) user: Arc<User>,
}

fn counts(token: &EnrollmentToken, key: &PublicKey, now: Timestamp) -> bool {
    let bound = token.bound_to.is_none_or(|bound| bound == key.thumbprint());
    token.used.is_none() && now < token.ends && bound
}

/// A token that was asked for in a browser goes with the session.
fn has_its_session(world: &World, token: &EnrollmentToken) -> bool {
    let lives = |id| {
        let session = world.directory.sessions().find(id);
        session.is_some_and(|(session, _)| session.end(&world.directory.snapshot()).is_none())
    };
    token.session.is_none_or(lives)
}

fn category(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Io | serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Syntax => "it is not JSON",
        serde_json::error::Category::Data => "a member is missing, unknown, repeated or of another type",
    }
}

/// The field's one value; nothing where there are several.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = single(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What was asked, for handlers without a step.
pub(super) type Asked = Extension<Arc<Arrived>>;
