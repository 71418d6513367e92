//! How are sessions kept? One row each, written with the batch that changes them.

use directory::{LoadError, Place, Session, SessionId, StoredPlace, StoredSessions, Timestamp, Transaction};
use serde::Serialize;
use sqlx::{SqliteConnection, SqlitePool};

use super::sqlite::cause;

/// Reads what is kept of sessions; those that ended some days ago are left out.
pub(super) async fn load(pool: &SqlitePool) -> Result<StoredSessions, LoadError> {
    let unavailable = |error: sqlx::Error| LoadError::Unavailable(cause(error));
    let rows: Vec<(String, i64)> = sqlx::query_as(r#"SELECT body, seen FROM "sessions""#)
        .fetch_all(pool)
        .await
        .map_err(unavailable)?;
    let unreadable = |error: &dyn std::fmt::Display| LoadError::Unavailable(cause(format!("a session: {error}")));
    let sessions = rows.iter().map(|(body, seen)| {
        let session: Session = serde_json::from_str(body).map_err(|error| unreadable(&error))?;
        Ok((session, Timestamp::from_millis(*seen)))
    });
    let places: Vec<(String, String, i64)> =
        sqlx::query_as(r#"SELECT user, place, known_from FROM "places" ORDER BY at"#)
            .fetch_all(pool)
            .await
            .map_err(unavailable)?;
    let places = places.into_iter().map(|(user, place, known_from)| {
        Ok(StoredPlace {
            user: user.parse().map_err(|error| unreadable(&error))?,
            place: Place(place),
            known_from: Timestamp::from_millis(known_from),
        })
    });
    Ok(StoredSessions {
        sessions: sessions.collect::<Result<_, LoadError>>()?,
        places: places.collect::<Result<_, LoadError>>()?,
    })
}

/// Writes the sessions of a batch; those that begin also say from where. All rows go in one statement: SQLite answers each
/// from a thread of its own.
pub(super) async fn write(sql: &mut SqliteConnection, batch: &[Transaction]) -> Result<(), sqlx::Error> {
    let (mut rows, mut places) = (Vec::new(), Vec::new());
    for transaction in batch {
        let at = transaction.at.millis();
        for session in &transaction.sessions {
            let body = serde_json::to_string(session).map_err(|error| sqlx::Error::Encode(error.into()))?;
            rows.push((session.id.as_str(), at, body));
            if session.created == transaction.at && session.is_live() {
                let known_from = session.place_known_from().millis();
                let of_client = Place::of(&session.client).into_iter();
                places.extend(of_client.map(|Place(place)| (session.user.as_str(), place, at, known_from)));
            }
        }
    }
    let upsert = r#"INSERT INTO "sessions" (id, seen, body)
        SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true
        ON CONFLICT (id) DO UPDATE SET body = excluded.body"#;
    write_rows(sql, upsert, &rows).await?;
    let upsert = r#"INSERT INTO "places" (user, place, at, known_from)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?) WHERE true
        ON CONFLICT (user, place) DO UPDATE
        SET at = excluded.at, known_from = MIN(known_from, excluded.known_from)"#;
    write_rows(sql, upsert, &places).await
}

/// Writes rows, which the statement takes as a JSON array, if there are any.
async fn write_rows<T: Serialize>(
    sql: &mut SqliteConnection,
    statement: &'static str,
    rows: &[T],
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows = serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(statement).bind(rows).execute(sql).await?;
    Ok(())
}

/// Writes down when sessions were used last.
pub(super) async fn write_seen(pool: &SqlitePool, seen: &[(SessionId, Timestamp)]) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = seen
        .iter()
        .map(|(session, at)| (session.as_str(), at.millis()))
        .collect();
    let update = r#"UPDATE "sessions" SET seen = used.value ->> 1
        FROM json_each(?) AS used WHERE "sessions".id = used.value ->> 0"#;
    let mut sql = pool.begin_with("BEGIN IMMEDIATE").await?;
    write_rows(&mut sql, update, &rows).await?;
    sql.commit().await
}

/// Forgets sessions that ended before this, and places that nobody came from since the other.
pub(super) async fn forget(pool: &SqlitePool, ended: Timestamp, unseen: Timestamp) -> Result<(), sqlx::Error> {
    let mut sql = pool.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(r#"DELETE FROM "sessions" WHERE ended < ?"#)
        .bind(ended.millis())
        .execute(&mut *sql)
        .await?;
    sqlx::query(r#"DELETE FROM "places" WHERE at < ?"#)
        .bind(unseen.millis())
        .execute(&mut *sql)
        .await?;
    sql.commit().await
}
