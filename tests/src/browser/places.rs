//! How many tests may have a browser at a time? Two: more would only slow each other down.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::ThreadId;

/// A place for one browser; free again when dropped.
pub(super) struct Place(ThreadId);

impl Place {
    /// Waits for a place. A test that has one gets as many more as it asks for, or two tests could wait for each other.
    pub(super) fn take() -> Self {
        let me = std::thread::current().id();
        let must_wait = |taken: &mut Vec<ThreadId>| !taken.contains(&me) && tests(taken) >= AT_ONCE;
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = FREED
            .wait_while(taken, must_wait)
            .unwrap_or_else(PoisonError::into_inner);
        taken.push(me);
        Self(me)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = taken.iter().position(|owner| *owner == self.0) {
            taken.swap_remove(place);
        }
        FREED.notify_all();
    }
}

/// How many tests have a browser. Each runs on a thread of its own.
fn tests(taken: &[ThreadId]) -> usize {
    let first = |(place, owner): &(usize, &ThreadId)| taken.iter().position(|other| other == *owner) == Some(*place);
    taken.iter().enumerate().filter(first).count()
}

static TAKEN: Mutex<Vec<ThreadId>> = Mutex::new(Vec::new());
static FREED: Condvar = Condvar::new();

const AT_ONCE: usize = 2;
