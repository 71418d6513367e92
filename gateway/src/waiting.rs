//! What waits for a while to be used once? A bounded number of each owner's: whoever asks for too much pushes out their own.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Things that wait, each somebody's.
pub(crate) struct Waiting<O, K, V> {
    inner: Mutex<Inner<O, K, V>>,
    most: usize,
    most_each: usize,
    lifetime: Duration,
}

struct Inner<O, K, V> {
    things: HashMap<K, Thing<O, V>>,
    /// The order in which all came, which is that in which they end.
    order: BTreeMap<u64, K>,
    of_owner: HashMap<O, BTreeMap<u64, K>>,
    came: u64,
}

struct Thing<O, V> {
    owner: O,
    value: V,
    number: u64,
    ends: Instant,
}

impl<O, K, V> Waiting<O, K, V>
where
    O: Hash + Eq + Clone,
    K: Hash + Eq + Clone,
    V: Clone,
{
    /// Room for so many in all, and so many of one owner, each for so long.
    pub(crate) fn new(most: usize, most_each: usize, lifetime: Duration) -> Self {
        let inner = Inner {
            things: HashMap::new(),
            order: BTreeMap::new(),
            of_owner: HashMap::new(),
            came: 0,
        };
        Self {
            inner: Mutex::new(inner),
            most,
            most_each,
            lifetime,
        }
    }

    /// Keeps one more. The owner's oldest makes room where they have too many, else the oldest of all.
    pub(crate) fn keep(&self, owner: O, key: K, value: V) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.clear_until(now);
        let number = inner.came;
        inner.came = number.wrapping_add(1);
        inner.remove(&key);
        inner.order.insert(number, key.clone());
        let of_owner = inner.of_owner.entry(owner.clone()).or_default();
        of_owner.insert(number, key.clone());
        let excess = (of_owner.len() > self.most_each).then(|| of_owner.values().next().cloned());
        let thing = Thing {
            owner,
            value,
            number,
            ends: now.checked_add(self.lifetime).unwrap_or(now),
        };
        inner.things.insert(key, thing);
        if let Some(oldest) = excess.flatten() {
            inner.remove(&oldest);
        }
        if inner.things.len() > self.most
            && let Some(oldest) = inner.order.values().next().cloned()
        {
            inner.remove(&oldest);
        }
    }

    /// Looks at one.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let inner = self.lock();
        let thing = inner.things.get(key).filter(|thing| Instant::now() < thing.ends);
        thing.map(|thing| thing.value.clone())
    }

    /// Takes one out: of two who try, one gets it.
    pub(crate) fn take(&self, key: &K) -> Option<V> {
        let thing = self.lock().remove(key)?;
        (Instant::now() < thing.ends).then_some(thing.value)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<O, K, V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: Hash + Eq, K: Hash + Eq + Clone, V> Inner<O, K, V> {
    fn remove(&mut self, key: &K) -> Option<Thing<O, V>> {
        let thing = self.things.remove(key)?;
        self.order.remove(&thing.number);
        if let Some(of_owner) = self.of_owner.get_mut(&thing.owner) {
            of_owner.remove(&thing.number);
            if of_owner.is_empty() {
                self.of_owner.remove(&thing.owner);
            }
        }
        Some(thing)
    }

    fn clear_until(&mut self, now: Instant) {
        while let Some(oldest) = self.order.values().next().cloned()
            && self.things.get(&oldest).is_some_and(|thing| thing.ends <= now)
        {
            self.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever asks for too much loses what they asked for first. Control: what another waits for is there.
    #[test]
    fn each_owner_has_a_bounded_number() {
        let waiting = Waiting::new(100, 2, Duration::from_secs(3600));
        waiting.keep("another", 0, ());
        for number in 1..=3 {
            waiting.keep("one", number, ());
        }

        let found: Vec<bool> = (0..=3).map(|number| waiting.get(&number).is_some()).collect();
        assert_eq!(found, [true, false, true, true]);
        assert_eq!(waiting.take(&2), Some(()));
        assert_eq!(waiting.take(&2), None, "once");
        waiting.keep("one", 4, ());
        assert!(waiting.get(&3).is_some(), "what was taken makes room");
    }

    #[test]
    fn all_together_are_bounded_and_nothing_waits_for_ever() {
        let waiting = Waiting::new(2, 2, Duration::from_secs(3600));
        for owner in 0..3 {
            waiting.keep(owner, owner, ());
        }
        assert!(waiting.get(&0).is_none() && waiting.get(&2).is_some());

        let over = Waiting::new(2, 2, Duration::ZERO);
        over.keep(0, 0, ());
        assert!(over.get(&0).is_none() && over.take(&0).is_none());
        over.keep(1, 1, ());
        assert_eq!(over.lock().things.len(), 1, "what is over takes no room");
    }
}
