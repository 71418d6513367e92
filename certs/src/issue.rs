//! What does a certificate of ours say? The profiles of device and server certificates (RFC 5280).

use directory::{DeviceId, Fingerprint, HardwareId, Serial, Timestamp};
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, CrlDistributionPoint, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType,
};
use rustls_pki_types::ServerName;
use zeroize::Zeroizing;

use crate::ca::Authority;
use crate::pem_text::{self, CERTIFICATE};
use crate::request::VerifiedRequest;
use crate::terms::{OutOfCalendar, Terms};

/// A certificate that was just issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// The certificate.
    pub der: Vec<u8>,
    /// SHA-256 of it.
    pub fingerprint: Fingerprint,
    /// Its serial number.
    pub serial: Serial,
    /// From when on it counts: a minute before it was issued.
    pub not_before: Timestamp,
    /// Until when it counts; never longer than its CA.
    pub not_after: Timestamp,
}

/// A server certificate that was just issued, and its key.
pub struct IssuedServer {
    /// The certificate, then the CA's, in PEM.
    pub chain_pem: String,
    /// The private key (P-256, PKCS #8) in PEM.
    pub key_pem: Zeroizing<String>,
}

/// Says why a certificate was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The CA's time is over, or the certificate was to last no time at all.
    #[error("nothing issued now would count for any time: the CA ends {authority_ends}")]
    NoTime {
        /// When the CA's time is over.
        authority_ends: Timestamp,
    },
    /// The dates cannot be written.
    #[error("the certificate's dates cannot be written")]
    Dates(#[source] OutOfCalendar),
    /// The CRL's address is not one.
    #[error("expected an absolute http or https URL in visible ASCII as the CRL's address, found `{found}`")]
    CrlUrl {
        /// What was given.
        found: String,
    },
    /// A server's name is not one, or there is none.
    #[error("expected DNS names or IP addresses as the server's names, found `{found}`")]
    ServerName {
        /// What was given.
        found: String,
    },
    /// The signature could not be made.
    #[error("cannot make the certificate")]
    Signing(#[source] rcgen::Error),
}

impl Authority {
    /// Issues a device certificate for the key of a request.
    ///
    /// It names the device by its opaque id alone, as common name and as the URI `urn:latchkey:device:<id>`, no person; it
    /// may sign (digitalSignature) as a TLS client (clientAuth) and nothing else; it says where the CRL is, if there is one.
    ///
    /// # Errors
    ///
    /// Fails where the certificate would never count, the CRL's address is none, or signing fails.
    pub fn issue_device(
        &self,
        request: &VerifiedRequest,
        device: DeviceId,
        terms: &Terms,
        crl_url: Option<&str>,
    ) -> Result<IssuedCertificate, IssueError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, device.as_str());
        params.subject_alt_names = vec![SanType::URI(ia5(&format!("urn:latchkey:device:{device}"))?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.crl_distribution_points = crl_url.map(distribution_point).transpose()?.into_iter().collect();
        self.issue(params, &request.public_key, terms)
    }

    /// Issues a management certificate for the key of a request: whoever holds it is this device, and managed.
    ///
    /// It names the device by its opaque id, and the machine where that was proved (`urn:latchkey:ek:<hash>`).
    ///
    /// # Errors
    ///
    /// Fails where the certificate would never count, or signing fails.
    pub fn issue_management(
        &self,
        request: &VerifiedRequest,
        device: DeviceId,
        hardware: Option<HardwareId>,
        terms: &Terms,
    ) -> Result<IssuedCertificate, IssueError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, device.as_str());
        params.subject_alt_names = vec![SanType::URI(ia5(&format!("urn:latchkey:device:{device}"))?)];
        if let Some(hardware) = hardware {
            let name = ia5(&format!("urn:latchkey:ek:{hardware}"))?;
            params.subject_alt_names.push(SanType::URI(name));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, &request.public_key, terms)
    }

    /// Issues a server certificate for DNS names (a wildcard in the first place allowed) and IP addresses, with a new key.
    ///
    /// # Errors
    ///
    /// Fails where there is no name or one is none, the certificate would never count, or signing fails.
    pub fn issue_server(&self, names: &[&str], terms: &Terms) -> Result<IssuedServer, IssueError> {
        if names.is_empty() {
            return Err(IssueError::ServerName { found: String::new() });
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Latchkey gateway");
        params.subject_alt_names = names.iter().map(|name| server_name(name)).collect::<Result<_, _>>()?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(IssueError::Signing)?;
        let issued = self.issue(params, &key, terms)?;
        Ok(IssuedServer {
            chain_pem: issued.pem() + &self.certificate_pem(),
            key_pem: Zeroizing::new(key.serialize_pem()),
        })
    }

    /// Adds what all leaf certificates have in common, and signs.
    fn issue(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
        terms: &Terms,
    ) -> Result<IssuedCertificate, IssueError> {
        let not_after = terms.not_after().min(self.not_after());
        if not_after <= terms.now {
            return Err(IssueError::NoTime {
                authority_ends: self.not_after(),
            });
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        terms.write(not_after, &mut params).map_err(IssueError::Dates)?;
        let certificate = params.signed_by(key, &self.issuer).map_err(IssueError::Signing)?;
        let der = certificate.der().to_vec();
        Ok(IssuedCertificate {
            fingerprint: Fingerprint::of(&der),
            serial: terms.serial(),
            not_before: terms.not_before(),
            not_after,
            der,
        })
    }
}

impl IssuedCertificate {
    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        pem_text::encode(CERTIFICATE, &self.der)
    }
}

