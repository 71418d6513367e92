//! What can a device prove, and how is each fact about it known? Pure: no sockets, no disk, no clock.

mod age;
mod certificate;
mod signals;

pub use age::{GREATEST_AGE, age, is_ahead, no_longer_ahead};
pub use certificate::{BadCertificate, LeafCertificate};
pub use signals::DeviceSignals;
