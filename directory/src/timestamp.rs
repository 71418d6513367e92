//! When did something happen? Milliseconds of UTC, handed in from outside.

use std::fmt;
use std::time::Duration;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment in UTC, in whole milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment so many milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The moment so many seconds after the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The moment that much earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// The moment `duration` later; saturates.
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long before `later` this was, or nothing if it was after it.
    pub fn until(self, later: Self) -> Option<Duration> {
        u64::try_from(later.0.saturating_sub(self.0))
            .ok()
            .map(Duration::from_millis)
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 with milliseconds, in UTC: `2026-11-23T04:47:00.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).map_err(|_| fmt::Error)?;
        let (date, time) = (at.date(), at.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.millisecond()
        )
    }
}

/// Says that a text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a time as in RFC 3339, such as 2026-11-23T04:47:00Z")]
pub struct BadTimestamp;

impl std::str::FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| BadTimestamp)?;
        i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000))
            .map(Self)
            .map_err(|_| BadTimestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_prints_and_parses_as_rfc_3339() {
        let at = Timestamp::from_millis(1_795_000_000_123);
        assert_eq!(at.to_string().parse(), Ok(at));
        assert_eq!(
            "2026-11-23T06:47:00+02:00".parse::<Timestamp>(),
            "2026-11-23T04:47:00Z".parse::<Timestamp>()
        );
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
