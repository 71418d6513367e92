//! What happened so far? Counts, and everything that must not have happened.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Counts of everything.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Answers of applications.
    pub(crate) answered: AtomicU64,
    /// Refusals.
    pub(crate) refused: AtomicU64,
    /// Applications that failed, and answers that broke off as they had to.
    pub(crate) faults: AtomicU64,
    /// Questions on a kept connection that ended, asked again on another.
    pub(crate) again: AtomicU64,
    /// Messages and events on WebSockets and event streams.
    pub(crate) messages: AtomicU64,
    /// WebSockets and event streams that were opened.
    pub(crate) opened: AtomicU64,
    /// And those of them that were cut.
    pub(crate) cut: AtomicU64,
    /// Clients that gave up in the middle of something.
    pub(crate) aborted: AtomicU64,
    /// Commands to the directory.
    pub(crate) commands: AtomicU64,
    /// Policies and configurations that were taken over.
    pub(crate) taken: AtomicU64,
    /// And those that were not fit.
    pub(crate) kept: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    /// One more.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes what must not have happened.
    pub(crate) fn wrong(&self, what: impl Display) {
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() < MOST_NOTED {
            eprintln!("WRONG: {what}");
        }
        wrong.push(what.to_string());
    }

    /// All of that.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }

    /// Each count with its name.
    pub(crate) fn rows(&self) -> Vec<(&'static str, u64)> {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ("answers of applications", of(&self.answered)),
            ("refusals", of(&self.refused)),
            ("faults of applications", of(&self.faults)),
            ("asked again on a new connection", of(&self.again)),
            ("WebSockets and event streams", of(&self.opened)),
            ("messages on them", of(&self.messages)),
            ("of them cut", of(&self.cut)),
            ("clients that gave up", of(&self.aborted)),
            ("commands", of(&self.commands)),
            ("reloads taken over", of(&self.taken)),
            ("reloads refused", of(&self.kept)),
        ]
    }
}

/// Whether everybody is to stop; whoever rests wakes up then.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    stopped: AtomicBool,
    changed: (Mutex<()>, Condvar),
}

impl Stop {
    /// Lets everybody stop.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _held = self.changed.0.lock().unwrap();
        self.changed.1.notify_all();
    }

    /// Whether to go on.
    pub(crate) fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }

    /// Rests that long, or until the stop; whether to go on.
    pub(crate) fn rest(&self, time: Duration) -> bool {
        let held = self.changed.0.lock().unwrap();
        let _rested = self
            .changed
            .1
            .wait_timeout_while(held, time, |()| self.goes_on())
            .unwrap();
        self.goes_on()
    }
}

const MOST_NOTED: usize = 20;
