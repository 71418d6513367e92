//! What did the directory look like at its last revision? Read in chunks, while the picture is built.

use std::collections::VecDeque;

use directory::{Cause, Change, LoadError, Revision, Snapshot, Table};
use serde::de::DeserializeOwned;
use sqlx::{AssertSqlSafe, SqliteConnection, SqlitePool};
use tokio::sync::mpsc;

use super::sqlite::cause;

/// Reads all records as of one moment.
pub(super) async fn load(pool: &SqlitePool) -> Result<Snapshot, LoadError> {
    let mut transaction = pool.begin().await.map_err(unavailable)?;
    let revision: Option<i64> = sqlx::query_scalar(r#"SELECT max(revision) FROM "changes""#)
        .fetch_one(&mut *transaction)
        .await
        .map_err(unavailable)?;
    let revision = Revision(u64::try_from(revision.unwrap_or_default()).unwrap_or_default());
    let (chunks, mut received) = mpsc::channel(CHUNKS_WAITING);
    let builder = tokio::task::spawn_blocking(move || {
        Snapshot::restored(revision, std::iter::from_fn(|| received.blocking_recv()).flatten())
    });
    for table in Table::ALL {
        read_table(&mut transaction, *table, &chunks).await?;
    }
    drop(chunks);
    builder.await.map_err(unavailable)
}

/// Reads a table and hands its records on, which are made of what was read in threads of their own.
async fn read_table(
    connection: &mut SqliteConnection,
    table: Table,
    chunks: &mpsc::Sender<Vec<Change>>,
) -> Result<(), LoadError> {
    let (mut making, mut last) = (VecDeque::new(), i64::MIN);
    loop {
        let chunk = next_chunk(&mut *connection, table, last).await?;
        let is_over = chunk.is_none();
        let in_hand = if is_over { 0 } else { CHUNKS_IN_HAND };
        if let Some(chunk) = chunk {
            last = chunk.rows.1;
            making.push_back(tokio::task::spawn_blocking(move || {
                let records = records(table, &chunk.bodies).map_err(|_| chunk.rows)?;
                // A body is one record, whatever else it would be among others.
                match records.len() == chunk.count {
                    true => Ok(records),
                    false => Err(chunk.rows),
                }
            }));
        }
        while making.len() > in_hand
            && let Some(made) = making.pop_front()
        {
            match made.await.map_err(unavailable)? {
                Ok(records) => chunks.send(records).await.map_err(unavailable)?,
                Err(rows) => return Err(bad_record(connection, table, rows).await?),
            }
        }
        if is_over {
            return Ok(());
        }
    }
}

/// Some records that follow one another.
struct Chunk {
    /// The row before the first, and the last.
    rows: (i64, i64),
    /// How many they are.
    count: usize,
    /// Their bodies as one JSON array, which comes a good deal faster than as many rows do.
    bodies: String,
}

/// The records after this row.
async fn next_chunk(connection: &mut SqliteConnection, table: Table, after: i64) -> Result<Option<Chunk>, LoadError> {
    // INVARIANT: a table's name comes from the enum alone.
    let sql = AssertSqlSafe(format!(
        r#"SELECT max(n), count(*), '[' || group_concat(body) || ']' FROM
            (SELECT rowid AS n, body FROM "{table}" WHERE rowid > ? ORDER BY rowid LIMIT {CHUNK})"#
    ));
    let (last, count, bodies): (Option<i64>, i64, Option<String>) = sqlx::query_as(sql)
        .bind(after)
        .fetch_one(connection)
        .await
        .map_err(unavailable)?;
    Ok(last.zip(bodies).map(|(last, bodies)| Chunk {
        rows: (after, last),
        count: usize::try_from(count).unwrap_or_default(),
        bodies,
    }))
}

/// Which record of a chunk cannot be understood, and why.
async fn bad_record(connection: &mut SqliteConnection, table: Table, rows: (i64, i64)) -> Result<LoadError, LoadError> {
    // INVARIANT: a table's name comes from the enum alone.
    let sql = AssertSqlSafe(format!(
        r#"SELECT id, body FROM "{table}" WHERE rowid > ? AND rowid <= ? ORDER BY rowid"#
    ));
    let read: Vec<(String, String)> = sqlx::query_as(sql)
        .bind(rows.0)
        .bind(rows.1)
        .fetch_all(connection)
        .await
        .map_err(unavailable)?;
    let bad = read.into_iter().find_map(|(id, body)| {
        let error = records(table, &format!("[{body}]")).err()?;
        let source = cause(error);
        Some(LoadError::Record { table, id, source })
    });
    Ok(bad.unwrap_or_else(|| unavailable("its records cannot be understood together")))
}

/// The changes that would write these records.
fn records(table: Table, bodies: &str) -> Result<Vec<Change>, serde_json::Error> {
    fn read<T: DeserializeOwned>(bodies: &str, change: fn(Box<T>) -> Change) -> Result<Vec<Change>, serde_json::Error> {
        let records: Vec<Box<T>> = serde_json::from_str(bodies)?;
        Ok(records.into_iter().map(change).collect())
    }
    match table {
        Table::Users => read(bodies, Change::PutUser),
        Table::Groups => read(bodies, Change::PutGroup),
        Table::Devices => read(bodies, Change::PutDevice),
        Table::Enrollments => read(bodies, Change::PutEnrollment),
        Table::Certificates => read(bodies, Change::PutCertificate),
        Table::Reports => read(bodies, Change::PutReport),
        Table::EnrollmentTokens => read(bodies, Change::PutEnrollmentToken),
        Table::ApiTokens => read(bodies, Change::PutApiToken),
        Table::Instances => read(bodies, Change::PutInstance),
        Table::Authenticators => read(bodies, Change::PutAuthenticator),
        Table::ManagementCertificates => read(bodies, Change::PutManagementCertificate),
        Table::Settings => read(bodies, Change::PutSettings),
    }
}

fn unavailable(error: impl Into<Cause>) -> LoadError {
    LoadError::Unavailable(cause(error))
}

/// How many records are read at a time.
const CHUNK: usize = 1000;
/// How many chunks are made into records at a time.
const CHUNKS_IN_HAND: usize = 4;
/// How many may wait to be taken into the picture.
const CHUNKS_WAITING: usize = 8;
