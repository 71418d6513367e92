//! What happened? The System Log, narrowed by time, type, text and filter, page by page.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use directory::{EventQuery, Order};
use serde::Deserialize;

use super::body::{Parameters, parsed};
use super::call::Call;
use super::page::{self, Listing};
use super::search::{self, Operator};
use super::shape;
use crate::api_error::ApiError;
use crate::world::World;

/// The route of the System Log.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new().route("/api/v1/logs", get(list))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct List {
    since: Option<String>,
    until: Option<String>,
    filter: Option<String>,
    q: Option<String>,
    limit: Option<u32>,
    after: Option<String>,
    sort_order: Option<SortOrder>,
}

#[derive(Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum SortOrder {
    #[default]
    Ascending,
    Descending,
}

async fn list(call: Call, listing: Listing, Parameters(asked): Parameters<List>) -> Result<Response, ApiError> {
    let size = page::size(asked.limit, USUAL, MOST)?;
    // One more than the page has, to know whether there is a next one.
    let query = EventQuery {
        limit: size.saturating_add(1),
        ..query(asked)?
    };
    let events = call.events(&query).await?;
    let (page, next) = page::cut(&events, size, |event| event.id.clone());
    Ok(listing.answer(page.into_iter().map(shape::event).collect(), next))
}

fn query(asked: List) -> Result<EventQuery, ApiError> {
    let mut query = EventQuery {
        since: asked.since.as_deref().map(|since| parsed("since", since)).transpose()?,
        until: asked.until.as_deref().map(|until| parsed("until", until)).transpose()?,
        event_type: None,
        actor: None,
        target: None,
        transaction: None,
        q: asked.q.filter(|q| !q.is_empty()),
        after: asked.after,
        order: match asked.sort_order.unwrap_or_default() {
            SortOrder::Ascending => Order::Ascending,
            SortOrder::Descending => Order::Descending,
        },
        limit: 0,
    };
    if let Some(filter) = &asked.filter {
        narrow(&mut query, filter)?;
    }
    Ok(query)
}

/// Takes the terms of a filter into the query; each attribute once, and compared as a whole.
fn narrow(query: &mut EventQuery, filter: &str) -> Result<(), ApiError> {
    let terms = search::parse(filter, FILTERABLE).map_err(|bad| ApiError::invalid("filter", bad))?;
    for term in terms {
        if term.operator != Operator::Equals {
            return Err(ApiError::invalid(
                "filter",
                "expected `eq`: nothing else can be asked of the log",
            ));
        }
        let before = match term.attribute {
            Attribute::EventType => query.event_type.replace(parsed("filter", &term.value)?).is_some(),
            Attribute::Actor => query.actor.replace(term.value).is_some(),
            Attribute::Target => query.target.replace(term.value).is_some(),
            Attribute::Transaction => query.transaction.replace(parsed("filter", &term.value)?).is_some(),
        };
        if before {
            return Err(ApiError::invalid("filter", "expected each attribute once"));
        }
    }
    Ok(())
}

/// What the log can be filtered by.
#[derive(Debug, Clone, Copy)]
enum Attribute {
    EventType,
    Actor,
    Target,
    Transaction,
}

const FILTERABLE: &[(&str, Attribute)] = &[
    ("eventType", Attribute::EventType),
    ("actor.id", Attribute::Actor),
    ("target.id", Attribute::Target),
    ("transaction.id", Attribute::Transaction),
];

const USUAL: u32 = 100;
const MOST: u32 = 1000;

#[cfg(test)]
mod tests {
    use directory::EventType;

    use super::*;

    fn filtered(filter: &str) -> Result<EventQuery, ApiError> {
        query(List {
            filter: Some(filter.to_owned()),
            ..List::default()
        })
    }

    #[test]
    fn a_filter_narrows_the_query() {
        let query = filtered(r#"eventType eq "device.lifecycle.suspend" and target.id eq "dev1""#).unwrap();
        assert_eq!(
            (query.event_type, query.target.as_deref()),
            (Some(EventType::DeviceSuspend), Some("dev1"))
        );
        assert_eq!((query.actor, query.transaction), (None, None));
    }

    #[test]
    fn a_filter_that_the_log_cannot_answer_is_refused() {
        for bad in [
            r#"eventType sw "device""#,
            r#"eventType eq "device.unknown""#,
            r#"target.id eq "a" and target.id eq "b""#,
            r#"transaction.id eq "a""#,
            r#"severity eq "WARN""#,
        ] {
            assert!(
                matches!(filtered(bad), Err(ApiError::Invalid(why)) if why.starts_with("filter: ")),
                "{bad}"
            );
        }
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        let since = |text: &str| {
            query(List {
                since: Some(text.to_owned()),
                ..List::default()
            })
        };
        assert!(since("2026-11-23T04:47:00Z").unwrap().since.is_some());
        assert!(matches!(since("yesterday"), Err(ApiError::Invalid(why)) if why.starts_with("since: expected a time")));
    }
}
