//! How is somebody's other device asked? A push goes over the lines of connected agents, and waits for its answer.

mod asked;
mod caps;
mod lines;

use std::sync::Arc;
use std::time::Duration;

use device_checks::wire::Pushed;
use directory::{AttemptId, EnrollmentId, SecretHash, Timestamp, UserId};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::factors::throttle::Source;
use crate::waiting::Waiting;

pub(crate) use asked::{Asking, Push, Taken};
pub(crate) use caps::{Caps, Trust};
pub(crate) use lines::{Connected, Lines};

/// Connected agents, and the pushes that wait for an answer.
pub(crate) struct Pushes {
    /// The lines to agents.
    pub(crate) lines: Arc<Lines>,
    /// Who may be asked how often.
    pub(crate) caps: Caps,
    waiting: Waiting<Source, AttemptId, Arc<Push>>,
    /// The last one of each browser: it has one at a time.
    of_browser: Cache<SecretHash, AttemptId>,
}

impl Pushes {
    /// Nobody is connected yet.
    pub(crate) fn new() -> Self {
        let of_browser = Cache::builder()
            .max_capacity(MOST as u64)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(GOOD_FOR * 2);
        Self {
            lines: Arc::default(),
            caps: Caps::new(),
            waiting: Waiting::new(MOST, MOST_OF_ONE_SOURCE, GOOD_FOR * 2),
            of_browser: of_browser.build(),
        }
    }

    /// Keeps a push; the one that this browser had before is over.
    pub(crate) fn keep(&self, push: Arc<Push>, source: Source) {
        let older = self.of_browser.get(&push.bound_to);
        if let Some(older) = older.and_then(|id| self.waiting.get(&id))
            && older.end()
        {
            self.withdraw(&older, None);
        }
        self.of_browser.insert(push.bound_to, push.attempt);
        self.waiting.keep(source, push.attempt, push);
    }

    /// A push that was begun.
    pub(crate) fn get(&self, attempt: AttemptId) -> Option<Arc<Push>> {
        self.waiting.get(&attempt)
    }

    /// Says to an account's agent that somebody signs in elsewhere; whether an agent is there.
    pub(crate) fn tell(&self, user: UserId, enrollment: EnrollmentId, said: &Pushed) -> bool {
        line(said).is_some_and(|said| self.lines.send(user, enrollment, said.into()))
    }

    /// Says that a push is over: whoever was asked need not answer any more, but for the one who did.
    pub(crate) fn withdraw(&self, push: &Push, answered: Option<EnrollmentId>) {
        let Some(user) = push.user else { return };
        for enrollment in push.asked().into_iter().filter(|asked| Some(*asked) != answered) {
            self.tell(user, enrollment, &Pushed::Withdrawn(push.attempt));
        }
    }
}

/// A line of what is said to agents.
fn line(said: &Pushed) -> Option<Vec<u8>> {
    let mut line = serde_json::to_vec(said).ok()?;
    line.push(b'\n');
    Some(line)
}

/// From now on a push is over.
pub(crate) fn ends(now: Timestamp) -> Timestamp {
    now.plus(GOOD_FOR)
}

/// How long a push can be answered.
const GOOD_FOR: Duration = Duration::from_secs(120);

/// How many may wait.
const MOST: usize = 50_000;

/// How many from one source may wait; each page that asks makes one, also where nobody is asked.
const MOST_OF_ONE_SOURCE: usize = 1_000;
