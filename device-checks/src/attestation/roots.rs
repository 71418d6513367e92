//! Does somebody we trust vouch for this machine? The chain of an endorsement key's certificate, against configured roots.

use std::collections::BTreeSet;

use directory::{Fingerprint, HardwareId, Timestamp};
use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::certificate::X509Certificate;

use super::RootClass;
use crate::anchor::{self, Anchor, BadAnchor, Unreadable};

/// The CAs whose word on machines counts, and the machines that do not count whatever they say.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    roots: Vec<Root>,
    denied: BTreeSet<HardwareId>,
}

#[derive(Debug, Clone)]
struct Root {
    anchor: Anchor,
    class: RootClass,
}

/// Proof that a configured root vouches for a machine. Only [`Roots::vouch`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vouched {
    class: RootClass,
    until: Timestamp,
    root: Fingerprint,
}

/// Says why a certificate cannot be a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRoots {
    /// It is not a CA's that may sign.
    #[error("root {number} cannot be trusted as a CA")]
    Anchor {
        /// Which one, counted from 1.
        number: usize,
        /// Why.
        #[source]
        source: BadAnchor,
    },
    /// The same name and key is configured already: it would be open which class counts.
    #[error("root {number} has the name and key of one before it")]
    Repeated {
        /// Which one, counted from 1.
        number: usize,
    },
}

