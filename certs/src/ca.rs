//! Who signs? A CA's certificate and key: made, or loaded and checked against each other.

use std::fmt;

use directory::{Fingerprint, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PublicKeyData,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use zeroize::Zeroizing;

use crate::pem_text::{self, BadPem, CERTIFICATE};
use crate::terms::{self, OutOfCalendar, Terms};
use crate::x509::{self, BadCertificate, DEMO_ORGANIZATION, NotAuthority};

/// A CA that can sign: its certificate, and the key that belongs to it.
pub struct Authority {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) key_identifier: KeyIdMethod,
    certificate: Vec<u8>,
    fingerprint: Fingerprint,
    not_before: Timestamp,
    not_after: Timestamp,
    demo: bool,
}

/// What a CA's certificates are for; written into its certificate as its extended key usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Devices show them to the gateway (clientAuth).
    Device,
    /// Servers show them to clients (serverAuth).
    Server,
    /// They name the endorsement keys of TPMs; the CA's own certificate says nothing of it.
    Endorsement,
}

/// Whether a CA may be used in earnest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Material {
    /// It may.
    Production,
    /// It is the demo's: its certificate says so, and a production configuration refuses it.
    Demo,
}

/// A CA that was just made.
pub struct CreatedAuthority {
    /// Its self-signed certificate in PEM.
    pub certificate_pem: String,
    /// Its private key (P-256, PKCS #8) in PEM.
    pub key_pem: Zeroizing<String>,
}

