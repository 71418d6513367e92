//! How many failures were there lately?

use std::collections::VecDeque;
use std::time::Duration;

use directory::Timestamp;

/// The failures of late, in the order in which they were added; never more than the rule allows.
#[derive(Debug, Default)]
pub(crate) struct Window(VecDeque<Timestamp>);

impl Window {
    /// Until when there is no room for another failure, after those are gone that the rule no longer counts.
    pub(crate) fn full_until(&mut self, (most, period): (usize, Duration), now: Timestamp) -> Option<Timestamp> {
        self.0.retain(|failure| failure.plus(period) > now);
        let leaves = self.0.iter().min().map(|first| first.plus(period));
        leaves.filter(|_| self.0.len() >= most)
    }

    /// Adds a failure.
    pub(crate) fn add(&mut self, at: Timestamp) {
        self.0.push_back(at);
    }

    /// Takes back one failure of that time.
    pub(crate) fn remove(&mut self, at: Timestamp) {
        if let Some(place) = self.0.iter().rposition(|failure| *failure == at) {
            self.0.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_full_until_its_first_failure_leaves_it() {
        let rule = (2, Duration::from_secs(60));
        let at = |secs: i64| Timestamp::from_secs(1_795_000_000 + secs);
        let mut window = Window::default();
        assert_eq!(window.full_until(rule, at(0)), None);

        window.add(at(0));
        window.add(at(20));

        assert_eq!(window.full_until(rule, at(59)), Some(at(60)));
        assert_eq!(window.full_until(rule, at(60)), None);
    }

    #[test]
    fn a_failure_that_was_none_leaves_room() {
        let rule = (2, Duration::from_secs(60));
        let at = Timestamp::from_secs(1_795_000_000);
        let mut window = Window::default();
        window.add(at);
        window.add(at);

        window.remove(at);
        window.remove(Timestamp::from_secs(0));

        assert_eq!(window.full_until(rule, at), None);
        window.add(at);
        assert!(window.full_until(rule, at).is_some());
    }
}
