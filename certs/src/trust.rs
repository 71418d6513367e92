//! Which CAs are trusted? Trust anchors from a PEM file, each checked to be one.

use directory::{Fingerprint, Timestamp};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;

use crate::ca::Purpose;
use crate::pem_text::{self, BadPem, CERTIFICATE};
use crate::terms;
use crate::x509::{self, BadCertificate, NotAuthority};

/// A CA that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Its certificate, for a root store.
    pub der: CertificateDer<'static>,
    /// SHA-256 of it.
    pub fingerprint: Fingerprint,
    /// From when on it counts. Chain verification does not look at an anchor's dates: the caller does.
    pub not_before: Timestamp,
    /// Until when it counts.
    pub not_after: Timestamp,
    /// Whether the demo made it; a production configuration refuses it.
    pub demo: bool,
}

/// Says why a file is not one of trust anchors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnchors {
    /// It is not certificates in PEM.
    #[error("cannot read the file of trusted CAs")]
    Pem(#[source] BadPem),
    /// One of them cannot be an anchor.
    #[error("certificate {number} of the file cannot be trusted as a CA")]
    Anchor {
        /// Which one, counted from 1.
        number: usize,
        /// Why.
        #[source]
        source: BadAnchorsCause,
    },
}

/// Says why one certificate cannot be an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAnchorsCause {
    /// It cannot be read.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// It may not sign certificates.
    #[error(transparent)]
    NotAuthority(#[from] NotAuthority),
    /// It is for certificates of another kind.
    #[error("its extended key usage is not for {}", match .expected {
        Purpose::Device => "clients (clientAuth)",
        Purpose::Server => "servers (serverAuth)",
        Purpose::Endorsement => "endorsement keys",
    })]
    Purpose {
        /// What it was to be for.
        expected: Purpose,
    },
    /// Chain verification cannot use it.
    #[error("chains cannot be verified with it: its key, name or name constraints have an unknown form")]
    Unusable,
}

/// Reads all certificates of a PEM text as trust anchors: at least one, each a CA's and, where it says what for, for this.
///
/// # Errors
///
/// Says which certificate is not an anchor, and why; one bad certificate refuses the file.
pub fn read_anchors(pem: &str, purpose: Purpose) -> Result<Vec<Anchor>, BadAnchors> {
    let blocks = pem_text::all_blocks(pem, &[CERTIFICATE]).map_err(BadAnchors::Pem)?;
    let numbered = blocks.into_iter().zip(1..);
    let anchors =
        numbered.map(|(der, number)| anchor(der, purpose).map_err(|source| BadAnchors::Anchor { number, source }));
    anchors.collect()
}

fn anchor(der: Vec<u8>, purpose: Purpose) -> Result<Anchor, BadAnchorsCause> {
    let certificate = x509::read(&der)?;
    x509::check_certificate_signer(&certificate)?;
    check_purpose(&certificate, purpose)?;
    let validity = certificate.validity();
    let (not_before, not_after) = (terms::moment(validity.not_before), terms::moment(validity.not_after));
    let (fingerprint, demo) = (Fingerprint::of(&der), x509::is_demo(&der));
    let der = CertificateDer::from(der);
    webpki::anchor_from_trusted_cert(&der).map_err(|_| BadAnchorsCause::Unusable)?;
    Ok(Anchor {
        der,
        fingerprint,
        not_before,
        not_after,
        demo,
    })
}

fn check_purpose(certificate: &X509Certificate<'_>, expected: Purpose) -> Result<(), BadAnchorsCause> {
    let usage = certificate
        .extended_key_usage()
        .map_err(|_| BadCertificate::Extension)?;
    let fits = usage.is_none_or(|usage| match expected {
        Purpose::Device => usage.value.client_auth || usage.value.any,
        Purpose::Server => usage.value.server_auth || usage.value.any,
        Purpose::Endorsement => true,
    });
    if fits {
        Ok(())
    } else {
        Err(BadAnchorsCause::Purpose { expected })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ca::{Authority, Material};
    use crate::samples::{authority, device_certificate, terms};

    #[test]
    fn every_ca_of_a_file_is_an_anchor() {
        let (one, other) = (authority(Purpose::Device), authority(Purpose::Device));

        let anchors = read_anchors(&(one.certificate_pem() + &other.certificate_pem()), Purpose::Device).unwrap();

        let fingerprints: Vec<_> = anchors.iter().map(|anchor| anchor.fingerprint).collect();
        assert_eq!(fingerprints, [one.fingerprint(), other.fingerprint()]);
        assert_eq!(anchors[0].not_after, one.not_after());
        assert!(!anchors[0].demo);
    }

    /// cert-ca-missing: an empty file of trusted CAs is refused, never read as trust in nobody or everybody.
    #[test]
    fn a_file_without_certificates_is_refused() {
        let missing = BadAnchors::Pem(BadPem::Missing { expected: CERTIFICATE });
        assert_eq!(read_anchors("", Purpose::Device), Err(missing));
    }

    #[test]
    fn one_certificate_that_is_no_ca_refuses_the_file_and_is_named() {
        let authority = authority(Purpose::Device);
        let file = authority.certificate_pem() + &device_certificate(&authority, 2).pem();
        let source = BadAnchorsCause::NotAuthority(NotAuthority::NotCa);
        assert_eq!(
            read_anchors(&file, Purpose::Device),
            Err(BadAnchors::Anchor { number: 2, source })
        );
    }

    /// cert-dev-serverca: a CA made for servers is not trusted for clients, nor the other way round.
    #[test]
    fn a_ca_for_servers_is_no_anchor_for_clients() {
        let refusal = |made_for, expected| read_anchors(&authority(made_for).certificate_pem(), expected).err();
        let wrong = |expected| {
            Some(BadAnchors::Anchor {
                number: 1,
                source: BadAnchorsCause::Purpose { expected },
            })
        };
        assert_eq!(refusal(Purpose::Server, Purpose::Device), wrong(Purpose::Device));
        assert_eq!(refusal(Purpose::Device, Purpose::Server), wrong(Purpose::Server));
        assert_eq!(refusal(Purpose::Device, Purpose::Device), None);
        assert_eq!(refusal(Purpose::Server, Purpose::Server), None);
    }

    /// the demo's CA can be told among trusted ones.
    #[test]
    fn the_demos_ca_is_marked() {
        let demo = Authority::create("CA", Purpose::Device, Material::Demo, &terms(1)).unwrap();
        assert!(read_anchors(&demo.certificate_pem, Purpose::Device).unwrap()[0].demo);
    }

    proptest! {
        #[test]
        fn random_bytes_are_no_anchor(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            prop_assert!(read_anchors(&pem_text::encode(CERTIFICATE, &bytes), Purpose::Device).is_err());
        }
    }
}
