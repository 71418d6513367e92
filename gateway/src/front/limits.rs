//! May another handshake begin? Bounded in all and per source.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many handshakes may be under way.
#[derive(Debug)]
pub(crate) struct HandshakeLimits {
    all: Arc<Semaphore>,
    per_source: usize,
    sources: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// Permission for one handshake; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Place {
    _all: OwnedSemaphorePermit,
    source: IpAddr,
    sources: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl HandshakeLimits {
    /// Allows `all` handshakes at once, and `per_source` from one address.
    pub(crate) fn new(all: usize, per_source: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            per_source,
            sources: Arc::default(),
        }
    }

    /// Waits for a place in all; refuses at once when the source has taken its share.
    pub(crate) async fn enter(&self, source: IpAddr) -> Option<Place> {
        // Counted before waiting, so that one source cannot fill the queue either.
        let counted = self.count(source)?;
        let all = self.all.clone().acquire_owned().await.ok()?;
        Some(counted.with(all))
    }

    fn count(&self, source: IpAddr) -> Option<Counted> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let underway = sources.entry(source).or_insert(0);
        if *underway >= self.per_source {
            return None;
        }
        *underway += 1;
        Some(Counted {
            source,
            sources: Some(self.sources.clone()),
        })
    }
}

/// A source that was counted but has no place yet; dropping it takes the count back.
struct Counted {
    source: IpAddr,
    sources: Option<Arc<Mutex<HashMap<IpAddr, usize>>>>,
}

impl Counted {
    fn with(mut self, all: OwnedSemaphorePermit) -> Place {
        Place {
            _all: all,
            source: self.source,
            sources: self.sources.take().unwrap_or_default(),
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(sources) = &self.sources {
            discount(sources, self.source);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        discount(&self.sources, self.source);
    }
}

fn discount(sources: &Mutex<HashMap<IpAddr, usize>>, source: IpAddr) {
    let mut sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(underway) = sources.get_mut(&source) {
        *underway = underway.saturating_sub(1);
        if *underway == 0 {
            sources.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_source_gets_its_share_and_gives_it_back() {
        let limits = HandshakeLimits::new(10, 2);
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));

        let first = limits.enter(one).await;
        let second = limits.enter(one).await;
        assert!(first.is_some() && second.is_some());
        assert!(limits.enter(one).await.is_none());
        assert!(limits.enter(other).await.is_some());

        drop(first);
        assert!(limits.enter(one).await.is_some());
    }

    #[tokio::test]
    async fn waiting_for_a_place_in_all_counts_for_the_source() {
        let limits = HandshakeLimits::new(1, 2);
        let source = IpAddr::from([127, 0, 0, 1]);
        let held = limits.enter(source).await;

        let mut waiting = Box::pin(limits.enter(source));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(limits.enter(source).await.is_none());

        drop(held);
        assert!(waiting.await.is_some());
    }
}
