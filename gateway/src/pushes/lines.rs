//! Which agents are connected, and how are they told something? One line for each account, the newest; dropped, it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use directory::{EnrollmentId, UserId};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// The lines to connected agents.
#[derive(Default)]
pub(crate) struct Lines {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    lines: BTreeMap<(UserId, EnrollmentId), Line>,
    opened: u64,
}

struct Line {
    number: u64,
    sender: Sender<Bytes>,
}

/// The agent's end of a line; dropping it takes the line out.
pub(crate) struct Connected {
    lines: Arc<Lines>,
    user: UserId,
    enrollment: EnrollmentId,
    number: u64,
    receiver: Receiver<Bytes>,
}

impl Lines {
    /// Opens a line to an account's agent; an older one of the same account ends. Nothing where there are too many.
    pub(crate) fn open(self: &Arc<Self>, user: UserId, enrollment: EnrollmentId) -> Option<Connected> {
        let (sender, receiver) = channel(WAITING);
        let mut inner = self.lock();
        if inner.lines.len() >= MOST && !inner.lines.contains_key(&(user, enrollment)) {
            return None;
        }
        inner.opened = inner.opened.wrapping_add(1);
        let number = inner.opened;
        inner.lines.insert((user, enrollment), Line { number, sender });
        Some(Connected {
            lines: self.clone(),
            user,
            enrollment,
            number,
            receiver,
        })
    }

    /// The accounts of a user whose agents are connected.
    pub(crate) fn of_user(&self, user: UserId) -> Vec<EnrollmentId> {
        let (first, last) = (EnrollmentId::FIRST, EnrollmentId::LAST);
        let inner = self.lock();
        let of_user = inner.lines.range((user, first)..=(user, last));
        of_user.map(|((_, enrollment), _)| *enrollment).collect()
    }

    /// Says something to an account's agent; whether there is one that listens.
    pub(crate) fn send(&self, user: UserId, enrollment: EnrollmentId, said: Bytes) -> bool {
        let inner = self.lock();
        let line = inner.lines.get(&(user, enrollment));
        line.is_some_and(|line| line.sender.try_send(said).is_ok())
    }

    /// Ends a line.
    pub(crate) fn close(&self, user: UserId, enrollment: EnrollmentId) {
        self.lock().lines.remove(&(user, enrollment));
    }

    /// Ends all lines.
    pub(crate) fn close_all(&self) {
        self.lock().lines.clear();
    }

    /// All lines there are.
    pub(crate) fn all(&self) -> Vec<(UserId, EnrollmentId)> {
        self.lock().lines.keys().copied().collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().lines.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected {
    /// What is said next; nothing once the line has ended.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        self.receiver.recv().await
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut inner = self.lines.lock();
        let key = (self.user, self.enrollment);
        if inner.lines.get(&key).is_some_and(|line| line.number == self.number) {
            inner.lines.remove(&key);
        }
    }
}

/// How many agents may be connected.
const MOST: usize = 50_000;

/// How much may wait to be sent to one agent: one that takes nothing is not there.
const WAITING: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u128) -> UserId {
        UserId::from_random(number)
    }

    fn account(number: u128) -> EnrollmentId {
        EnrollmentId::from_random(number)
    }

    /// P-04 (the registry's half): a user's agents are told, and nobody else's.
    #[tokio::test]
    async fn each_agent_hears_what_is_said_to_its_account_alone() {
        let lines = Arc::new(Lines::default());
        let mut laptop = lines.open(user(1), account(1)).unwrap();
        let mut phone = lines.open(user(1), account(2)).unwrap();
        let _other = lines.open(user(2), account(3)).unwrap();

        assert_eq!(lines.of_user(user(1)), [account(1), account(2)]);
        assert!(lines.send(user(1), account(2), "phone".into()));
        assert!(!lines.send(user(2), account(2), "strange".into()));
        lines.close(user(1), account(1));

        assert_eq!(phone.next().await, Some("phone".into()));
        assert_eq!(laptop.next().await, None);
        assert!(!lines.send(user(1), account(1), "late".into()));
    }

    #[tokio::test]
    async fn the_newest_connection_of_an_account_wins() {
        let lines = Arc::new(Lines::default());
        let mut first = lines.open(user(1), account(1)).unwrap();
        let mut second = lines.open(user(1), account(1)).unwrap();

        assert_eq!(first.next().await, None);
        drop(first);
        assert!(
            lines.send(user(1), account(1), "second".into()),
            "the older one takes only itself out"
        );
        assert_eq!(second.next().await, Some("second".into()));
        drop(second);
        assert_eq!(lines.count(), 0);
    }

    #[test]
    fn an_agent_that_takes_nothing_is_not_there() {
        let lines = Arc::new(Lines::default());
        let _slow = lines.open(user(1), account(1)).unwrap();
        let taken = (0..=WAITING)
            .filter(|_| lines.send(user(1), account(1), "x".into()))
            .count();
        assert_eq!(taken, WAITING);
    }
}
