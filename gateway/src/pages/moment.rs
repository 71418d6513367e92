//! When was that? A moment as people read it, in UTC, which the page says.

use directory::Timestamp;
use time::OffsetDateTime;

use super::Texts;

/// A moment on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Moment {
    /// For programs: RFC 3339.
    fn machine(self) -> String {
        self.0.to_string()
    }

    /// For people: `24 November 2026, 17:05 UTC`.
    pub(crate) fn text(self, texts: &Texts) -> String {
        let Ok(at) = OffsetDateTime::from_unix_timestamp(self.0.secs()) else {
            return self.machine();
        };
        let (date, time) = (at.date(), at.time());
        format!(
            "{}{} {} {}, {:02}:{:02} UTC",
            date.day(),
            texts.dates.after_day,
            texts.month(date.month()),
            date.year(),
            time.hour(),
            time.minute()
        )
    }

    /// Both, for a template.
    pub(super) fn both(self, texts: &Texts) -> (String, String) {
        (self.machine(), self.text(texts))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ENGLISH, GERMAN};
    use super::*;

    #[test]
    fn a_moment_reads_like_a_date() {
        let at: Timestamp = "2026-11-04T07:05:59.123Z".parse().unwrap();

        let (machine, text) = Moment(at).both(&ENGLISH);

        assert_eq!(machine, "2026-11-04T07:05:59.123Z");
        assert_eq!(text, "4 November 2026, 07:05 UTC");
        assert_eq!(Moment(at).text(&GERMAN), "4. November 2026, 07:05 UTC");
    }
}
