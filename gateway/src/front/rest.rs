//! Where does a connection wait for its next request? Outside of Pingora, which keeps twenty kilobytes for a request it waits for.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pingora::server::ShutdownWatch;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

use super::stream::FrontStream;

/// Whether Pingora has something of an HTTP/1.1 connection that belongs to its next request: it reads more than a head at a
/// time, and does not say. It has none if it was given as many octets as its requests had.
#[derive(Debug, Default)]
pub(crate) struct Octets {
    given: AtomicU64,
    asked: AtomicU64,
}

impl Octets {
    /// Notes what Pingora was given.
    pub(super) fn gave(&self, octets: usize) {
        self.given.fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// Notes how long a request is, its body included, or that this cannot be said, and then never again of this connection.
    pub(crate) fn asked(&self, octets: Option<u64>) {
        let sum = |asked: u64| Some(octets.map_or(UNKNOWN, |octets| asked.saturating_add(octets)));
        let _ = self.asked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }

    /// Whether all that Pingora was given belonged to requests that it has served.
    pub(crate) fn are_all_served(&self) -> bool {
        self.given.load(Ordering::Relaxed) == self.asked.load(Ordering::Relaxed)
    }
}

const UNKNOWN: u64 = u64::MAX;

impl FrontStream {
    /// Gives the connection back once its client says something or hangs up; ends it when it says nothing for too long, or
    /// when the gateway stops, `after_stop` later.
    pub(crate) async fn rest(
        mut self: Box<Self>,
        idle: Duration,
        shutdown: &ShutdownWatch,
        after_stop: Duration,
    ) -> Option<Box<Self>> {
        let (mut shutdown, until) = (shutdown.clone(), Instant::now() + idle);
        let mut alarm = self
            .alarm
            .take()
            .unwrap_or_else(|| Box::pin(tokio::time::sleep_until(until)));
        let stops = async {
            // An error says that nobody is left who could ask for a stop.
            let _ = shutdown.wait_for(|stops| *stops).await;
            tokio::time::sleep(after_stop).await;
        };
        // Set anew only where it goes off too early: every setting wakes the runtime's driver.
        let is_over = async {
            alarm.as_mut().await;
            while Instant::now() < until {
                alarm.as_mut().reset(until);
                alarm.as_mut().await;
            }
        };
        let has_begun = tokio::select! {
            biased;
            () = poll_fn(|cx| self.poll_begun(cx)) => true,
            () = stops => false,
            () = is_over => false,
        };
        self.alarm = Some(alarm);
        match has_begun {
            true => Some(self),
            false => self.leave().await,
        }
    }

    /// Says so before it ends, if that is possible without waiting long.
    async fn leave(mut self: Box<Self>) -> Option<Box<Self>> {
        let _ = tokio::time::timeout(FAREWELL, AsyncWriteExt::shutdown(&mut self)).await;
        None
    }

    /// Reads one octet ahead: only TLS knows whether there is any.
    fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ahead.is_some() {
            return Poll::Ready(());
        }
        let mut octet = [0];
        let mut buffer = ReadBuf::new(&mut octet);
        // An end or an error comes again for whoever reads next.
        let read = ready!(Pin::new(&mut *self).poll_read(cx, &mut buffer));
        self.ahead = read.ok().and_then(|()| buffer.filled().first().copied());
        Poll::Ready(())
    }
}

/// How long a client that is let go has to take notice.
const FAREWELL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_when_requests_were_as_long_as_what_was_given() {
        let octets = Octets::default();
        assert!(octets.are_all_served(), "before the first one");
        octets.gave(100);
        assert!(!octets.are_all_served(), "while its head is read");
        octets.asked(Some(60));
        assert!(!octets.are_all_served(), "40 belong to the next");
        octets.gave(20);
        octets.asked(Some(60));
        assert!(octets.are_all_served());

        octets.gave(50);
        octets.asked(None);
        octets.gave(50);
        octets.asked(Some(50));
        assert!(!octets.are_all_served(), "it cannot be known any more");
    }
}
