//! What happened lately to somebody's account? What the System Log says of them, in words.

use std::collections::{BTreeSet, HashMap};

use axum::response::{IntoResponse, Response};
use directory::{ActorKind, Event, EventQuery, EventType, Order, QueryError, TargetKind, TransactionId, UserId};
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
    let lines = commands(&events)
        .into_iter()
        .filter_map(|events| line(texts, &events, user));
    let lines = lines.take(MOST);
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

/// The events of each command, the latest command first.
fn commands(events: &[Event]) -> Vec<Vec<&Event>> {
    let mut commands: Vec<Vec<&Event>> = Vec::new();
    let mut known: HashMap<TransactionId, usize> = HashMap::new();
    for event in events {
        let place = *known.entry(event.transaction).or_insert(commands.len());
        match commands.get_mut(place) {
            Some(command) => command.push(event),
            None => commands.push(vec![event]),
        }
    }
    commands
}

/// One line for a command: what it was, or that somebody signed in by it.
fn line(texts: &'static Texts, events: &[&Event], user: UserId) -> Option<ActivityLine> {
    let mut told: Vec<(&Event, &'static str)> = events
        .iter()
        .filter_map(|event| Some((*event, texts.happened(event.event_type, event.succeeded())?)))
        .collect();
    told.sort_by_key(|(event, _)| (event.event_type != EventType::SessionStart, number(event)));
    let (event, what) = told.first()?;
    let factors = told.iter().filter_map(|(event, _)| event.details.get("factor"));
    let factors = factors.filter_map(|factor| Some(texts.factor(factor.parse().ok()?).to_owned()));
    let targets = told.iter().flat_map(|(event, _)| &event.targets);
    let devices = targets.filter(|target| target.kind == TargetKind::Device);
    let mut detail: Vec<String> = factors
        .chain(devices.map(|device| device.display_name.clone()))
        .collect();
    let mut seen = BTreeSet::new();
    detail.retain(|word| seen.insert(word.clone()));
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

/// Which event of its command it is: the command's own comes first.
fn number(event: &Event) -> usize {
    let number = event.id.rsplit('-').next();
    number.and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}

/// How many are shown.
const MOST: usize = 50;

/// How many are read to find them: not each is worth a line.
const LOOKED_AT: u32 = 400;
