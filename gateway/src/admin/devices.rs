//! Which devices are there, and what may an admin do with them? Everything but make one: devices come from enrolment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::Path;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use directory::{Command, Device, DeviceId, DeviceUpdate, Ownership, Scope, Snapshot};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::body::{Object, Parameters, parsed};
use super::call::Call;
use super::page::{self, Listing};
use super::search::{self, Operator, Term};
use super::shape::device_status;
use crate::api_error::ApiError;
use crate::world::World;

/// The routes about devices.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/api/v1/devices", get(list))
        .route("/api/v1/devices/{id}", get(show).post(update).delete(delete))
        .route("/api/v1/devices/{id}/users", get(users))
        .route("/api/v1/devices/{id}/lifecycle/{verb}", post(lifecycle))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    limit: Option<u32>,
    after: Option<DeviceId>,
    search: Option<String>,
}

async fn list(call: Call, listing: Listing, Parameters(asked): Parameters<List>) -> Result<Response, ApiError> {
    let view = call.read(Scope::DevicesRead)?;
    let size = page::size(asked.limit, page::USUAL, page::MOST)?;
    let terms = asked
        .search
        .as_deref()
        .map(|search| search::parse(search, SEARCHABLE))
        .transpose();
    let terms = terms
        .map_err(|bad| ApiError::invalid("search", bad))?
        .unwrap_or_default();
    let found = found(&view.snapshot, &terms, asked.after.unwrap_or(DeviceId::FIRST));
    let (page, next) = page::cut(found, size, |device| device.id.to_string());
    Ok(listing.answer(page.into_iter().map(|device| view.device(&device)).collect(), next))
}

