//! What did the directory look like at its last revision? Read table by table, in chunks, while the picture is built.

use directory::{Cause, Change, LoadError, Revision, Snapshot, Table};
use futures_util::TryStreamExt;
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
    builder.await.map_err(|error| LoadError::Unavailable(cause(error)))
}

async fn read_table(
    connection: &mut SqliteConnection,
    table: Table,
    chunks: &mpsc::Sender<Vec<Change>>,
) -> Result<(), LoadError> {
    // INVARIANT: a table's name comes from the enum alone.
    let sql = AssertSqlSafe(format!(r#"SELECT id, body FROM "{table}""#));
    let rows = sqlx::query_as::<_, (String, String)>(sql).fetch(connection);
    let mut rows = rows.map_err(unavailable).try_chunks(CHUNK);
    while let Some(rows) = rows.try_next().await.map_err(|chunk| chunk.1)? {
        let records = rows.into_iter().map(|(id, body)| {
            record(table, &body).map_err(|error| LoadError::Record {
                table,
                id,
                source: cause(error),
            })
        });
        let records = records.collect::<Result<Vec<_>, _>>()?;
        chunks
            .send(records)
            .await
            .map_err(|error| LoadError::Unavailable(cause(error)))?;
    }
    Ok(())
}

/// The change that would write this record.
fn record(table: Table, body: &str) -> Result<Change, serde_json::Error> {
    fn read<T: DeserializeOwned>(body: &str) -> Result<Box<T>, serde_json::Error> {
        serde_json::from_str(body).map(Box::new)
    }
    match table {
        Table::Users => read(body).map(Change::PutUser),
        Table::Groups => read(body).map(Change::PutGroup),
        Table::Devices => read(body).map(Change::PutDevice),
        Table::Enrollments => read(body).map(Change::PutEnrollment),
        Table::Certificates => read(body).map(Change::PutCertificate),
        Table::Reports => read(body).map(Change::PutReport),
        Table::EnrollmentTokens => read(body).map(Change::PutEnrollmentToken),
        Table::ApiTokens => read(body).map(Change::PutApiToken),
        Table::Instances => read(body).map(Change::PutInstance),
        Table::Authenticators => read(body).map(Change::PutAuthenticator),
        Table::ManagementCertificates => read(body).map(Change::PutManagementCertificate),
        Table::Settings => read(body).map(Change::PutSettings),
    }
}

fn unavailable(error: impl Into<Cause>) -> LoadError {
    LoadError::Unavailable(cause(error))
}

/// How many records are read before they are handed on.
const CHUNK: usize = 1000;
const CHUNKS_WAITING: usize = 8;
