//! May one more letter go out? So many to a user, so many for whoever asks; a stranger's never use up those of a browser in
//! which the user is known.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use directory::{SecretHash, Timestamp, UserId};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::throttle::{RetryAfter, Source};
use super::window::Window;

/// The letters of late.
pub(crate) struct Letters {
    users: Cache<(UserId, Asker), Arc<Mutex<Recent>>>,
    sources: Cache<Source, Arc<Mutex<Window>>>,
}

/// Who has a letter sent to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// A browser in which the user has signed in before.
    Known(SecretHash),
    /// All others together.
    Strangers,
}

/// The letters to one user.
#[derive(Default)]
struct Recent {
    now: Window,
    today: Window,
}

impl Letters {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            users: cache(DAY),
            sources: cache(PER_SOURCE.1),
        }
    }

    /// Lets a source ask once more, whoever it asks for: this says nothing of any user.
    ///
    /// # Errors
    /// It asked too often.
    pub(crate) fn ask(&self, source: Source, now: Timestamp) -> Result<(), RetryAfter> {
        let known = self.sources.get_with(source, Arc::default);
        let mut window = known.lock().unwrap_or_else(PoisonError::into_inner);
        match window.full_until(PER_SOURCE, now).and_then(|end| now.until(end)) {
            Some(wait) => Err(RetryAfter(wait)),
            None => {
                window.add(now);
                Ok(())
            }
        }
    }

    /// Whether one more may go to this user; if so, it counts.
    pub(crate) fn send(&self, user: UserId, asker: Asker, now: Timestamp) -> bool {
        let known = self.users.get_with((user, asker), Arc::default);
        let mut recent = known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = recent.now.full_until(PER_USER, now).is_some() || recent.today.full_until(A_DAY, now).is_some();
        if !is_full {
            recent.now.add(now);
            recent.today.add(now);
        }
        !is_full
    }
}

/// Time only bounds the memory here: what counts is decided by the time that is handed in.
fn cache<Key, Value>(unused_for: Duration) -> Cache<Key, Value>
where
    Key: std::hash::Hash + Eq + Send + Sync + 'static,
    Value: Clone + Send + Sync + 'static,
{
    let cache = Cache::builder().max_capacity(MOST).time_to_idle(unused_for);
    cache.eviction_policy(EvictionPolicy::lru()).build()
}

/// Letters to one user for one asker.
const PER_USER: (usize, Duration) = (5, Duration::from_mins(15));
const A_DAY: (usize, Duration) = (20, DAY);

/// Letters that one source asks for, whoever they are to.
const PER_SOURCE: (usize, Duration) = (30, Duration::from_mins(10));

const DAY: Duration = Duration::from_hours(24);

const MOST: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    /// Control: the user's own browser, another user, and the time after.
    #[test]
    fn a_stranger_can_have_few_letters_sent_and_uses_up_nobody_elses() {
        let (letters, user) = (Letters::new(), UserId::from_random(1));
        let own = Asker::Known(SecretHash::of("own"));
        for _ in 0..PER_USER.0 {
            assert!(letters.send(user, Asker::Strangers, NOW));
        }

        assert!(!letters.send(user, Asker::Strangers, NOW));
        assert!(letters.send(user, own, NOW), "a browser that is known");
        assert!(
            letters.send(UserId::from_random(2), Asker::Strangers, NOW),
            "another user"
        );
        assert!(letters.send(user, Asker::Strangers, NOW.plus(PER_USER.1)), "later");
    }

    #[test]
    fn a_day_has_an_end_too() {
        let (letters, user) = (Letters::new(), UserId::from_random(1));
        let sent = (0..100).filter(|hours| {
            let at = NOW.plus(PER_USER.1 / 4 * *hours);
            at < NOW.plus(DAY) && letters.send(user, Asker::Strangers, at)
        });
        assert_eq!(sent.count(), A_DAY.0);
    }

    #[test]
    fn a_source_asks_so_often_and_waits() {
        let (letters, source) = (Letters::new(), Source::V6(1));
        for _ in 0..PER_SOURCE.0 {
            letters.ask(source, NOW).unwrap();
        }
        assert_eq!(letters.ask(source, NOW), Err(RetryAfter(PER_SOURCE.1)));
        assert_eq!(letters.ask(Source::V6(2), NOW), Ok(()), "control");
        assert_eq!(letters.ask(source, NOW.plus(PER_SOURCE.1)), Ok(()));
    }
}
