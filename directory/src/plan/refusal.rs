//! Why is a command refused?

use crate::{Event, Factor, IllegalTransition, TargetKind};

/// A command that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// Why.
    pub reason: Refusal,
    /// What the System Log says of it.
    pub event: Box<Event>,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing.
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// What it was asked for by.
        id: String,
    },
    /// The state it is in does not allow it.
    #[error(transparent)]
    IllegalTransition(#[from] IllegalTransition),
    /// Another one has this already.
    #[error("another {what} has this {field} already")]
    NotUnique {
        /// What kind of thing.
        what: &'static str,
        /// What would have to be unique.
        field: &'static str,
    },
    /// The group would be in itself, directly or through others.
    #[error("the group would be in itself")]
    Circle,
    /// No enrolment token has this secret.
    #[error("the enrolment token is unknown")]
    TokenUnknown,
    /// The enrolment token was used already.
    #[error("the enrolment token was used already")]
    TokenUsed,
    /// The enrolment token's time is over.
    #[error("the enrolment token has expired")]
    TokenExpired,
    /// What was proved for the enrolment token counts no longer.
    #[error("what was proved for the enrolment token counts no longer")]
    TokenGroundless,
    /// The enrolment token is for another device.
    #[error("the enrolment token is for another device")]
    TokenForOtherDevice,
    /// The enrolment token is for another authenticator instance.
    #[error("the enrolment token is for another authenticator")]
    TokenForOtherInstance,
    /// The device turned out to be another one meanwhile.
    #[error("another enrolment of this device came first")]
    DeviceChanged,
    /// The instance's key is known on another machine than the one that shows it.
    #[error("the authenticator's key belongs to another device")]
    InstanceElsewhere,
    /// The device is a machine that has to be proved, and nothing was.
    #[error("the device's hardware is known: prove by its TPM that this is it")]
    HardwareUnproved,
    /// The key does not live in proved hardware, and has to.
    #[error("expected a key that is proved to live in the device's hardware")]
    HardwareRequired,
    /// There is no user-verification key, and there has to be one.
    #[error("expected a user-verification key: choose a PIN, a fingerprint or a face")]
    UserVerificationRequired,
    /// The enrolment has ended or is suspended.
    #[error("the account on this device is not active")]
    EnrollmentNotActive,
    /// The enrolment is so old that the device has to enrol again.
    #[error("the enrolment is too old to be renewed: enrol the device again")]
    EnrollmentTooOld,
    /// A renewal is for the same key.
    #[error("expected a request by the enrolled key: a new key is a new enrolment")]
    OtherKey,
    /// The certificate is not live.
    #[error("the certificate is revoked, on hold or over")]
    CertificateNotLive,
    /// The password was changed meanwhile.
    #[error("the password was changed meanwhile")]
    PasswordChanged,
    /// The code was used already.
    #[error("the code was used already")]
    CodeUsed,
    /// Without it the user could not sign in any more.
    #[error("it is the last thing that the user can sign in with")]
    LastFactor,
    /// No administrator released the user, or it is over, or was used.
    #[error("the user is not released to set up a factor")]
    NotReleased,
    /// A security key or passkey counted no further than it had before.
    #[error("the security key's counter went back: there may be a copy of it")]
    CounterWentBack,
    /// The security key or passkey is registered already.
    #[error("the security key or passkey is registered already")]
    CredentialKnown,
    /// The user has as many security keys and passkeys as a user can have.
    #[error("the user has as many security keys and passkeys as are possible: remove one first")]
    TooManyCredentials,
    /// A factor was not proved; nothing but this line comes of it.
    #[error("{factor}: {reason}")]
    NotAuthenticated {
        /// Which factor.
        factor: Factor,
        /// Why.
        reason: &'static str,
    },
    /// The key is enrolled already, or was.
    #[error("the key is or was enrolled already; a new enrolment takes a new key")]
    KeyKnown,
    /// The certificate, or another of its issuer with this serial number, is recorded already.
    #[error("the certificate is known already")]
    CertificateKnown,
    /// The device is suspended or deactivated.
    #[error("the device is not active")]
    DeviceNotActive,
    /// The user is suspended or deactivated.
    #[error("the user is not active")]
    UserNotActive,
    /// A value is not what it has to be.
    #[error("{field}: expected {expected}")]
    Invalid {
        /// Which value.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
}

impl Refusal {
    /// There is no such thing.
    pub(crate) fn not_found(kind: TargetKind, id: impl ToString) -> Self {
        let what = match kind {
            TargetKind::User => "user",
            TargetKind::Group => "group",
            TargetKind::Device => "device",
            TargetKind::Enrollment => "enrolment",
            TargetKind::Certificate => "certificate",
            TargetKind::EnrollmentToken => "enrolment token",
            TargetKind::ApiToken => "API token",
            TargetKind::Authenticator => "authenticator",
            TargetKind::Instance => "authenticator instance",
            TargetKind::ManagementCertificate => "management certificate",
            TargetKind::Organization => "organisation",
            TargetKind::Session => "session",
        };
        Self::NotFound {
            what,
            id: id.to_string(),
        }
    }
}
