//! What happened lately to somebody's account? What the System Log says of them, in words.

use std::collections::BTreeSet;

use axum::response::{IntoResponse, Response};
use directory::{ActorKind, Event, EventQuery, Order, QueryError, TargetKind, UserId};
use http::StatusCode;

use super::identified_or_sign_in;
use crate::api_error::ApiError;
use crate::auth::manage::AccountPage;
use crate::auth::sign_in::Visitor;
use crate::pages::{self, ActivityLine, ActivityPage, Moment, Texts};

/// The latest events, the newest first.
pub(super) async fn show(visitor: Visitor) -> Response {
    let identified = match identified_or_sign_in(&visitor, AccountPage::Activity).await {
        Ok(identified) => identified,
        Err(answer) => return answer,
    };
    let user = identified.user.id;
    let events = match concerning(&visitor, user).await {
        Ok(events) => events,
        Err(error) => return ApiError::from(error).into_response(),
    };
    let texts = visitor.shell().texts;
    let lines = events.iter().filter_map(|event| line(texts, event, user)).take(MOST);
    let page = ActivityPage {
        shell: visitor.shell(),
        lines: lines.collect(),
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

/// What was done to the user, and what the user did.
async fn concerning(visitor: &Visitor, user: UserId) -> Result<Vec<Event>, QueryError> {
    let query = |target: Option<String>, actor: Option<String>| EventQuery {
        since: None,
        until: None,
        event_type: None,
        actor,
        target,
        transaction: None,
        q: None,
        after: None,
        order: Order::Descending,
        limit: LOOKED_AT,
    };
    let directory = &visitor.world.directory;
    let mut events = directory.events(&query(Some(user.to_string()), None)).await?;
    events.extend(directory.events(&query(None, Some(user.to_string()))).await?);
    let mut seen = BTreeSet::new();
    events.retain(|event| seen.insert(event.id.clone()));
    events.sort_by_key(|event| std::cmp::Reverse(event.published));
    Ok(events)
}

fn line(texts: &'static Texts, event: &Event, user: UserId) -> Option<ActivityLine> {
    let what = texts.happened(event.event_type, event.succeeded())?;
    let device = event.targets.iter().find(|target| target.kind == TargetKind::Device);
    let factor = event.details.get("factor").and_then(|factor| factor.parse().ok());
    let factor = factor.map(|factor| texts.factor(factor).to_owned());
    let device = device.map(|device| device.display_name.clone());
    let detail: Vec<String> = factor.into_iter().chain(device).collect();
    Some(ActivityLine {
        at: Moment(event.published),
        what,
        detail: detail.join(" · "),
        by: match event.actor.kind {
            ActorKind::User if event.actor.id == user.to_string() => None,
            ActorKind::User => Some(texts.activity.somebody),
            ActorKind::ApiToken => Some(texts.activity.admin),
            ActorKind::Device => Some(texts.activity.device),
            ActorKind::System => Some(texts.activity.system),
        },
        address: event.actor.address.map(|address| address.to_string()),
        failed: !event.succeeded(),
    })
}

/// How many are shown.
const MOST: usize = 50;

/// How many are read to find them: not each is worth a line.
const LOOKED_AT: u32 = 400;
