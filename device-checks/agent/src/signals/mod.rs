//! What does this machine know of itself? A collector for each system; what is not known is not said.

mod disk;
mod firewall;
mod linux;
mod programs;
mod recent;

use std::path::PathBuf;
use std::sync::Arc;

use device_checks::wire::{Signal, SignalReport};

use crate::keys;

pub use linux::Linux;
pub use programs::{Programs, SystemPrograms};
pub use recent::Recent;

/// Says what a machine knows of itself. Its calls block.
pub trait Collector: Send + Sync {
    /// Collects these facts and no others.
    fn collect(&self, wanted: &[Signal]) -> SignalReport;
}

/// What this machine says of itself; whether the TPM that was chosen answers is asked once.
pub async fn of_this_machine(tcti: Option<String>) -> Arc<dyn Collector> {
    let answers = move || tcti.map(|tcti| keys::tpm_is_there(&tcti).is_ok());
    let answers = tokio::task::spawn_blocking(answers).await.ok().flatten();
    Arc::new(Linux::new(PathBuf::from("/"), SystemPrograms, answers))
}
