//! Is the database whole? SQLite looks at it itself, without writing.

use std::path::Path;
use std::time::Duration;

use directory::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::Finding;
use crate::config::Config;
use crate::logs::Chain;

/// Looks at the database; when its newest record was written.
pub(super) async fn examine(config: &Config) -> (Vec<Finding>, Option<Timestamp>) {
    let file = config.data_dir.join("directory.sqlite");
    let shown = file.display();
    match std::fs::metadata(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return (
                vec![Finding::ok("database", format!("{shown}: made at the first start"))],
                None,
            );
        }
        Err(error) => {
            let advice = "run this as the gateway's user or as root";
            return (
                vec![Finding::fail("database", format!("{shown}: {}", Chain(&error)), advice)],
                None,
            );
        }
        Ok(_) => {}
    }
    match check(&file).await {
        Ok((problems, newest)) if problems == ["ok"] => {
            (vec![Finding::ok("database", format!("{shown}: whole"))], newest)
        }
        Ok((problems, newest)) => {
            let first = problems.first().cloned().unwrap_or_default();
            (
                vec![broken(format!("{shown}: {} problems, first: {first}", problems.len()))],
                newest,
            )
        }
        Err(error) => (vec![broken(format!("{shown}: {}", Chain(&error)))], None),
    }
}

fn broken(found: String) -> Finding {
    Finding::fail(
        "database",
        found,
        "stop the gateway and restore a backup (docs/operating.md)",
    )
}

/// What `quick_check` says, and the time of the newest record of the System Log.
async fn check(file: &Path) -> Result<(Vec<String>, Option<Timestamp>), sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        // Without a log of writes SQLite would make one, which it cannot take away again.
        .immutable(!file.with_extension("sqlite-wal").exists())
        .busy_timeout(PATIENCE)
        .disable_statement_logging();
    let mut database: SqliteConnection = options.connect().await?;
    let problems = sqlx::query_scalar("PRAGMA quick_check")
        .fetch_all(&mut database)
        .await?;
    let newest: Option<i64> = sqlx::query_scalar("SELECT max(published) FROM system_log")
        .fetch_one(&mut database)
        .await?;
    database.close().await?;
    Ok((problems, newest.map(Timestamp::from_millis)))
}

/// How long a writer may keep it waiting.
const PATIENCE: Duration = Duration::from_secs(5);
