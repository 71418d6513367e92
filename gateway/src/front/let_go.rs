//! Which limits did clients run into? Counted each, and said in the log once a second at most.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::warn;

/// Why a client is let go, or turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LetGo {
    /// Its head takes too long.
    LateHead,
    /// Its head is too large.
    LargeHead,
    /// Its body trickles.
    SlowBody,
    /// It takes nothing of what it is sent.
    TakesNothing,
    /// Its request takes longer than it may in all.
    TooLong,
    /// It gives up one request after another.
    GivesUp,
    /// It sends frame after frame that carry nothing.
    Floods,
    /// It goes beyond what the library of HTTP/2 lets one do: resets, heads in pieces, small frames.
    Http2,
    /// It begins more streams than may be open.
    Streams,
    /// As many connections are open as may be.
    Connections,
    /// As many of its source are.
    SourceConnections,
    /// As many handshakes of its source are under way as may be.
    SourceHandshakes,
    /// As many requests are under way as may be.
    Requests,
    /// Its source makes more requests than it may.
    SourceRequests,
}

/// What happened since it was last said.
struct Tally {
    /// When that was, in seconds since 1970.
    said: AtomicU64,
    count: AtomicU64,
}

static TALLIES: [Tally; ALL.len()] = [const { Tally::new() }; ALL.len()];

impl LetGo {
    /// Counts it, and logs it with all of its kind since it was last logged.
    pub(crate) fn note(self) {
        let (index, why) = self.place();
        metrics::counter!("latchkey_clients_let_go_total", "why" => why).increment(1);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        if let Some(count) = TALLIES.get(index).and_then(|tally| tally.note(now)) {
            warn!(why, count, "a limit was reached: clients are let go");
        }
    }

    fn place(self) -> (usize, &'static str) {
        let found = ALL.iter().enumerate().find(|(_, (kind, _))| *kind == self);
        found.map_or((ALL.len(), ""), |(index, (_, why))| (index, *why))
    }
}

impl Tally {
    const fn new() -> Self {
        Self {
            said: AtomicU64::new(0),
            count: AtomicU64::new(0),
        }
    }

    /// One more; how many there are to be said now.
    fn note(&self, now: u64) -> Option<u64> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let said = self.said.load(Ordering::Relaxed);
        let is_due = now > said
            && (self.said)
                .compare_exchange(said, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        is_due.then(|| self.count.swap(0, Ordering::Relaxed))
    }
}

const ALL: [(LetGo, &str); 14] = [
    (LetGo::LateHead, "late-head"),
    (LetGo::LargeHead, "large-head"),
    (LetGo::SlowBody, "slow-body"),
    (LetGo::TakesNothing, "takes-nothing"),
    (LetGo::TooLong, "too-long"),
    (LetGo::GivesUp, "gives-up"),
    (LetGo::Floods, "floods"),
    (LetGo::Http2, "http2"),
    (LetGo::Streams, "streams"),
    (LetGo::Connections, "connections"),
    (LetGo::SourceConnections, "source-connections"),
    (LetGo::SourceHandshakes, "source-handshakes"),
    (LetGo::Requests, "requests"),
    (LetGo::SourceRequests, "source-requests"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_second_how_many_there_were() {
        let tally = Tally::new();
        assert_eq!(tally.note(10), Some(1));
        assert_eq!((tally.note(10), tally.note(10)), (None, None));
        assert_eq!(tally.note(11), Some(3));
    }

    #[test]
    fn each_kind_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = ALL.iter().map(|(_, why)| why).collect();
        assert_eq!(words.len(), ALL.len());
        assert!(
            ALL.iter()
                .enumerate()
                .all(|(index, (kind, why))| kind.place() == (index, *why))
        );
    }
}
