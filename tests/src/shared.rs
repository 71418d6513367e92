//! How do the tests of a file use one gateway together, and who ends it? The last one that holds it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::demo::Demo;

/// A place for a demo that tests share; a `static` in their file.
pub struct Shared(Mutex<Weak<Demo>>);

impl Shared {
    /// Nothing is started yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    /// The demo that is running, or a new one.
    pub fn demo(&self) -> Arc<Demo> {
        self.demo_or(Demo::start)
    }

    /// The same, started in a way of one's own.
    pub fn demo_or(&self, start: impl FnOnce() -> Demo) -> Arc<Demo> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.upgrade().unwrap_or_else(|| {
            let demo = Arc::new(start());
            *place = Arc::downgrade(&demo);
            demo
        })
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}
