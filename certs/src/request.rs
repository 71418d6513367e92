//! Does whoever asks for a certificate hold the key? A PKCS #10 request whose own signature was checked (RFC 2986).

use std::fmt;

use directory::{KeyThumbprint, PublicKey};
use rcgen::{PublicKeyData, SubjectPublicKeyInfo};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_PKCS1_RSASSAPSS,
    OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256,
    OID_SIG_ECDSA_WITH_SHA384, Oid,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as AnyKey;

use crate::pem_text::{self, BadPem};

/// Proof that a request was signed with the key it asks a certificate for.
///
/// Nothing but the public key is kept of it: the profile of a certificate is decided by who issues it, so the subject and
/// the extensions a request asks for are ignored. Keys may be ECDSA P-256 or P-384, or RSA of 2048 to 4096 bits.
pub struct VerifiedRequest {
    pub(crate) public_key: SubjectPublicKeyInfo,
    der: Vec<u8>,
}

/// Says why a text is not a certificate request that can be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// It is longer than any request needs to be.
    #[error("expected a certificate request of at most {MAXIMUM_LENGTH} characters, found {found}")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// It is not one request in PEM.
    #[error("cannot read the certificate request")]
    Pem(#[source] BadPem),
    /// What is in the PEM is no request.
    #[error("expected a PKCS #10 certificate request inside the PEM block `CERTIFICATE REQUEST`")]
    Unreadable,
    /// The key is of another kind, or too weak, or too big.
    #[error("expected a public key of P-256, P-384, or RSA with 2048 to 4096 bits in the certificate request")]
    Key,
    /// The signature is of another kind.
    #[error("expected the certificate request to be signed with SHA-256, SHA-384 or SHA-512")]
    Algorithm,
    /// The signature is not by that key.
    #[error("the certificate request's signature does not fit the public key in it")]
    Signature,
}

impl VerifiedRequest {
    /// Reads one request in PEM, labelled `CERTIFICATE REQUEST` or `NEW CERTIFICATE REQUEST`, and checks its signature.
    ///
    /// # Errors
    ///
    /// Says what was expected instead.
    pub fn parse_pem(text: &str) -> Result<Self, BadRequest> {
        if text.len() > MAXIMUM_LENGTH {
            return Err(BadRequest::TooLong { found: text.len() });
        }
        Self::parse_der(&pem_text::one_block(text, LABELS).map_err(BadRequest::Pem)?)
    }

    /// The key the request proves, as certificates issued for it will show it.
    pub fn key(&self) -> KeyThumbprint {
        KeyThumbprint::of(&self.public_key.subject_public_key_info())
    }

    /// The same key where it is P-256: only such keys sign assertions.
    pub fn p256_key(&self) -> Option<PublicKey> {
        let key = self.public_key.subject_public_key_info();
        let point = key.get(key.len().checked_sub(POINT)?..)?;
        let found = PublicKey::from_sec1(point)?;
        (found.subject_public_key_info() == key).then_some(found)
    }

    /// The request itself, in DER, for whoever certified that it made it.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Reads one request in DER, and checks its signature.
    ///
    /// # Errors
    ///
    /// Says what was expected instead.
    pub fn parse_der(der: &[u8]) -> Result<Self, BadRequest> {
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| BadRequest::Unreadable)?;
        if !rest.is_empty() || request.signature_value.unused_bits != 0 {
            return Err(BadRequest::Unreadable);
        }
        let key = &request.certification_request_info.subject_pki;
        check_key(key)?;
        if !ALGORITHMS.contains(&request.signature_algorithm.algorithm) {
            return Err(BadRequest::Algorithm);
        }
        request.verify_signature().map_err(|_| BadRequest::Signature)?;
        let public_key = SubjectPublicKeyInfo::from_der(key.raw).map_err(|_| BadRequest::Key)?;
        Ok(Self {
            public_key,
            der: der.to_vec(),
        })
    }
}

impl fmt::Debug for VerifiedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedRequest").field("key", &self.key()).finish()
    }
}

fn check_key(key: &x509_parser::x509::SubjectPublicKeyInfo<'_>) -> Result<(), BadRequest> {
    let accepted = match key.parsed() {
        Ok(AnyKey::RSA(rsa)) => {
            key.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION && (2048..=4096).contains(&rsa.key_size())
        }
        Ok(AnyKey::EC(_)) => {
            let curve = key
                .algorithm
                .parameters
                .as_ref()
                .and_then(|parameters| parameters.as_oid().ok());
            key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
                && curve.is_some_and(|curve| curve == OID_EC_P256 || curve == OID_NIST_EC_P384)
        }
        Ok(_) | Err(_) => false,
    };
    if accepted { Ok(()) } else { Err(BadRequest::Key) }
}