/// Says why a CA was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The name cannot be a common name.
    #[error("expected a CA name of 1 to 64 characters, none of them a control character")]
    Name,
    /// The end of its life cannot be written.
    #[error("the CA would not end at a date that can be written")]
    Lifetime(#[source] OutOfCalendar),
    /// The key or the certificate could not be made.
    #[error("cannot make the CA's key and certificate")]
    Signing(#[source] rcgen::Error),
}

/// Says why a certificate and a key are not a CA.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The certificate file is not one certificate in PEM.
    #[error("cannot read the CA's certificate file")]
    CertificatePem(#[source] BadPem),
    /// The certificate is none.
    #[error("cannot read the CA's certificate")]
    Certificate(#[source] BadCertificate),
    /// The certificate is not a CA's.
    #[error("the CA's certificate does not let it sign")]
    NotAuthority(#[source] NotAuthority),
    /// The key file is not one private key in PEM.
    #[error("cannot read the CA's key file")]
    KeyPem(#[source] BadPem),
    /// The key is of a kind that cannot sign here.
    #[error(
        "cannot use the CA's key: expected an unencrypted PKCS #8 key of P-256, P-384, Ed25519 or RSA with 2048 to 4096 bits"
    )]
    Key,
    /// The key is another's.
    #[error("the CA's key does not belong to its certificate")]
    KeyMismatch,
    /// What it would sign could not name it.
    #[error("the CA's subject name has a form that cannot be repeated in what it signs")]
    Name,
}

impl Authority {
    /// Makes a CA with a new P-256 key: self-signed, path length 0, for one purpose.
    ///
    /// # Errors
    ///
    /// Refuses a name that is no common name and a lifetime beyond the calendar.
    pub fn create(
        name: &str,
        purpose: Purpose,
        material: Material,
        terms: &Terms,
    ) -> Result<CreatedAuthority, CreateError> {
        if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
            return Err(CreateError::Name);
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(name, material);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = purpose.extended_key_usage().into_iter().collect();
        terms
            .write(terms.not_after(), &mut params)
            .map_err(CreateError::Lifetime)?;
        let key = KeyPair::generate().map_err(CreateError::Signing)?;
        let certificate = params.self_signed(&key).map_err(CreateError::Signing)?;
        Ok(CreatedAuthority {
            certificate_pem: certificate.pem(),
            key_pem: Zeroizing::new(key.serialize_pem()),
        })
    }

    /// Loads a CA from one certificate and one private key, both in PEM. Whether its time has come or is over, the caller
    /// asks [`Self::not_before`] and [`Self::not_after`].
    ///
    /// # Errors
    ///
    /// Refuses a certificate that may not sign certificates and CRLs, a key it cannot sign with, and a pair that does not
    /// belong together.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, LoadError> {
        let der = pem_text::one_block(certificate_pem, &[CERTIFICATE]).map_err(LoadError::CertificatePem)?;
        let certificate = x509::read(&der).map_err(LoadError::Certificate)?;
        x509::check_certificate_signer(&certificate).map_err(LoadError::NotAuthority)?;
        x509::check_crl_signer(&certificate).map_err(LoadError::NotAuthority)?;
        let key = read_key(key_pem)?;
        if key.subject_public_key_info() != certificate.public_key().raw {
            return Err(LoadError::KeyMismatch);
        }
        let authority = Self {
            issuer: Issuer::from_ca_cert_der(&der.as_slice().into(), key).map_err(|_| LoadError::Name)?,
            key_identifier: key_identifier(&certificate),
            fingerprint: Fingerprint::of(&der),
            not_before: terms::moment(certificate.validity().not_before),
            not_after: terms::moment(certificate.validity().not_after),
            demo: x509::is_demo(&der),
            certificate: der.clone(),
        };
        if authority.signs_as(certificate.subject().as_raw()) {
            Ok(authority)
        } else {
            Err(LoadError::Name)
        }
    }

    /// SHA-256 of the CA's certificate: how what it issued names it.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The CA's certificate.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    /// The CA's certificate in PEM.
    pub fn certificate_pem(&self) -> String {
        pem_text::encode(CERTIFICATE, &self.certificate)
    }

    /// From when on the CA counts.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Until when the CA counts; nothing it issues outlasts it.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether the demo made this CA.
    pub fn is_demo(&self) -> bool {
        self.demo
    }

    /// Whether what it signs names it byte for byte as its certificate does: clients compare nothing else.
    fn signs_as(&self, subject: &[u8]) -> bool {
        use x509_parser::prelude::FromDer;

        self.crl([], 0, self.not_before, self.not_after).is_ok_and(|crl| {
            x509_parser::revocation_list::CertificateRevocationList::from_der(&crl)
                .is_ok_and(|(_, crl)| crl.issuer().as_raw() == subject)
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("fingerprint", &self.fingerprint)
            .field("key", &"[redacted]")
            .finish()
    }
}

impl fmt::Debug for CreatedAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedAuthority")
            .field("key_pem", &"[redacted]")
            .finish_non_exhaustive()
    }
}

impl Purpose {
    pub(crate) fn extended_key_usage(self) -> Option<ExtendedKeyUsagePurpose> {
        match self {
            Self::Device => Some(ExtendedKeyUsagePurpose::ClientAuth),
            Self::Server => Some(ExtendedKeyUsagePurpose::ServerAuth),
            Self::Endorsement => None,
        }
    }
}

fn subject(name: &str, material: Material) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    match material {
        Material::Production => {}
        Material::Demo => subject.push(DnType::OrganizationName, DEMO_ORGANIZATION),
    }
    subject.push(DnType::CommonName, name);
    subject
}

fn read_key(pem: &str) -> Result<KeyPair, LoadError> {
    let der = Zeroizing::new(pem_text::one_block(pem, &["PRIVATE KEY"]).map_err(LoadError::KeyPem)?);
    KeyPair::try_from(der.as_slice()).map_err(|_| LoadError::Key)
}

