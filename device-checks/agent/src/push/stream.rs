//! How is a stream kept open? It is opened again whenever it ends, ever later, and never by all agents at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use device_checks::wire::{AttemptId, ENROLLMENTS_PATH, EnrollmentId, PUSHES_SUFFIX, Pushed};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tracing::{debug, info, warn};

use super::answer::{Push, answer};
use crate::assertion::{self, AssertError};
use crate::challenge::{BadChallenge, VerifiedChallenge};
use crate::cli::error::chain;
use crate::gateway::{Ask, AskError, Gateway};
use crate::keys::KeyError;
use crate::loopback::authenticator::{Authenticator, Unanswered};

/// Keeps a stream for each account that signs in, until it is dropped.
pub async fn keep(authenticator: Arc<Authenticator>) {
    let mut streams: BTreeMap<EnrollmentId, Ended> = BTreeMap::new();
    loop {
        // Read each time: accounts come and go meanwhile.
        if let Ok(known) = authenticator.known() {
            let accounts = known.installation.state.accounts.iter();
            let wanted: Vec<_> = accounts
                .filter(|account| account.fastpass)
                .map(|account| account.enrollment)
                .collect();
            streams.retain(|enrollment, _| wanted.contains(enrollment));
            for enrollment in wanted {
                let follow = || Ended(tokio::spawn(follow(Arc::clone(&authenticator), enrollment)));
                streams.entry(enrollment).or_insert_with(follow);
            }
        }
        tokio::time::sleep(LOOKED).await;
    }
}

/// A task that ends with this.
struct Ended(JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Says why a stream is not there.
#[derive(Debug, thiserror::Error)]
enum NoStream {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Assert(#[from] AssertError),
    #[error(transparent)]
    Local(#[from] Unanswered),
    #[error("the gateway ended the stream")]
    Ended,
}

async fn follow(authenticator: Arc<Authenticator>, enrollment: EnrollmentId) {
    let mut failures = 0_u32;
    loop {
        let begun = Instant::now();
        let Err(ended) = listen(&authenticator, enrollment).await;
        if begun.elapsed() >= SETTLED {
            failures = 0;
        }
        let wait = pause(failures, rand::random());
        if failures == 0 {
            debug!(%enrollment, why = chain(&ended), "the stream for pushes ended; opening it again");
        } else {
            warn!(%enrollment, why = chain(&ended), "no stream for pushes; trying again");
        }
        failures = failures.saturating_add(1);
        tokio::time::sleep(wait).await;
    }
}

/// Hears what the gateway says, as long as it says something.
async fn listen(
    authenticator: &Arc<Authenticator>,
    enrollment: EnrollmentId,
) -> Result<std::convert::Infallible, NoStream> {
    let known = authenticator.known()?;
    let pinned = &known.installation.state.gateway;
    // It is the pinned one before anything is asked of it for long.
    authenticator.gateway(&known).await?;
    let gateway = Gateway::for_streams(&pinned.issuer, pinned.authority.as_deref())?;
    let account = known.account(enrollment).ok_or(Unanswered::NoAccount)?;
    let key = known.possession(account).await?;
    let device = known.installation.state.device.id;
    let path = format!("{ENROLLMENTS_PATH}{enrollment}{PUSHES_SUFFIX}?device={device}");
    let ask = assertion::prove(&gateway, account, &key, Ask::get(&path), authenticator.now()).await?;
    let mut lines = gateway.stream(ask).await?;
    info!(account = account.login, "waiting for pushes");
    // What is asked ends with the stream: an account that counts no longer has nothing to approve.
    let mut open = Open::default();
    while let Some(line) = lines.next().await? {
        match serde_json::from_slice(&line) {
            Ok(Pushed::Challenge(token)) => open.ask(authenticator, enrollment, &token),
            Ok(Pushed::Withdrawn(attempt)) => open.end(attempt),
            Err(error) => warn!(%error, "the gateway says something that is not known here"),
        }
    }
    Err(NoStream::Ended)
}

/// The pushes that are open.
#[derive(Default)]
struct Open {
    tasks: JoinSet<()>,
    attempts: BTreeMap<AttemptId, AbortHandle>,
}

impl Open {
    fn ask(&mut self, authenticator: &Arc<Authenticator>, enrollment: EnrollmentId, token: &str) {
        while self.tasks.try_join_next().is_some() {}
        self.attempts.retain(|_, task| !task.is_finished());
        if self.attempts.len() >= MOST_OPEN {
            warn!("too many pushes at once: this one is not shown");
            return;
        }
        let checked = authenticator.known().map_err(Into::into).and_then(|known| {
            let pinned = &known.installation.state.gateway;
            let challenge = VerifiedChallenge::check_push(token, pinned, authenticator.now())?;
            Ok::<_, NotAsked>(Push {
                known,
                enrollment,
                challenge,
            })
        });
        let push = match checked {
            Ok(push) => push,
            Err(error) => return warn!(error = chain(&error), "did not show a push"),
        };
        let (attempt, authenticator) = (push.challenge.asked().jti, Arc::clone(authenticator));
        let task = self.tasks.spawn(async move {
            match answer(&authenticator, &push).await {
                Ok(outcome) => info!(?outcome, "answered a push"),
                Err(error) => warn!(error = chain(&error), "did not answer a push"),
            }
        });
        self.attempts.insert(attempt, task);
    }

    fn end(&mut self, attempt: AttemptId) {
        if let Some(task) = self.attempts.remove(&attempt) {
            task.abort();
        }
    }
}

/// Says why nobody is asked.
#[derive(Debug, thiserror::Error)]
enum NotAsked {
    #[error(transparent)]
    Local(#[from] Unanswered),
    #[error(transparent)]
    Challenge(#[from] BadChallenge),
}

/// How long to wait before the next try: twice as long each time, a minute at most, and by chance up to half of it less.
fn pause(failures: u32, chance: f64) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
    whole.mul_f64(chance.mul_add(0.5, 0.5))
}

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// A stream that lived so long was well.
const SETTLED: Duration = Duration::from_secs(30);
/// How often it is looked whether accounts came or went.
const LOOKED: Duration = Duration::from_secs(5);
/// How many may be open at once.
const MOST_OPEN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_again_ever_later_and_never_at_the_same_moment() {
        let wait = |failures, chance| pause(failures, chance).as_millis();
        assert_eq!(
            [0, 1, 2, 6, 100].map(|failures| wait(failures, 1.0)),
            [1000, 2000, 4000, 60_000, 60_000]
        );
        assert_eq!(wait(0, 0.0), 500);
        assert_eq!(wait(6, 0.0), 30_000);
    }
}
