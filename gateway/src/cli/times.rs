//! How long, and since when? Durations and moments as people type them.

use std::time::Duration;

use directory::Timestamp;

use crate::clock::Clock;
use crate::config;

/// Reads a duration such as `30s`, `15m`, `24h` or `30d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    config::duration(SHORTEST..=LONGEST)(text).map_err(|config::Expected(what)| format!("expected {what}"))
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(24 * 36_600);

/// A moment, said as such or as how long ago it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// That moment.
    Moment(Timestamp),
    /// So long ago.
    Ago(Duration),
}

impl Since {
    /// Reads `2026-11-23T04:47:00Z` or `24h`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if let Ok(moment) = text.parse() {
            return Ok(Self::Moment(moment));
        }
        duration(text)
            .map(Self::Ago)
            .map_err(|_| "expected a duration such as 24h, or a time such as 2026-11-23T04:47:00Z".to_owned())
    }

    /// When that was.
    pub(super) fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Moment(moment) => moment,
            Self::Ago(ago) => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.millis().saturating_sub(ago).max(0))
            }
        }
    }
}

/// The present moment.
pub(super) fn now() -> Timestamp {
    Clock::start().now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_number_and_a_unit() {
        for (text, seconds) in [("1s", 1), ("15m", 900), ("24h", 86_400), ("30d", 2_592_000)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for bad in [
            "",
            "s",
            "15",
            "0s",
            "-1s",
            "+1s",
            "1.5h",
            "1y",
            "1 h",
            "99999999999999999999d",
            "ä",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn since_is_a_moment_or_how_long_ago() {
        let now = Timestamp::from_secs(100_000);
        let since = |text: &str| Since::read(text).unwrap().moment(now);
        assert_eq!(since("1h"), Timestamp::from_secs(96_400));
        assert_eq!(since("9999d"), Timestamp::from_secs(0));
        assert_eq!(since("1970-01-01T00:00:01Z"), Timestamp::from_secs(1));
        assert!(Since::read("yesterday").is_err());
    }
}
