//! What is a device, and in which states can it be?

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{DeviceId, EnrollmentId, Fingerprint, InstanceId, PublicKey, Revision, Timestamp, UserId};

/// A computer or phone that proves itself with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Device {
    /// Never reused; a deleted device that enrols again gets a new one.
    pub id: DeviceId,
    /// What people call it; need not be unique.
    pub name: String,
    /// Which operating system it runs.
    pub platform: Platform,
    /// Whether it is trusted at all.
    pub state: DeviceState,
    /// Whose it is.
    pub ownership: Ownership,
    /// The device groups policies see (`DeviceGroup::"…"`).
    pub groups: BTreeSet<String>,
    /// Attributes for policies: `device.getTag("site")`.
    pub tags: BTreeMap<String, String>,
    /// What the device last said of itself, and when.
    pub reported: Option<Reported>,
    /// Which machine it was proved to be, where it was; whether that still counts is judged by the roots of the moment.
    #[serde(default)]
    pub hardware: Option<Hardware>,
    /// When the record was made.
    pub created: Timestamp,
    /// When the record last changed.
    pub updated: Timestamp,
    /// The revision in which the record, or anything that hangs on it (enrolment, certificate, report), last changed.
    pub version: Revision,
}

/// Evidence that a device is a certain machine: its TPM opened a credential made for this endorsement key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Hardware {
    /// The machine: no two devices have the same.
    pub id: HardwareId,
    /// The endorsement key's certificate, then what leads to a root, each in base64 of its DER.
    pub chain: Vec<String>,
    /// When it was proved last.
    pub at: Timestamp,
}

/// SHA-256 of an endorsement key's SubjectPublicKeyInfo in DER: which machine something is.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct HardwareId(pub [u8; 32]);

/// Whether a device is trusted at all. Deletion is not a state: the record is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum DeviceState {
    /// Trusted as far as its keys, certificates and reports go.
    Active,
    /// Shut out for a while; certificates are on hold.
    Suspended {
        /// Since when.
        at: Timestamp,
    },
    /// Shut out for good; may be activated again (then enrols anew) or deleted.
    Deactivated {
        /// Since when.
        at: Timestamp,
    },
}

/// Which operating system a device runs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Platform {
    Macos,
    Windows,
    Linux,
    Chromeos,
    Ios,
    Android,
}

/// Whose device it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ownership {
    /// Nobody said.
    #[default]
    Unknown,
    /// The company's.
    Corporate,
    /// The user's own.
    Personal,
}

/// Where a private key lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStore {
    /// A file or the like; can be copied.
    Software,
    /// A PKCS#11 token, unproved.
    Pkcs11,
    /// A TPM 2.0.
    Tpm,
    /// Apple's Secure Enclave.
    SecureEnclave,
    /// Android's StrongBox.
    Strongbox,
    /// A trusted execution environment.
    Tee,
}

/// What somebody says of a device. Absent means not said; absent never satisfies a policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Posture {
    /// The operating system's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<OsVersion>,
    /// Whether the system disk is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_encrypted: Option<bool>,
    /// Whether the screen locks itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen_lock: Option<bool>,
    /// Whether a firewall runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall: Option<bool>,
    /// Whether only signed systems boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
    /// Whether an anti-virus runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub antivirus: Option<bool>,
    /// Whether the system's own protections were removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jailbroken: Option<bool>,
    /// Whether there is a TPM, Secure Enclave or the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_hardware: Option<bool>,
}

/// The version of an operating system.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct OsVersion {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

/// What the device said of itself, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Reported {
    /// What it said.
    pub posture: Posture,
    /// The kernel's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The machine's serial number, as it says: it proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The TPM's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm_version: Option<String>,
    /// When it said it.
    pub at: Timestamp,
}

/// What a management service (MDM) said of a device; it holds until it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MdmReport {
    /// The device it is about.
    pub device: DeviceId,
    /// Which configured MDM said it.
    pub source: String,
    /// Whether the MDM manages the device.
    pub managed: bool,
    /// What else it said.
    pub posture: Posture,
    /// The management certificate that it says is this device's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Fingerprint>,
    /// When it said it.
    pub at: Timestamp,
    /// From when on it no longer counts.
    pub ends: Timestamp,
    /// The revision in which the record last changed.
    pub version: Revision,
}

