//! How long does the gateway wait for a client that has begun something: to send a head, or to take what it is sent?

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;

use tokio::time::{Instant, Sleep};

use crate::config::Limits;

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

/// A head that has begun to arrive.
struct Begun {
    which: u64,
    at: Instant,
    octets: usize,
}

/// Watches one connection.
pub(super) struct Patience {
    limits: Arc<Limits>,
    /// HTTP/2 has one head after another on a connection that never rests: its library bounds those.
    begun: Option<Begun>,
    late: Option<Pin<Box<Sleep>>>,
    untaken: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Waits for as long as these limits say.
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self {
            limits,
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
        Some(self.limits.head_limit.saturating_sub(read))
    }

    /// Whether the head that is awaited has begun too long ago; wakes the reader when it will have.
    pub(super) fn is_head_late(&mut self, heads: &Heads, context: &mut Context<'_>) -> bool {
        let Some(begun) = self.head(heads).map(|begun| begun.at) else {
            return false;
        };
        let end = begun + self.limits.head_timeout;
        let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        late.as_mut().poll(context).is_ready()
    }

    /// Notes that the client took something.
    pub(super) fn taken(&mut self) {
        self.untaken = None;
    }

    /// Whether the client has taken nothing for too long; wakes the writer when it will have.
    pub(super) fn takes_nothing(&mut self, context: &mut Context<'_>) -> bool {
        let limit = self.limits.send_timeout;
        let untaken = self.untaken.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        untaken.as_mut().poll(context).is_ready()
    }

    fn head(&self, heads: &Heads) -> Option<&Begun> {
        let which = heads.awaiting()?;
        self.begun.as_ref().filter(|begun| begun.which == which)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    use super::*;
    use crate::config::Http2Limits;

    const LARGEST_HEAD: usize = 64 * 1024;

    fn patience() -> Patience {
        let time = Duration::from_secs(10);
        Patience::new(Arc::new(Limits {
            body_limit: None,
            body_rate: None,
            idle_timeout: time,
            head_timeout: time,
            send_timeout: time,
            head_limit: LARGEST_HEAD,
            connections: 1,
            connections_per_source: 1,
            requests: 1,
            request_rate: None,
            http2: Http2Limits {
                streams: 1,
                given_up: 1,
                control_frames: 1,
            },
        }))
    }

    /// Whether the head is late now.
    async fn is_late(patience: &mut Patience, heads: &Heads) -> bool {
        poll_fn(|context| Poll::Ready(patience.is_head_late(heads, context))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_from_its_first_octet_however_it_trickles() {
        let (mut patience, heads) = (patience(), Heads::default());
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
        let (mut patience, heads) = (patience(), Heads::default());
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
        let mut patience = patience();
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
