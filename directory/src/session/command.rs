//! What can be asked about sessions? The caller brings ids, the hashes of cookies, and what was verified.

use super::{Client, DeviceProof, FactorProof, Risk, SessionEnd};
use crate::{SecretHash, SessionId, UserId};

/// One wish about sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionCommand {
    /// A session begins.
    Begin(Box<NewSession>),
    /// More was proved for a session.
    Raise(Box<Raise>),
    /// A device proved again that it is the one in use; the cookie that was shown is replaced.
    Renew(Box<Renewal>),
    /// A host is to know the session by a cookie of its own.
    Admit {
        /// Which session.
        session: SessionId,
        /// The generation that the cookie stands for.
        generation: u32,
        /// The new cookie.
        cookie: SecretHash,
        /// The host.
        host: String,
        /// The cookie of this session that the browser had there until now.
        replaces: Option<SecretHash>,
    },
    /// A session ends.
    End {
        /// Which session.
        session: SessionId,
        /// Why.
        cause: SessionEnd,
    },
    /// All sessions of a user end.
    EndAll {
        /// Whose.
        user: UserId,
        /// Why.
        cause: SessionEnd,
    },
}

impl SessionCommand {
    /// The cookie whose place a new one takes.
    pub fn replaces(&self) -> Option<SecretHash> {
        match self {
            Self::Raise(raise) => Some(raise.shown),
            Self::Renew(renewal) => Some(renewal.shown),
            Self::Admit { replaces, .. } => *replaces,
            Self::Begin(_) | Self::End { .. } | Self::EndAll { .. } => None,
        }
    }
}

/// A session that is to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// A new id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// In which browser.
    pub client: Client,
    /// What was proved; one factor at least.
    pub proofs: Vec<FactorProof>,
    /// The device that is in use, where one proved it.
    pub device: Option<DeviceProof>,
    /// How unusual that is.
    pub risk: Risk,
    /// Whether an authenticator answered the browser.
    pub installed: Option<bool>,
    /// The cookie of the host where it begins.
    pub cookie: SecretHash,
    /// That host.
    pub host: String,
    /// The session that the browser had there until now.
    pub replaces: Option<SessionId>,
}

/// More that was proved for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raise {
    /// Which session.
    pub session: SessionId,
    /// The generation that it adds to.
    pub base: u32,
    /// What was proved: each replaces an earlier proof of the same factor.
    pub proofs: Vec<FactorProof>,
    /// The device that is in use, where one proved it now.
    pub device: Option<DeviceProof>,
    /// How unusual that is.
    pub risk: Risk,
    /// Whether an authenticator answered the browser; nothing leaves what is known of it.
    pub installed: Option<bool>,
    /// The cookie that was shown, and is replaced.
    pub shown: SecretHash,
    /// The new cookie of the same host.
    pub cookie: SecretHash,
}

/// A fresh proof that a device is the one in use: no factor, and no other cookies than the one shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Which session.
    pub session: SessionId,
    /// The generation that it adds to.
    pub base: u32,
    /// The device.
    pub device: DeviceProof,
    /// The cookie that was shown, and is replaced.
    pub shown: SecretHash,
    /// The new cookie of the same host.
    pub cookie: SecretHash,
}
