//! Who gets a secret from an admin? A device that is to enrol, and a script that is to call; each is shown its secret once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use directory::{
    ApiTokenId, Command, EnrollmentTokenId, NewApiToken, NewEnrollmentToken, Scope, Timestamp, TokenOrigin,
};
use http::StatusCode;
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::body::{Object, Parameters, parsed};
use super::call::Call;
use super::page::{self, Listing};
use super::secret::Secret;
use super::shape::time;
use crate::api_error::ApiError;
use crate::world::World;

/// The routes about tokens.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v1/users/{name}/enrollment-tokens", post(create_for_enrollment))
        .route("/api/v1/api-tokens", get(list).post(create))
        .route("/api/v1/api-tokens/{id}", delete(revoke))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewForEnrollment {
    device: Option<String>,
    /// Seconds.
    lifetime: Option<u64>,
}

async fn create_for_enrollment(
    call: Call,
    Path(name): Path<String>,
    Object(asked): Object<NewForEnrollment>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let view = call.read(Scope::UsersManage)?;
    let user = view.find_user(&name)?;
    let device = asked
        .device
        .as_deref()
        .map(|id| view.find_device(id))
        .transpose()?
        .map(|device| device.id);
    let lifetime = asked
        .lifetime
        .map_or_else(|| call.setup().config.enrollment.token_lifetime, Duration::from_secs);
    if lifetime.is_zero() || lifetime > LONGEST_ENROLLMENT {
        return Err(ApiError::invalid(
            "lifetime",
            "expected seconds, from 1 to 604800 (7 days)",
        ));
    }
    let secret = Secret::enrollment(rand::random());
    let id = EnrollmentTokenId::from_random(rand::random());
    let new = NewEnrollmentToken {
        id,
        secret: secret.hash(),
        user: user.id,
        device,
        origin: TokenOrigin::Admin,
        factors: Default::default(),
        proofs: Vec::new(),
        session: None,
        bound_to: None,
        ends: view.now.plus(lifetime),
    };
    let shown = json!({
        "id": id,
        "token": secret.reveal(),
        "user": user.login,
        "device": device,
        "ends": time(new.ends),
    });
    call.submit(Command::CreateEnrollmentToken(new)).await?;
    Ok((StatusCode::CREATED, Json(shown)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    limit: Option<u32>,
    after: Option<ApiTokenId>,
}

async fn list(call: Call, listing: Listing, Parameters(asked): Parameters<List>) -> Result<Response, ApiError> {
    let view = call.read(Scope::TokensRead)?;
    let size = page::size(asked.limit, page::USUAL, page::MOST)?;
    let after = asked.after.unwrap_or(ApiTokenId::FIRST);
    let (page, next) = page::cut(
        view.snapshot.api_tokens().filter(|token| token.id > after),
        size,
        |token| token.id.to_string(),
    );
    Ok(listing.answer(page.into_iter().map(|token| view.api_token(token)).collect(), next))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    scopes: BTreeSet<Scope>,
    #[serde(default)]
    networks: Vec<IpNet>,
    ends: String,
}

async fn create(call: Call, Object(asked): Object<New>) -> Result<(StatusCode, Json<Value>), ApiError> {
    let ends = parsed("ends", &asked.ends)?;
    check_reach(call.admin(), &asked.scopes, &asked.networks)?;
    check_end(ends, call.now())?;
    let secret = Secret::api(rand::random());
    let id = ApiTokenId::from_random(rand::random());
    let new = NewApiToken {
        id,
        name: asked.name,
        secret: secret.hash(),
        scopes: asked.scopes,
        networks: asked.networks,
        ends,
        demo: false,
    };
    let view = call.submit(Command::CreateApiToken(new)).await?;
    let token = view
        .snapshot
        .api_token(id)
        .ok_or_else(|| ApiError::not_found("API token", id.as_str()))?;
    let mut shown = view.api_token(token);
    if let Some(members) = shown.as_object_mut() {
        members.insert("token".to_owned(), json!(secret.reveal()));
    }
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn revoke(call: Call, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let token = parsed("id", &id).map_err(|_| ApiError::not_found("API token", &id))?;
    call.submit(Command::RevokeApiToken(token)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A token makes none that reaches further than itself.
fn check_reach(admin: &Admin, scopes: &BTreeSet<Scope>, networks: &[IpNet]) -> Result<(), ApiError> {
    if let Some(missing) = scopes.iter().find(|scope| !admin.may(**scope)) {
        return Err(ApiError::lacks(*missing));
    }
    if !admin.reaches(networks) {
        return Err(ApiError::Forbidden(
            "the networks go beyond those of the calling token".to_owned(),
        ));
    }
    Ok(())
}

/// A token ends within a year.
///
/// # Errors
///
/// The end is later.
pub(super) fn check_end(ends: Timestamp, now: Timestamp) -> Result<(), ApiError> {
    if ends <= now.plus(LONGEST_API) {
        Ok(())
    } else {
        Err(ApiError::invalid("ends", "expected a time within a year"))
    }
}

const DAY: Duration = Duration::from_secs(86_400);
const LONGEST_ENROLLMENT: Duration = Duration::from_secs(7 * DAY.as_secs());
/// The longest life of an API token: a leap year.
const LONGEST_API: Duration = Duration::from_secs(366 * DAY.as_secs());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::authenticate::tests::admin;

    /// a token cannot be used to make a wider one.
    #[test]
    fn a_token_makes_none_that_reaches_further() {
        let bound = admin(&[Scope::TokensManage, Scope::DevicesRead], &["10.0.0.0/8"]);
        let inside = ["10.1.0.0/16".parse().unwrap()];
        let scopes = |scopes: &[Scope]| scopes.iter().copied().collect::<BTreeSet<_>>();

        assert!(check_reach(&bound, &scopes(&[Scope::DevicesRead]), &inside).is_ok());
        let wider = check_reach(&bound, &scopes(&[Scope::DevicesRead, Scope::DevicesManage]), &inside);
        assert!(matches!(wider, Err(ApiError::Forbidden(why)) if why.contains("devices.manage")));
        let unbound = check_reach(&bound, &scopes(&[Scope::DevicesRead]), &[]);
        assert!(matches!(unbound, Err(ApiError::Forbidden(why)) if why.contains("networks")));
    }

    #[test]
    fn a_token_ends_within_a_year() {
        let now = Timestamp::from_secs(1_000_000);
        assert!(check_end(now.plus(365 * DAY), now).is_ok());
        assert!(check_end(now.plus(367 * DAY), now).is_err());
    }
}
