//! May somebody be asked once more? Seldom, so that nobody approves because they are tired of being asked.
//!
//! A user is asked five times within ten minutes for browsers that they signed in with before, and as often for others, where
//! somebody proved another factor of theirs first: who has stolen a password cannot use up what the user's own browsers have.
//! After they said that it was not them, other browsers have them asked nothing for an hour.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use directory::{Timestamp, UserId};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::factors::window::Window;

/// How often users were asked lately.
pub(crate) struct Caps {
    lately: Cache<(UserId, Trust), Arc<Mutex<Window>>>,
    stopped: Cache<UserId, Timestamp>,
}

/// What speaks for the browser that wants a user asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Trust {
    /// The user signed in with it before.
    Known,
    /// Somebody proved another factor of the user's in it.
    Proved,
}

impl Caps {
    /// Nobody was asked yet.
    pub(crate) fn new() -> Self {
        let cache = Cache::builder()
            .max_capacity(MOST)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(RULE.1);
        let stopped = Cache::builder().max_capacity(MOST).time_to_live(STOPPED);
        Self {
            lately: cache.build(),
            stopped: stopped.build(),
        }
    }

    /// Counts a push, unless there were too many.
    pub(crate) fn admit(&self, user: UserId, trust: Trust, now: Timestamp) -> bool {
        let is_stopped = self.stopped.get(&user).is_some_and(|since| now < since.plus(STOPPED));
        if trust == Trust::Proved && is_stopped {
            return false;
        }
        let window = self.lately.get_with((user, trust), Arc::default);
        let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = window.full_until(RULE, now).is_none();
        if has_room {
            window.add(now);
        }
        has_room
    }

    /// The user said that it was not them.
    pub(crate) fn stop(&self, user: UserId, now: Timestamp) {
        self.stopped.insert(user, now);
    }
}

/// How many pushes, in what time.
const RULE: (usize, Duration) = (5, Duration::from_mins(10));

/// How long other browsers ask nothing after a user said that it was not them.
const STOPPED: Duration = Duration::from_hours(1);

/// Of how many users this is remembered.
const MOST: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    #[test]
    fn a_user_is_asked_a_few_times_and_again_later() {
        let (caps, user) = (Caps::new(), UserId::from_random(1));
        let asked = |trust, at| (0..7).filter(|_| caps.admit(user, trust, at)).count();

        assert_eq!(asked(Trust::Proved, NOW), 5);
        assert_eq!(
            asked(Trust::Known, NOW),
            5,
            "others use up nothing of the user's own browsers"
        );
        assert_eq!(asked(Trust::Known, NOW.plus(RULE.1)), 5);
        assert!(caps.admit(UserId::from_random(2), Trust::Proved, NOW), "another user");
    }

    #[test]
    fn who_was_not_them_is_stopped_for_a_while_and_the_users_own_browsers_are_not() {
        let (caps, user) = (Caps::new(), UserId::from_random(1));
        caps.stop(user, NOW);

        assert!(!caps.admit(user, Trust::Proved, NOW));
        assert!(caps.admit(user, Trust::Known, NOW));
        assert!(caps.admit(user, Trust::Proved, NOW.plus(STOPPED)));
    }
}
