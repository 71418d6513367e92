//! Does anything grow? Memory, descriptors and threads of the gateway, from second to second.

use std::time::{Duration, Instant};

use latchkey_tests::demo::Demo;

/// What the gateway takes up at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Since the start.
    pub(crate) at: Duration,
    /// Octets of memory.
    pub(crate) memory: usize,
    /// Open files and sockets.
    pub(crate) descriptors: usize,
    /// Threads.
    pub(crate) threads: usize,
}

impl Sample {
    /// How it is now.
    pub(crate) fn take(demo: &Demo, begun: Instant) -> Self {
        let process = format!("/proc/{}", demo.process().id());
        let count = |folder: &str| std::fs::read_dir(format!("{process}/{folder}")).unwrap().count();
        Self {
            at: begun.elapsed(),
            memory: demo.process().memory(),
            descriptors: count("fd"),
            threads: count("task"),
        }
    }
}

/// How much memory grew from the second quarter to the last one, in octets; the first quarter is for warming up.
pub(crate) fn growth(samples: &[Sample]) -> i64 {
    let quarter = samples.len() / 4;
    let mean = |samples: &[Sample]| {
        let sum: usize = samples.iter().map(|sample| sample.memory).sum();
        i64::try_from(sum / samples.len().max(1)).unwrap()
    };
    let second = samples.get(quarter..2 * quarter).unwrap_or_default();
    let last = samples.get(samples.len() - quarter..).unwrap_or_default();
    mean(last) - mean(second)
}

/// How fast it grows after the first quarter, in octets a minute (least squares).
pub(crate) fn slope(samples: &[Sample]) -> f64 {
    let warm = samples.get(samples.len() / 4..).unwrap_or_default();
    let count = warm.len() as f64;
    let minutes = |sample: &Sample| sample.at.as_secs_f64() / 60.0;
    let mean = |of: &dyn Fn(&Sample) -> f64| warm.iter().map(of).sum::<f64>() / count;
    let (time, memory) = (mean(&minutes), mean(&|sample| sample.memory as f64));
    let both: f64 = warm
        .iter()
        .map(|sample| (minutes(sample) - time) * (sample.memory as f64 - memory))
        .sum();
    let square: f64 = warm.iter().map(|sample| (minutes(sample) - time).powi(2)).sum();
    if square > 0.0 { both / square } else { 0.0 }
}