/// Says why nobody vouches for a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotVouched {
    /// No certificate was shown, or more than any chain needs.
    #[error("expected 1 to {MAXIMUM_CERTIFICATES} certificates of at most {MAXIMUM_LENGTH} octets")]
    Length,
    /// The certificate of the endorsement key cannot be read.
    #[error("cannot read the endorsement key's certificate")]
    Unreadable(#[source] Unreadable),
    /// The machine is on the deny-list.
    #[error("the endorsement key is on the deny-list")]
    Denied,
    /// The certificate is a CA's.
    #[error("the endorsement key's certificate is a CA's")]
    Authority,
    /// The certificate is not for an endorsement key.
    #[error("the certificate has no extended key usage tcg-kp-EKCertificate (2.23.133.8.1)")]
    NotForEndorsement,
    /// No configured root that counts now leads to it.
    #[error("the endorsement key's certificate does not lead to a configured root")]
    Chain(#[source] webpki::Error),
}

impl Roots {
    /// Takes the certificates of CAs, in DER, each with what its word is worth, and the machines to be denied.
    ///
    /// # Errors
    ///
    /// Says which certificate cannot be a root; one bad certificate refuses all.
    pub fn new(
        certificates: impl IntoIterator<Item = (Vec<u8>, RootClass)>,
        denied: impl IntoIterator<Item = HardwareId>,
    ) -> Result<Self, BadRoots> {
        let mut roots: Vec<Root> = Vec::new();
        for ((der, class), number) in certificates.into_iter().zip(1..) {
            let anchor = Anchor::parse(&der).map_err(|source| BadRoots::Anchor { number, source })?;
            if roots.iter().any(|root| is_same(root.anchor.trust(), anchor.trust())) {
                return Err(BadRoots::Repeated { number });
            }
            roots.push(Root { anchor, class });
        }
        let denied = denied.into_iter().collect();
        Ok(Self { roots, denied })
    }

    /// Whether no root is configured, so that no machine can be attested.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// The configured roots and what their word is worth.
    pub fn anchors(&self) -> impl Iterator<Item = (&Anchor, RootClass)> {
        self.roots.iter().map(|root| (&root.anchor, root.class))
    }

    /// Judges an endorsement key's certificate and what leads from it to a root: at enrolment, and again for kept evidence
    /// whenever roots, deny-list or time change.
    ///
    /// # Errors
    ///
    /// Says why nobody vouches for the machine.
    pub fn vouch(&self, chain: &[Vec<u8>], now: Timestamp) -> Result<Vouched, NotVouched> {
        let fits = chain.len() <= MAXIMUM_CERTIFICATES && chain.iter().all(|der| der.len() <= MAXIMUM_LENGTH);
        let (leaf, rest) = chain.split_first().filter(|_| fits).ok_or(NotVouched::Length)?;
        let certificate = anchor::read(leaf).map_err(NotVouched::Unreadable)?;
        if self.denied.contains(&HardwareId::of(certificate.public_key().raw)) {
            return Err(NotVouched::Denied);
        }
        check_endorsement(&certificate)?;
        let (_, leaf_until) = anchor::validity(&certificate);
        self.lead(leaf, leaf_until, rest, now).map_err(NotVouched::Chain)
    }

    fn lead(
        &self,
        leaf: &[u8],
        leaf_until: Timestamp,
        rest: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<Vouched, webpki::Error> {
        let current = self.roots.iter().filter(|root| root.anchor.is_current(now));
        let anchors: Vec<TrustAnchor<'_>> = current.map(|root| root.anchor.trust().clone()).collect();
        let intermediates: Vec<_> = rest.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let leaf = CertificateDer::from(leaf);
        let leaf = EndEntityCert::try_from(&leaf)?;
        let path = leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &intermediates,
            anchor::unix_time(now),
            // Intermediates of TPM makers mostly lack the usage; that the leaf has it was checked.
            KeyUsage::required_if_present(EK_CERTIFICATE),
            None,
            None,
        )?;
        let mut roots = self.roots.iter();
        let root = roots.find(|root| is_same(root.anchor.trust(), path.anchor()));
        let root = root.ok_or(webpki::Error::UnknownIssuer)?;
        Ok(Vouched {
            class: root.class,
            until: earliest_end(&path, leaf_until.min(root.anchor.not_after()))?,
            root: root.anchor.fingerprint(),
        })
    }
}

impl Vouched {
    /// What the root's word is worth.
    pub fn class(&self) -> RootClass {
        self.class
    }

    /// Until when every certificate of the chain is valid, this second included.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// SHA-256 of the root's certificate.
    pub fn root(&self) -> Fingerprint {
        self.root
    }
}

/// A root is its name and its key (RFC 5280, section 6.1.1): two certificates of them are one root.
fn is_same(one: &TrustAnchor<'_>, other: &TrustAnchor<'_>) -> bool {
    one.subject == other.subject && one.subject_public_key_info == other.subject_public_key_info
}

/// Checks what chain verification leaves open: the leaf says itself that it is an endorsement key's, and is no CA's.
fn check_endorsement(certificate: &X509Certificate<'_>) -> Result<(), NotVouched> {
    if certificate.is_ca() {
        return Err(NotVouched::Authority);
    }
    let usage = certificate.extended_key_usage();
    let usage = usage.map_err(|_| NotVouched::Unreadable(Unreadable::Extension))?;
    let named = usage.is_some_and(|usage| usage.value.other.iter().any(|oid| oid.as_bytes() == EK_CERTIFICATE));
    if named {
        Ok(())
    } else {
        Err(NotVouched::NotForEndorsement)
    }
}

fn earliest_end(path: &VerifiedPath<'_>, first: Timestamp) -> Result<Timestamp, webpki::Error> {
    path.intermediate_certificates()
        .try_fold(first, |earliest, certificate| {
            let der = certificate.der();
            let certificate = anchor::read(&der).map_err(|_| webpki::Error::BadDer)?;
            Ok(earliest.min(anchor::validity(&certificate).1))
        })
}

/// 2.23.133.8.1, tcg-kp-EKCertificate (TCG EK Credential Profile, section 3.2.16), as the contents of an OBJECT IDENTIFIER.
const EK_CERTIFICATE: &[u8] = &[0x67, 0x81, 0x05, 0x08, 0x01];
const MAXIMUM_CERTIFICATES: usize = 8;
const MAXIMUM_LENGTH: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use rcgen::{CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};

    use super::*;
    use crate::samples::{Ca, DAY, FIXTURES_NOW, NOW, endorsement, key, public, valid};

    /// E-11: the certificates that software TPMs and their makers write: a critical subjectAltName with a directoryName,
    /// an empty subject, a root of two levels.
    #[test]
    fn a_chain_as_tpms_have_it_leads_to_its_root() {
        let chain = [RSA_EK.to_vec(), ISSUER.to_vec()];
        let ecc = [ECC_EK.to_vec()];
        let roots = roots(&[(ROOT, RootClass::Test), (ECC_ROOT, RootClass::Hardware)]);

        let rsa = roots.vouch(&chain, FIXTURES_NOW).unwrap();
        let ecc = roots.vouch(&ecc, FIXTURES_NOW).unwrap();

        assert_eq!((rsa.class(), rsa.root()), (RootClass::Test, Fingerprint::of(ROOT)));
        assert_eq!(
            (ecc.class(), ecc.root()),
            (RootClass::Hardware, Fingerprint::of(ECC_ROOT))
        );
        assert_eq!(rsa.until().to_string(), "9999-12-31T23:59:59.000Z");
        assert!(Roots::default().is_empty());
        assert_eq!(roots.anchors().count(), 2);
    }

    /// E-14, X-22: the same evidence without its root, under another root, without its intermediate.
    #[test]
    fn a_chain_to_no_configured_root_is_nobodys_word() {
        let chain = [RSA_EK.to_vec(), ISSUER.to_vec()];
        let unknown = Err(NotVouched::Chain(webpki::Error::UnknownIssuer));
        let vouch = |configured: &[(&[u8], RootClass)]| roots(configured).vouch(&chain, FIXTURES_NOW).map(|_| ());

        assert_eq!(vouch(&[(ROOT, RootClass::Test)]), Ok(()));
        assert_eq!(
            vouch(&[(ISSUER, RootClass::Test)]),
            Ok(()),
            "an intermediate may be configured as the root"
        );
        assert_eq!(vouch(&[]), unknown, "the root is removed");
        assert_eq!(vouch(&[(ECC_ROOT, RootClass::Test)]), unknown, "another root");
        let alone = roots(&[(ROOT, RootClass::Test)]).vouch(&chain[..1], FIXTURES_NOW);
        assert_eq!(alone.map(|_| ()), unknown, "without its intermediate");
    }

    /// E-14: another CA of the same name signed it.
    #[test]
    fn a_ca_of_the_same_name_is_another_ca() {
        let (one, other) = (Ca::root("EK CA"), Ca::root("EK CA"));
        let chain = [one.endorse(&public(&key(1)), |_| {})];
        assert!(roots(&[(&one.der, RootClass::Hardware)]).vouch(&chain, NOW).is_ok());
        let refused = roots(&[(&other.der, RootClass::Hardware)]).vouch(&chain, NOW);
        assert!(matches!(refused, Err(NotVouched::Chain(_))), "{refused:?}");
        assert!(
            roots(&[(&other.der, RootClass::Test), (&one.der, RootClass::Hardware)])
                .vouch(&chain, NOW)
                .is_ok_and(|vouched| vouched.class() == RootClass::Hardware)
        );
    }

    /// a denied endorsement key loses its word, another of the same root keeps it.
    #[test]
    fn a_denied_machine_is_denied_whoever_vouches_for_it() {
        let ca = Ca::root("EK CA");
        let (one, other) = (public(&key(1)), public(&key(2)));
        let denied = HardwareId::of(&one.subject_public_key_info());
        let roots = Roots::new([(ca.der.clone(), RootClass::Hardware)], [denied]).unwrap();

        assert_eq!(roots.vouch(&[ca.endorse(&one, |_| {})], NOW), Err(NotVouched::Denied));
        assert!(roots.vouch(&[ca.endorse(&other, |_| {})], NOW).is_ok());
    }

    #[test]
    fn every_class_is_said_as_it_was_configured() {
        for class in [RootClass::Hardware, RootClass::Virtual, RootClass::Test] {
            let ca = Ca::root("EK CA");
            let vouched = roots(&[(&ca.der, class)]).vouch(&[ca.endorse(&public(&key(1)), |_| {})], NOW);
            assert_eq!(vouched.map(|vouched| vouched.class()), Ok(class));
        }
    }

    /// X-22, in time: each certificate of the chain bounds how long the machine is vouched for.
    #[test]
    fn a_machine_is_vouched_for_while_every_certificate_is_valid() {
        let until = |root: i64, between: i64, leaf: i64, now: i64| {
            let ca = Ca::changed("root", |params| valid(params, -DAY, root));
            let intermediate = ca.below("between", |params| valid(params, -DAY, between));
            let leaf = intermediate.endorse(&public(&key(1)), |params| valid(params, -DAY, leaf));
            let now = Timestamp::from_secs(NOW.secs() + now);
            let vouched = roots(&[(&ca.der, RootClass::Hardware)]).vouch(&[leaf, intermediate.der], now);
            vouched.ok().map(|vouched| vouched.until().secs() - NOW.secs())
        };
        assert_eq!(until(10, 20, 30, 0), Some(10));
        assert_eq!(until(30, 10, 20, 0), Some(10));
        assert_eq!(until(20, 30, 10, 0), Some(10));
        for now in [-DAY, 10] {
            assert_eq!(until(10, 20, 30, now), Some(10), "the last second counts");
            assert_eq!(until(20, 30, 10, now), Some(10));
        }
        for now in [-DAY - 1, 11] {
            assert_eq!(until(10, 20, 30, now), None, "an expired root");
            assert_eq!(until(30, 10, 20, now), None, "an expired intermediate");
            assert_eq!(until(20, 30, 10, now), None, "an expired leaf");
        }
    }

    /// E-14: a certificate that the right CA issued for something else.
    #[test]
    fn only_an_endorsement_keys_certificate_is_one() {
        use ExtendedKeyUsagePurpose::{Any, ClientAuth};
        let ca = Ca::root("EK CA");
        let roots = roots(&[(&ca.der, RootClass::Hardware)]);
        let usages = |usages: Vec<ExtendedKeyUsagePurpose>| {
            let leaf = ca.endorse(&public(&key(1)), |params| params.extended_key_usages = usages);
            roots.vouch(&[leaf], NOW).map(|_| ())
        };
        assert_eq!(usages(vec![endorsement()]), Ok(()));
        assert_eq!(usages(vec![ClientAuth, endorsement()]), Ok(()));
        for other in [vec![], vec![Any], vec![ClientAuth]] {
            assert_eq!(usages(other), Err(NotVouched::NotForEndorsement));
        }
        let authority = ca.below("sub", |params| params.extended_key_usages = vec![endorsement()]);
        assert_eq!(roots.vouch(&[authority.der], NOW), Err(NotVouched::Authority));
        let unknown = ca.endorse(&public(&key(1)), |params| {
            let mut extension = CustomExtension::from_oid_content(&[2, 23, 133, 99], vec![5, 0]);
            extension.set_criticality(true);
            params.custom_extensions = vec![extension];
        });
        let refused = roots.vouch(&[unknown], NOW);
        let critical = NotVouched::Chain(webpki::Error::UnsupportedCriticalExtension);
        assert_eq!(refused, Err(critical), "an unknown critical extension");
    }

    #[test]
    fn an_endorsement_key_certifies_nobody() {
        let ca = Ca::root("EK CA");
        let pretender = ca.below("EK", |params| {
            params.is_ca = IsCa::ExplicitNoCa;
            params.extended_key_usages = vec![endorsement()];
        });
        let chain = [pretender.endorse(&public(&key(1)), |_| {}), pretender.der];
        let roots = roots(&[(&ca.der, RootClass::Hardware)]);
        assert!(matches!(roots.vouch(&chain, NOW), Err(NotVouched::Chain(_))));
        assert!(roots.vouch(&chain[1..], NOW).is_ok());
    }

    #[test]
    fn a_chain_that_is_none_or_too_long_is_refused() {
        let roots = roots(&[(ROOT, RootClass::Test)]);
        let chain = [RSA_EK.to_vec(), ISSUER.to_vec()];
        assert!(roots.vouch(&chain, FIXTURES_NOW).is_ok());
        assert_eq!(roots.vouch(&[], FIXTURES_NOW), Err(NotVouched::Length));
        let long = [&chain[..], &vec![ISSUER.to_vec(); 7]].concat();
        assert_eq!(roots.vouch(&long, FIXTURES_NOW), Err(NotVouched::Length));
        let big = [RSA_EK.to_vec(), vec![0; MAXIMUM_LENGTH + 1]];
        assert_eq!(roots.vouch(&big, FIXTURES_NOW), Err(NotVouched::Length));
        let trailing = [[RSA_EK, &[0]].concat(), ISSUER.to_vec()];
        assert_eq!(
            roots.vouch(&trailing, FIXTURES_NOW),
            Err(NotVouched::Unreadable(Unreadable::Shape))
        );
    }

    #[test]
    fn what_is_no_ca_is_no_root_and_refuses_all() {
        let new = |ders: &[&[u8]]| {
            let certificates = ders.iter().map(|der| (der.to_vec(), RootClass::Test));
            Roots::new(certificates, []).map(|_| ())
        };
        let refused = |source| Err(BadRoots::Anchor { number: 2, source });
        let no_signer = Ca::changed("no signer", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);

        assert_eq!(new(&[ROOT, ECC_ROOT, ISSUER]), Ok(()));
        assert_eq!(new(&[ROOT, ECC_EK]), refused(BadAnchor::NotCa));
        assert_eq!(new(&[ROOT, &no_signer.der]), refused(BadAnchor::NoCertSign));
        assert_eq!(
            new(&[ROOT, b"no certificate"]),
            refused(BadAnchor::Unreadable(Unreadable::Shape))
        );
        assert_eq!(new(&[ROOT, ROOT]), Err(BadRoots::Repeated { number: 2 }));
    }

    fn roots(configured: &[(&[u8], RootClass)]) -> Roots {
        Roots::new(configured.iter().map(|(der, class)| (der.to_vec(), *class)), []).unwrap()
    }

    const RSA_EK: &[u8] = include_bytes!("../fixtures/tpm/rsa-ek.crt");
    const ISSUER: &[u8] = include_bytes!("../fixtures/tpm/issuer.crt");
    const ROOT: &[u8] = include_bytes!("../fixtures/tpm/root.crt");
    const ECC_EK: &[u8] = include_bytes!("../fixtures/tpm/ecc-ek.crt");
    const ECC_ROOT: &[u8] = include_bytes!("../fixtures/tpm/ecc-root.crt");
}
