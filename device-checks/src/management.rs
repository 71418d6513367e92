//! Does a management service know this device? A certificate of a configured CA whose key signs the challenge.
//!
//! The attestation is a compact JWS of type [`TYPE`] with ES256 or RS256 whose header carries the certificate (`x5c`, the
//! leaf alone: the configured CAs are those that issue).

mod sign;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::{AttemptId, DeviceId, Fingerprint, HardwareId, KeyThumbprint, PublicKey, Serial, Timestamp};
use p256::ecdsa::Signature;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

pub use sign::{CannotSign, SigningInput};

use crate::anchor::{self, Anchor, Unreadable};
use crate::jws::{self, BadToken, Parts};
use crate::tokens::LEEWAY;

/// `typ` of a management attestation.
pub const TYPE: &str = "latchkey-management+jwt";

/// What the key of a management certificate signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claims {
    /// The auth host's origin.
    pub aud: String,
    /// When it was made.
    pub iat: i64,
    /// The attempt it belongs to.
    pub tx: AttemptId,
    /// That attempt's nonce.
    pub nonce: String,
    /// The possession key of the enrolment that shows it: it serves no other.
    pub cnf: KeyThumbprint,
}

/// How the key of a management certificate signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// ECDSA with SHA-256 on P-256; r and s, 32 octets each.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, and 2048 bits at least.
    Rs256,
}

/// Proof that whoever answered holds the key of a certificate of a management CA. Only [`verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedManagement {
    pub(crate) certificate: Fingerprint,
    pub(crate) issuer: Fingerprint,
    pub(crate) serial: Serial,
    pub(crate) not_after: Timestamp,
    pub(crate) identities: Vec<Identity>,
}

/// Which device a management certificate is for, as far as that can be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The URI `urn:latchkey:device:ID`.
    Device(DeviceId),
    /// The URI `urn:latchkey:ek:HASH`.
    Hardware(HardwareId),
}

/// What a management attestation has to be about.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The auth host's origin.
    pub audience: &'a str,
    /// The attempt.
    pub attempt: AttemptId,
    /// Its nonce.
    pub nonce: &'a str,
    /// The possession key of the enrolment that shows it.
    pub key: KeyThumbprint,
    /// The present moment.
    pub now: Timestamp,
}

