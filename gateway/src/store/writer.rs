//! In which order do commands happen? One after the other, many to a commit: planned, written, published, answered.

use std::sync::Arc;
use std::time::Duration;

use directory::{
    Actor, Event, LoadError, Plan, Repacked, Session, SessionPlan, Snapshot, Store, Timestamp, Touched, Transaction,
    TransactionId, Write,
};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{error, info};

use super::commands::{Accepted, Now, Published, Submission, SubmitError, Unavailable, Wish};
use crate::logs::Chain;
use crate::sessions::{Overlay, Replaced, SessionTable};

/// The only one who changes the directory.
pub(super) struct Writer<S> {
    store: Arc<S>,
    published: Arc<Published>,
    sessions: Arc<SessionTable>,
    now: Now,
    /// Set where the store may hold something else than what is published: after it did not confirm a batch.
    in_doubt: bool,
    /// Packs the directory's records anew, if anybody does.
    packing: Option<JoinHandle<Repacked>>,
}

/// A command whose fate is known as soon as its transaction is durable.
struct Planned {
    submission: Submission,
    outcome: Result<Accepted, SubmitError>,
}

impl<S: Store> Writer<S> {
    /// Begins with what is published, which is what the store holds.
    pub(super) fn new(store: Arc<S>, published: Arc<Published>, sessions: Arc<SessionTable>, now: Now) -> Self {
        Self {
            store,
            published,
            sessions,
            now,
            in_doubt: false,
            packing: None,
        }
    }

    /// Carries out commands until nobody can send any more.
    pub(super) async fn run(mut self, mut queue: Receiver<Submission>) {
        let mut batch = Vec::new();
        loop {
            let received = queue.recv_many(&mut batch, BATCH);
            if self.in_doubt {
                match timeout(RETRY, received).await {
                    Ok(0) => return,
                    Ok(_) | Err(_) => self.settle(&mut batch).await,
                }
            } else if received.await == 0 {
                return;
            }
            if batch.len() > 1 {
                // Several at once: more are on their way, and a commit costs as much for all of them as for these.
                tokio::time::sleep(GATHERED).await;
                while batch.len() < BATCH
                    && let Ok(submission) = queue.try_recv()
                {
                    batch.push(submission);
                }
            }
            if !batch.is_empty() {
                self.process(std::mem::take(&mut batch)).await;
                self.keep_packed().await;
            }
        }
    }

    /// Has the records packed anew once many have changed: each takes several times the room that it had. Commands go on
    /// meanwhile, and the directory is as it was whichever way it lies in memory.
    async fn keep_packed(&mut self) {
        match self.packing.take() {
            Some(packing) if packing.is_finished() => match packing.await {
                Ok(repacked) => {
                    let snapshot = self.published.snapshot().on(repacked);
                    self.published.publish(Arc::new(snapshot), Touched::default());
                }
                Err(error) => error!(%error, "the directory's records could not be packed"),
            },
            Some(packing) => self.packing = Some(packing),
            None => {
                let snapshot = self.published.snapshot();
                if snapshot.is_worn(MOST_UNPACKED) {
                    self.packing = Some(tokio::task::spawn_blocking(move || snapshot.pack()));
                }
            }
        }
    }

    /// Reads again what the store holds; while that fails, nothing can be planned and the batch is turned away.
    async fn settle(&mut self, batch: &mut Vec<Submission>) {
        if let Err(cause) = self.reload().await {
            error!(error = %Chain(&cause), "the directory cannot be read again after a failure");
            turn_away(batch.drain(..), &Unavailable::Load(Arc::new(cause)));
        }
    }

    async fn process(&mut self, batch: Vec<Submission>) {
        let mut snapshot = self.published.snapshot();
        let mut transactions = Vec::with_capacity(batch.len());
        let mut planned = Vec::with_capacity(batch.len());
        let table = self.sessions.clone();
        let sessions = Overlay::over(&table);
        for mut submission in batch {
            let (transaction, outcome) = self.plan(&snapshot, &sessions, &mut submission);
            if let Ok(accepted) = &outcome {
                snapshot = accepted.snapshot.clone();
            }
            sessions.add(&transaction.sessions);
            transactions.push(transaction);
            planned.push(Planned { submission, outcome });
        }
        if let Err(cause) = self.store.append(&transactions).await {
            error!(error = %Chain(&cause), commands = transactions.len(), "the store did not confirm a batch");
            return self.recover(planned, Unavailable::Append(Arc::new(cause))).await;
        }
        let changes = transactions
            .iter()
            .flat_map(|transaction| &transaction.writes)
            .map(|write| &write.change);
        let mut touched = Touched::of(changes);
        // What a session loses is lost before anybody hears of it; live requests of its user are judged again.
        for (transaction, planned) in transactions.iter_mut().zip(&planned) {
            let replaced = planned.submission.wish.replaces().map(|cookie| Replaced {
                cookie,
                by: transaction.actor.address,
            });
            for session in std::mem::take(&mut transaction.sessions) {
                let user = session.user;
                if self.sessions.apply(session, transaction.at, replaced) {
                    touched.users.insert(user);
                }
            }
        }
        if snapshot.revision() != self.published.snapshot().revision() {
            self.published.publish(snapshot, touched);
        } else if !touched.users.is_empty() {
            self.published.tell(touched);
        }
        for Planned { submission, outcome } in planned {
            // Whoever asked may be gone.
            let _ = submission.answer.send(outcome);
        }
    }