/// The length of an uncompressed P-256 point.
const POINT: usize = 65;
const MAXIMUM_LENGTH: usize = 16 * 1024;
const LABELS: &[&str] = &["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];
const ALGORITHMS: &[Oid<'static>] = &[
    OID_SIG_ECDSA_WITH_SHA256,
    OID_SIG_ECDSA_WITH_SHA384,
    OID_PKCS1_SHA256WITHRSA,
    OID_PKCS1_SHA384WITHRSA,
    OID_PKCS1_SHA512WITHRSA,
    OID_PKCS1_RSASSAPSS,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    use super::*;
    use crate::samples::{request_der, request_pem};

    #[test]
    fn a_request_proves_the_key_that_signed_it() {
        for (algorithm, p256) in [(&rcgen::PKCS_ECDSA_P256_SHA256, true), (&PKCS_ECDSA_P384_SHA384, false)] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let request = VerifiedRequest::parse_pem(&request_pem(&key)).unwrap();
            assert_eq!(request.key(), KeyThumbprint::of(&key.subject_public_key_info()));
            assert_eq!(request.p256_key().is_some(), p256);
            assert!(request.p256_key().is_none_or(|p256| p256.thumbprint() == request.key()));
        }
    }

    #[test]
    fn a_request_under_the_older_label_is_read_too() {
        let pem = request_pem(&KeyPair::generate().unwrap());
        let older = pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
        assert!(VerifiedRequest::parse_pem(&older).is_ok());
    }

    #[test]
    fn a_key_that_is_not_p_256_p_384_or_rsa_is_refused() {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        assert_eq!(
            VerifiedRequest::parse_pem(&request_pem(&key)).unwrap_err(),
            BadRequest::Key
        );
    }

    #[test]
    fn what_is_not_one_request_is_refused() {
        let pem = request_pem(&KeyPair::generate().unwrap());
        let refusals = [
            (pem.repeat(2), BadRequest::Pem(BadPem::Several { found: 2 })),
            (
                String::new(),
                BadRequest::Pem(BadPem::Missing {
                    expected: "CERTIFICATE REQUEST",
                }),
            ),
            (pem_text::encode("CERTIFICATE REQUEST", b"abc"), BadRequest::Unreadable),
            (
                " ".repeat(MAXIMUM_LENGTH + 1),
                BadRequest::TooLong {
                    found: MAXIMUM_LENGTH + 1,
                },
            ),
        ];
        for (text, refusal) in refusals {
            assert_eq!(VerifiedRequest::parse_pem(&text).unwrap_err(), refusal);
        }
    }

    #[test]
    fn a_request_with_another_key_in_it_than_signed_it_is_refused() {
        let (mine, theirs) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let request = request_der(&mine);
        let at = request
            .windows(65)
            .position(|window| window == mine.public_key_raw())
            .unwrap();
        let mut forged = request;
        forged[at..at + 65].copy_from_slice(theirs.public_key_raw());
        assert_eq!(VerifiedRequest::parse_der(&forged).unwrap_err(), BadRequest::Signature);
    }

    #[test]
    fn a_request_changed_in_any_bit_proves_no_other_key() {
        let request = request_der(&KeyPair::generate().unwrap());
        let key = VerifiedRequest::parse_der(&request).unwrap().key();
        let accepted = (0..request.len() * 8).filter_map(|bit| {
            let mut changed = request.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            VerifiedRequest::parse_der(&changed).ok()
        });
        // The tags around what is signed are not covered; the parser forgives some of their bits.
        let keys: Vec<_> = accepted.map(|request| request.key()).collect();
        assert!(keys.iter().all(|proved| *proved == key), "{keys:?}");
    }

    proptest! {
        #[test]
        fn random_bytes_are_no_request(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert!(VerifiedRequest::parse_der(&bytes).is_err());
            prop_assert!(VerifiedRequest::parse_pem(&pem_text::encode("CERTIFICATE REQUEST", &bytes)).is_err());
        }

        #[test]
        fn a_request_cut_or_spliced_anywhere_is_refused(at in 0_usize..200, cut in 1_usize..80, insert in prop::collection::vec(any::<u8>(), 0..40)) {
            let request = request_der(&KeyPair::generate().unwrap());
            let end = (at + cut).min(request.len());
            let at = at.min(request.len());
            prop_assume!(request[at..end] != insert[..]);
            let mut changed = request.clone();
            changed.splice(at..end, insert);
            prop_assert!(VerifiedRequest::parse_der(&changed).is_err());
        }
    }
}
