//! What waits for a while to be used once? A bounded number of each owner's: who asks for too much is refused, and pushes out
//! nobody else's.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// Things that wait, each somebody's.
pub(crate) struct Waiting<O, K, V> {
    kept: Cache<K, (O, V)>,
    held: Held<O>,
    most_each: u32,
}

type Held<O> = Arc<Mutex<HashMap<O, u32>>>;

/// Says that too much of one owner's waits already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much waits already")]
pub(crate) struct TooMuch;

impl<O, K, V> Waiting<O, K, V>
where
    O: Hash + Eq + Clone + Send + Sync + 'static,
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Room for so many in all, and so many of one owner, each for so long.
    pub(crate) fn new(most: u64, most_each: u32, lifetime: Duration) -> Self {
        let held = Held::default();
        let counted = held.clone();
        let cache = Cache::builder()
            .max_capacity(most)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(lifetime)
            .eviction_listener(move |_, (owner, _): (O, V), _| give_back(&counted, &owner));
        Self {
            kept: cache.build(),
            held,
            most_each,
        }
    }

    /// Keeps one more.
    ///
    /// # Errors
    /// If too much of this owner's waits already.
    pub(crate) fn keep(&self, owner: O, key: K, value: V) -> Result<(), TooMuch> {
        if self.take_place(&owner).is_err() {
            // What is over is counted until somebody clears it away.
            self.kept.run_pending_tasks();
            self.take_place(&owner)?;
        }
        self.kept.insert(key, (owner, value));
        Ok(())
    }

    fn take_place(&self, owner: &O) -> Result<(), TooMuch> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(owner.clone()).or_default();
        if *count >= self.most_each {
            return Err(TooMuch);
        }
        *count = count.saturating_add(1);
        Ok(())
    }

    /// Looks at one.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.kept.get(key).map(|(_, value)| value)
    }

    /// Takes one out: of two who try, one gets it.
    pub(crate) fn take(&self, key: &K) -> Option<V> {
        self.kept.remove(key).map(|(_, value)| value)
    }
}

fn give_back<O: Hash + Eq>(held: &Mutex<HashMap<O, u32>>, owner: &O) {
    let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(count) = held.get_mut(owner) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            held.remove(owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was taken and what is over makes room; another owner has their own.
    #[test]
    fn each_owner_has_a_bounded_number() {
        let waiting: Waiting<&str, u32, ()> = Waiting::new(100, 2, Duration::from_millis(50));
        assert_eq!(waiting.keep("one", 1, ()), Ok(()));
        assert_eq!(waiting.keep("one", 2, ()), Ok(()));
        assert_eq!(waiting.keep("one", 3, ()), Err(TooMuch));
        assert_eq!(waiting.keep("another", 4, ()), Ok(()));

        assert_eq!(waiting.take(&1), Some(()));
        assert_eq!(waiting.take(&1), None);
        assert_eq!(waiting.keep("one", 5, ()), Ok(()));
        assert_eq!(waiting.keep("one", 6, ()), Err(TooMuch));

        let ended = std::time::Instant::now();
        while waiting.keep("one", 7, ()).is_err() {
            assert!(ended.elapsed() < Duration::from_secs(10), "nothing makes room");
            std::thread::yield_now();
        }
    }
}
