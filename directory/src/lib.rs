//! Who and what is known, in which state, and what a command would change? Pure: no sockets, no disk, no clock.

mod authenticator;
mod certificate;
mod change;
mod command;
mod device;
mod event;
mod ids;
mod lifecycle;
mod management;
mod octets;
mod plan;
mod public_key;
mod session;
mod settings;
mod snapshot;
mod store;
mod timestamp;
mod token;
mod user;
mod webauthn;
mod words;

#[cfg(test)]
mod tests;

pub use authenticator::{Authenticator, AuthenticatorKind, Protected};
pub use certificate::{Certificate, CertificateState, Fingerprint, HoldCause, RevocationReason, Serial};
pub use change::{Change, Table, Touched};
pub use command::{
    AuthenticatorEnroll, Command, DeviceUpdate, Enroll, Failure, FastPassUpdate, GroupUpdate, ManagementAnswer,
    NewApiToken, NewCertificate, NewDevice, NewEnrollmentToken, NewGroup, NewManagementCertificate, NewUser,
    RenewCertificate, SignalAnswer, UserUpdate,
};
pub use device::{
    Device, DeviceState, Enrollment, EnrollmentState, Hardware, HardwareId, Instance, KeyStore, KeyThumbprint,
    MdmReport, Method, OsVersion, Ownership, Platform, Posture, Reported, Verification, VerificationMethod,
};
pub use event::{Actor, ActorKind, Event, EventType, Outcome, Severity, Target, TargetKind};
pub use ids::{
    ApiTokenId, AttemptId, AuthenticatorId, BadId, DeviceId, EnrollmentId, EnrollmentTokenId, GroupId, InstanceId,
    OrganizationId, SessionId, TransactionId, UserId,
};
pub use lifecycle::IllegalTransition;
pub use management::{ManagementCertificate, ManagementState};
pub use octets::BadHex;
pub use plan::{Plan, Refusal, Refused};
pub use public_key::PublicKey;
pub use session::{
    Basis, Client, DeviceProof, FactorProof, Generation, KnownSessions, NewSession, Properties, Raise, Renewal, Risk,
    Session, SessionCommand, SessionCookie, SessionEnd, SessionPlan, SessionState,
};
pub use settings::{FastPassSettings, KeyProtection, NumberChallenge, Settings, UserVerification};
pub use snapshot::{Repacked, Snapshot, WayIn};
pub use store::{
    AppendError, Cause, EventQuery, LoadError, Order, Place, QueryError, Store, StoredPlace, StoredSessions,
    Transaction, Write,
};
pub use timestamp::{BadTimestamp, Timestamp};
pub use token::{ApiToken, EnrollmentToken, Factor, Scope, SecretHash, TokenOrigin};
pub use user::{Group, Release, User, UserStatus};
pub use webauthn::{BadCredentialId, CredentialId, NewWebauthn, WebauthnKey, WebauthnUse};
pub use words::BadWord;

/// Counts the batches of changes ever made; every change makes a new one.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The one after it.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
