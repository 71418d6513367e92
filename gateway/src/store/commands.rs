//! How does a command reach the directory, and who hears of what it changed? The handle everybody holds.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use directory::{
    Actor, AppendError, Command, Event, EventQuery, Fingerprint, LoadError, QueryError, Refused, SecretHash,
    SessionCommand, Snapshot, Store, Timestamp, Touched,
};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::sqlite::{BadDatabase, SqliteStore};
use super::writer::Writer;
use crate::sessions::SessionTable;

/// Tells the time.
pub(crate) type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Users, devices and what belongs to them: read from a snapshot, changed by commands.
pub(crate) struct Directory {
    published: Arc<Published>,
    sessions: Arc<SessionTable>,
    commands: mpsc::Sender<Submission>,
    store: Arc<SqliteStore>,
    /// The writer's thread; it ends when the last sender of commands does.
    _writer: JoinHandle<()>,
}

/// A command that was carried out; everything it changed is durable and published.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    /// The directory right after it.
    pub(crate) snapshot: Arc<Snapshot>,
}

/// Says why a command changed nothing, or may not have.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum SubmitError {
    /// The directory does not allow it; the System Log says so.
    #[error(transparent)]
    Refused(Refused),
    /// It could not be written, or it is not known whether it was.
    #[error("the directory cannot be changed now")]
    Unavailable(#[source] Unavailable),
}

/// Says why the directory cannot be changed now.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Unavailable {
    /// Too many commands wait already.
    #[error("too many commands are waiting")]
    Busy,
    /// The writer is gone.
    #[error("the writer has stopped")]
    Stopped,
    /// The store did not take the batch.
    #[error("the store did not confirm the change")]
    Append(#[source] Arc<AppendError>),
    /// What the store holds is not known since it failed.
    #[error("the store cannot be read after a failure")]
    Load(#[source] Arc<LoadError>),
}

/// Says why there is no directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] BadDatabase),
    /// Its contents cannot be.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The writer cannot run.
    #[error("cannot start the writer of the directory")]
    Thread(#[source] std::io::Error),
    /// The writer ended at once.
    #[error("the writer of the directory ended before it was ready")]
    Ended,
}

/// What is asked for: of the directory, or of sessions alone.
pub(super) enum Wish {
    Directory(Command),
    Sessions(SessionCommand),
}

impl Wish {
    /// The cookie whose place a new one takes.
    pub(super) fn replaces(&self) -> Option<SecretHash> {
        match self {
            Self::Directory(_) => None,
            Self::Sessions(command) => command.replaces(),
        }
    }
}

/// A command on its way to the writer.
pub(super) struct Submission {
    pub(super) wish: Wish,
    pub(super) actor: Actor,
    pub(super) certificates_der: Vec<(Fingerprint, Vec<u8>)>,
    pub(super) answer: oneshot::Sender<Result<Accepted, SubmitError>>,
}

/// The directory as every request sees it, and the news of its changes.
pub(super) struct Published {
    current: ArcSwap<Snapshot>,
    news: broadcast::Sender<Arc<Touched>>,
}

impl Directory {
    /// Opens the database and starts its writer, in a runtime and thread of its own; blocks until everything is read.
    ///
    /// # Errors
    ///
    /// Refuses a database that cannot be used or whose records this version does not understand.
    pub(crate) fn open(path: &Path, now: Now) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(OpenError::Thread)?;
        let (commands, queue) = mpsc::channel(QUEUE);
        let (ready, opened) = blocking::channel();
        let path = path.to_owned();
        let run = move || {
            runtime.block_on(async move {
                let started = start(&path).await.map(|(store, published, sessions)| {
                    let writer = Writer::new(store.clone(), published.clone(), sessions.clone(), now);
                    (store, published, sessions, writer)
                });
                match started {
                    Ok((store, published, sessions, writer)) => {
                        let closing = store.clone();
                        if ready.send(Ok((store, published, sessions))).is_ok() {
                            writer.run(queue).await;
                        }
                        closing.close().await;
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            });
        };
        let writer = thread::Builder::new()
            .name("directory".to_owned())
            .spawn(run)
            .map_err(OpenError::Thread)?;
        let (store, published, sessions) = opened.recv().map_err(|_| OpenError::Ended)??;
        Ok(Self {
            published,
            sessions,
            commands,
            store,
            _writer: writer,
        })
    }

    /// The directory as it is now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.published.snapshot()
    }

    /// The sessions there are.
    pub(crate) fn sessions(&self) -> &Arc<SessionTable> {
        &self.sessions
    }

    /// Hears of every change from now on, after it was published.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Touched>> {
        self.published.news.subscribe()
    }

    /// Carries out a command: when this answers, the change is durable, and every snapshot from now on has it.
    ///
    /// # Errors
    ///
    /// Says why it was refused; or that it could not be written, which does not always mean that it was not.
    pub(crate) async fn submit(
        &self,
        command: Command,
        actor: Actor,
        certificates_der: Vec<(Fingerprint, Vec<u8>)>,
    ) -> Result<Accepted, SubmitError> {
        self.ask(Wish::Directory(command), actor, certificates_der).await
    }

    /// Carries out a command about sessions: when this answers, it is durable, and every request from now on sees it.
    ///
    /// # Errors
    ///
    /// As [`Directory::submit`].
    pub(crate) async fn submit_session(&self, command: SessionCommand, actor: Actor) -> Result<Accepted, SubmitError> {
        self.ask(Wish::Sessions(command), actor, Vec::new()).await
    }

    async fn ask(
        &self,
        wish: Wish,
        actor: Actor,
        certificates_der: Vec<(Fingerprint, Vec<u8>)>,
    ) -> Result<Accepted, SubmitError> {
        let (answer, answered) = oneshot::channel();
        let submission = Submission {
            wish,
            actor,
            certificates_der,
            answer,
        };
        self.commands
            .send_timeout(submission, PATIENCE)
            .await
            .map_err(|error| {
                SubmitError::Unavailable(match error {
                    mpsc::error::SendTimeoutError::Timeout(_) => Unavailable::Busy,
                    mpsc::error::SendTimeoutError::Closed(_) => Unavailable::Stopped,
                })
            })?;
        answered
            .await
            .unwrap_or(Err(SubmitError::Unavailable(Unavailable::Stopped)))
    }

    /// Writes down when sessions were used, and forgets those that ended long ago.
    ///
    /// # Errors
    ///
    /// The store fails; nothing is lost but these times.
    pub(crate) async fn keep_sessions(&self, now: Timestamp) -> Result<(), sqlx::Error> {
        self.store.write_seen(&self.sessions.take_seen()).await?;
        self.sessions.forget_ended(now);
        self.store
            .forget_sessions(now.minus(ENDED_KEPT), now.minus(PLACES_KEPT))
            .await
    }

    /// Reads the System Log.
    ///
    /// # Errors
    ///
    /// Fails where the query follows an unknown event or the store does not answer.
    pub(crate) async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, QueryError> {
        self.store.events(query).await
    }

    /// Waits until the writer has ended and the database is closed.
    #[cfg(test)]
    pub(super) fn close(self) {
        let Self {
            commands,
            store,
            _writer: writer,
            ..
        } = self;
        drop(commands);
        writer.join().unwrap();
        drop(store);
    }
}

