//! What does the gateway read from the certificate a client shows? How to find it, its time and its key; never a name.

use directory::{Fingerprint, KeyThumbprint, Timestamp};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What the gateway reads from a leaf certificate. That its chain and its key were proved is the TLS handshake's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafCertificate {
    /// How the directory finds it.
    pub fingerprint: Fingerprint,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid, this second included (RFC 5280, section 4.1.2.5).
    pub not_after: Timestamp,
    /// Which key it is for.
    pub key: KeyThumbprint,
}

/// Says why bytes are not a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// They are not an X.509 certificate in DER.
    #[error("expected an X.509 certificate in DER")]
    Malformed,
    /// Something follows the certificate.
    #[error("expected nothing after the certificate, found {0} more octets")]
    Trailing(usize),
}

impl LeafCertificate {
    /// Reads a certificate's DER.
    ///
    /// # Errors
    ///
    /// Refuses whatever is not exactly one certificate.
    pub fn parse(der: &[u8]) -> Result<Self, BadCertificate> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| BadCertificate::Malformed)?;
        if !rest.is_empty() {
            return Err(BadCertificate::Trailing(rest.len()));
        }
        let validity = certificate.validity();
        Ok(Self {
            fingerprint: Fingerprint::of(der),
            not_before: Timestamp::from_secs(validity.not_before.timestamp()),
            not_after: Timestamp::from_secs(validity.not_after.timestamp()),
            key: KeyThumbprint::of(certificate.public_key().raw),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_certificate_is_read_as_openssl_reads_it() {
        let leaf = LeafCertificate::parse(LEAF).unwrap();

        assert_eq!(leaf.not_before.to_string(), "2026-11-23T05:32:13.000Z");
        assert_eq!(leaf.not_after.to_string(), "2027-11-23T05:32:13.000Z");
        let fingerprint = "313cbf8aeea6378e79588f646165f6f8a2d6ad5947a9d387fd785219894dd103";
        assert_eq!(leaf.fingerprint.to_string(), fingerprint);
        assert_eq!(
            leaf.key.to_string(),
            "30a3ffd3893fd5b69d35c5b3c6cf02bcefc9f57a8c1db4f3a4a81a1a00185ed6"
        );
    }

    #[test]
    fn a_certificate_with_something_before_behind_or_missing_is_refused() {
        assert!(LeafCertificate::parse(LEAF).is_ok());
        assert_eq!(
            LeafCertificate::parse(&[LEAF, &[0]].concat()),
            Err(BadCertificate::Trailing(1))
        );
        assert_eq!(
            LeafCertificate::parse(&[&[0], LEAF].concat()),
            Err(BadCertificate::Malformed)
        );
        assert_eq!(
            LeafCertificate::parse(&LEAF[..LEAF.len() - 1]),
            Err(BadCertificate::Malformed)
        );
        assert_eq!(LeafCertificate::parse(&[]), Err(BadCertificate::Malformed));
    }

    proptest! {
        #[test]
        fn random_octets_are_no_certificate(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(LeafCertificate::parse(&octets).is_err());
        }

        #[test]
        fn an_altered_certificate_is_refused_or_another_one(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), 1_u8..), 1..4),
        ) {
            let mut altered = LEAF.to_vec();
            for (place, flipped) in changes {
                *place.get_mut(&mut altered) ^= flipped;
            }
            prop_assume!(altered != LEAF);
            if let Ok(leaf) = LeafCertificate::parse(&altered) {
                prop_assert_ne!(leaf.fingerprint, Fingerprint::of(LEAF));
            }
        }
    }

    /// Made by `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -outform DER`; the values expected above
    /// are what `openssl x509` and `sha256sum` say of it.
    const LEAF: &[u8] = include_bytes!("fixtures/leaf.der");
}