fn key_identifier(certificate: &X509Certificate<'_>) -> KeyIdMethod {
    let identifier = certificate
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(identifier) => Some(KeyIdMethod::PreSpecified(identifier.0.to_vec())),
            _ => None,
        });
    identifier.unwrap_or(KeyIdMethod::Sha256)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::{NOW, authority, terms};

    fn made(material: Material) -> CreatedAuthority {
        Authority::create("Test CA", Purpose::Device, material, &terms(1)).unwrap()
    }

    #[test]
    fn a_ca_that_was_made_loads_and_lasts_as_long_as_asked() {
        let made = made(Material::Production);

        let authority = Authority::load(&made.certificate_pem, &made.key_pem).unwrap();

        assert_eq!(authority.certificate_pem(), made.certificate_pem);
        assert_eq!(authority.fingerprint(), Fingerprint::of(authority.certificate_der()));
        assert_eq!(authority.not_before(), Timestamp::from_secs(NOW.secs() - 60));
        assert_eq!(authority.not_after(), NOW.plus(terms(1).lifetime));
    }

    /// what the demo's CA makes, and the CA itself, can be told from what may be used in earnest.
    #[test]
    fn the_demos_ca_and_what_it_issues_say_so() {
        let demo = made(Material::Demo);
        let demo = Authority::load(&demo.certificate_pem, &demo.key_pem).unwrap();
        assert!(demo.is_demo());
        assert!(crate::is_demo(&crate::samples::device_certificate(&demo, 2).der));

        let production = authority(Purpose::Device);
        assert!(!production.is_demo());
        assert!(!crate::is_demo(&crate::samples::device_certificate(&production, 2).der));
    }

    #[test]
    fn a_key_of_another_ca_is_refused() {
        let (one, other) = (made(Material::Production), made(Material::Production));
        assert!(matches!(
            Authority::load(&one.certificate_pem, &other.key_pem),
            Err(LoadError::KeyMismatch)
        ));
    }

    /// cert-ca-missing: an empty certificate or key file is no CA.
    #[test]
    fn an_empty_or_swapped_file_is_refused() {
        let CreatedAuthority {
            certificate_pem,
            key_pem,
        } = made(Material::Production);
        assert!(matches!(
            Authority::load("", &key_pem),
            Err(LoadError::CertificatePem(_))
        ));
        assert!(matches!(
            Authority::load(&certificate_pem, ""),
            Err(LoadError::KeyPem(_))
        ));
        assert!(matches!(
            Authority::load(&key_pem, &certificate_pem),
            Err(LoadError::CertificatePem(_))
        ));
        let not_a_key = pem_text::encode("PRIVATE KEY", b"not a key");
        assert!(matches!(
            Authority::load(&certificate_pem, &not_a_key),
            Err(LoadError::Key)
        ));
    }

    #[test]
    fn a_certificate_that_may_not_sign_is_no_ca() {
        let refusal = |is_ca, key_usages| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.is_ca = is_ca;
            params.key_usages = key_usages;
            let certificate = params.self_signed(&key).unwrap();
            match Authority::load(&certificate.pem(), &key.serialize_pem()) {
                Err(LoadError::NotAuthority(refusal)) => Some(refusal),
                Ok(_) | Err(_) => None,
            }
        };
        let ca = IsCa::Ca(BasicConstraints::Unconstrained);
        use KeyUsagePurpose::{CrlSign, KeyCertSign};
        assert_eq!(
            refusal(IsCa::ExplicitNoCa, vec![KeyCertSign, CrlSign]),
            Some(NotAuthority::NotCa)
        );
        assert_eq!(refusal(ca, vec![CrlSign]), Some(NotAuthority::NoCertSign));
        assert_eq!(refusal(ca, vec![KeyCertSign]), Some(NotAuthority::NoCrlSign));
        assert_eq!(refusal(ca, vec![KeyCertSign, CrlSign]), None);
    }

    #[test]
    fn a_name_that_is_no_common_name_is_refused() {
        for bad in ["", "two\nlines", &"x".repeat(65)] {
            let refused = Authority::create(bad, Purpose::Device, Material::Production, &terms(1));
            assert!(matches!(refused, Err(CreateError::Name)), "{bad:?}");
        }
    }

    #[test]
    fn a_ca_never_shows_its_key() {
        let made = made(Material::Production);
        let authority = Authority::load(&made.certificate_pem, &made.key_pem).unwrap();
        assert!(format!("{authority:?} {made:?}").contains("[redacted]"));
        assert!(!format!("{made:?}").contains("PRIVATE"));
    }

    proptest! {
        #[test]
        fn random_bytes_are_no_ca(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let made = made(Material::Production);
            let garbage = pem_text::encode(CERTIFICATE, &bytes);
            prop_assert!(Authority::load(&garbage, &made.key_pem).is_err());
            prop_assert!(Authority::load(&made.certificate_pem, &pem_text::encode("PRIVATE KEY", &bytes)).is_err());
        }
    }
}
