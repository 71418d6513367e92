//! How often may a source ask? So many times a second on an average, with some saved up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

use crate::factors::throttle::Source;

/// When each source may ask again: the generic cell rate algorithm (ITU-T I.371), which keeps one moment for each.
pub(crate) struct RequestRates {
    since: Instant,
    /// The moment at which a source will have nothing saved up but what it may always have, in nanoseconds from `since` on.
    sources: Cache<Source, Arc<AtomicU64>>,
}

impl RequestRates {
    /// Nobody has asked yet.
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            sources: Cache::new(SOURCES),
        }
    }

    /// Whether a source may ask once more now, at `rate` a second and ten seconds' worth at once.
    pub(crate) fn admit(&self, source: Source, rate: u32, now: Instant) -> bool {
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let now = nanoseconds(now.duration_since(self.since));
        let step = nanoseconds(SECOND / rate.max(1));
        let most = now + nanoseconds(AT_ONCE);
        let made: Result<_, std::convert::Infallible> = self.sources.get_or_insert_with(&source, || Ok(Arc::default()));
        let Ok(moment) = made;
        let next = |moment: u64| Some(moment.max(now) + step).filter(|next| *next <= most);
        moment.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// For how long requests may be saved up.
const AT_ONCE: Duration = Duration::from_secs(10);
/// Of how many sources it is known how often they asked; those that have not for the longest time are forgotten.
const SOURCES: usize = 100_000;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_source_has_its_rate_and_what_it_saved_up_whatever_others_do() {
        let rates = RequestRates::new();
        let source = |address: &str| Source::from(address.parse::<IpAddr>().unwrap());
        let (one, other) = (source("192.0.2.1"), source("192.0.2.2"));
        let at = |milliseconds| rates.since + Duration::from_millis(milliseconds);
        let admitted = |source, count: usize, at| (0..count).filter(|_| rates.admit(source, 5, at)).count();

        assert_eq!(admitted(one, 100, at(0)), 50);
        assert_eq!(admitted(one, 100, at(1_000)), 5);
        assert_eq!(admitted(other, 100, at(1_000)), 50);
        assert_eq!(admitted(one, 100, at(60_000)), 50);
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_source() {
        let rates = RequestRates::new();
        let admitted = (0..100_u16).filter(|host| {
            let address: IpAddr = format!("2001:db8::{host:x}").parse().unwrap();
            rates.admit(Source::from(address), 1, rates.since)
        });
        assert_eq!(admitted.count(), 10);
    }
}
