//! How are sessions kept? One row each, written with the transaction that changes them.

use directory::{LoadError, Place, Session, SessionId, StoredPlace, StoredSessions, Timestamp, Transaction};
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

/// Writes the sessions of a transaction; one that begins also says from where.
pub(super) async fn write(sql: &mut SqliteConnection, transaction: &Transaction) -> Result<(), sqlx::Error> {
    for session in &transaction.sessions {
        let upsert = r#"INSERT INTO "sessions" (id, seen, body) VALUES (?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET body = excluded.body"#;
        let body = serde_json::to_string(session).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query(upsert)
            .bind(session.id.as_str())
            .bind(transaction.at.millis())
            .bind(body)
            .execute(&mut *sql)
            .await?;
        if session.created == transaction.at && session.is_live() {
            write_places(sql, session, transaction.at).await?;
        }
    }
    Ok(())
}

async fn write_places(sql: &mut SqliteConnection, session: &Session, at: Timestamp) -> Result<(), sqlx::Error> {
    for Place(place) in Place::of(&session.client) {
        let upsert = r#"INSERT INTO "places" (user, place, at, known_from) VALUES (?, ?, ?, ?)
            ON CONFLICT (user, place) DO UPDATE
            SET at = excluded.at, known_from = MIN(known_from, excluded.known_from)"#;
        sqlx::query(upsert)
            .bind(session.user.as_str())
            .bind(place)
            .bind(at.millis())
            .bind(session.place_known_from().millis())
            .execute(&mut *sql)
            .await?;
    }
    Ok(())
}

/// Writes down when sessions were used last.
pub(super) async fn write_seen(pool: &SqlitePool, seen: &[(SessionId, Timestamp)]) -> Result<(), sqlx::Error> {
    let mut sql = pool.begin_with("BEGIN IMMEDIATE").await?;
    for (session, at) in seen {
        sqlx::query(r#"UPDATE "sessions" SET seen = ? WHERE id = ?"#)
            .bind(at.millis())
            .bind(session.as_str())
            .execute(&mut *sql)
            .await?;
    }
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
