//! May somebody guess once more? Failed guesses slow down whoever makes them, and touch nothing else.
//!
//! Three rules, all of which have to admit a guess:
//! - of an account's factor, from one source: five failures are free, then each makes the next guess wait, at first a second,
//!   then twice as long each time, five minutes at most, until a success;
//! - of any account's factor, from one source: 50 failures in ten minutes;
//! - of an account's factor, from all sources that never proved it: 100 failures in an hour. Where it was proved within 30
//!   days, this one does not count: strangers cannot keep the person out.
//!
//! A guess counts as failed from its admission on, until it is known to be right: many at once get no more than one by one.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use directory::{Factor, Timestamp};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::window::Window;

/// What is guessed at, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Guess {
    /// Whose factor.
    pub(crate) account: AccountKey,
    /// Which one.
    pub(crate) factor: Factor,
    /// Where it comes from.
    pub(crate) source: Source,
}

/// A login as somebody typed it, whether or not there is such a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AccountKey(Arc<str>);

/// Where guesses come from: an IPv4 address, or the /64 of an IPv6 address, all of which one machine can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The first half of an IPv6 address.
    V6(u64),
}

/// Says that a guess comes too early, and for how long it will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many failed guesses: wait for {} seconds", self.seconds())]
pub(crate) struct RetryAfter(pub(crate) Duration);

/// What is remembered of failed guesses. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Throttle {
    pairs: Cache<Guess, Arc<Mutex<Pair>>>,
    sources: Cache<(Source, Factor), Arc<Mutex<Window>>>,
    accounts: Cache<(AccountKey, Factor), Arc<Mutex<Window>>>,
    proved: Cache<Guess, Timestamp>,
}

/// Leave to guess once. Dropped without an outcome it counts as failed: who hangs up has guessed.
#[derive(Debug)]
#[must_use = "a guess that is not said to be right counts as failed"]
pub(crate) struct Admission {
    guess: Guess,
    at: Timestamp,
    waited_until: Timestamp,
    pair: Arc<Mutex<Pair>>,
    windows: Vec<Arc<Mutex<Window>>>,
    proved: Cache<Guess, Timestamp>,
    outcome: Outcome,
}

/// What an account's factor and a source have to do with each other.
#[derive(Debug)]
struct Pair {
    /// Since the last success, those under way included.
    failures: u32,
    under_way: u32,
    waits_until: Timestamp,
    last: Timestamp,
}

/// What became of a guess.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// Nobody said.
    Unknown,
    Failed(Timestamp),
    Succeeded(Timestamp),
    Withdrawn,
}

impl Throttle {
    /// A throttle that remembers nothing yet, and never more than `most` of each kind; then the longest unused go.
    pub(crate) fn new(most: u64) -> Self {
        Self {
            pairs: cache(most, FORGOTTEN_AFTER),
            sources: cache(most, PER_SOURCE.1),
            accounts: cache(most, PER_ACCOUNT.1),
            proved: cache(most, PROVED_FOR),
        }
    }

    /// Admits a guess, or says how long it has to wait; a guess that is refused costs nothing and counts nowhere.
    ///
    /// # Errors
    /// Too many guesses failed.
    pub(crate) fn admit(&self, guess: &Guess, now: Timestamp) -> Result<Admission, RetryAfter> {
        // INVARIANT: the source's rule comes first, so that a source which it refuses fills no memory with new accounts.
        // Locks are taken in this order only.
        let source = of(&self.sources, (guess.source, guess.factor));
        let mut from_source = lock(&source);
        refuse_until(from_source.full_until(PER_SOURCE, now), now)?;
        let account =
            (!self.was_proved_from(guess, now)).then(|| of(&self.accounts, (guess.account.clone(), guess.factor)));
        let mut from_strangers = account.as_deref().map(lock);
        if let Some(window) = &mut from_strangers {
            refuse_until(window.full_until(PER_ACCOUNT, now), now)?;
        }
        let shared = of(&self.pairs, guess.clone());
        let mut pair = lock(&shared);
        refuse_until(pair.waits(now), now)?;

        from_source.add(now);
        if let Some(window) = &mut from_strangers {
            window.add(now);
        }
        let waited_until = pair.admit(now);
        drop((pair, from_strangers, from_source));
        Ok(Admission {
            guess: guess.clone(),
            at: now,
            waited_until,
            pair: shared,
            windows: account.into_iter().chain([source]).collect(),
            proved: self.proved.clone(),
            outcome: Outcome::Unknown,
        })
    }

    fn was_proved_from(&self, guess: &Guess, now: Timestamp) -> bool {
        let proved = self.proved.get(guess);
        proved.is_some_and(|at| at.plus(PROVED_FOR) > now)
    }
}

impl Admission {
    /// The guess was wrong.
    pub(crate) fn failed(mut self, now: Timestamp) {
        self.outcome = Outcome::Failed(now);
    }

    /// The guess was right: it never counted as failed, and what failed before from here is forgotten.
    pub(crate) fn succeeded(mut self, now: Timestamp) {
        self.outcome = Outcome::Succeeded(now);
    }

