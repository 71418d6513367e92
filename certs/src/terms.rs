//! From when until when does a certificate count, and what is its serial number? Time and randomness are handed in.

use std::time::Duration;

use directory::{Serial, Timestamp};
use rcgen::{CertificateParams, SerialNumber};
use time::OffsetDateTime;
use x509_parser::time::ASN1Time;

/// What the world outside contributes to a certificate: the time, and chance.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The present moment.
    pub now: Timestamp,
    /// How long the certificate is to last from now on.
    pub lifetime: Duration,
    /// Fresh random bytes for the serial number; 126 of their bits go into it.
    pub random: [u8; 16],
}

/// Says that a moment cannot be written into a certificate or CRL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the date lies outside the years 1950 to 9999")]
pub struct OutOfCalendar;

impl Terms {
    /// A positive serial number of 16 octets (RFC 5280, section 4.1.2.2).
    pub(crate) fn serial(&self) -> Serial {
        let mut octets = self.random.to_vec();
        if let Some(first) = octets.first_mut() {
            *first = *first & 0x7f | 0x40;
        }
        Serial(octets)
    }

    /// A little before now, for clocks that are behind.
    pub(crate) fn not_before(&self) -> Timestamp {
        Timestamp::from_secs(self.now.secs().saturating_sub(SLACK))
    }

    /// The last second of the lifetime.
    pub(crate) fn not_after(&self) -> Timestamp {
        Timestamp::from_secs(self.now.plus(self.lifetime).secs())
    }

    /// Writes the serial number and the dates into a certificate to be.
    pub(crate) fn write(&self, not_after: Timestamp, params: &mut CertificateParams) -> Result<(), OutOfCalendar> {
        params.serial_number = Some(SerialNumber::from(self.serial().0));
        params.not_before = calendar(self.not_before())?;
        params.not_after = calendar(not_after)?;
        Ok(())
    }
}

/// The calendar's view of a moment.
pub(crate) fn calendar(at: Timestamp) -> Result<OffsetDateTime, OutOfCalendar> {
    let date = OffsetDateTime::from_unix_timestamp(at.secs()).map_err(|_| OutOfCalendar)?;
    if (1950..=9999).contains(&date.year()) {
        Ok(date)
    } else {
        Err(OutOfCalendar)
    }
}

/// The moment a certificate or CRL names.
pub(crate) fn moment(at: ASN1Time) -> Timestamp {
    Timestamp::from_secs(at.timestamp())
}

/// How many seconds before it is made a certificate begins to count.
const SLACK: i64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(random: u8) -> Terms {
        Terms {
            now: Timestamp::from_millis(1_795_000_000_999),
            lifetime: Duration::from_secs(10),
            random: [random; 16],
        }
    }

    #[test]
    fn a_serial_number_is_positive_and_in_its_shortest_form_whatever_the_random_bytes() {
        for random in 0..=u8::MAX {
            let serial = terms(random).serial();
            assert_eq!(Serial::from_octets(serial.0.clone()), Ok(serial));
        }
    }

    #[test]
    fn a_certificate_begins_a_minute_early_and_ends_on_a_whole_second() {
        assert_eq!(terms(0).not_before(), Timestamp::from_secs(1_794_999_940));
        assert_eq!(terms(0).not_after(), Timestamp::from_secs(1_795_000_010));
    }

    #[test]
    fn a_date_no_certificate_can_name_is_refused() {
        assert!(calendar(Timestamp::from_secs(0)).is_ok());
        assert_eq!(calendar(Timestamp::from_millis(i64::MAX)), Err(OutOfCalendar));
        assert_eq!(calendar(Timestamp::from_secs(-1_000_000_000)), Err(OutOfCalendar));
    }
}
