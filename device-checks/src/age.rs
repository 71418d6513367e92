//! How long ago was something? A time in the future is never fresh.

use directory::Timestamp;

/// The age in whole seconds, rounded down, from 0 to [`GREATEST_AGE`]; a time further ahead than honest clocks differ
/// has the greatest age.
pub fn age(since: Timestamp, now: Timestamp) -> i64 {
    if is_ahead(since, now) {
        return GREATEST_AGE;
    }
    (now.millis().saturating_sub(since.millis()) / 1000).clamp(0, GREATEST_AGE)
}

/// Whether a time is further ahead than honest clocks differ.
pub fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at.millis().saturating_sub(now.millis()) > SKEW_MILLIS
}

/// The first moment from which on a time is no longer too far ahead.
pub fn no_longer_ahead(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().saturating_sub(SKEW_MILLIS))
}

/// The greatest age in seconds: older than anything, and exact in JSON numbers.
pub const GREATEST_AGE: i64 = 1 << 53;

/// How far honest clocks differ.
const SKEW_MILLIS: i64 = 5_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// a time in the future counts as the greatest age. Control: two seconds of skew count as no age.
    #[test]
    fn a_time_in_the_future_is_never_fresh() {
        assert_eq!(age(NOW.plus(TWO_HOURS), NOW), GREATEST_AGE);
        assert_eq!(age(Timestamp::from_millis(NOW.millis() + 5_001), NOW), GREATEST_AGE);
        assert_eq!(age(Timestamp::from_millis(NOW.millis() + 5_000), NOW), 0);
        assert_eq!(age(Timestamp::from_secs(NOW.secs() + 2), NOW), 0);
    }

    #[test]
    fn an_age_is_in_whole_seconds_rounded_down() {
        assert_eq!(age(NOW, NOW.plus(TWO_HOURS)), 7_200);
        assert_eq!(age(NOW, Timestamp::from_millis(NOW.millis() + 1_999)), 1);
        assert_eq!(age(NOW, NOW), 0);
    }

    proptest! {
        #[test]
        fn any_two_times_have_an_age_in_its_bounds(since: i64, now: i64) {
            let (since, now) = (Timestamp::from_millis(since), Timestamp::from_millis(now));
            prop_assert!((0..=GREATEST_AGE).contains(&age(since, now)));
        }

        #[test]
        fn a_time_stops_being_ahead_at_exactly_the_named_moment(at in -1_i64 << 60..1 << 60) {
            let at = Timestamp::from_millis(at);
            let moment = no_longer_ahead(at);
            prop_assert!(!is_ahead(at, moment));
            prop_assert!(is_ahead(at, Timestamp::from_millis(moment.millis() - 1)));
        }
    }

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
    const TWO_HOURS: std::time::Duration = std::time::Duration::from_secs(7_200);
}
