//! In which order do commands happen? One after the other, many to a commit: planned, written, published, answered.

use std::sync::Arc;
use std::time::Duration;

use directory::{LoadError, Snapshot, Store, Touched, Transaction, TransactionId, Write};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use tracing::{error, info};

use super::commands::{Accepted, Now, Published, Submission, SubmitError, Unavailable};
use crate::logs::Chain;

/// The only one who changes the directory.
pub(super) struct Writer<S> {
    store: Arc<S>,
    published: Arc<Published>,
    now: Now,
    /// Set where the store may hold something else than what is published: after it did not confirm a batch.
    in_doubt: bool,
}

/// A command whose fate is known as soon as its transaction is durable.
struct Planned {
    submission: Submission,
    outcome: Result<Accepted, SubmitError>,
}

impl<S: Store> Writer<S> {
    /// Begins with what is published, which is what the store holds.
    pub(super) fn new(store: Arc<S>, published: Arc<Published>, now: Now) -> Self {
        Self {
            store,
            published,
            now,
            in_doubt: false,
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
            if !batch.is_empty() {
                self.process(std::mem::take(&mut batch)).await;
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
        for mut submission in batch {
            let (transaction, outcome) = self.plan(&snapshot, &mut submission);
            if let Ok(accepted) = &outcome {
                snapshot = accepted.snapshot.clone();
            }
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
        let touched = Touched::of(changes);
        if snapshot.revision() != self.published.snapshot().revision() {
            self.published.publish(snapshot, touched);
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
        submission: &mut Submission,
    ) -> (Transaction, Result<Accepted, SubmitError>) {
        let (at, id) = ((self.now)(), TransactionId::from_random(rand::random()));
        let actor = submission.actor.clone();
        let refused = Transaction {
            id,
            at,
            actor,
            revision: snapshot.revision(),
            writes: Vec::new(),
            events: Vec::new(),
            certificates_der: Vec::new(),
        };
        let plan = match snapshot.plan(&submission.command, &submission.actor, id, at) {
            Ok(plan) => plan,
            Err(cause) => {
                let events = vec![(*cause.event).clone()];
                return (Transaction { events, ..refused }, Err(SubmitError::Refused(cause)));
            }
        };
        if plan.changes.is_empty() {
            let accepted = Accepted {
                snapshot: snapshot.clone(),
            };
            return (
                Transaction {
                    events: plan.events,
                    ..refused
                },
                Ok(accepted),
            );
        }
        let revision = snapshot.revision().next();
        let next = Arc::new(snapshot.with(revision, &plan.changes));
        let writes = plan.changes.into_iter().map(|mut change| {
            let expected = snapshot.version_of(&change);
            change.stamp(revision);
            Write { change, expected }
        });
        let transaction = Transaction {
            revision,
            writes: writes.collect(),
            events: plan.events,
            certificates_der: std::mem::take(&mut submission.certificates_der),
            ..refused
        };
        (transaction, Ok(Accepted { snapshot: next }))
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
        self.in_doubt = false;
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

/// How many commands share a commit at most.
const BATCH: usize = 256;
/// How often the store is asked again while it is not known what it holds.
const RETRY: Duration = Duration::from_secs(1);
