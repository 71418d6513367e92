//! What did the directory look like at its last revision? Read table by table, in chunks, which several threads parse while the
//! picture is built.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use directory::{Cause, Change, LoadError, Revision, Snapshot, Table};
use serde::de::DeserializeOwned;
use sqlx::{AssertSqlSafe, SqliteConnection, SqlitePool};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::sqlite::cause;

/// Reads all records as of one moment.
pub(super) async fn load(pool: &SqlitePool) -> Result<Snapshot, LoadError> {
    let mut transaction = pool.begin().await.map_err(unavailable)?;
    let revision: Option<i64> = sqlx::query_scalar(r#"SELECT max(revision) FROM "changes""#)
        .fetch_one(&mut *transaction)
        .await
        .map_err(unavailable)?;
    let revision = Revision(u64::try_from(revision.unwrap_or_default()).unwrap_or_default());
    let (parsed, mut received) = mpsc::channel(CHUNKS_WAITING);
    let builder = tokio::task::spawn_blocking(move || {
        Snapshot::restored(revision, std::iter::from_fn(|| received.blocking_recv()).flatten())
    });
    let most = available_parallelism().map_or(1, NonZeroUsize::get);
    let mut parsing = JoinSet::new();
    for table in Table::ALL {
        let mut last = i64::MIN;
        while let Some(chunk) = Chunk::read(&mut transaction, *table, last).await? {
            last = chunk.last;
            let parsed = parsed.clone();
            parsing.spawn_blocking(move || chunk.parse(&parsed));
            while parsing.len() > most {
                done(parsing.join_next().await)?;
            }
        }
    }
    while !parsing.is_empty() {
        done(parsing.join_next().await)?;
    }
    drop(parsed);
    builder.await.map_err(unavailable)
}

/// What came of parsing a chunk.
fn done(chunk: Option<Result<Result<(), LoadError>, JoinError>>) -> Result<(), LoadError> {
    chunk.map_or(Ok(()), |parsed| parsed.map_err(unavailable)?)
}

/// Some records of a table, as SQLite puts them together: a row each would cost as much as reading it.
struct Chunk {
    table: Table,
    /// The row that the next chunk comes after.
    last: i64,
    ids: String,
    bodies: String,
}

impl Chunk {
    /// The records in the rows after this one; nothing after the last.
    async fn read(connection: &mut SqliteConnection, table: Table, after: i64) -> Result<Option<Self>, LoadError> {
        // INVARIANT: a table's name and the number of a character come from here alone.
        let sql = AssertSqlSafe(format!(
            r#"SELECT max(row), group_concat(id, char({separator})), group_concat(body, char({separator}))
               FROM (SELECT rowid AS row, id, body FROM "{table}" WHERE rowid > ? ORDER BY rowid LIMIT {CHUNK})"#,
            separator = u32::from(SEPARATOR),
        ));
        let row: (Option<i64>, Option<String>, Option<String>) = sqlx::query_as(sql)
            .bind(after)
            .fetch_one(connection)
            .await
            .map_err(unavailable)?;
        let (Some(last), Some(ids), Some(bodies)) = row else {
            return Ok(None);
        };
        Ok(Some(Self {
            table,
            last,
            ids,
            bodies,
        }))
    }

    /// Hands the records on as the changes that would write them.
    fn parse(self, parsed: &mpsc::Sender<Vec<Change>>) -> Result<(), LoadError> {
        let (ids, bodies) = (self.ids.split(SEPARATOR), self.bodies.split(SEPARATOR));
        if ids.clone().count() != bodies.clone().count() {
            let found = format!("expected one JSON value for each id in \"{}\"", self.table);
            return Err(LoadError::Unavailable(found.into()));
        }
        let records = ids.zip(bodies).map(|(id, body)| {
            record(self.table, body).map_err(|error| LoadError::Record {
                table: self.table,
                id: id.to_owned(),
                source: cause(error),
            })
        });
        let records = records.collect::<Result<Vec<_>, _>>()?;
        parsed.blocking_send(records).map_err(unavailable)
    }
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

/// A character that stands in no JSON and in no id (RFC 8259, section 7): a record that held it would not parse.
const SEPARATOR: char = '\u{1e}';
/// How many records are read before they are handed on.
const CHUNK: usize = 1000;
const CHUNKS_WAITING: usize = 8;
