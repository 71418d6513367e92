//! How large may a request be, how slow, and how long may it take? Held to while it goes through.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pingora::{Error, ErrorType};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Treatment;
use crate::front::LetGo;
use crate::live::Scope;

/// What has come of a body.
#[derive(Default)]
pub(super) struct Received(u64);

impl Received {
    /// Notes a part of it.
    ///
    /// # Errors
    /// If it is larger than it may be, comes too slowly, or the request takes too long.
    pub(super) fn part(&mut self, octets: usize, began: Instant, treatment: &Treatment) -> pingora::Result<()> {
        self.0 += octets as u64;
        if treatment.body_limit.is_some_and(|limit| self.0 > limit) {
            return Err(Error::new(TOO_LARGE));
        }
        let took = began.elapsed();
        let is_slow = treatment.body_rate.is_some_and(|rate| self.is_slow(rate, took));
        if is_slow {
            LetGo::SlowBody.note();
        }
        let is_late = treatment.total_timeout.is_some_and(|most| took > most);
        match is_slow || is_late {
            true => Err(Error::new(TOO_SLOW)),
            false => Ok(()),
        }
    }

    /// Whether less has come than had to.
    fn is_slow(&self, rate: u64, took: Duration) -> bool {
        let due = took.saturating_sub(AT_ANY_RATE).as_secs().saturating_mul(rate);
        self.0 < due
    }
}

/// The status of a request whose body is too large.
pub(super) const TOO_LARGE: ErrorType = ErrorType::HTTPStatus(413);
/// And of one that takes too long.
pub(super) const TOO_SLOW: ErrorType = ErrorType::HTTPStatus(408);

/// Ends a request that has had all the time it may have, unless what is given back is dropped before.
pub(super) fn bound_in_all(scope: &Arc<Scope>, most: Duration) -> DropGuard {
    let scope = Arc::downgrade(scope);
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    tokio::spawn(async move {
        let late = tokio::time::timeout(most + LAST_WORDS, ended.cancelled())
            .await
            .is_err();
        if let Some(scope) = scope.upgrade().filter(|_| late) {
            LetGo::TooLong.note();
            scope.cancelled.cancel();
        }
    });
    guard
}

/// Ends a WebSocket request whose application says nothing for so long: Pingora has no other timeout for it.
pub(super) fn bound_handshake(scope: &Arc<Scope>, patience: Duration) {
    let scope = Arc::downgrade(scope);
    tokio::spawn(async move {
        tokio::time::sleep(patience).await;
        if let Some(scope) = scope.upgrade()
            && !scope.answered.load(Ordering::Relaxed)
        {
            scope.cancelled.cancel();
        }
    });
}

/// For how long a body may come as slowly as it likes.
const AT_ANY_RATE: Duration = Duration::from_secs(20);

/// For how long a client may still be told that its time is over.
const LAST_WORDS: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_a_while_and_then_an_average_to_keep() {
        let slow = |octets, seconds| Received(octets).is_slow(500, Duration::from_secs(seconds));
        assert!(!slow(0, 20) && slow(0, 21) && slow(499, 21));
        assert!(!slow(500, 21) && !slow(1 << 20, 2_000) && slow(1 << 20, 2_200));
    }
}
