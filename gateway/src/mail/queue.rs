//! Who waits to be written to? A bounded number of letters, carried a few at a time, each tried a few times.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tracing::warn;

use super::letter::Letter;
use super::post::{Post, Undelivered};
use crate::logs::Chain;
use crate::world::World;

/// Letters that wait.
pub(crate) struct Outbox {
    sender: mpsc::Sender<Letter>,
    receiver: Mutex<Option<mpsc::Receiver<Letter>>>,
}

impl Outbox {
    /// None yet.
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
        }
    }

    /// Puts a letter at the end of the queue, and never waits: where there is no room, it is lost.
    pub(crate) fn put(&self, letter: Letter) {
        let user = letter.user;
        if self.sender.try_send(letter).is_err() {
            warn!(%user, "too many letters wait: one is lost");
            count("lost");
        }
    }

    fn take(&self) -> Option<mpsc::Receiver<Letter>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Carries letters for as long as the gateway runs. No answer to a browser ever waits for it.
pub(crate) async fn carry(world: Arc<World>) {
    let Some(mut letters) = world.outbox.take() else { return };
    let carriers = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(letter) = letters.recv().await {
        let Ok(carrier) = carriers.clone().acquire_owned().await else {
            return;
        };
        let world = world.clone();
        tokio::spawn(async move {
            count(deliver(&world, &letter).await);
            drop(carrier);
        });
    }
}

/// Tries a few times; what became of it, as the metric has it.
async fn deliver(world: &World, letter: &Letter) -> &'static str {
    for pause in PAUSES {
        if world.clock.now() >= letter.ends {
            warn!(user = %letter.user, "a letter could not leave in time");
            return "lost";
        }
        // As the configuration is now: a reload may have mended it.
        let Some(post) = world.setup.load().mail.clone() else {
            return "lost";
        };
        match hand_over(&post, letter).await {
            Ok(()) => return "sent",
            Err(failure) => {
                warn!(user = %letter.user, error = %Chain(&failure), "a letter did not leave");
                if !failure.may_pass() {
                    return "failed";
                }
            }
        }
        tokio::time::sleep(pause).await;
    }
    "failed"
}

/// Says why a try failed.
#[derive(Debug, thiserror::Error)]
enum NotSent {
    #[error("the letter cannot be put together")]
    Written(#[source] lettre::error::Error),
    #[error("handing the letter over")]
    Handed(#[source] Undelivered),
    #[error("it took longer than {} seconds", LONGEST.as_secs())]
    TookTooLong,
}

impl NotSent {
    fn may_pass(&self) -> bool {
        match self {
            Self::Written(_) => false,
            Self::Handed(undelivered) => undelivered.may_pass(),
            Self::TookTooLong => true,
        }
    }
}

async fn hand_over(post: &Post, letter: &Letter) -> Result<(), NotSent> {
    let name = format!("{}-{:016x}", letter.asked.millis(), rand::random::<u64>());
    let message = letter.write(&post.from, &name).map_err(NotSent::Written)?;
    let handed = tokio::time::timeout(LONGEST, post.hand_over(message, &name)).await;
    handed.map_err(|_| NotSent::TookTooLong)?.map_err(NotSent::Handed)
}

fn count(outcome: &'static str) {
    metrics::counter!("latchkey_mails_total", "outcome" => outcome).increment(1);
}

/// More are lost, which the log says.
const MOST_WAITING: usize = 256;

/// How many are carried at once: a slow server holds up no more.
const AT_ONCE: usize = 8;

/// How long a carrier waits after each try.
const PAUSES: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(10), Duration::ZERO];

/// How long one try may take.
const LONGEST: Duration = Duration::from_secs(30);
