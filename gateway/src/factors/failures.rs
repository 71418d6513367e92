//! How often did somebody fail to sign in as a user lately? It makes the next sign-in look riskier, and nothing else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use directory::{Timestamp, UserId};
use moka::sync::Cache;

/// The failures of late, by user.
pub(crate) struct Failures(Cache<UserId, Arc<Mutex<Vec<Timestamp>>>>);

impl Failures {
    /// None yet.
    pub(crate) fn new() -> Self {
        let cache = Cache::builder().max_capacity(MOST_USERS).time_to_idle(LATELY);
        Self(cache.build())
    }

    /// Counts one.
    pub(crate) fn add(&self, user: UserId, now: Timestamp) {
        let known = self.0.get_with(user, Arc::default);
        let mut failures = known.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|failure| failure.plus(LATELY) > now);
        if failures.len() < MOST {
            failures.push(now);
        }
    }

    /// How many there were.
    pub(crate) fn count(&self, user: UserId, now: Timestamp) -> usize {
        let Some(known) = self.0.get(&user) else { return 0 };
        let failures = known.lock().unwrap_or_else(PoisonError::into_inner);
        failures.iter().filter(|failure| failure.plus(LATELY) > now).count()
    }
}

/// How long a failure counts.
const LATELY: Duration = Duration::from_mins(30);

/// More are not told apart.
const MOST: usize = 16;

const MOST_USERS: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_for_a_while_and_for_their_user_alone() {
        let (failures, now) = (Failures::new(), Timestamp::from_secs(1_795_000_000));
        let (one, other) = (UserId::from_random(1), UserId::from_random(2));

        failures.add(one, now);
        failures.add(one, now.plus(Duration::from_secs(60)));

        assert_eq!(failures.count(one, now.plus(Duration::from_secs(60))), 2);
        assert_eq!(failures.count(other, now), 0);
        assert_eq!(failures.count(one, now.plus(LATELY)), 1);
        assert_eq!(failures.count(one, now.plus(LATELY * 2)), 0);
    }
}
