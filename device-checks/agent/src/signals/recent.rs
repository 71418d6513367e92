//! What did this machine say of itself a moment ago? Said again for a few seconds: programs that have to be asked take longer
//! than a whole sign-in.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use device_checks::wire::{Signal, SignalReport};

use super::Collector;

/// Remembers what another collector said.
pub struct Recent {
    collector: Arc<dyn Collector>,
    kept: Mutex<Option<(Instant, SignalReport)>>,
}

impl Recent {
    /// Remembers what this one says.
    pub fn new(collector: Arc<dyn Collector>) -> Self {
        Self {
            collector,
            kept: Mutex::default(),
        }
    }

    /// Collects everything now, unless that was done a moment ago; whoever asks meanwhile waits for it.
    pub fn refresh(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|(at, _)| at.elapsed() >= AGE) {
            *kept = Some((Instant::now(), self.collector.collect(&Signal::ALL)));
        }
    }
}

impl Collector for Recent {
    fn collect(&self, wanted: &[Signal]) -> SignalReport {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((at, report)) if at.elapsed() < AGE => only(report, wanted),
            _ => self.collector.collect(wanted),
        }
    }
}

/// Nothing but what is wanted.
fn only(report: &SignalReport, wanted: &[Signal]) -> SignalReport {
    let mut some = SignalReport::default();
    for signal in wanted {
        match signal {
            Signal::Os => some.os = report.os,
            Signal::Kernel => some.kernel.clone_from(&report.kernel),
            Signal::Serial => some.serial.clone_from(&report.serial),
            Signal::Tpm => {
                some.tpm = report.tpm;
                some.tpm_version.clone_from(&report.tpm_version);
            }
            Signal::SecureBoot => some.secure_boot = report.secure_boot,
            Signal::DiskEncrypted => some.disk_encrypted = report.disk_encrypted,
            Signal::ScreenLock => some.screen_lock = report.screen_lock,
            Signal::Firewall => some.firewall = report.firewall,
        }
    }
    some
}

/// Long enough for a page that asks first whether anybody is here, short enough for who mends something and tries again.
const AGE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Says everything, and counts how often it was asked.
    #[derive(Default)]
    struct Talkative(AtomicU32);

    impl Collector for Talkative {
        fn collect(&self, wanted: &[Signal]) -> SignalReport {
            self.0.fetch_add(1, Ordering::Relaxed);
            let all = SignalReport {
                kernel: Some("6.1".to_owned()),
                tpm: Some(true),
                tpm_version: Some("2.0".to_owned()),
                firewall: Some(false),
                ..SignalReport::default()
            };
            only(&all, wanted)
        }
    }

    #[test]
    fn what_was_collected_a_moment_ago_is_said_again_as_far_as_it_is_wanted() {
        let talkative = Arc::new(Talkative::default());
        let recent = Recent::new(Arc::clone(&talkative) as Arc<dyn Collector>);
        let asked = || talkative.0.load(Ordering::Relaxed);

        let before = recent.collect(&[Signal::Tpm]);
        assert_eq!(asked(), 1, "nothing was kept yet");
        recent.refresh();
        recent.refresh();
        let after = recent.collect(&[Signal::Tpm]);

        assert_eq!(asked(), 2);
        assert_eq!(before, after);
        assert_eq!(after.signals().collect::<Vec<_>>(), [Signal::Tpm]);
        assert_eq!(recent.collect(&[Signal::Kernel]).kernel.as_deref(), Some("6.1"));
        assert_eq!(recent.collect(&[]), SignalReport::default());
    }
}
