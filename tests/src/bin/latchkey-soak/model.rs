//! What may be answered now? Everything that may have held at some moment between a question and its answer, and nothing else.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What something was, is, and is about to be: a change counts as possible from when it is asked for, and what was before stays
/// possible until the change is known to be done.
#[derive(Debug)]
pub(crate) struct History<S> {
    /// Each with when it was asked for; when the one after it was done is in that one.
    states: Mutex<Vec<Entry<S>>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry<S> {
    state: S,
    asked: Instant,
    done: Option<Instant>,
}

impl<S: Copy> History<S> {
    /// It is this, and was nothing before.
    pub(crate) fn of(state: S) -> Self {
        let now = Instant::now();
        let entry = Entry {
            state,
            asked: now,
            done: Some(now),
        };
        Self {
            states: Mutex::new(vec![entry]),
        }
    }

    /// Changes it: `work` asks for the change, and returns when it is known to be done.
    pub(crate) fn change<T>(&self, state: S, work: impl FnOnce() -> T) -> T {
        self.states.lock().unwrap().push(Entry {
            state,
            asked: Instant::now(),
            done: None,
        });
        let result = work();
        let mut states = self.states.lock().unwrap();
        states.last_mut().unwrap().done = Some(Instant::now());
        // Questions last some seconds at most.
        let forgotten = Instant::now() - REMEMBERED;
        let gone = states
            .iter()
            .skip(1)
            .take_while(|entry| entry.done.is_some_and(|done| done < forgotten));
        let gone = gone.count();
        states.drain(..gone);
        result
    }

    /// What it may have been from `from` to `to`.
    pub(crate) fn between(&self, from: Instant, to: Instant) -> Vec<S> {
        let states = self.states.lock().unwrap();
        let nexts = states.iter().skip(1).map(|next| next.done).chain([None]);
        let possible = states.iter().zip(nexts);
        possible
            .filter(|(entry, next_done)| entry.asked <= to && next_done.is_none_or(|done| done >= from))
            .map(|(entry, _)| entry.state)
            .collect()
    }

    /// What it was last asked to be.
    pub(crate) fn last(&self) -> S {
        self.states.lock().unwrap().last().unwrap().state
    }
}

/// Longer than anybody waits for an answer.
const REMEMBERED: Duration = Duration::from_secs(120);

/// How a credential stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    Active,
    DeviceSuspended,
    DeviceDeactivated,
    CertificateHeld,
    CertificateRevoked,
    UserSuspended,
}

impl Trust {
    /// The code of the refusal, unless it is trusted.
    pub(crate) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Active => None,
            Self::DeviceSuspended => Some("device-suspended"),
            Self::DeviceDeactivated => Some("device-deactivated"),
            Self::CertificateHeld | Self::CertificateRevoked => Some("certificate-revoked"),
            Self::UserSuspended => Some("user-inactive"),
        }
    }
}

/// Which policies are in force, beside those that always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    Open,
    /// Nobody sees `/closed/…`.
    Closed,
    /// Nobody writes.
    ReadOnly,
}

/// Which configuration is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settings {
    Plain,
    /// Anybody sees `/open/…`.
    Public,
    /// A body may have 1 KiB.
    SmallBodies,
}

/// Whether the second application's server is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Up,
    Down,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The application's own answer, with its status.
    Answered(u16),
    /// The application's answer, broken off.
    Broken,
    /// The gateway's refusal: status and code.
    Refused(u16, &'static str),
    /// The gateway's, for an application that fails.
    BadGateway,
}
