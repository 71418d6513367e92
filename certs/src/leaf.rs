//! Is this a certificate for a client? What chain verification leaves open about a leaf, checked at the handshake.

use directory::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;

use crate::terms;
use crate::x509::{self, BadCertificate};

/// Says why a certificate is refused as a client's, whoever issued it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeafRefused {
    /// It is bigger than any client certificate needs to be.
    #[error("the client certificate has more than {MAXIMUM_LENGTH} bytes")]
    TooBig,
    /// It cannot be read.
    #[error("cannot read the client certificate")]
    Unreadable(#[source] BadCertificate),
    /// It is a CA's.
    #[error("the client certificate is a CA's")]
    Authority,
    /// It does not say that it is for clients; to be for anything is not enough.
    #[error("the client certificate has no extended key usage clientAuth")]
    NotForClients,
    /// Its key may not sign.
    #[error("the client certificate's key usage has no digitalSignature")]
    NoSignature,
    /// It has more names than any client needs.
    #[error("the client certificate has more than {MAXIMUM_NAMES} alternative names")]
    TooManyNames,
}

/// Checks what a client shows: not a CA's, for clients by an explicit extended key usage, for signing, and of bounded size.
///
/// # Errors
///
/// Says which of these it is not.
pub fn check_client_leaf(der: &[u8]) -> Result<(), LeafRefused> {
    if der.len() > MAXIMUM_LENGTH {
        return Err(LeafRefused::TooBig);
    }
    let certificate = x509::read(der).map_err(LeafRefused::Unreadable)?;
    if certificate.is_ca() {
        return Err(LeafRefused::Authority);
    }
    check_usage(&certificate)?;
    let names = certificate
        .extensions()
        .iter()
        .map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => names.general_names.len(),
            _ => 0,
        });
    if names.sum::<usize>() > MAXIMUM_NAMES {
        Err(LeafRefused::TooManyNames)
    } else {
        Ok(())
    }
}

/// From when until when a certificate is valid, the last second included (RFC 5280, section 4.1.2.5); nothing where it cannot
/// be read.
pub fn validity(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let certificate = x509::read(der).ok()?;
    let validity = certificate.validity();
    Some((terms::moment(validity.not_before), terms::moment(validity.not_after)))
}

fn check_usage(certificate: &X509Certificate<'_>) -> Result<(), LeafRefused> {
    let mut for_clients = false;
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::ExtendedKeyUsage(usage) => for_clients = usage.client_auth,
            ParsedExtension::KeyUsage(usage) if !usage.digital_signature() => return Err(LeafRefused::NoSignature),
            _ => {}
        }
    }
    if for_clients {
        Ok(())
    } else {
        Err(LeafRefused::NotForClients)
    }
}

const MAXIMUM_LENGTH: usize = 64 * 1024;
const MAXIMUM_NAMES: usize = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};

    use super::*;
    use crate::ca::Purpose;
    use crate::samples::{authority, device_certificate};

    /// What the check says of a certificate that differs from a good one by this change.
    fn checked(change: impl FnOnce(&mut CertificateParams)) -> Result<(), LeafRefused> {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        change(&mut params);
        check_client_leaf(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
    }

    #[test]
    fn a_device_certificate_of_ours_passes() {
        assert_eq!(
            check_client_leaf(&device_certificate(&authority(Purpose::Device), 2).der),
            Ok(())
        );
        assert_eq!(checked(|_| {}), Ok(()));
    }

    /// cert-dev-catrue: a CA's certificate is no client's.
    #[test]
    fn a_ca_is_no_client() {
        let ca = IsCa::Ca(BasicConstraints::Constrained(0));
        assert_eq!(checked(|params| params.is_ca = ca), Err(LeafRefused::Authority));
        assert_eq!(checked(|params| params.is_ca = IsCa::ExplicitNoCa), Ok(()));
    }

    /// cert-dev-noeku, cert-dev-anyeku, cert-dev-wrongeku: only an explicit clientAuth makes a client certificate.
    #[test]
    fn a_certificate_not_explicitly_for_clients_is_refused() {
        use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
        for usages in [vec![], vec![Any], vec![ServerAuth]] {
            assert_eq!(
                checked(|params| params.extended_key_usages = usages),
                Err(LeafRefused::NotForClients)
            );
        }
        assert_eq!(
            checked(|params| params.extended_key_usages = vec![ServerAuth, ClientAuth]),
            Ok(())
        );
    }

    /// cert-dev-kusign: a key that may sign certificates only is refused; without a key usage it may sign.
    #[test]
    fn a_key_that_may_not_sign_is_refused() {
        use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyCertSign};
        let usages = vec![KeyCertSign, CrlSign];
        assert_eq!(
            checked(|params| params.key_usages = usages),
            Err(LeafRefused::NoSignature)
        );
        assert_eq!(
            checked(|params| params.key_usages = vec![DigitalSignature, KeyCertSign]),
            Ok(())
        );
        assert_eq!(checked(|params| params.key_usages = vec![]), Ok(()));
    }

    /// cert-dev-hugesan: names are bounded, and so is the whole.
    #[test]
    fn a_certificate_beyond_bounds_is_refused() {
        let names =
            |count: usize| (0..count).map(|n| rcgen::SanType::DnsName(format!("d{n}.example").try_into().unwrap()));
        assert_eq!(
            checked(|params| params.subject_alt_names = names(100).collect()),
            Ok(())
        );
        assert_eq!(
            checked(|params| params.subject_alt_names = names(101).collect()),
            Err(LeafRefused::TooManyNames)
        );
        assert_eq!(
            checked(|params| params.subject_alt_names = names(6000).collect()),
            Err(LeafRefused::TooBig)
        );
    }

    #[test]
    fn a_repeated_or_malformed_extension_is_refused() {
        let raw = |oid: &[u64], content: &[u8]| rcgen::CustomExtension::from_oid_content(oid, content.to_vec());
        let (client_auth, basic_constraints) = ([2, 5, 29, 37], [2, 5, 29, 19]);
        let unreadable = Err(LeafRefused::Unreadable(BadCertificate::Extension));
        let twice = raw(&client_auth, b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02");
        assert_eq!(checked(|params| params.custom_extensions = vec![twice]), unreadable);
        let garbled = raw(&basic_constraints, b"\x30\x03\x01\x01");
        assert_eq!(checked(|params| params.custom_extensions = vec![garbled]), unreadable);
    }

    #[test]
    fn bytes_after_the_certificate_are_refused() {
        let mut der = device_certificate(&authority(Purpose::Device), 2).der;
        der.push(0);
        assert_eq!(
            check_client_leaf(&der),
            Err(LeafRefused::Unreadable(BadCertificate::Trailing))
        );
    }

    proptest! {
        #[test]
        fn random_bytes_are_no_certificate(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
            prop_assert!(check_client_leaf(&bytes).is_err());
        }

        #[test]
        fn no_change_makes_a_server_certificate_a_clients(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let server = authority(Purpose::Server).issue_server(&["a.example"], &crate::samples::terms(2)).unwrap();
            let mut der = crate::pem_text::all_blocks(&server.chain_pem, &["CERTIFICATE"]).unwrap().remove(0);
            let at = at.index(der.len());
            let server_auth = b"\x2b\x06\x01\x05\x05\x07\x03\x01";
            let usage = der.windows(server_auth.len()).position(|window| window == server_auth).unwrap();
            prop_assume!(at != usage + 7 || byte != 2);
            der[at] = byte;
            prop_assert!(check_client_leaf(&der).is_err());
        }
    }
}
