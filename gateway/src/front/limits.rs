//! May another connection be open, another handshake begin? Bounded in all and per source.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::let_go::LetGo;
use crate::drain::{OpenConnections, Opened};
use crate::factors::throttle::Source;

/// How many connections may be open.
#[derive(Debug)]
pub(crate) struct ConnectionLimits {
    open: OpenConnections,
    most: usize,
    sources: Sources,
}

/// How many handshakes may be under way.
#[derive(Debug)]
pub(crate) struct HandshakeLimits {
    all: Arc<Semaphore>,
    sources: Sources,
}

/// A connection that is counted as open until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenPlace {
    _opened: Opened,
    _share: Share,
}

/// Permission for one handshake; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Place {
    _all: OwnedSemaphorePermit,
    _share: Share,
}

impl ConnectionLimits {
    /// Allows `most` connections at once, and `per_source` from one source.
    pub(crate) fn new(open: OpenConnections, most: usize, per_source: usize) -> Self {
        Self {
            open,
            most,
            sources: Sources::new(per_source),
        }
    }

    /// Counts a connection as open.
    ///
    /// # Errors
    /// If as many are open as may be.
    pub(crate) fn enter(&self, source: IpAddr) -> Result<OpenPlace, LetGo> {
        let opened = self.open.open();
        if self.open.count() > self.most {
            return Err(LetGo::Connections);
        }
        let share = self.sources.enter(source).ok_or(LetGo::SourceConnections)?;
        Ok(OpenPlace {
            _opened: opened,
            _share: share,
        })
    }
}

impl HandshakeLimits {
    /// Allows `all` handshakes at once, and `per_source` from one source.
    pub(crate) fn new(all: usize, per_source: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            sources: Sources::new(per_source),
        }
    }

    /// Waits for a place in all; refuses at once when the source has taken its share.
    pub(crate) async fn enter(&self, source: IpAddr) -> Option<Place> {
        // Counted before waiting, so that one source cannot fill the queue either.
        let share = self.sources.enter(source)?;
        let all = self.all.clone().acquire_owned().await.ok()?;
        Some(Place {
            _all: all,
            _share: share,
        })
    }
}

/// How much each source has of something.
#[derive(Debug)]
struct Sources {
    most: usize,
    taken: Arc<Mutex<HashMap<Source, usize>>>,
}

/// One of what a source has, until it is dropped.
#[derive(Debug)]
struct Share {
    source: Source,
    taken: Arc<Mutex<HashMap<Source, usize>>>,
}

impl Sources {
    fn new(most: usize) -> Self {
        Self {
            most,
            taken: Arc::default(),
        }
    }

    /// One more for this source, unless it has all that it may have.
    fn enter(&self, source: IpAddr) -> Option<Share> {
        let source = Source::from(source);
        let mut sources = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = sources.entry(source).or_insert(0);
        if *taken >= self.most {
            return None;
        }
        *taken += 1;
        Some(Share {
            source,
            taken: self.taken.clone(),
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut sources = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = sources.get_mut(&self.source) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                sources.remove(&self.source);
            }
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

    #[test]
    fn connections_are_bounded_in_all_and_per_source() {
        let limits = ConnectionLimits::new(OpenConnections::default(), 3, 2);
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));

        let held = [limits.enter(one).unwrap(), limits.enter(one).unwrap()];
        assert_eq!(limits.enter(one).err(), Some(LetGo::SourceConnections));
        let last = limits.enter(other).unwrap();
        assert_eq!(limits.enter(other).err(), Some(LetGo::Connections));

        drop((held, last));
        assert!(limits.enter(one).is_ok());
    }
}