/// One user's account on one device: whose key the device holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Enrollment {
    /// Never reused.
    pub id: EnrollmentId,
    /// The device that holds the key.
    pub device: DeviceId,
    /// The user it acts for.
    pub user: UserId,
    /// Whether the key still counts.
    pub state: EnrollmentState,
    /// Grows whenever the trust in this enrolment was interrupted; a session remembers the one it was made under.
    pub generation: u32,
    /// SHA-256 of the proof-of-possession key's SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
    pub key: KeyThumbprint,
    /// Where that key lives.
    pub key_store: KeyStore,
    /// Whether the device's own hardware certified that the key lives in it and cannot leave it.
    pub hardware_key: bool,
    /// The key itself, where it is P-256: only such keys sign assertions.
    #[serde(default)]
    pub public_key: Option<PublicKey>,
    /// The key that signs after the user was verified.
    #[serde(default)]
    pub verification: Option<Verification>,
    /// What the enrolment can be used for.
    #[serde(default = "certificate_alone")]
    pub methods: BTreeSet<Method>,
    /// The authenticator instance that holds the keys, where it is one of ours.
    #[serde(default)]
    pub instance: Option<InstanceId>,
    /// When the record was made.
    pub created: Timestamp,
    /// The revision in which the record last changed.
    pub version: Revision,
}

/// A key that signs after the user was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Verification {
    /// The key.
    pub key: PublicKey,
    /// How the user is verified.
    pub method: VerificationMethod,
    /// Whether the device's hardware certified that it holds the key and enforces the verification itself.
    pub hardware: bool,
}

/// How a user is verified before a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum VerificationMethod {
    /// A PIN.
    Pin,
    /// A finger, on the word of a service of the operating system.
    Fingerprint,
    /// A face, on the word of a service of the operating system.
    Face,
}

impl Verification {
    /// A key, and whether hardware certified that it holds it for this method. What says that a finger or a face is the right one
    /// binds no key: such verification is never the hardware's, whatever holds the key.
    pub fn new(key: PublicKey, method: VerificationMethod, certified: bool) -> Self {
        Self {
            key,
            method,
            hardware: certified && method.is_hardwares(),
        }
    }
}

impl VerificationMethod {
    /// Whether hardware that holds a key can verify the user itself.
    pub fn is_hardwares(self) -> bool {
        match self {
            Self::Pin => true,
            Self::Fingerprint | Self::Face => false,
        }
    }
}

/// What an enrolment can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum Method {
    /// The certificate, in a TLS handshake.
    Certificate,
    /// FastPass: assertions and answers signed by the keys.
    SignedNonce,
}

/// What an enrolment that does not say what it can be used for can be used for.
fn certificate_alone() -> BTreeSet<Method> {
    BTreeSet::from([Method::Certificate])
}

/// One installation of an authenticator on a device: the key it is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Instance {
    /// Never reused.
    pub id: InstanceId,
    /// The device it is on.
    pub device: DeviceId,
    /// Its key.
    pub key: PublicKey,
    /// When the record was made.
    pub created: Timestamp,
    /// The revision in which the record last changed.
    pub version: Revision,
}

/// Whether an enrolment's key still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum EnrollmentState {
    /// It does.
    Active,
    /// Not while the device is suspended.
    Suspended,
    /// Never again.
    Ended {
        /// Since when.
        at: Timestamp,
    },
}

/// SHA-256 of a key's SubjectPublicKeyInfo in DER.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct KeyThumbprint(pub [u8; 32]);

crate::words::serde_words!(VerificationMethod, "a verification method", {
    Pin = "pin", Fingerprint = "fingerprint", Face = "face",
});

crate::words::serde_words!(Method, "a method", { Certificate = "certificate", SignedNonce = "signed_nonce" });

crate::words::words!(Platform, "a platform", {
    Macos = "macos",
    Windows = "windows",
    Linux = "linux",
    Chromeos = "chromeos",
    Ios = "ios",
    Android = "android",
});

crate::words::words!(Ownership, "an ownership", {
    Unknown = "unknown",
    Corporate = "corporate",
    Personal = "personal",
});

crate::words::words!(KeyStore, "a key store", {
    Software = "software",
    Pkcs11 = "pkcs11",
    Tpm = "tpm",
    SecureEnclave = "secure_enclave",
    Strongbox = "strongbox",
    Tee = "tee",
});