/// Says why a management attestation does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadManagement {
    /// It is no such token.
    #[error(transparent)]
    Token(#[from] BadToken),
    /// There is not one certificate, in base64.
    #[error("expected x5c to be one certificate of at most {MAXIMUM_LENGTH} octets in base64")]
    Certificates,
    /// The certificate cannot be read.
    #[error("cannot read the management certificate")]
    Unreadable(#[from] Unreadable),
    /// The certificate is a CA's.
    #[error("the management certificate is a CA's")]
    Authority,
    /// The certificate is not for clients, or not for signing.
    #[error("the management certificate has no extended key usage clientAuth, or a key usage without digitalSignature")]
    Usage,
    /// No configured CA issued it, or it is not valid now.
    #[error("no configured management CA that counts now issued the certificate")]
    Chain(#[source] webpki::Error),
    /// Its serial number is not one.
    #[error("the management certificate's serial number is not positive, or too long")]
    Serial,
    /// It is for somebody else.
    #[error("the claim aud is not this gateway")]
    Audience,
    /// It was made for another attempt.
    #[error("the claims tx and nonce are another attempt")]
    Attempt,
    /// It was made for another enrolment.
    #[error("the claim cnf is not the possession key of this enrolment")]
    Key,
    /// It is too old, or from the future.
    #[error("the claim iat is not now")]
    Time,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: Algorithm,
    typ: String,
    x5c: Vec<String>,
}

/// Checks that the key of a certificate, issued by one of these CAs themselves, signed this very challenge. Whether the
/// certificate is revoked, and bound to this device, the caller judges.
///
/// # Errors
///
/// Says what does not fit.
pub fn verify(token: &str, anchors: &[Anchor], expected: &Expected<'_>) -> Result<VerifiedManagement, BadManagement> {
    let parts = Parts::split(token)?;
    let header: Header = serde_json::from_slice(&parts.header).map_err(|_| BadToken::Header)?;
    if header.typ != TYPE {
        return Err(BadToken::Type.into());
    }
    let der = the_one(&header.x5c).ok_or(BadManagement::Certificates)?;
    let certificate = anchor::read(&der)?;
    check_usage(&certificate)?;
    let leaf = CertificateDer::from(der.as_slice());
    let leaf = EndEntityCert::try_from(&leaf).map_err(BadManagement::Chain)?;
    let issuer = issuer_of(&leaf, anchors, expected.now).map_err(BadManagement::Chain)?;
    check_signature(header.alg, &leaf, &certificate, &parts)?;
    let claims: Claims = serde_json::from_slice(&parts.payload).map_err(|_| BadToken::Claims)?;
    check_claims(&claims, expected)?;
    let serial = Serial::from_octets(certificate.raw_serial().to_vec());
    Ok(VerifiedManagement {
        certificate: Fingerprint::of(&der),
        issuer: issuer.fingerprint(),
        serial: serial.map_err(|_| BadManagement::Serial)?,
        not_after: anchor::validity(&certificate).1,
        identities: identities(&certificate),
    })
}

/// How a challenge names an issuer of management certificates: SHA-256 (hexadecimal) of its subject name in DER.
pub fn issuer_hash(subject: &[u8]) -> String {
    Fingerprint::of(subject).to_string()
}

/// The issuer of a certificate, as [`issuer_hash`] names it.
///
/// # Errors
///
/// Refuses what is no certificate.
pub fn issuer_hash_of(leaf: &[u8]) -> Result<String, Unreadable> {
    let certificate = anchor::read(leaf)?;
    Ok(issuer_hash(certificate.issuer().as_raw()))
}

impl VerifiedManagement {
    /// SHA-256 of the certificate.
    pub fn certificate(&self) -> Fingerprint {
        self.certificate
    }

    /// SHA-256 of the certificate of the CA that issued it.
    pub fn issuer(&self) -> Fingerprint {
        self.issuer
    }

    /// Its serial number, for the CA's revocation list.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// Until when it is valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The devices it names in a way that can be proved.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }
}

/// The octets of the only certificate.
fn the_one(certificates: &[String]) -> Option<Vec<u8>> {
    let [certificate] = certificates else {
        return None;
    };
    STANDARD
        .decode(certificate)
        .ok()
        .filter(|der| der.len() <= MAXIMUM_LENGTH)
}

/// Checks what chain verification leaves open: that it is a client's that signs, and no CA's.
fn check_usage(certificate: &X509Certificate<'_>) -> Result<(), BadManagement> {
    if certificate.is_ca() {
        return Err(BadManagement::Authority);
    }
    let extended = certificate.extended_key_usage().map_err(|_| Unreadable::Extension)?;
    let usage = certificate.key_usage().map_err(|_| Unreadable::Extension)?;
    let for_clients = extended.is_some_and(|usage| usage.value.client_auth);
    if for_clients && usage.is_none_or(|usage| usage.value.digital_signature()) {
        Ok(())
    } else {
        Err(BadManagement::Usage)
    }
}

/// The CA that issued a certificate itself, and counts now.
fn issuer_of<'a>(leaf: &EndEntityCert<'_>, anchors: &'a [Anchor], now: Timestamp) -> Result<&'a Anchor, webpki::Error> {
    let mut last = webpki::Error::UnknownIssuer;
    for anchor in anchors.iter().filter(|anchor| anchor.is_current(now)) {
        let verified = leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            std::slice::from_ref(anchor.trust()),
            &[],
            anchor::unix_time(now),
            KeyUsage::client_auth(),
            None,
            None,
        );
        match verified {
            Ok(_) => return Ok(anchor),
            Err(webpki::Error::UnknownIssuer) => {}
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn check_signature(
    algorithm: Algorithm,
    leaf: &EndEntityCert<'_>,
    certificate: &X509Certificate<'_>,
    parts: &Parts<'_>,
) -> Result<(), BadToken> {
    match algorithm {
        Algorithm::Es256 => {
            let key = p256_key(certificate).ok_or(BadToken::Algorithm)?;
            let signature = Signature::from_slice(&parts.signature).map_err(|_| BadToken::Signature)?;
            jws::verify_signature(&key, parts.signed, &signature)
        }
        Algorithm::Rs256 => {
            let algorithm = webpki::ring::RSA_PKCS1_2048_8192_SHA256;
            let verified = leaf.verify_signature(algorithm, parts.signed, &parts.signature);
            verified.map_err(|_| BadToken::Signature)
        }
    }
}

/// The key of a certificate, where it is a P-256 key in its one spelling.
fn p256_key(certificate: &X509Certificate<'_>) -> Option<PublicKey> {
    let info = certificate.public_key();
    let key = PublicKey::from_sec1(&info.subject_public_key.data)?;
    (key.subject_public_key_info() == info.raw).then_some(key)
}

fn check_claims(claims: &Claims, expected: &Expected<'_>) -> Result<(), BadManagement> {
    if claims.aud != expected.audience {
        return Err(BadManagement::Audience);
    }
    if claims.tx != expected.attempt || claims.nonce != expected.nonce {
        return Err(BadManagement::Attempt);
    }
    if claims.cnf != expected.key {
        return Err(BadManagement::Key);
    }
    if claims.iat.abs_diff(expected.now.secs()) > LEEWAY.unsigned_abs() {
        return Err(BadManagement::Time);
    }
    Ok(())
}

/// The devices that a certificate names. Other names, and URIs that are not of this form, say nothing.
fn identities(certificate: &X509Certificate<'_>) -> Vec<Identity> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::URI(uri) => identity(uri),
            _ => None,
        })
        .collect()
}

fn identity(uri: &str) -> Option<Identity> {
    let device = uri.strip_prefix(DEVICE_URI).and_then(|id| id.parse().ok());
    let hardware = uri.strip_prefix(HARDWARE_URI).and_then(|hash| hash.parse().ok());
    device.map(Identity::Device).or(hardware.map(Identity::Hardware))
}

const DEVICE_URI: &str = "urn:latchkey:device:";
const HARDWARE_URI: &str = "urn:latchkey:ek:";
const MAXIMUM_LENGTH: usize = 8 * 1024;

#[cfg(test)]
mod tests;
