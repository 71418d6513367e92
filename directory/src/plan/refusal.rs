//! Why is a command refused?

use crate::{Event, IllegalTransition, TargetKind};

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
    /// The enrolment token is for another device.
    #[error("the enrolment token is for another device")]
    TokenForOtherDevice,
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
    pub(super) fn not_found(kind: TargetKind, id: impl ToString) -> Self {
        let what = match kind {
            TargetKind::User => "user",
            TargetKind::Group => "group",
            TargetKind::Device => "device",
            TargetKind::Enrollment => "enrolment",
            TargetKind::Certificate => "certificate",
            TargetKind::EnrollmentToken => "enrolment token",
            TargetKind::ApiToken => "API token",
        };
        Self::NotFound {
            what,
            id: id.to_string(),
        }
    }
}
