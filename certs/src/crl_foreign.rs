//! Which certificates of somebody else's CA were revoked? A CRL, verified once when it is read (RFC 5280, section 6.3).

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use directory::{Fingerprint, Serial, Timestamp};
use x509_parser::asn1_rs::oid;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{IssuingDistributionPoint, ParsedExtension, X509Extension};
use x509_parser::oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA, Oid};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::{CertificateRevocationList, RevokedCertificate};

use crate::pem_text::{self, BadPem};
use crate::terms;
use crate::x509::{self, BadCertificate, NotAuthority};

/// The serial numbers on a CRL whose issuer, signature and time were checked.
pub struct ForeignCrl {
    issuer: Fingerprint,
    /// The issuer's name, in DER.
    name: Vec<u8>,
    serials: HashSet<Serial>,
    next_update: Timestamp,
}

/// Says why a CRL is not to be relied on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCrl {
    /// It is neither DER nor one CRL in PEM.
    #[error("cannot read the CRL file: expected DER or PEM")]
    Pem(#[source] BadPem),
    /// It is no CRL.
    #[error("expected a version 2 CRL (RFC 5280)")]
    Unreadable,
    /// The issuer's certificate cannot be read.
    #[error("cannot read the certificate of the CRL's issuer")]
    Issuer(#[source] BadCertificate),
    /// The issuer may not sign CRLs.
    #[error("the CRL's issuer may not sign CRLs")]
    NotAuthority(#[source] NotAuthority),
    /// Somebody else issued it.
    #[error("the CRL was issued by `{found}`, not by `{expected}`")]
    OtherIssuer {
        /// The CA whose CRL was expected.
        expected: String,
        /// Whom the CRL names.
        found: String,
    },
    /// The issuer it names did not sign it, or not with a hash that can be trusted.
    #[error("the CRL's signature is not by its issuer's key")]
    Signature,
    /// It is for later.
    #[error("the CRL counts only from {this_update}")]
    NotYet {
        /// From when on it counts.
        this_update: Timestamp,
    },
    /// It is out of date, or does not say when it will be.
    #[error("expected a CRL that is current: this one {}", match .next_update {
        Some(next_update) => format!("was to be replaced by {next_update}"),
        None => "does not say when it will be replaced".to_owned(),
    })]
    Stale {
        /// When it was to be replaced.
        next_update: Option<Timestamp>,
    },
    /// It lists only changes, only some certificates or reasons, or other CAs' certificates.
    #[error("expected a full CRL of the issuer's own certificates: this one is {what}")]
    Partial {
        /// What it is instead.
        what: &'static str,
    },
    /// It says something that must be understood and is not.
    #[error("the CRL has a malformed or an unknown critical extension {oid}")]
    Extension {
        /// Which one.
        oid: String,
    },
}

impl ForeignCrl {
    /// Verifies a CRL, in DER or PEM, against the certificate of the CA it must come from.
    ///
    /// # Errors
    ///
    /// Refuses one of another issuer or by another key of the same name, one that is out of date, and one that lists less
    /// than all of that CA's revoked certificates.
    pub fn verify(crl: &[u8], issuer_der: &[u8], now: Timestamp) -> Result<Self, BadCrl> {
        let list = Self::verify_late(crl, issuer_der, now)?;
        if list.next_update > now {
            Ok(list)
        } else {
            let next_update = Some(list.next_update);
            Err(BadCrl::Stale { next_update })
        }
    }

    /// The same, but takes one that is out of date: whoever asks it looks at [`Self::next_update`].
    ///
    /// # Errors
    ///
    /// As [`Self::verify`]; one that does not say when it will be replaced is refused too.
    pub fn verify_late(crl: &[u8], issuer_der: &[u8], now: Timestamp) -> Result<Self, BadCrl> {
        let decoded = decode(crl)?;
        let issuer = x509::read(issuer_der).map_err(BadCrl::Issuer)?;
        x509::check_crl_signer(&issuer).map_err(BadCrl::NotAuthority)?;
        let (rest, crl) =
            CertificateRevocationList::from_der(decoded.as_deref().unwrap_or(crl)).map_err(|_| BadCrl::Unreadable)?;
        if !rest.is_empty() || crl.version().is_none_or(|version| version.0 != 1) {
            return Err(BadCrl::Unreadable);
        }
        check_signature(&crl, &issuer)?;
        let next_update = check_time(&crl, now)?;
        crl.extensions().iter().try_for_each(check_extension)?;
        Ok(Self {
            issuer: Fingerprint::of(issuer_der),
            name: issuer.subject().as_raw().to_vec(),
            serials: crl.iter_revoked_certificates().map(serial).collect::<Result<_, _>>()?,
            next_update,
        })
    }

    /// The CA whose certificates it lists.
    pub fn issuer(&self) -> Fingerprint {
        self.issuer
    }

    /// Whether it lists the certificate with this serial number.
    pub fn contains(&self, serial: &Serial) -> bool {
        self.serials.contains(serial)
    }