async fn show(call: Call, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let view = call.read(Scope::DevicesRead)?;
    Ok(Json(view.device(&*view.find_device(&id)?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    name: Option<String>,
    ownership: Option<Ownership>,
    groups: Option<BTreeSet<String>>,
    tags: Option<BTreeMap<String, String>>,
}

async fn update(call: Call, Path(id): Path<String>, Object(new): Object<Update>) -> Result<Json<Value>, ApiError> {
    let device = call.read(Scope::DevicesManage)?.find_device(&id)?.id;
    let update = DeviceUpdate {
        name: new.name,
        ownership: new.ownership,
        groups: new.groups,
        tags: new.tags,
    };
    let view = call.submit(Command::UpdateDevice { device, update }).await?;
    Ok(Json(view.device(&*view.find_device(&id)?)))
}

async fn delete(call: Call, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let device = call.read(Scope::DevicesManage)?.find_device(&id)?.id;
    call.submit(Command::DeleteDevice(device)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn users(call: Call, Path(id): Path<String>) -> Result<Json<Vec<Value>>, ApiError> {
    let view = call.read(Scope::DevicesRead)?;
    let device = view.find_device(&id)?;
    Ok(Json(
        view.snapshot
            .users_of_device(device.id)
            .map(|user| view.device_user(&device, &user))
            .collect(),
    ))
}

async fn lifecycle(call: Call, Path((id, verb)): Path<(String, String)>) -> Result<StatusCode, ApiError> {
    let device = parsed_id(&id)?;
    let command = match verb.as_str() {
        "activate" => Command::ActivateDevice(device),
        "deactivate" => Command::DeactivateDevice(device),
        "suspend" => Command::SuspendDevice(device),
        "unsuspend" => Command::UnsuspendDevice(device),
        _ => return Err(ApiError::not_found("lifecycle operation", &verb)),
    };
    call.submit(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What no id looks like is not found, as an id that nothing has.
fn parsed_id(id: &str) -> Result<DeviceId, ApiError> {
    parsed("id", id).map_err(|_| ApiError::not_found("device", id))
}

/// What devices can be searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attribute {
    Id,
    Status,
    Name,
}

const SEARCHABLE: &[(&str, Attribute)] = &[
    ("id", Attribute::Id),
    ("status", Attribute::Status),
    ("profile.displayName", Attribute::Name),
    ("name", Attribute::Name),
];

/// The devices that meet all terms and come after this id, in the order of their ids.
fn found<'a>(
    snapshot: &'a Snapshot,
    terms: &'a [Term<Attribute>],
    after: DeviceId,
) -> impl Iterator<Item = Arc<Device>> {
    candidates(snapshot, terms, after)
        .filter(move |device| device.id > after && terms.iter().all(|term| holds(term, device)))
}

/// One id or one exact name is looked up; anything else takes a walk through all devices.
fn candidates<'a>(
    snapshot: &'a Snapshot,
    terms: &'a [Term<Attribute>],
    after: DeviceId,
) -> Box<dyn Iterator<Item = Arc<Device>> + 'a> {
    let exact = |attribute: Attribute| {
        terms
            .iter()
            .find(|term| term.attribute == attribute && term.operator == Operator::Equals)
    };
    match (exact(Attribute::Id), exact(Attribute::Name)) {
        (Some(id), _) => Box::new(id.value.parse().ok().and_then(|id| snapshot.device(id)).into_iter()),
        (None, Some(name)) => Box::new(snapshot.devices_named(&name.value)),
        (None, None) => Box::new(snapshot.devices_after(after)),
    }
}

fn holds(term: &Term<Attribute>, device: &Device) -> bool {
    match term.attribute {
        Attribute::Id => term.holds(device.id.as_str()),
        Attribute::Status => term.holds(device_status(device.state)),
        Attribute::Name => term.holds(&device.name),
    }
}

#[cfg(test)]
mod tests {
    use directory::{Change, DeviceState, Platform, Revision, Timestamp};

    use super::*;

    fn device(number: u128, name: &str, state: DeviceState) -> Change {
        let at = Timestamp::from_secs(0);
        Change::PutDevice(Box::new(Device {
            id: DeviceId::from_random(number),
            name: name.to_owned(),
            platform: Platform::Linux,
            state,
            ownership: Ownership::Unknown,
            groups: BTreeSet::new(),
            tags: BTreeMap::new(),
            reported: None,
            hardware: None,
            created: at,
            updated: at,
            version: Revision(0),
        }))
    }

    fn names(search: &str, after: DeviceId) -> Vec<String> {
        let suspended = DeviceState::Suspended {
            at: Timestamp::from_secs(0),
        };
        let snapshot = Snapshot::empty().with(
            Revision(1),
            &[
                device(1, "alice-laptop", DeviceState::Active),
                device(2, "alice-phone", suspended),
                device(3, "bob-laptop", DeviceState::Active),
                device(4, "bob-laptop", suspended),
            ],
        );
        let terms = search::parse(search, SEARCHABLE).unwrap();
        let mut names: Vec<_> = found(&snapshot, &terms, after)
            .map(|device| device.name.clone())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn devices_are_found_by_id_name_and_status() {
        let all = |search: &str| names(search, DeviceId::FIRST);
        let id = DeviceId::from_random(2);
        assert_eq!(all(&format!("id eq \"{id}\"")), ["alice-phone"]);
        assert_eq!(all("id eq \"nonsense\""), Vec::<String>::new());
        assert_eq!(all("name eq \"bob-laptop\""), ["bob-laptop", "bob-laptop"]);
        assert_eq!(all("profile.displayName sw \"alice\""), ["alice-laptop", "alice-phone"]);
        assert_eq!(all("status eq \"SUSPENDED\" and name sw \"bob\""), ["bob-laptop"]);
        assert_eq!(
            all("name eq \"bob-laptop\" and name sw \"alice\""),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_search_goes_on_after_the_last_page() {
        let (low, high) = (DeviceId::from_random(3), DeviceId::from_random(4));
        let between = low.min(high);
        assert_eq!(names("name eq \"bob-laptop\"", between), ["bob-laptop"]);
        assert_eq!(names("name eq \"bob-laptop\"", DeviceId::LAST), Vec::<String>::new());
    }
}
