//! Where does the database lie, and is it one that this version can use? Opened, and brought to the current schema.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use directory::{
    AppendError, Cause, Event, EventQuery, LoadError, QueryError, SessionId, Snapshot, Store, StoredSessions,
    Timestamp, Transaction,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, SqlitePool};

use super::{append, load, sessions, system_log};

/// The directory and the System Log in one SQLite file.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

/// Says why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadDatabase {
    /// The file cannot be made or opened.
    #[error("cannot open the database `{}`", path.display())]
    File {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// SQLite cannot read it.
    #[error("expected a readable SQLite database in `{}`", path.display())]
    Unreadable {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
    /// It is somebody else's.
    #[error("expected a database of Latchkey or an empty one in `{}`, found tables of something else", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// A later version wrote it.
    #[error("the database has schema {found}; this version knows schemas up to {known}")]
    Newer {
        /// The schema it has.
        found: usize,
        /// The newest this version knows.
        known: usize,
    },
    /// A step to the current schema failed.
    #[error("cannot bring the database to schema {schema}")]
    Migrate {
        /// The schema the step leads to.
        schema: usize,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
}

impl SqliteStore {
    /// Opens the database, made with mode 0600 where there is none, and brings it to the current schema.
    ///
    /// # Errors
    ///
    /// Refuses one that is not Latchkey's or not readable, and one of a newer schema.
    pub(crate) async fn open(path: &Path) -> Result<Self, BadDatabase> {
        open_private(path).map_err(|source| BadDatabase::File {
            path: path.to_owned(),
            source,
        })?;
        let unreadable = |source| BadDatabase::Unreadable {
            path: path.to_owned(),
            source,
        };
        let options = options(path);
        // One connection writes; it is never dropped for being idle, so its prepared statements stay.
        let lasting = SqlitePoolOptions::new().max_lifetime(None).idle_timeout(None);
        let writer = lasting
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(unreadable)?;
        migrate(&writer, path).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_lazy_with(options.read_only(true));
        Ok(Self { writer, readers })
    }

    /// Writes down when sessions were used last.
    pub(super) async fn write_seen(&self, seen: &[(SessionId, Timestamp)]) -> Result<(), sqlx::Error> {
        sessions::write_seen(&self.writer, seen).await
    }

    /// Forgets sessions that ended before this, and places that nobody came from since the other.
    pub(super) async fn forget_sessions(&self, ended: Timestamp, unseen: Timestamp) -> Result<(), sqlx::Error> {
        sessions::forget(&self.writer, ended, unseen).await
    }

    /// Ends all connections in good order.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl Store for SqliteStore {
    async fn load(&self) -> Result<Snapshot, LoadError> {
        load::load(&self.readers).await
    }

    async fn load_sessions(&self) -> Result<StoredSessions, LoadError> {
        sessions::load(&self.readers).await
    }

    async fn append(&self, batch: &[Transaction]) -> Result<(), AppendError> {
        append::append(&self.writer, batch).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, QueryError> {
        system_log::events(&self.readers, query).await
    }
}

/// An error of SQLite's as the store's trait passes it on.
pub(super) fn cause(error: impl Into<Cause>) -> Cause {
    error.into()
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .busy_timeout(PATIENCE)
        .disable_statement_logging()
}

/// Opens a file that only its owner may read, made so where there is none. SQLite gives its own files the same mode.
fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), BadDatabase> {
    let unreadable = |source| BadDatabase::Unreadable {
        path: path.to_owned(),
        source,
    };
    let schema: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(pool)
        .await
        .map_err(unreadable)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(pool)
        .await
        .map_err(unreadable)?;
    let found = match usize::try_from(schema) {
        Ok(0) if tables == 0 => 0,
        Ok(0) | Err(_) => return Err(BadDatabase::Foreign { path: path.to_owned() }),
        Ok(found) => found,
    };
    let known = MIGRATIONS.len();
    if found > known {
        return Err(BadDatabase::Newer { found, known });
    }
    for (schema, migration) in (1..).zip(MIGRATIONS).skip(found) {
        step(pool, schema, migration)
            .await
            .map_err(|source| BadDatabase::Migrate { schema, source })?;
    }
    Ok(())
}

async fn step(pool: &SqlitePool, schema: usize, migration: &'static str) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(migration).execute(&mut *transaction).await?;
    // INVARIANT: a number needs no quoting; SQLite takes no parameters in a PRAGMA.
    let version = AssertSqlSafe(format!("PRAGMA user_version = {schema}"));
    sqlx::raw_sql(version).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// The steps from an empty database to the current schema: the first leads to schema 1, and so on.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_directory.sql"),
    include_str!("migrations/0002_authenticators.sql"),
    include_str!("migrations/0003_sessions.sql"),
    include_str!("migrations/0004_log_pages.sql"),
    include_str!("migrations/0005_webauthn.sql"),
    include_str!("migrations/0006_codes_of_devices.sql"),
];
/// How long a statement waits for another process's.
const PATIENCE: Duration = Duration::from_secs(5);
const READERS: u32 = 3;
/// How long the write-ahead log grows before it is worked into the file, in pages of 4 KiB: what changes often is then
/// written there once for many times.
const CHECKPOINT_PAGES: &str = "8192";