    /// Nothing was looked at, as when the server was busy: the guess was none.
    pub(crate) fn withdrawn(mut self) {
        self.outcome = Outcome::Withdrawn;
    }

    fn forget_in_windows(&self) {
        self.windows.iter().for_each(|window| lock(window).remove(self.at));
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        match self.outcome {
            Outcome::Unknown => lock(&self.pair).fail(self.at),
            Outcome::Failed(now) => lock(&self.pair).fail(now),
            Outcome::Succeeded(now) => {
                lock(&self.pair).succeed(now);
                self.forget_in_windows();
                self.proved.insert(self.guess.clone(), now);
            }
            Outcome::Withdrawn => {
                lock(&self.pair).withdraw(self.at, self.waited_until);
                self.forget_in_windows();
            }
        }
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self {
            failures: 0,
            under_way: 0,
            waits_until: NEVER,
            last: NEVER,
        }
    }
}

impl Pair {
    /// Until when the next guess has to wait, after what is long past was forgotten.
    fn waits(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.last.plus(FORGOTTEN_AFTER) <= now {
            self.failures = self.under_way;
        }
        (self.waits_until > now).then_some(self.waits_until)
    }

    /// Counts a guess as failed, and says until when guesses waited before.
    fn admit(&mut self, now: Timestamp) -> Timestamp {
        let waited_until = self.waits_until;
        self.failures = self.failures.saturating_add(1);
        self.under_way = self.under_way.saturating_add(1);
        self.last = now;
        self.waits_until = now.plus(wait_after(self.failures));
        waited_until
    }

    fn fail(&mut self, now: Timestamp) {
        self.under_way = self.under_way.saturating_sub(1);
        self.last = self.last.max(now);
        self.waits_until = self.waits_until.max(now.plus(wait_after(self.failures)));
    }

    fn succeed(&mut self, now: Timestamp) {
        self.under_way = self.under_way.saturating_sub(1);
        self.failures = self.under_way;
        self.waits_until = now;
    }

    fn withdraw(&mut self, admitted: Timestamp, waited_until: Timestamp) {
        if self.waits_until == admitted.plus(wait_after(self.failures)) {
            self.waits_until = waited_until;
        }
        self.under_way = self.under_way.saturating_sub(1);
        self.failures = self.failures.saturating_sub(1);
    }
}

impl AccountKey {
    /// The key of a login, in the case in which the directory compares it; of a text longer than any login, its beginning.
    pub(crate) fn of(login: &str) -> Self {
        let beginning: String = login.chars().take(LONGEST_LOGIN + 1).collect();
        Self(beginning.to_ascii_lowercase().into())
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
        }
    }
}

impl RetryAfter {
    /// The wait in whole seconds, rounded up, as `Retry-After` says it.
    pub(crate) fn seconds(self) -> u64 {
        let begun = u64::from(self.0.subsec_nanos() > 0);
        self.0.as_secs().saturating_add(begun).max(1)
    }
}

fn refuse_until(end: Option<Timestamp>, now: Timestamp) -> Result<(), RetryAfter> {
    match end.and_then(|end| now.until(end)) {
        Some(wait) if !wait.is_zero() => Err(RetryAfter(wait)),
        Some(_) | None => Ok(()),
    }
}

/// How long the next guess waits after so many failures.
fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE + 1) {
        None => Duration::ZERO,
        Some(doublings) => LONGEST_WAIT.min(Duration::from_secs(1_u64.checked_shl(doublings).unwrap_or(u64::MAX))),
    }
}

/// Time only bounds the memory here: what counts is decided by the time that is handed in.
fn cache<Key, Value>(most: u64, unused_for: Duration) -> Cache<Key, Value>
where
    Key: std::hash::Hash + Eq + Send + Sync + 'static,
    Value: Clone + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(most)
        .time_to_idle(unused_for)
        .eviction_policy(EvictionPolicy::lru())
        .build()
}

fn of<Key, Value>(cache: &Cache<Key, Arc<Mutex<Value>>>, key: Key) -> Arc<Mutex<Value>>
where
    Key: std::hash::Hash + Eq + Send + Sync + 'static,
    Value: Default + Send + Sync + 'static,
{
    cache.get_with(key, Arc::default)
}

fn lock<Value>(shared: &Mutex<Value>) -> MutexGuard<'_, Value> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Failures from one source of one account's factor that make nobody wait.
const FREE: u32 = 5;
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Failures from one source, of any account.
const PER_SOURCE: (usize, Duration) = (50, Duration::from_secs(10 * 60));

/// Failures of one account, from any source that never proved the factor.
const PER_ACCOUNT: (usize, Duration) = (100, Duration::from_secs(60 * 60));

/// For how long a source counts as one that proved the factor.
const PROVED_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the directory lets a login have.
const LONGEST_LOGIN: usize = 100;

const NEVER: Timestamp = Timestamp::from_millis(i64::MIN);

#[cfg(test)]
mod tests;