    /// Whether it lists a certificate of its own issuer: another CA's may have the same number. What cannot be read is listed.
    pub fn lists(&self, certificate: &[u8]) -> bool {
        let Ok(certificate) = x509::read(certificate) else {
            return true;
        };
        certificate.issuer().as_raw() == self.name && self.contains(&Serial(certificate.raw_serial().to_vec()))
    }

    /// Until when it may be relied on.
    pub fn next_update(&self) -> Timestamp {
        self.next_update
    }
}

impl fmt::Debug for ForeignCrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignCrl")
            .field("issuer", &self.issuer)
            .field("serials", &self.serials.len())
            .field("next_update", &self.next_update)
            .finish()
    }
}

/// Decodes PEM; nothing where it is DER already, which begins with the tag of a sequence.
fn decode(crl: &[u8]) -> Result<Option<Vec<u8>>, BadCrl> {
    if crl.first() == Some(&0x30) {
        return Ok(None);
    }
    let text = str::from_utf8(crl).map_err(|_| BadCrl::Unreadable)?;
    pem_text::one_block(text, &["X509 CRL"]).map(Some).map_err(BadCrl::Pem)
}

fn check_signature(crl: &CertificateRevocationList<'_>, issuer: &X509Certificate<'_>) -> Result<(), BadCrl> {
    if crl.issuer().as_raw() != issuer.subject().as_raw() {
        return Err(BadCrl::OtherIssuer {
            expected: issuer.subject().to_string(),
            found: crl.issuer().to_string(),
        });
    }
    let algorithm = &crl.signature_algorithm;
    let sha_1 = [OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA].contains(&algorithm.algorithm);
    if sha_1 || crl.tbs_cert_list.signature != *algorithm || crl.signature_value.unused_bits != 0 {
        return Err(BadCrl::Signature);
    }
    crl.verify_signature(issuer.public_key()).map_err(|_| BadCrl::Signature)
}

fn check_time(crl: &CertificateRevocationList<'_>, now: Timestamp) -> Result<Timestamp, BadCrl> {
    let this_update = terms::moment(crl.last_update());
    if this_update > now.plus(SKEW) {
        return Err(BadCrl::NotYet { this_update });
    }
    let next_update = crl.next_update().map(terms::moment);
    next_update.ok_or(BadCrl::Stale { next_update })
}

fn check_extension(extension: &X509Extension<'_>) -> Result<(), BadCrl> {
    match extension.parsed_extension() {
        ParsedExtension::IssuingDistributionPoint(point) => check_scope(point),
        ParsedExtension::CRLNumber(_) | ParsedExtension::AuthorityKeyIdentifier(_) => Ok(()),
        _ if extension.oid == DELTA_CRL_INDICATOR => Err(BadCrl::Partial { what: "a delta CRL" }),
        _ => check_unknown(extension),
    }
}

/// A distribution point's name alone does not narrow a CRL that the operator configured as that CA's.
fn check_scope(point: &IssuingDistributionPoint<'_>) -> Result<(), BadCrl> {
    let narrowed = [
        (point.indirect_crl, "an indirect CRL"),
        (point.only_contains_ca_certs, "one of CA certificates only"),
        (
            point.only_contains_attribute_certs,
            "one of attribute certificates only",
        ),
        (point.only_some_reasons.is_some(), "one of some reasons only"),
    ];
    match narrowed.into_iter().find(|(is_so, _)| *is_so) {
        Some((_, what)) => Err(BadCrl::Partial { what }),
        None => Ok(()),
    }
}

fn serial(revoked: &RevokedCertificate<'_>) -> Result<Serial, BadCrl> {
    revoked
        .extensions()
        .iter()
        .try_for_each(|extension| match extension.parsed_extension() {
            ParsedExtension::ReasonCode(_) | ParsedExtension::InvalidityDate(_) => Ok(()),
            _ => check_unknown(extension),
        })?;
    Ok(Serial(revoked.raw_serial().to_vec()))
}

fn check_unknown(extension: &X509Extension<'_>) -> Result<(), BadCrl> {
    if extension.critical || x509::malformed(extension) {
        return Err(BadCrl::Extension {
            oid: extension.oid.to_id_string(),
        });
    }
    Ok(())
}

/// How far the clock of a CRL's issuer may be ahead.
const SKEW: Duration = Duration::from_secs(60);
const DELTA_CRL_INDICATOR: Oid<'static> = oid!(2.5.29.27);

#[cfg(test)]
mod tests {
    use directory::{CertificateState, RevocationReason};
    use proptest::prelude::*;
    use rcgen::{
        CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, SerialNumber,
    };

    use super::*;
    use crate::ca::{Authority, Purpose};
    use crate::samples::{DAY, NOW, authority, device_certificate, record};

    fn crl_of(authority: &Authority) -> (Vec<u8>, Serial) {
        let revoked = CertificateState::Revoked {
            at: NOW,
            reason: RevocationReason::KeyCompromise,
        };
        let record = record(authority, 2, revoked);
        let serial = record.serial.clone();
        (authority.crl([&record], 1, NOW, NOW.plus(DAY)).unwrap(), serial)
    }

