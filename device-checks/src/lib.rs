//! What can a device prove, and how is each fact about it known? Pure: no sockets, no disk, no clock.

mod age;
mod anchor;
pub mod attestation;
mod certificate;
pub mod jws;
pub mod loopback;
pub mod management;
mod nonce;
#[cfg(test)]
mod samples;
mod signals;
mod tokens;
pub mod wire;

pub use age::{GREATEST_AGE, age, is_ahead, no_longer_ahead};
pub use anchor::{Anchor, BadAnchor, Unreadable};
pub use certificate::{BadCertificate, LeafCertificate};
pub use nonce::{BadNonce, NonceKey};
pub use signals::{DeviceSignals, OnRecord};
pub use tokens::*;