impl Published {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        Self {
            current: ArcSwap::from_pointee(snapshot),
            news: broadcast::Sender::new(NEWS),
        }
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Tells whoever follows that something was taken from these users' sessions.
    pub(super) fn tell(&self, touched: Touched) {
        let _ = self.news.send(Arc::new(touched));
    }

    /// Lets every request see the snapshot, then tells whoever follows what changed.
    pub(super) fn publish(&self, snapshot: Arc<Snapshot>, touched: Touched) {
        self.current.store(snapshot);
        // Nobody may be listening.
        let _ = self.news.send(Arc::new(touched));
    }
}

type Started = (Arc<SqliteStore>, Arc<Published>, Arc<SessionTable>);

async fn start(path: &Path) -> Result<Started, OpenError> {
    let store = SqliteStore::open(path).await?;
    let snapshot = store.load().await?;
    let sessions = SessionTable::new(store.load_sessions().await?);
    Ok((Arc::new(store), Arc::new(Published::new(snapshot)), Arc::new(sessions)))
}

/// For how long the store keeps a session that ended.
const ENDED_KEPT: Duration = Duration::from_hours(7 * 24);
/// For how long a place is known that a user does not come from any more.
const PLACES_KEPT: Duration = Duration::from_hours(180 * 24);
/// How many commands may wait.
const QUEUE: usize = 1024;
/// How long a command waits for its place among them.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many batches a follower may be behind before it is told that it missed some.
const NEWS: usize = 1024;
