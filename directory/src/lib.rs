//! Who and what is known, in which state, and what a command would change? Pure: no sockets, no disk, no clock.

mod certificate;
mod device;
mod ids;
mod timestamp;
mod token;
mod user;

pub use certificate::{Certificate, CertificateState, Fingerprint, RevocationReason, Serial};
pub use device::{
    Device, DeviceState, Enrollment, EnrollmentState, KeyStore, KeyThumbprint, MdmReport, OsVersion, Ownership,
    Platform, Posture, Reported,
};
pub use ids::{
    ApiTokenId, BadId, DeviceId, EnrollmentId, EnrollmentTokenId, GroupId, SessionId, TransactionId, UserId,
};
pub use timestamp::{BadTimestamp, Timestamp};
pub use token::{ApiToken, EnrollmentToken, Scope, SecretHash};
pub use user::{Group, User, UserStatus};

/// Counts the batches of changes ever made; every change makes a new one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);
