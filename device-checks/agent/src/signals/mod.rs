//! What does this machine know of itself? A collector for each system; what is not known is not said.

mod disk;
mod firewall;
mod linux;
mod programs;

use device_checks::wire::{Signal, SignalReport};

pub use linux::Linux;
pub use programs::{Programs, SystemPrograms};

/// Says what a machine knows of itself. Its calls block.
pub trait Collector: Send + Sync {
    /// Collects these facts and no others.
    fn collect(&self, wanted: &[Signal]) -> SignalReport;
}
