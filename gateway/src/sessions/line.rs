//! With which cookie does a request go on whose own was replaced while it ran? One place for all that followed one another:
//! they can be many.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Grip;

/// Cookies of one host that took one another's place, all asked for from one address.
pub(crate) struct Line {
    by: IpAddr,
    latest: Mutex<Weak<Grip>>,
}

impl Line {
    /// A line of cookies asked for from there.
    pub(super) fn of(by: IpAddr) -> Self {
        Self {
            by: by.to_canonical(),
            latest: Mutex::default(),
        }
    }

    /// Goes on with this one, if it was asked for from where all others were; says whether it was.
    pub(super) fn go_on_with(&self, grip: &Arc<Grip>, by: IpAddr) -> bool {
        let is_same = self.by == by.to_canonical();
        if is_same {
            *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(grip);
        }
        is_same
    }

    /// The latest, for requests from where all were asked for.
    pub(super) fn latest(&self, peer: IpAddr) -> Option<Arc<Grip>> {
        let latest = || self.latest.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        (self.by == peer.to_canonical()).then(latest)?
    }
}
