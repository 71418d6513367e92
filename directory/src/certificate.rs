//! Which certificates did a device get, and do they still count?

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{DeviceId, EnrollmentId, Revision, Timestamp};

/// A certificate the gateway's own CA issued to a device. Its DER stays in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Certificate {
    /// SHA-256 of the leaf's DER: how the certificate is found.
    pub fingerprint: Fingerprint,
    /// The serial number, for the CRL.
    pub serial: Serial,
    /// The CA that issued it: SHA-256 of the CA certificate's DER.
    pub issuer: Fingerprint,
    /// The enrolment it stands for.
    pub enrollment: EnrollmentId,
    /// That enrolment's device.
    pub device: DeviceId,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid (RFC 5280: inclusive).
    pub not_after: Timestamp,
    /// Whether it still counts.
    pub state: CertificateState,
    /// The revision in which the record last changed.
    pub version: Revision,
}

/// Whether a certificate still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum CertificateState {
    /// It does, while its time lasts.
    Live,
    /// It does not for now (certificateHold).
    Held {
        /// Since when.
        at: Timestamp,
        /// What has to end first.
        cause: HoldCause,
    },
    /// Never again.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
}

/// Why a certificate is on hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldCause {
    /// An admin held this certificate; it stays held until an admin releases it.
    Admin,
    /// Its device is suspended; it comes back with the device.
    DeviceSuspended,
}

/// Why a certificate was revoked (RFC 5280, section 5.3.1; hold is a state of its own here).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of RFC 5280")]
pub enum RevocationReason {
    Unspecified,
    KeyCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    PrivilegeWithdrawn,
}

/// SHA-256 of a certificate's DER.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(pub [u8; 32]);

/// A certificate's serial number: 1 to 20 octets, big-endian, positive (RFC 5280, section 4.1.2.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial(pub Vec<u8>);

crate::words::words!(RevocationReason, "a revocation reason", {
    Unspecified = "unspecified",
    KeyCompromise = "key_compromise",
    AffiliationChanged = "affiliation_changed",
    Superseded = "superseded",
    CessationOfOperation = "cessation_of_operation",
    PrivilegeWithdrawn = "privilege_withdrawn",
});