impl std::fmt::Debug for IssuedServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedServer")
            .field("key_pem", &"[redacted]")
            .finish_non_exhaustive()
    }
}

fn distribution_point(url: &str) -> Result<CrlDistributionPoint, IssueError> {
    let host_and_path = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    if host_and_path.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic())) {
        Ok(CrlDistributionPoint {
            uris: vec![url.to_owned()],
        })
    } else {
        Err(IssueError::CrlUrl { found: url.to_owned() })
    }
}

fn server_name(name: &str) -> Result<SanType, IssueError> {
    let bad = || IssueError::ServerName { found: name.to_owned() };
    if let Ok(address) = name.parse() {
        return Ok(SanType::IpAddress(address));
    }
    match ServerName::try_from(name.strip_prefix("*.").unwrap_or(name)) {
        Ok(ServerName::DnsName(_)) => ia5(name).map(SanType::DnsName),
        Ok(_) | Err(_) => Err(bad()),
    }
}

fn ia5(text: &str) -> Result<Ia5String, IssueError> {
    Ia5String::try_from(text).map_err(IssueError::Signing)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use directory::KeyThumbprint;
    use x509_parser::extensions::ParsedExtension;

    use super::*;
    use crate::ca::Purpose;
    use crate::samples::{NOW, authority, device_certificate, request_pem, terms};
    use crate::{check_client_leaf, x509};

    fn request() -> VerifiedRequest {
        VerifiedRequest::parse_pem(&request_pem(&KeyPair::generate().unwrap())).unwrap()
    }

    #[test]
    fn a_device_certificate_carries_the_requested_key_and_is_found_by_its_fingerprint() {
        let (authority, request) = (authority(Purpose::Device), request());

        let issued = authority
            .issue_device(&request, DeviceId::from_random(7), &terms(9), None)
            .unwrap();

        let certificate = x509::read(&issued.der).unwrap();
        assert_eq!(KeyThumbprint::of(certificate.public_key().raw), request.key());
        assert_eq!(issued.fingerprint, Fingerprint::of(&issued.der));
        assert_eq!(certificate.raw_serial(), issued.serial.0);
        assert_eq!(certificate.validity().not_before.timestamp(), issued.not_before.secs());
        assert_eq!(certificate.validity().not_after.timestamp(), issued.not_after.secs());
        assert_eq!(check_client_leaf(&issued.der), Ok(()));
    }

    #[test]
    fn a_device_certificate_names_the_device_by_its_id_and_nobody_by_name() {
        let device = DeviceId::from_random(7);
        let issued = authority(Purpose::Device)
            .issue_device(&request(), device, &terms(9), None)
            .unwrap();

        let certificate = x509::read(&issued.der).unwrap();

        assert_eq!(certificate.subject().to_string(), format!("CN={device}"));
        let names: Vec<_> = certificate
            .subject_alternative_name()
            .unwrap()
            .unwrap()
            .value
            .general_names
            .clone();
        assert_eq!(format!("{names:?}"), format!("[URI(\"urn:latchkey:device:{device}\")]"));
    }

    #[test]
    fn what_a_request_asks_for_beyond_its_key_is_ignored() {
        let mut wishes = CertificateParams::new(vec!["admin.example".to_owned()]).unwrap();
        wishes.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        wishes.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        wishes.distinguished_name.push(DnType::CommonName, "alice");
        let pem = wishes
            .serialize_request(&KeyPair::generate().unwrap())
            .unwrap()
            .pem()
            .unwrap();
        let request = VerifiedRequest::parse_pem(&pem).unwrap();

        let issued = authority(Purpose::Device).issue_device(&request, DeviceId::from_random(7), &terms(9), None);

        let der = issued.unwrap().der;
        let certificate = x509::read(&der).unwrap();
        assert!(!certificate.is_ca());
        assert!(!certificate.key_usage().unwrap().unwrap().value.key_cert_sign());
        assert!(!der.windows(5).any(|window| window == b"admin" || window == b"alice"));
    }

    #[test]
    fn no_certificate_outlasts_its_ca() {
        let authority = authority(Purpose::Device);
        let long = Terms {
            lifetime: Duration::from_secs(1_000_000_000),
            ..terms(9)
        };
        let short = Terms {
            lifetime: Duration::from_secs(60),
            ..terms(9)
        };

        let until = |terms| {
            authority
                .issue_device(&request(), DeviceId::from_random(7), terms, None)
                .unwrap()
                .not_after
        };

        assert_eq!(until(&long), authority.not_after());
        assert_eq!(until(&short), NOW.plus(Duration::from_secs(60)));
    }

    #[test]
    fn nothing_is_issued_for_no_time() {
        let authority = authority(Purpose::Device);
        let after_the_ca = Terms {
            now: authority.not_after(),
            ..terms(9)
        };
        let no_lifetime = Terms {
            lifetime: Duration::ZERO,
            ..terms(9)
        };
        for terms in [after_the_ca, no_lifetime] {
            let refused = authority.issue_device(&request(), DeviceId::from_random(7), &terms, None);
            assert!(matches!(refused, Err(IssueError::NoTime { .. })));
        }
    }

    #[test]
    fn the_crl_is_found_at_the_address_in_the_certificate() {
        let (authority, url) = (authority(Purpose::Device), "http://auth.example/crl");
        let issue = |url| authority.issue_device(&request(), DeviceId::from_random(7), &terms(9), url);

        let der = issue(Some(url)).unwrap().der;

        let certificate = x509::read(&der).unwrap();
        let has_point = certificate.extensions().iter().any(|extension| {
            matches!(extension.parsed_extension(), ParsedExtension::CRLDistributionPoints(points)
                if format!("{points:?}").contains(url))
        });
        assert!(has_point);
        for bad in ["", "ldap://x", "http://", "http://a b"] {
            assert!(matches!(issue(Some(bad)), Err(IssueError::CrlUrl { .. })), "{bad}");
        }
    }

    #[test]
    fn certificates_with_other_random_bytes_have_other_serial_numbers() {
        let authority = authority(Purpose::Device);
        assert_ne!(
            device_certificate(&authority, 1).serial,
            device_certificate(&authority, 2).serial
        );
    }

    #[test]
    fn a_server_certificate_is_for_its_names_and_for_servers() {
        let authority = authority(Purpose::Server);
        let names = ["wiki.localhost", "*.apps.localhost", "127.0.0.1", "::1"];

        let issued = authority.issue_server(&names, &terms(9)).unwrap();

        let chain = pem_text::all_blocks(&issued.chain_pem, &[CERTIFICATE]).unwrap();
        assert_eq!(chain[1], authority.certificate_der());
        let certificate = x509::read(&chain[0]).unwrap();
        assert_eq!(
            certificate
                .subject_alternative_name()
                .unwrap()
                .unwrap()
                .value
                .general_names
                .len(),
            names.len()
        );
        assert!(certificate.extended_key_usage().unwrap().unwrap().value.server_auth);
        assert!(check_client_leaf(&chain[0]).is_err());
        assert!(KeyPair::from_pem(&issued.key_pem).is_ok());
    }

    #[test]
    fn what_is_no_server_name_is_refused() {
        let authority = authority(Purpose::Server);
        for bad in [&[][..], &[""], &["a b"], &["*.*.x"], &["x", "ü"], &["http://x"]] {
            assert!(
                matches!(
                    authority.issue_server(bad, &terms(9)),
                    Err(IssueError::ServerName { .. })
                ),
                "{bad:?}"
            );
        }
    }
}
