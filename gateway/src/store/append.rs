//! How does a batch of transactions become durable? In one SQL transaction, each record only over the version it rests on.

use directory::{AppendError, Cause, Change, Transaction, Write};
use sqlx::sqlite::SqliteQueryResult;
use sqlx::{AssertSqlSafe, SqliteConnection, SqlitePool};

use super::sqlite::cause;
use super::{sessions, system_log};

/// Writes all transactions of the batch, or none.
pub(super) async fn append(pool: &SqlitePool, batch: &[Transaction]) -> Result<(), AppendError> {
    let mut sql = pool.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
    for transaction in batch {
        for write in &transaction.writes {
            write_record(&mut sql, transaction, write).await?;
        }
        for (fingerprint, der) in &transaction.certificates_der {
            let update = sqlx::query(r#"UPDATE "certificates" SET der = ? WHERE id = ?"#);
            let update = update.bind(der.as_slice()).bind(fingerprint.to_string());
            update.execute(&mut *sql).await.map_err(unavailable)?;
        }
        if !transaction.writes.is_empty() {
            write_change(&mut sql, transaction).await?;
        }
    }
    sessions::write(&mut sql, batch).await.map_err(unavailable)?;
    let events: Vec<_> = batch.iter().flat_map(|transaction| &transaction.events).collect();
    system_log::write(&mut sql, &events)
        .await
        .map_err(AppendError::Unavailable)?;
    sql.commit().await.map_err(unavailable)
}

async fn write_record(sql: &mut SqliteConnection, transaction: &Transaction, write: &Write) -> Result<(), AppendError> {
    let (table, id) = write.change.key();
    let body = body(&write.change).map_err(unavailable)?;
    let revision = integer(transaction.revision.0);
    let expected = write.expected.map(|expected| integer(expected.0));
    // INVARIANT: a table's name comes from the enum alone; ids, versions and bodies are bound.
    let query = match (expected, body) {
        (None, Some(body)) => {
            let insert = format!(r#"INSERT INTO "{table}" (id, version, body) VALUES (?, ?, ?)"#);
            sqlx::query(AssertSqlSafe(insert)).bind(&id).bind(revision).bind(body)
        }
        (Some(expected), Some(body)) => {
            let update = format!(r#"UPDATE "{table}" SET version = ?, body = ? WHERE id = ? AND version = ?"#);
            sqlx::query(AssertSqlSafe(update))
                .bind(revision)
                .bind(body)
                .bind(&id)
                .bind(expected)
        }
        (expected, None) => {
            let delete = format!(r#"DELETE FROM "{table}" WHERE id = ? AND version = ?"#);
            sqlx::query(AssertSqlSafe(delete)).bind(&id).bind(expected)
        }
    };
    match query.execute(sql).await {
        Ok(done) if wrote_one(&done) => Ok(()),
        Ok(_) => Err(AppendError::Conflict { table, id }),
        Err(error) if is_taken(&error) => Err(AppendError::Conflict { table, id }),
        Err(error) => Err(unavailable(error)),
    }
}

async fn write_change(sql: &mut SqliteConnection, transaction: &Transaction) -> Result<(), AppendError> {
    let changes: Vec<&Change> = transaction.writes.iter().map(|write| &write.change).collect();
    let insert = r#"INSERT INTO "changes" (revision, transaction_id, at, actor, changes) VALUES (?, ?, ?, ?, ?)"#;
    let insert = sqlx::query(insert)
        .bind(integer(transaction.revision.0))
        .bind(transaction.id.as_str())
        .bind(transaction.at.millis())
        .bind(serde_json::to_string(&transaction.actor).map_err(unavailable)?)
        .bind(serde_json::to_string(&changes).map_err(unavailable)?);
    match insert.execute(sql).await {
        Ok(_) => Ok(()),
        Err(error) if is_taken(&error) => Err(taken_revision(transaction)),
        Err(error) => Err(unavailable(error)),
    }
}

/// Somebody else made this revision: blames the first record, which may or may not be what they changed.
fn taken_revision(transaction: &Transaction) -> AppendError {
    match transaction.writes.first().map(|write| write.change.key()) {
        Some((table, id)) => AppendError::Conflict { table, id },
        None => AppendError::Unavailable(cause("a transaction without writes makes no revision")),
    }
}

/// The record as JSON, or nothing where it goes.
fn body(change: &Change) -> Result<Option<String>, serde_json::Error> {
    let body = match change {
        Change::PutUser(user) => serde_json::to_string(user),
        Change::PutGroup(group) => serde_json::to_string(group),
        Change::PutDevice(device) => serde_json::to_string(device),
        Change::PutEnrollment(enrollment) => serde_json::to_string(enrollment),
        Change::PutCertificate(certificate) => serde_json::to_string(certificate),
        Change::PutReport(report) => serde_json::to_string(report),
        Change::PutEnrollmentToken(token) => serde_json::to_string(token),
        Change::PutApiToken(token) => serde_json::to_string(token),
        Change::PutInstance(instance) => serde_json::to_string(instance),
        Change::PutAuthenticator(authenticator) => serde_json::to_string(authenticator),
        Change::PutManagementCertificate(certificate) => serde_json::to_string(certificate),
        Change::PutSettings(settings) => serde_json::to_string(settings),
        Change::DeleteUser(_)
        | Change::DeleteGroup(_)
        | Change::DeleteDevice(_)
        | Change::DeleteEnrollment(_)
        | Change::DeleteReport { .. }
        | Change::DeleteEnrollmentToken(_)
        | Change::DeleteInstance(_)
        | Change::DeleteAuthenticator(_)
        | Change::DeleteManagementCertificate(_) => return Ok(None),
    };
    body.map(Some)
}

fn wrote_one(done: &SqliteQueryResult) -> bool {
    done.rows_affected() == 1
}

fn is_taken(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}

fn unavailable(error: impl Into<Cause>) -> AppendError {
    AppendError::Unavailable(cause(error))
}

/// SQLite counts to 2^63 - 1; no revision gets there.
fn integer(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}
