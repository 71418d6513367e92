//! What do users prove who they are with, and what may an admin do about it? Set, hand out, take away; never read.

use std::sync::Arc;

use axum::extract::Path;
use axum::routing::{delete, get, put};
use axum::{Json, Router};
use directory::{
    Authenticator, AuthenticatorId, AuthenticatorKind, Command, Enrollment, EnrollmentState, Method, Protected, Scope,
    WebauthnKey,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::body::Object;
use super::call::Call;
use super::shape::{View, time};
use crate::api_error::{ApiError, fault};
use crate::factors::totp::TotpSecret;
use crate::world::World;

/// The routes about passwords and factors.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v1/users/{name}/password", put(set_password))
        .route("/api/v1/users/{name}/factors", get(list).post(add))
        .route("/api/v1/users/{name}/factors/{id}", delete(remove))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    password: Zeroizing<String>,
}

async fn set_password(
    call: Call,
    Path(name): Path<String>,
    Object(NewPassword { password }): Object<NewPassword>,
) -> Result<StatusCode, ApiError> {
    let user = call.read(Scope::UsersManage)?.find_user(&name)?.id;
    let hash = call.hash(password).await?;
    let id = AuthenticatorId::from_random(rand::random());
    call.submit(Command::SetPassword { user, id, hash }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// FastPass on each device, then TOTP, security keys and passkeys, recovery codes; a password is no factor of its own here, as
/// scripts know it.
async fn list(call: Call, Path(name): Path<String>) -> Result<Json<Vec<Value>>, ApiError> {
    let view = call.read(Scope::UsersRead)?;
    let user = view.find_user(&name)?.id;
    let enrollments = view.snapshot.enrollments_of_user(user);
    let usable = enrollments.filter(|one| one.state.is_link() && one.methods.contains(&Method::SignedNonce));
    let signed_nonce = usable.map(|enrollment| view.signed_nonce(&enrollment));
    let totp = view
        .snapshot
        .usable_totps_of(user)
        .map(|authenticator| shape(&authenticator));
    let keys = view
        .snapshot
        .webauthn_of(user)
        .map(|(known, key)| key_shape(&known, &key));
    let recovery = view
        .snapshot
        .recovery_codes_of(user)
        .map(|authenticator| shape(&authenticator));
    Ok(Json(signed_nonce.chain(totp).chain(keys).chain(recovery).collect()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewFactor {
    factor_type: String,
}

/// Hands out a TOTP secret, once.
async fn add(
    call: Call,
    Path(name): Path<String>,
    Object(NewFactor { factor_type }): Object<NewFactor>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    if factor_type != TOTP {
        return Err(ApiError::invalid("factorType", format_args!("expected {TOTP}")));
    }
    let view = call.read(Scope::UsersManage)?;
    let user = view.find_user(&name)?;
    let secret = TotpSecret::from_random(rand::random());
    let issuer = call.setup().config.hosts.auth.to_string();
    let address = secret.address(&issuer, &user.login);
    let address = address.map_err(|error| fault(&error, "an otpauth address could not be made"))?;
    let text = secret.to_base32();
    let command = Command::SetTotp {
        user: user.id,
        id: AuthenticatorId::from_random(rand::random()),
        secret: Protected::new(text.to_string()),
    };
    let view = call.submit(command).await?;
    let known = view.snapshot.totp_of(view.find_user(&name)?.id);
    let mut answer = known.map(|known| shape(&known)).unwrap_or_default();
    if let Some(members) = answer.as_object_mut() {
        members.insert("secret".to_owned(), json!(*text));
        members.insert("otpauth".to_owned(), json!(*address));
    }
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn remove(call: Call, Path((name, id)): Path<(String, String)>) -> Result<StatusCode, ApiError> {
    let view = call.read(Scope::UsersManage)?;
    let user = view.find_user(&name)?.id;
    let unknown = || ApiError::not_found("factor", &id);
    let authenticator = id.parse().ok().and_then(|id| view.snapshot.authenticator(id));
    let enrollment = id.parse().ok().and_then(|id| view.snapshot.enrollment(id));
    let command = match (authenticator, enrollment) {
        (Some(known), None) if known.user == user => Command::RemoveAuthenticator(known.id),
        (None, Some(known)) if known.user == user => Command::EndEnrollment(known.id),
        _ => return Err(unknown()),
    };
    call.submit(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl View {
    fn signed_nonce(&self, enrollment: &Enrollment) -> Value {
        let device = self.snapshot.device(enrollment.device);
        let status = match enrollment.state {
            EnrollmentState::Active => "ACTIVE",
            EnrollmentState::Suspended | EnrollmentState::Ended { .. } => "INACTIVE",
        };
        json!({
            "id": enrollment.id,
            "factorType": "signed_nonce",
            "provider": "LATCHKEY",
            "status": status,
            "created": time(enrollment.created),
            "device": enrollment.device,
            "profile": { "name": device.map(|device| device.name.clone()) },
        })
    }
}

fn shape(authenticator: &Authenticator) -> Value {
    json!({
        "id": authenticator.id,
        "factorType": match authenticator.kind {
            AuthenticatorKind::Password { .. } => "password",
            AuthenticatorKind::Totp { .. } => TOTP,
            AuthenticatorKind::Webauthn(_) => "webauthn",
            AuthenticatorKind::RecoveryCodes { .. } => "recovery_codes",
        },
        "provider": "LATCHKEY",
        "status": "ACTIVE",
        "created": time(authenticator.created),
        "lastUpdated": time(authenticator.updated),
    })
}

/// A security key or passkey; its public key is of no use to scripts.
fn key_shape(authenticator: &Authenticator, key: &WebauthnKey) -> Value {
    let mut shape = shape(authenticator);
    if let Some(members) = shape.as_object_mut() {
        let profile = json!({
            "name": key.name,
            "credentialId": key.credential,
            "model": key.model,
            "backupEligible": key.backup_eligible,
        });
        members.insert("profile".to_owned(), profile);
        members.insert("lastUsed".to_owned(), key.last_used.map(time).into());
    }
    shape
}

const TOTP: &str = "token:software:totp";
