//! Which users are there, and what may an admin do with them? They are named by id or by login.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use directory::{Command, NewUser, Scope, User, UserId, UserUpdate};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{Object, Parameters};
use super::call::Call;
use super::page::{self, Listing};
use super::search::{self, Term};
use super::shape::{time, user_status};
use crate::api_error::ApiError;
use crate::world::World;

/// The routes about users.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v1/users", get(list).post(create))
        .route("/api/v1/users/{name}", get(show).post(update).delete(delete))
        .route("/api/v1/users/{name}/devices", get(devices))
        .route("/api/v1/users/{name}/groups", get(groups))
        .route("/api/v1/users/{name}/lifecycle/release", post(release))
        .route("/api/v1/users/{name}/lifecycle/{verb}", post(lifecycle))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    limit: Option<u32>,
    after: Option<UserId>,
    q: Option<String>,
    search: Option<String>,
}

async fn list(call: Call, listing: Listing, Parameters(asked): Parameters<List>) -> Result<Response, ApiError> {
    let view = call.read(Scope::UsersRead)?;
    let size = page::size(asked.limit, page::USUAL, page::MOST)?;
    let terms = asked
        .search
        .as_deref()
        .map(|search| search::parse(search, SEARCHABLE))
        .transpose();
    let terms = terms
        .map_err(|bad| ApiError::invalid("search", bad))?
        .unwrap_or_default();
    let beginning = asked.q.unwrap_or_default().to_lowercase();
    let after = asked.after.unwrap_or(UserId::FIRST);
    let found = view
        .snapshot
        .users()
        .filter(|user| user.id > after && begins_with(user, &beginning) && terms.iter().all(|term| holds(term, user)));
    let (page, next) = page::cut(found, size, |user| user.id.to_string());
    Ok(listing.answer(page.into_iter().map(|user| view.user(&user)).collect(), next))
}

async fn show(call: Call, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    let view = call.read(Scope::UsersRead)?;
    Ok(Json(view.user(&*view.find_user(&name)?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Activation {
    activate: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    profile: NewProfile,
    #[serde(default)]
    tags: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewProfile {
    login: String,
    email: String,
    #[serde(default)]
    first_name: String,
    #[serde(default)]
    last_name: String,
    user_type: Option<String>,
}

/// A new user is active at once; there are none that wait to be.
async fn create(
    call: Call,
    Parameters(activation): Parameters<Activation>,
    Object(Create { profile, tags }): Object<Create>,
) -> Result<Json<Value>, ApiError> {
    if activation.activate == Some(false) {
        return Err(ApiError::invalid(
            "activate",
            "expected true: a new user is active at once",
        ));
    }
    let id = UserId::from_random(rand::random());
    let new = NewUser {
        id,
        login: profile.login,
        email: profile.email,
        first_name: profile.first_name,
        last_name: profile.last_name,
        user_type: profile.user_type.unwrap_or_else(|| USUAL_TYPE.to_owned()),
        tags,
    };
    let view = call.submit(Command::CreateUser(new)).await?;
    Ok(Json(view.user(&*view.find_user(id.as_str())?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    #[serde(default)]
    profile: Profile,
    tags: Option<BTreeMap<String, BTreeSet<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Profile {
    login: Option<String>,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    user_type: Option<String>,
}

async fn update(
    call: Call,
    Path(name): Path<String>,
    Object(Update { profile, tags }): Object<Update>,
) -> Result<Json<Value>, ApiError> {
    let user = call.read(Scope::UsersManage)?.find_user(&name)?.id;
    let update = UserUpdate {
        login: profile.login,
        email: profile.email,
        first_name: profile.first_name,
        last_name: profile.last_name,
        user_type: profile.user_type,
        tags,
    };
    let view = call.submit(Command::UpdateUser { user, update }).await?;
    Ok(Json(view.user(&*view.find_user(user.as_str())?)))
}

async fn delete(call: Call, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    let user = call.read(Scope::UsersManage)?.find_user(&name)?.id;
    call.submit(Command::DeleteUser(user)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn lifecycle(call: Call, Path((name, verb)): Path<(String, String)>) -> Result<StatusCode, ApiError> {
    let user = call.read(Scope::UsersManage)?.find_user(&name)?.id;
    let command = match verb.as_str() {
        "activate" => Command::ActivateUser(user),
        "deactivate" => Command::DeactivateUser(user),
        "suspend" => Command::SuspendUser(user),
        "unsuspend" => Command::UnsuspendUser(user),
        _ => return Err(ApiError::not_found("lifecycle operation", &verb)),
    };
    call.submit(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    /// Seconds.
    lifetime: Option<u64>,
}

/// Lets a user who can prove nothing strong any more set up one factor, once, for a while.
async fn release(
    call: Call,
    Path(name): Path<String>,
    Object(Release { lifetime }): Object<Release>,
) -> Result<Json<Value>, ApiError> {
    let view = call.read(Scope::UsersManage)?;
    let user = view.find_user(&name)?;
    let lifetime = lifetime.map_or(USUAL_RELEASE, Duration::from_secs);
    if lifetime.is_zero() || lifetime > LONGEST_RELEASE {
        return Err(ApiError::invalid(
            "lifetime",
            "expected seconds, from 1 to 604800 (7 days)",
        ));
    }
    let (id, login, ends) = (user.id, user.login.clone(), view.now.plus(lifetime));
    call.submit(Command::ReleaseUser { user: id, ends }).await?;
    Ok(Json(json!({ "user": login, "ends": time(ends) })))
}

async fn devices(call: Call, Path(name): Path<String>) -> Result<Json<Vec<Value>>, ApiError> {
    let view = call.read(Scope::DevicesRead)?;
    let user = view.find_user(&name)?;
    Ok(Json(
        view.snapshot
            .devices_of_user(user.id)
            .map(|device| view.user_device(&user, &device))
            .collect(),
    ))
}

async fn groups(call: Call, Path(name): Path<String>) -> Result<Json<Vec<Value>>, ApiError> {
    let view = call.read(Scope::GroupsRead)?;
    let user = view.find_user(&name)?;
    let groups = user.groups.iter().filter_map(|group| view.snapshot.group(*group));
    Ok(Json(groups.map(|group| view.group(group)).collect()))
}

/// What users can be searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attribute {
    Id,
    Status,
    Login,
    Email,
}

const SEARCHABLE: &[(&str, Attribute)] = &[
    ("id", Attribute::Id),
    ("status", Attribute::Status),
    ("profile.login", Attribute::Login),
    ("profile.email", Attribute::Email),
];

fn holds(term: &Term<Attribute>, user: &User) -> bool {
    match term.attribute {
        Attribute::Id => term.holds(user.id.as_str()),
        Attribute::Status => term.holds(user_status(user.status)),
        Attribute::Login => term.holds(&user.login),
        Attribute::Email => term.holds(&user.email),
    }
}

/// Whether the login, the address or a name begins with this lower-case text.
fn begins_with(user: &User, beginning: &str) -> bool {
    let names = [&user.login, &user.email, &user.first_name, &user.last_name];
    names.into_iter().any(|name| name.to_lowercase().starts_with(beginning))
}

/// How long a release can be used where nobody says otherwise, and at most.
const USUAL_RELEASE: Duration = Duration::from_hours(24);
const LONGEST_RELEASE: Duration = Duration::from_hours(7 * 24);

/// What a user is where nobody says otherwise.
const USUAL_TYPE: &str = "employee";
