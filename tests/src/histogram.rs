//! How long did most of them take, and how long the slowest of a hundred? Log-linear buckets, two digits exact.

use std::time::Duration;

/// Counts durations in buckets no wider than 1/64 of their value.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
    }

    /// Adds what another histogram counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// How many durations were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The duration that this share of all (0.0 to 1.0) did not exceed; zero when nothing was counted.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(highest(index));
            }
        }
        Duration::ZERO
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
        }
    }
}

/// The bucket that holds this value: exact below 64, then 64 for each doubling.
fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - STEPS.ilog2();
    (u64::from(shift + 1) * STEPS + (nanos >> shift) - STEPS) as usize
}

/// The highest value that falls into this bucket.
fn highest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((u128::from(bucket % STEPS + STEPS + 1) << shift) - 1)
        .try_into()
        .unwrap_or(u64::MAX)
}

const STEPS: u64 = 64;
const BUCKETS: usize = 64 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_ends_within_two_percent_above_it() {
        for nanos in (0..63)
            .flat_map(|bit| [1_u64 << bit, (1 << bit) + 1, (1 << bit) * 3 / 2])
            .chain([0, u64::MAX])
        {
            let end = highest(bucket(nanos));
            assert!(end >= nanos && end - nanos <= nanos / 50, "{nanos} counts as {end}");
        }
    }

    #[test]
    fn quantiles_come_out_in_order() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|millis| histogram.record(Duration::from_millis(millis)));

        let (half, most) = (
            histogram.quantile(0.5).as_millis(),
            histogram.quantile(0.99).as_millis(),
        );

        assert!((500..=510).contains(&half), "p50 is {half} ms");
        assert!((990..=1010).contains(&most), "p99 is {most} ms");
    }
}