    #[test]
    fn a_current_crl_of_the_issuer_tells_who_is_revoked() {
        let authority = authority(Purpose::Device);
        let (der, revoked) = crl_of(&authority);
        let pem = pem_text::encode("X509 CRL", &der);

        for crl in [der.as_slice(), pem.as_bytes()] {
            let crl = ForeignCrl::verify(crl, authority.certificate_der(), NOW).unwrap();
            assert!(crl.contains(&revoked));
            assert!(!crl.contains(&device_certificate(&authority, 3).serial));
            assert!(!crl.lists(authority.certificate_der()) && crl.lists(b"no certificate"));
            assert_eq!(crl.issuer(), authority.fingerprint());
            assert_eq!(crl.next_update(), NOW.plus(DAY));
        }
    }

    /// cert-crl-foreign: a CRL by another key under the same issuer name is refused; by the issuer's key it is not.
    #[test]
    fn a_crl_by_another_key_of_the_same_name_is_refused() {
        let (ours, namesake) = (authority(Purpose::Device), authority(Purpose::Device));
        let (crl, _) = crl_of(&namesake);
        assert_eq!(
            ForeignCrl::verify(&crl, ours.certificate_der(), NOW).unwrap_err(),
            BadCrl::Signature
        );
        assert!(ForeignCrl::verify(&crl, namesake.certificate_der(), NOW).is_ok());
    }

    #[test]
    fn a_crl_of_another_name_is_refused() {
        let made = Authority::create(
            "Other",
            Purpose::Device,
            crate::Material::Production,
            &crate::samples::terms(1),
        );
        let made = made.unwrap();
        let other = Authority::load(&made.certificate_pem, &made.key_pem).unwrap();
        let (crl, _) = crl_of(&other);
        let refusal = ForeignCrl::verify(&crl, authority(Purpose::Device).certificate_der(), NOW).unwrap_err();
        assert_eq!(
            refusal,
            BadCrl::OtherIssuer {
                expected: "CN=Test CA".into(),
                found: "CN=Other".into()
            }
        );
    }

    #[test]
    fn a_crl_counts_from_its_update_to_the_next() {
        let authority = authority(Purpose::Device);
        let (crl, _) = crl_of(&authority);
        let verify = |now| ForeignCrl::verify(&crl, authority.certificate_der(), now).map(|_| ());
        let next_update = NOW.plus(DAY);

        assert_eq!(
            verify(Timestamp::from_secs(NOW.secs() - 61)),
            Err(BadCrl::NotYet { this_update: NOW })
        );
        assert_eq!(verify(Timestamp::from_secs(NOW.secs() - 60)), Ok(()));
        assert_eq!(verify(Timestamp::from_millis(next_update.millis() - 1)), Ok(()));
        assert_eq!(
            verify(next_update),
            Err(BadCrl::Stale {
                next_update: Some(next_update)
            })
        );
    }

    #[test]
    fn a_crl_that_lists_only_some_certificates_is_refused() {
        let authority = authority(Purpose::Device);
        let verify = |scope| {
            let list = CertificateRevocationListParams {
                this_update: terms::calendar(NOW).unwrap(),
                next_update: terms::calendar(NOW.plus(DAY)).unwrap(),
                crl_number: SerialNumber::from(1),
                issuing_distribution_point: Some(CrlIssuingDistributionPoint {
                    distribution_point: CrlDistributionPoint {
                        uris: vec!["http://crl.example".into()],
                    },
                    scope,
                }),
                revoked_certs: vec![],
                key_identifier_method: authority.key_identifier.clone(),
            };
            let crl = list.signed_by(&authority.issuer).unwrap();
            ForeignCrl::verify(crl.der(), authority.certificate_der(), NOW).map(|_| ())
        };
        let partial = BadCrl::Partial {
            what: "one of CA certificates only",
        };
        assert_eq!(verify(Some(CrlScope::CaCertsOnly)), Err(partial));
        assert_eq!(verify(Some(CrlScope::UserCertsOnly)), Ok(()));
        assert_eq!(verify(None), Ok(()));
    }

    #[test]
    fn a_crl_changed_in_any_bit_says_nothing_else() {
        let authority = authority(Purpose::Device);
        let (crl, revoked) = crl_of(&authority);
        let accepted = (0..crl.len() * 8).filter_map(|bit| {
            let mut changed = crl.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            ForeignCrl::verify(&changed, authority.certificate_der(), NOW).ok()
        });
        // The tags around what is signed are not covered; the parser forgives some of their bits.
        let accepted: Vec<_> = accepted.collect();
        assert!(
            accepted
                .iter()
                .all(|crl| crl.serials == HashSet::from([revoked.clone()])),
            "{accepted:?}"
        );
    }

    proptest! {
        #[test]
        fn random_bytes_are_no_crl(mut bytes in prop::collection::vec(any::<u8>(), 0..500), sequence in any::<bool>()) {
            if let (true, Some(first)) = (sequence, bytes.first_mut()) {
                *first = 0x30;
            }
            let issuer = authority(Purpose::Device);
            prop_assert!(ForeignCrl::verify(&bytes, issuer.certificate_der(), NOW).is_err());
        }
    }
}
