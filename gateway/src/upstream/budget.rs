//! How often may requests be tried again? A fifth of them, so that a fault is not answered with a flood.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Earned by requests, spent by tries.
pub(crate) struct Budget {
    /// In fifths of a try.
    fifths: AtomicU64,
    /// The second in which the least that there always is was last given, since `begun`.
    given: AtomicU64,
    begun: Instant,
}

impl Budget {
    /// Has what it may save.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            fifths: AtomicU64::new(SAVED * A_TRY),
            given: AtomicU64::new(0),
            begun: now,
        }
    }

    /// A request came.
    pub(crate) fn earn(&self) {
        self.add(1);
    }

    /// Whether one may be tried again.
    pub(crate) fn spend(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.begun).as_secs();
        if self.given.swap(second, Ordering::Relaxed) != second {
            self.add(A_TRY);
        }
        let spent = self
            .fifths
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |fifths| fifths.checked_sub(A_TRY));
        spent.is_ok()
    }

    fn add(&self, fifths: u64) {
        let added = |now: u64| Some((now + fifths).min(SAVED * A_TRY));
        let _ = self.fifths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
    }
}

/// What a try costs; a request earns one.
const A_TRY: u64 = 5;

/// How many tries can be saved up.
const SAVED: u64 = 20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_fifth_of_the_requests_are_tried_again_and_one_a_second_in_any_case() {
        let now = Instant::now();
        let budget = Budget::new(now);
        assert_eq!((0..100).filter(|_| budget.spend(now)).count(), 20, "what was saved");

        for _ in 0..50 {
            budget.earn();
        }
        assert_eq!((0..100).filter(|_| budget.spend(now)).count(), 10);

        let later = now + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| budget.spend(later)).count(), 1);
    }
}