    /// What a command makes of the directory, and what to write of it; a refused one leaves its event.
    fn plan(
        &self,
        snapshot: &Arc<Snapshot>,
        sessions: &Overlay<'_>,
        submission: &mut Submission,
    ) -> (Transaction, Result<Accepted, SubmitError>) {
        let at = (self.now)();
        let id = TransactionId::timed(at, rand::random());
        let actor = &submission.actor;
        let empty = Transaction {
            id,
            at,
            actor: actor.clone(),
            revision: snapshot.revision(),
            writes: Vec::new(),
            events: Vec::new(),
            sessions: Vec::new(),
            certificates_der: Vec::new(),
        };
        let planned = match &submission.wish {
            Wish::Directory(command) => {
                let planned = snapshot.plan(command, actor, id, at);
                planned.map(|plan| Planning::of_directory(snapshot, plan, sessions, (actor, id, at)))
            }
            Wish::Sessions(command) => {
                let planned = snapshot.plan_session(sessions, command, actor, id, at);
                planned.map(|planned| Planning::of_sessions(snapshot, planned))
            }
        };
        let planning = match planned {
            Ok(planning) => planning,
            Err(cause) => {
                let events = vec![(*cause.event).clone()];
                return (Transaction { events, ..empty }, Err(SubmitError::Refused(cause)));
            }
        };
        let transaction = Transaction {
            revision: planning.snapshot.revision(),
            writes: planning.writes,
            events: planning.events,
            sessions: planning.sessions,
            certificates_der: std::mem::take(&mut submission.certificates_der),
            ..empty
        };
        (
            transaction,
            Ok(Accepted {
                snapshot: planning.snapshot,
            }),
        )
    }

    /// After a batch that was perhaps written: tells everybody that it is not known, then finds out.
    async fn recover(&mut self, planned: Vec<Planned>, cause: Unavailable) {
        self.in_doubt = true;
        turn_away(planned.into_iter().map(|planned| planned.submission), &cause);
        self.settle(&mut Vec::new()).await;
    }

    /// Publishes what the store holds, whatever was published: somebody else may have written too.
    async fn reload(&mut self) -> Result<(), LoadError> {
        let stored = self.store.load().await?;
        let sessions = self.store.load_sessions().await?;
        self.in_doubt = false;
        self.sessions.restore(sessions);
        let published = self.published.snapshot();
        info!(
            published = published.revision().0,
            stored = stored.revision().0,
            "the directory was read again"
        );
        let touched = everything(&published, &stored);
        self.published.publish(Arc::new(stored), touched);
        Ok(())
    }
}

/// Everything that a command comes to.
struct Planning {
    snapshot: Arc<Snapshot>,
    writes: Vec<Write>,
    events: Vec<Event>,
    sessions: Vec<Session>,
}

impl Planning {
    fn of_sessions(snapshot: &Arc<Snapshot>, planned: SessionPlan) -> Self {
        Self {
            snapshot: snapshot.clone(),
            writes: Vec::new(),
            events: planned.events,
            sessions: planned.sessions,
        }
    }

    /// What a plan makes of the directory, and of the sessions that rested on what it changes.
    fn of_directory(
        before: &Arc<Snapshot>,
        plan: Plan,
        sessions: &Overlay<'_>,
        by: (&Actor, TransactionId, Timestamp),
    ) -> Self {
        if plan.changes.is_empty() {
            return Self {
                snapshot: before.clone(),
                writes: Vec::new(),
                events: plan.events,
                sessions: Vec::new(),
            };
        }
        let revision = before.revision().next();
        let snapshot = Arc::new(before.with(revision, &plan.changes));
        let touched = Touched::of(&plan.changes);
        let ended = snapshot.plan_session_ends(sessions, touched.users, by, plan.events.len());
        let writes = plan.changes.into_iter().map(|mut change| {
            let expected = before.version_of(&change);
            change.stamp(revision);
            Write { change, expected }
        });
        Self {
            writes: writes.collect(),
            events: [plan.events, ended.events].concat(),
            sessions: ended.sessions,
            snapshot,
        }
    }
}

fn turn_away(batch: impl Iterator<Item = Submission>, cause: &Unavailable) {
    for submission in batch {
        // Whoever asked may be gone.
        let _ = submission.answer.send(Err(SubmitError::Unavailable(cause.clone())));
    }
}

/// Whom a change concerns of which nothing is known but before and after.
fn everything(before: &Snapshot, after: &Snapshot) -> Touched {
    let mut touched = Touched::default();
    for snapshot in [before, after] {
        touched.users.extend(snapshot.users().map(|user| user.id));
        touched.groups.extend(snapshot.groups().map(|group| group.id));
        touched.devices.extend(snapshot.devices().map(|device| device.id));
        touched
            .certificates
            .extend(snapshot.certificates().map(|certificate| certificate.fingerprint));
        touched.api_tokens.extend(snapshot.api_tokens().map(|token| token.id));
    }
    touched
}

/// How long commands that come together wait for others.
const GATHERED: Duration = Duration::from_millis(1);

/// How many records of a kind may lie unpacked, whatever their share.
const MOST_UNPACKED: usize = if cfg!(test) { 20 } else { 10_000 };

/// How many commands share a commit at most.
const BATCH: usize = 256;
/// How often the store is asked again while it is not known what it holds.
const RETRY: Duration = Duration::from_secs(1);
