//! How long ago was each fact proved, and when does that age cross a line?

use std::collections::BTreeSet;

use device_checks::{age, is_ahead, no_longer_ahead};
use directory::Timestamp;

/// A fact whose age policies may bound: `context.age.NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Age {
    /// The session.
    Session,
    /// The session's last use.
    Idle,
    /// The factor known.
    Knowledge,
    /// The FastPass factor.
    Device,
    /// The WebAuthn factor.
    Webauthn,
    /// The one-time factor.
    Otp,
    /// The device's last proof of itself, for this session or with this request.
    DeviceProof,
    /// The management service's report.
    Mdm,
    /// The device's own report.
    Reported,
}

/// Since when each fact holds; absent means that there is no such fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ages {
    /// When the session began.
    pub session: Option<Timestamp>,
    /// When the session was last used.
    pub idle: Option<Timestamp>,
    /// When the factor known was proved.
    pub knowledge: Option<Timestamp>,
    /// When FastPass was proved.
    pub device: Option<Timestamp>,
    /// When WebAuthn was proved.
    pub webauthn: Option<Timestamp>,
    /// When the one-time factor was proved.
    pub otp: Option<Timestamp>,
    /// When the device last proved itself: now, with a certificate or assertion on this request.
    pub device_proof: Option<Timestamp>,
    /// When the management service said what it says.
    pub mdm: Option<Timestamp>,
    /// When the device said what it says of itself.
    pub reported: Option<Timestamp>,
}

impl Age {
    /// Every age there is, in the order of the cache key.
    pub const ALL: [Self; 9] = [
        Self::Session,
        Self::Idle,
        Self::Knowledge,
        Self::Device,
        Self::Webauthn,
        Self::Otp,
        Self::DeviceProof,
        Self::Mdm,
        Self::Reported,
    ];

    /// The name policies use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Idle => "idle",
            Self::Knowledge => "knowledge",
            Self::Device => "device",
            Self::Webauthn => "webauthn",
            Self::Otp => "otp",
            Self::DeviceProof => "deviceProof",
            Self::Mdm => "mdm",
            Self::Reported => "reported",
        }
    }
}

impl Ages {
    /// Since when the fact holds.
    pub const fn since(&self, age: Age) -> Option<Timestamp> {
        match age {
            Age::Session => self.session,
            Age::Idle => self.idle,
            Age::Knowledge => self.knowledge,
            Age::Device => self.device,
            Age::Webauthn => self.webauthn,
            Age::Otp => self.otp,
            Age::DeviceProof => self.device_proof,
            Age::Mdm => self.mdm,
            Age::Reported => self.reported,
        }
    }

    /// The age policies see, in whole seconds.
    pub(crate) fn seconds(&self, age: Age, now: Timestamp) -> Option<i64> {
        self.since(age).map(|since| device_checks::age(since, now))
    }
}

/// The first moment after now at which the age reaches one of the lines, or falls back from the greatest age.
pub(crate) fn next_crossing(since: Timestamp, now: Timestamp, lines: &BTreeSet<i64>) -> Option<Timestamp> {
    if is_ahead(since, now) {
        return Some(no_longer_ahead(since));
    }
    let reached = age(since, now);
    let line = lines.iter().find(|line| **line > reached)?;
    Some(reaches(since, *line))
}

/// The first moment after now at which the age changes at all.
pub(crate) fn next_second(since: Timestamp, now: Timestamp) -> Timestamp {
    if is_ahead(since, now) {
        return no_longer_ahead(since);
    }
    reaches(since, age(since, now).saturating_add(1))
}

fn reaches(since: Timestamp, age: i64) -> Timestamp {
    Timestamp::from_millis(since.millis().saturating_add(age.saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use device_checks::GREATEST_AGE as GREATEST;
    use device_checks::age as seconds;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn before(millis: i64) -> Timestamp {
        Timestamp::from_millis(NOW.millis() - millis)
    }

    /// A timestamp in the future is never fresh. Control: two seconds of skew.
    #[test]
    fn a_time_in_the_future_counts_as_the_greatest_age() {
        assert_eq!(seconds(before(-7_200_000), NOW), GREATEST);
        assert_eq!(seconds(before(-2_000), NOW), 0);
        assert_eq!(seconds(before(1_999), NOW), 1);
    }

    #[test]
    fn the_next_crossing_is_the_exact_moment_at_which_the_age_reaches_the_line() {
        let lines = BTreeSet::from([0, 60, 900]);
        let since = before(60_500);

        let at = next_crossing(since, NOW, &lines).unwrap();

        assert_eq!(seconds(since, at), 900);
        assert_eq!(seconds(since, Timestamp::from_millis(at.millis() - 1)), 899);
        assert_eq!(next_crossing(before(900_000), NOW, &lines), None);
    }

    #[test]
    fn an_age_ahead_of_the_clock_crosses_when_the_clock_has_come_near() {
        let since = before(-60_000);

        let at = next_crossing(since, NOW, &BTreeSet::from([10])).unwrap();

        assert_eq!(seconds(since, at), 0);
        assert_eq!(seconds(since, Timestamp::from_millis(at.millis() - 1)), GREATEST);
    }
}
