//! What does a user prove who they are with, apart from devices? A password, a TOTP secret, security keys, recovery codes.

use std::collections::BTreeSet;
use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{AuthenticatorId, EnrollmentId, Revision, SecretHash, Timestamp, UserId, WebauthnKey};

/// One authenticator of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Authenticator {
    /// Never reused.
    pub id: AuthenticatorId,
    /// Whose it is.
    pub user: UserId,
    /// What it is, and what verifying takes.
    pub kind: AuthenticatorKind,
    /// When the record was made.
    pub created: Timestamp,
    /// When the record last changed.
    pub updated: Timestamp,
    /// The revision in which the record last changed.
    pub version: Revision,
}

/// What an authenticator is, and what verifying takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum AuthenticatorKind {
    /// A password; a user has one at most.
    Password {
        /// Its argon2id hash as a PHC string.
        hash: Protected,
    },
    /// A time-based one-time password (RFC 6238).
    Totp {
        /// The shared secret in base32.
        secret: Protected,
        /// The last time step whose code was used: none at or before it works again.
        last_step: Option<u64>,
        /// The account on a device whose app makes the codes; nothing where it is an app of the user's own, of which there
        /// is one at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held_by: Option<EnrollmentId>,
    },
    /// A security key or passkey (WebAuthn); a user has several.
    Webauthn(Box<WebauthnKey>),
    /// Codes for when nothing else is left, each good once; a user has one set at most.
    RecoveryCodes {
        /// Those that were not used. They are as random as keys: nothing slower than SHA-256 keeps them from being found.
        unused: BTreeSet<SecretHash>,
    },
}

/// A text that is stored and never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(transparent)]
pub struct Protected(String);

impl AuthenticatorKind {
    /// Whether a sign-in can begin with it; a code, or a security key that does not find
    /// its user, only stands beside another factor.
    pub const fn begins_a_session(&self) -> bool {
        match self {
            Self::Password { .. } => true,
            Self::Totp { .. } | Self::RecoveryCodes { .. } => false,
            Self::Webauthn(key) => key.discoverable,
        }
    }

    /// What it is called everywhere: `password`, `totp`, `webauthn`, `recovery-codes`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Password { .. } => "password",
            Self::Totp { .. } => "totp",
            Self::Webauthn(_) => "webauthn",
            Self::RecoveryCodes { .. } => "recovery-codes",
        }
    }
}

impl Protected {
    /// Keeps a text from being shown.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for whoever verifies with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
