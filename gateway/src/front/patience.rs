//! How long does the gateway wait for a client that has begun something: to send a head, or to take what it is sent?

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use tracing::debug;

/// Whether the head of a request is awaited on an HTTP/1.1 connection; it tells one head from the next.
#[derive(Debug, Default)]
pub(crate) struct Heads(AtomicU64);

impl Heads {
    /// Says that the connection waits for a head from now on.
    pub(crate) fn awaited(&self) {
        // INVARIANT: even while a head is awaited, odd while a request is served.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| Some(count + (count & 1)));
    }

    /// Says that a head has arrived.
    pub(crate) fn arrived(&self) {
        self.0.fetch_or(1, Ordering::Relaxed);
    }

    /// Which head is awaited, if any.
    fn awaiting(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|count| count & 1 == 0)
    }
}

/// Why a client is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LetGo {
    /// Its head takes too long.
    LateHead,
    /// Its head is too large.
    LargeHead,
    /// It takes nothing of what it is sent.
    TakesNothing,
    /// It gives up one request after another.
    GivesUp,
}

impl LetGo {
    /// Counts and logs it.
    pub(crate) fn note(self) {
        let why = match self {
            Self::LateHead => "late-head",
            Self::LargeHead => "large-head",
            Self::TakesNothing => "takes-nothing",
            Self::GivesUp => "gives-up",
        };
        metrics::counter!("latchkey_clients_let_go_total", "why" => why).increment(1);
        debug!(why, "a client is let go");
    }
}

/// A head that has begun to arrive.
struct Begun {
    which: u64,
    at: Instant,
    octets: usize,
}

/// Watches one connection.
pub(super) struct Patience {
    limit: Duration,
    /// HTTP/2 has one head after another on a connection that never rests: its library bounds those.
    begun: Option<Begun>,
    late: Option<Pin<Box<Sleep>>>,
    untaken: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Waits for so long.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            begun: None,
            late: None,
            untaken: None,
        }
    }

    /// Notes what was read while a head is awaited.
    pub(super) fn read(&mut self, octets: usize, heads: &Heads) {
        self.late = None;
        let Some(which) = heads.awaiting() else {
            self.begun = None;
            return;
        };
        match self.begun.as_mut().filter(|begun| begun.which == which) {
            Some(begun) => begun.octets += octets,
            None => {
                self.begun = Some(Begun {
                    which,
                    at: Instant::now(),
                    octets,
                });
            }
        }
    }

    /// How much more may be read before the head that is awaited has to have ended; nothing is said while none is.
    pub(super) fn room(&self, heads: &Heads) -> Option<usize> {
        heads.awaiting()?;
        let read = self.head(heads).map_or(0, |begun| begun.octets);
        Some(LARGEST_HEAD.saturating_sub(read))
    }

    /// Whether the head that is awaited has begun too long ago; wakes the reader when it will have.
    pub(super) fn is_head_late(&mut self, heads: &Heads, context: &mut Context<'_>) -> bool {
        let Some(begun) = self.head(heads).map(|begun| begun.at) else {
            return false;
        };
        let end = begun + self.limit;
        let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        late.as_mut().poll(context).is_ready()
    }

    /// Notes that the client took something.
    pub(super) fn taken(&mut self) {
        self.untaken = None;
    }

    /// Whether the client has taken nothing for too long; wakes the writer when it will have.
    pub(super) fn takes_nothing(&mut self, context: &mut Context<'_>) -> bool {
        let limit = self.limit;
        let untaken = self.untaken.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        untaken.as_mut().poll(context).is_ready()
    }

    fn head(&self, heads: &Heads) -> Option<&Begun> {
        let which = heads.awaiting()?;
        self.begun.as_ref().filter(|begun| begun.which == which)
    }
}

/// How large the head of a request may be, in octets.
const LARGEST_HEAD: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    /// Whether the head is late now.
    async fn is_late(patience: &mut Patience, heads: &Heads) -> bool {
        poll_fn(|context| Poll::Ready(patience.is_head_late(heads, context))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_from_its_first_octet_however_it_trickles() {
        let (mut patience, heads) = (Patience::new(Duration::from_secs(10)), Heads::default());
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(!is_late(&mut patience, &heads).await, "an idle connection");

        for _ in 0..9 {
            patience.read(1, &heads);
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!is_late(&mut patience, &heads).await);
        }
        tokio::time::advance(Duration::from_secs(2)).await;

        assert!(is_late(&mut patience, &heads).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_has_arrived_is_never_late_nor_is_the_next_before_it_begins() {
        let (mut patience, heads) = (Patience::new(Duration::from_secs(10)), Heads::default());
        patience.read(LARGEST_HEAD, &heads);
        assert_eq!(patience.room(&heads), Some(0));
        heads.arrived();
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(!is_late(&mut patience, &heads).await && patience.room(&heads).is_none());

        heads.awaited();
        assert!(!is_late(&mut patience, &heads).await);
        assert_eq!(patience.room(&heads), Some(LARGEST_HEAD));

        patience.read(1, &heads);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(is_late(&mut patience, &heads).await);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_something_has_all_the_time_again() {
        let mut patience = Patience::new(Duration::from_secs(10));
        for takes in [true, false] {
            assert!(!poll_fn(|context| Poll::Ready(patience.takes_nothing(context))).await);
            tokio::time::advance(Duration::from_secs(9)).await;
            if takes {
                patience.taken();
            }
        }
        tokio::time::advance(Duration::from_secs(2)).await;

        assert!(poll_fn(|context| Poll::Ready(patience.takes_nothing(context))).await);
    }
}
