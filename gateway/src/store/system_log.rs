//! What does the System Log say? Written with the changes it speaks of, read by whoever may.

use std::collections::BTreeSet;

use directory::{Cause, Event, EventQuery, Order, Outcome, QueryError};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use super::sqlite::cause;

/// Writes events and whom they concern, each with the next number. All rows go in one statement for each table: SQLite
/// answers each from a thread of its own.
pub(super) async fn write(sql: &mut SqliteConnection, events: &[&Event]) -> Result<(), Cause> {
    if events.is_empty() {
        return Ok(());
    }
    let last = r#"SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'system_log'"#;
    let last: i64 = sqlx::query_scalar(last).fetch_one(&mut *sql).await?;
    let (mut rows, mut targets) = (Vec::new(), BTreeSet::new());
    for (seq, event) in (last.saturating_add(1)..).zip(events) {
        rows.push((
            seq,
            &event.id,
            event.published.millis(),
            event.event_type.as_str(),
            if event.succeeded() { "SUCCESS" } else { "FAILURE" },
            &event.actor.id,
            event.transaction.as_str(),
            words(event),
            serde_json::to_string(event)?,
        ));
        targets.extend(event.targets.iter().map(|target| (target.id.as_str(), seq)));
    }
    let insert = r#"INSERT INTO "system_log"
        (seq, id, published, event_type, outcome, actor_id, transaction_id, words, body)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
        value ->> 8 FROM json_each(?)"#;
    sqlx::query(insert)
        .bind(serde_json::to_string(&rows)?)
        .execute(&mut *sql)
        .await?;
    let insert = r#"INSERT INTO "system_log_targets" (target_id, seq)
        SELECT value ->> 0, value ->> 1 FROM json_each(?)"#;
    sqlx::query(insert)
        .bind(serde_json::to_string(&targets)?)
        .execute(&mut *sql)
        .await?;
    Ok(())
}

/// Reads the events that a query asks for.
pub(super) async fn events(pool: &SqlitePool, query: &EventQuery) -> Result<Vec<Event>, QueryError> {
    let after = match &query.after {
        Some(id) => Some(place(pool, id).await?),
        None => None,
    };
    let bodies: Vec<String> = select(query, after)
        .build_query_scalar()
        .fetch_all(pool)
        .await
        .map_err(unavailable)?;
    bodies
        .iter()
        .map(|body| serde_json::from_str(body).map_err(unavailable))
        .collect()
}

async fn place(pool: &SqlitePool, id: &str) -> Result<i64, QueryError> {
    let place = sqlx::query_scalar(r#"SELECT seq FROM "system_log" WHERE id = ?"#)
        .bind(id)
        .fetch_optional(pool)
        .await;
    place
        .map_err(unavailable)?
        .ok_or_else(|| QueryError::UnknownEvent { id: id.to_owned() })
}

fn select(query: &EventQuery, after: Option<i64>) -> QueryBuilder<Sqlite> {
    let (beyond, order) = match query.order {
        Order::Ascending => (" AND seq > ", " ORDER BY seq LIMIT "),
        Order::Descending => (" AND seq < ", " ORDER BY seq DESC LIMIT "),
    };
    let mut select = QueryBuilder::new(r#"SELECT body FROM "system_log" WHERE true"#);
    if let Some(after) = after {
        select.push(beyond).push_bind(after);
    }
    if let Some(since) = query.since {
        select.push(" AND published >= ").push_bind(since.millis());
    }
    if let Some(until) = query.until {
        select.push(" AND published < ").push_bind(until.millis());
    }
    if let Some(event_type) = query.event_type {
        select.push(" AND event_type = ").push_bind(event_type.as_str());
    }
    if let Some(actor) = &query.actor {
        select.push(" AND actor_id = ").push_bind(actor.clone());
    }
    if let Some(transaction) = query.transaction {
        // The ids of its events are its own and a number: between these two lies nothing else.
        select.push(" AND id > ").push_bind(format!("{transaction}-"));
        select.push(" AND id < ").push_bind(format!("{transaction}."));
    }
    if let Some(target) = &query.target {
        let of_target = r#" AND seq IN (SELECT seq FROM "system_log_targets" WHERE target_id = "#;
        select.push(of_target).push_bind(target.clone()).push(")");
    }
    if let Some(text) = &query.q {
        select
            .push(" AND instr(words, ")
            .push_bind(text.to_lowercase())
            .push(") > 0");
    }
    select.push(order).push_bind(i64::from(query.limit));
    select
}

/// Everything of an event that a text is looked for in, in lower case, each on a line of its own.
fn words(event: &Event) -> String {
    let reason = match &event.outcome {
        Outcome::Success => "",
        Outcome::Failure { reason } => reason,
    };
    let mut words = vec![
        event.event_type.as_str(),
        reason,
        &event.actor.id,
        &event.actor.display_name,
    ];
    for target in &event.targets {
        words.extend([target.id.as_str(), target.display_name.as_str()]);
    }
    words.join("\n").to_lowercase()
}

fn unavailable(error: impl Into<Cause>) -> QueryError {
    QueryError::Unavailable(cause(error))
}
