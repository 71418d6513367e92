//! Which groups are there, and who is in them?

use std::sync::Arc;

use axum::extract::Path;
use axum::response::Response;
use axum::routing::{get, put};
use axum::{Json, Router};
use directory::{Command, GroupId, GroupUpdate, NewGroup, Scope, UserId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::body::{Object, Parameters};
use super::call::Call;
use super::page::{self, Listing};
use crate::api_error::ApiError;
use crate::world::World;

/// The routes about groups.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v1/groups", get(list).post(create))
        .route("/api/v1/groups/{id}", get(show).put(replace).delete(delete))
        .route("/api/v1/groups/{id}/users", get(members))
        .route(
            "/api/v1/groups/{id}/users/{user}",
            put(add_member).delete(remove_member),
        )
        .route("/api/v1/groups/{id}/subgroups", get(subgroups))
        .route(
            "/api/v1/groups/{id}/subgroups/{subgroup}",
            put(add_subgroup).delete(remove_subgroup),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    limit: Option<u32>,
    after: Option<GroupId>,
    q: Option<String>,
}

/// `q` is what the name begins with.
async fn list(call: Call, listing: Listing, Parameters(asked): Parameters<List>) -> Result<Response, ApiError> {
    let view = call.read(Scope::GroupsRead)?;
    let size = page::size(asked.limit, page::USUAL, page::MOST)?;
    let beginning = asked.q.unwrap_or_default();
    let after = asked.after.unwrap_or(GroupId::FIRST);
    let found = view
        .snapshot
        .groups()
        .filter(|group| group.id > after && group.name.starts_with(&beginning));
    let (page, next) = page::cut(found, size, |group| group.id.to_string());
    Ok(listing.answer(page.into_iter().map(|group| view.group(group)).collect(), next))
}

async fn show(call: Call, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let view = call.read(Scope::GroupsRead)?;
    Ok(Json(view.group(view.find_group(&id)?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profiled {
    profile: Profile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    name: String,
    #[serde(default)]
    description: String,
}

async fn create(call: Call, Object(Profiled { profile }): Object<Profiled>) -> Result<Json<Value>, ApiError> {
    let id = GroupId::from_random(rand::random());
    let new = NewGroup {
        id,
        name: profile.name,
        description: profile.description,
    };
    let view = call.submit(Command::CreateGroup(new)).await?;
    Ok(Json(view.group(view.find_group(id.as_str())?)))
}

async fn replace(
    call: Call,
    Path(id): Path<String>,
    Object(Profiled { profile }): Object<Profiled>,
) -> Result<Json<Value>, ApiError> {
    let group = call.read(Scope::GroupsManage)?.find_group(&id)?.id;
    let update = GroupUpdate {
        name: Some(profile.name),
        description: Some(profile.description),
    };
    let view = call.submit(Command::UpdateGroup { group, update }).await?;
    Ok(Json(view.group(view.find_group(&id)?)))
}

async fn delete(call: Call, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let group = call.read(Scope::GroupsManage)?.find_group(&id)?.id;
    call.submit(Command::DeleteGroup(group)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    limit: Option<u32>,
    after: Option<UserId>,
}

async fn members(
    call: Call,
    listing: Listing,
    Path(id): Path<String>,
    Parameters(asked): Parameters<Members>,
) -> Result<Response, ApiError> {
    let view = call.read(Scope::GroupsRead)?;
    let size = page::size(asked.limit, page::USUAL, page::MOST)?;
    let after = asked.after.unwrap_or(UserId::FIRST);
    let found = view
        .snapshot
        .members(view.find_group(&id)?.id)
        .filter(|user| user.id > after);
    let (page, next) = page::cut(found, size, |user| user.id.to_string());
    Ok(listing.answer(page.into_iter().map(|user| view.user(&user)).collect(), next))
}

async fn add_member(call: Call, Path((id, user)): Path<(String, String)>) -> Result<StatusCode, ApiError> {
    let (group, user) = membership(&call, &id, &user)?;
    call.submit(Command::AddMember { group, user }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_member(call: Call, Path((id, user)): Path<(String, String)>) -> Result<StatusCode, ApiError> {
    let (group, user) = membership(&call, &id, &user)?;
    call.submit(Command::RemoveMember { group, user }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn subgroups(call: Call, Path(id): Path<String>) -> Result<Json<Vec<Value>>, ApiError> {
    let view = call.read(Scope::GroupsRead)?;
    let subgroups = view.snapshot.subgroups(view.find_group(&id)?.id);
    Ok(Json(subgroups.map(|group| view.group(group)).collect()))
}

async fn add_subgroup(call: Call, Path((id, subgroup)): Path<(String, String)>) -> Result<StatusCode, ApiError> {
    let (group, subgroup) = nesting(&call, &id, &subgroup)?;
    call.submit(Command::AddSubgroup { group, subgroup }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_subgroup(call: Call, Path((id, subgroup)): Path<(String, String)>) -> Result<StatusCode, ApiError> {
    let (group, subgroup) = nesting(&call, &id, &subgroup)?;
    call.submit(Command::RemoveSubgroup { group, subgroup }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn membership(call: &Call, group: &str, user: &str) -> Result<(GroupId, UserId), ApiError> {
    let view = call.read(Scope::GroupsManage)?;
    Ok((view.find_group(group)?.id, view.find_user(user)?.id))
}

fn nesting(call: &Call, group: &str, subgroup: &str) -> Result<(GroupId, GroupId), ApiError> {
    let view = call.read(Scope::GroupsManage)?;
    Ok((view.find_group(group)?.id, view.find_group(subgroup)?.id))
}
