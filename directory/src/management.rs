//! Which certificate says that a device is managed? One for one device, for as long as the device's record lives.

use serde::{Deserialize, Serialize};

use crate::{DeviceId, Fingerprint, IllegalTransition, Revision, Serial, Timestamp};

/// A management certificate that is, or was, bound to a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementCertificate {
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
    /// SHA-256 of the certificate of the CA that issued it.
    pub issuer: Fingerprint,
    /// Its serial number, for that CA's revocation list.
    pub serial: Serial,
    /// The device it is bound to.
    pub device: DeviceId,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// When it was bound.
    pub bound: Timestamp,
    /// Whether the gateway's own CA issued it.
    #[serde(default)]
    pub issued_here: bool,
    /// Whether it gives `managed`.
    pub state: ManagementState,
    /// The revision in which the record last changed.
    pub version: Revision,
}

/// Whether a management certificate gives `managed`, as far as the directory knows: its CA may have revoked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ManagementState {
    /// The device showed it when it was last asked.
    Proved {
        /// When.
        at: Timestamp,
    },
    /// The device did not show it when it was last asked.
    Absent {
        /// Since when.
        since: Timestamp,
    },
    /// Another took its place, or the device was shut out.
    Unbound {
        /// Since when.
        at: Timestamp,
    },
    /// An admin ended it for good.
    Revoked {
        /// Since when.
        at: Timestamp,
    },
}

impl ManagementState {
    /// The state's name: `proved`, `absent`, `unbound` or `revoked`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proved { .. } => "proved",
            Self::Absent { .. } => "absent",
            Self::Unbound { .. } => "unbound",
            Self::Revoked { .. } => "revoked",
        }
    }

    /// Whether it is the device's one: shown or not, but neither replaced nor ended.
    pub const fn is_bound(self) -> bool {
        match self {
            Self::Proved { .. } | Self::Absent { .. } => true,
            Self::Unbound { .. } | Self::Revoked { .. } => false,
        }
    }

    /// Ends it for good.
    ///
    /// # Errors
    ///
    /// Refuses when that has happened already.
    pub fn revoke(self, at: Timestamp) -> Result<Self, IllegalTransition> {
        match self {
            Self::Proved { .. } | Self::Absent { .. } | Self::Unbound { .. } => Ok(Self::Revoked { at }),
            Self::Revoked { .. } => Err(IllegalTransition {
                what: "a management certificate",
                from: self.as_str(),
                to: "revoked",
            }),
        }
    }
}
