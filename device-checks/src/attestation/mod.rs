//! Which machine is this, and where do its keys live? Evidence in the manner of WebAuthn's attestation statements.
//!
//! A format is a variant of [`DeviceStatement`] and [`KeyStatement`]; `apple` and `android-key` will join. That evidence is
//! well-formed ([`tpm`]) and that somebody we trust vouches for the machine ([`Roots`]) are two answers.

mod roots;
pub mod tpm;

use serde::{Deserialize, Serialize};

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

pub use roots::{BadRoots, NotVouched, Roots, Vouched};

use crate::wire::Octets;

/// Of which algorithm the key in an endorsement certificate is (its OID, dotted); nothing where the DER is no certificate.
pub fn endorsement_key_kind(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.public_key().algorithm.algorithm.to_id_string())
}

/// What proves which machine a device is (`fmt` and `attStmt` as in WebAuthn, section 6.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fmt", content = "attStmt", rename_all = "lowercase")]
pub enum DeviceStatement {
    /// Nothing.
    None,
    /// A TPM's endorsement key, its certificate, and the attestation key that will be activated with it.
    Tpm(TpmDevice),
}

/// A TPM's endorsement and attestation key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TpmDevice {
    /// `2.0`.
    pub ver: String,
    /// The EK's certificate in DER, then what leads to a root.
    pub x5c: Vec<Octets>,
    /// The EK: a TPMT_PUBLIC.
    pub ek: Octets,
    /// The AK: a TPMT_PUBLIC.
    pub ak: Octets,
}

/// What proves where a key lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fmt", content = "attStmt", rename_all = "lowercase")]
pub enum KeyStatement {
    /// Nothing.
    None,
    /// The AK of this attempt certifies the key (TPM2_Certify).
    Tpm(TpmKey),
}

/// A key that an attestation key certified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TpmKey {
    /// `2.0`.
    pub ver: String,
    /// The key: a TPMT_PUBLIC.
    pub pub_area: Octets,
    /// What was signed: a TPMS_ATTEST.
    pub cert_info: Octets,
    /// The signature: a TPMT_SIGNATURE, or ECDSA's r and s in DER.
    pub sig: Octets,
}

/// How much a root's word is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootClass {
    /// A maker of hardware: attests.
    Hardware,
    /// A hypervisor's: the machine is known, its hardware is not.
    Virtual,
    /// Made for tests: attests in a demo alone.
    Test,
}
