//! Is the client's certificate one that some CA of ours vouches for? The device's state is judged later.

use std::fmt;
use std::sync::Arc;

use certs::{Anchor, ForeignCrl};
use directory::{Fingerprint, Timestamp};
use quick_cache::sync::Cache;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use crate::config::OnStale;

/// A CA whose client certificates may connect.
pub(crate) struct ClientAuthority {
    /// The CA.
    pub(crate) anchor: Anchor,
    /// What it revoked; nothing for our own CAs, whose certificates the directory knows, and where it publishes no list.
    pub(crate) revoked: Option<ForeignCrl>,
    /// What holds once that list is out of date.
    pub(crate) on_stale: OnStale,
}

/// Verifies a chain as webpki does, after checking what webpki leaves open about the leaf.
pub(crate) struct DeviceVerifier {
    /// Knows all CAs: says which there are, and verifies signatures.
    all: Arc<dyn ClientCertVerifier>,
    each: Vec<(Arc<ClientAuthority>, Arc<dyn ClientCertVerifier>)>,
    /// Chains that were verified, by a hash of all that was shown: their signatures stay what they are.
    verified: Cache<Fingerprint, Verified>,
}

/// A chain that was verified.
#[derive(Clone, Copy)]
struct Verified {
    /// Which of the CAs vouches for it.
    authority: usize,
    /// When every certificate of it is valid: the first moment and the last.
    valid: (Timestamp, Timestamp),
}

/// Says why nobody's certificates can be verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientTrustError {
    /// A CA certificate cannot be a trust anchor.
    #[error("expected CA certificates to trust")]
    Anchor(#[source] Error),
    /// The verifier cannot be built.
    #[error("setting up the verification of client certificates")]
    Verifier(#[source] VerifierBuilderError),
}

impl DeviceVerifier {
    /// Trusts the given CAs, those that vouch for most certificates first; `required` decides whether a client may come
    /// without a certificate.
    ///
    /// # Errors
    /// If there is none, or one of them cannot be trusted.
    pub(crate) fn new(authorities: &[Arc<ClientAuthority>], required: bool) -> Result<Self, ClientTrustError> {
        let provider = Arc::new(super::trust::provider());
        let verifier = |anchors: &[Arc<ClientAuthority>]| {
            let mut roots = RootCertStore::empty();
            for authority in anchors {
                roots
                    .add(authority.anchor.der.clone())
                    .map_err(ClientTrustError::Anchor)?;
            }
            chain_verifier(roots, &provider, required).map_err(ClientTrustError::Verifier)
        };
        let each = authorities.iter().map(|authority| {
            let verifier = verifier(std::slice::from_ref(authority))?;
            Ok((authority.clone(), verifier))
        });
        Ok(Self {
            each: each.collect::<Result<_, ClientTrustError>>()?,
            all: verifier(authorities)?,
            verified: Cache::new(KEPT),
        })
    }
}

impl DeviceVerifier {
    /// Whether this chain was verified before, and counts now.
    fn is_known(&self, name: &Fingerprint, chain: &[&CertificateDer<'_>], now: Timestamp) -> bool {
        let Some(known) = self.verified.get(name) else {
            return false;
        };
        let (from, until) = known.valid;
        let authority = self.each.get(known.authority);
        (from..=until).contains(&now) && authority.is_some_and(|(authority, _)| authority.check(chain, now).is_ok())
    }

    fn keep(&self, name: Fingerprint, chain: &[&CertificateDer<'_>], authority: usize) {
        let spans: Option<Vec<_>> = chain.iter().map(|certificate| certs::validity(certificate)).collect();
        let from = spans.iter().flatten().map(|(from, _)| *from).max();
        let until = spans.iter().flatten().map(|(_, until)| *until).min();
        if let Some(valid) = from.zip(until) {
            self.verified.insert(name, Verified { authority, valid });
        }
    }
}

/// Names all that was shown.
fn name_of(chain: &[&CertificateDer<'_>]) -> Fingerprint {
    let mut octets = Vec::new();
    for certificate in chain {
        octets.extend(certificate.len().to_be_bytes());
        octets.extend_from_slice(certificate);
    }
    Fingerprint::of(&octets)
}

/// Of how many chains it is kept that they were verified.
const KEPT: usize = 10_000;

fn chain_verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
    required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = if required {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    builder.build()
}

impl ClientAuthority {
    /// Until when the CA and its list count.
    pub(crate) fn until(&self) -> Timestamp {
        let list = self.revoked.as_ref().filter(|_| self.on_stale == OnStale::Refuse);
        list.map_or(self.anchor.not_after, |list| {
            list.next_update().min(self.anchor.not_after)
        })
    }

    /// One that publishes no list.
    #[cfg(test)]
    pub(crate) fn without_list(anchor: Anchor) -> Self {
        Self {
            anchor,
            revoked: None,
            on_stale: OnStale::Refuse,
        }
    }

    /// Looks at what chain verification leaves open: the CA's own time, and its list.
    fn check(&self, chain: &[&CertificateDer<'_>], now: Timestamp) -> Result<(), CertificateError> {
        // RFC 5280, section 6.1.1 (d): an anchor's dates are not part of the path.
        if now < self.anchor.not_before {
            return Err(CertificateError::NotValidYet);
        }
        if now > self.anchor.not_after {
            return Err(CertificateError::Expired);
        }
        let Some(list) = &self.revoked else { return Ok(()) };
        if chain.iter().any(|certificate| list.lists(certificate)) {
            return Err(CertificateError::Revoked);
        }
        match self.on_stale {
            OnStale::Refuse if list.next_update() <= now => Err(CertificateError::ExpiredRevocationList),
            OnStale::Refuse | OnStale::Accept => Ok(()),
        }
    }
}

impl fmt::Debug for DeviceVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceVerifier")
    }
}

impl ClientCertVerifier for DeviceVerifier {
    fn offer_client_auth(&self) -> bool {
        self.all.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.all.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.all.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain: Vec<_> = std::iter::once(leaf).chain(intermediates).collect();
        let name = name_of(&chain);
        let moment = Timestamp::from_secs(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        if self.is_known(&name, &chain, moment) {
            return Ok(ClientCertVerified::assertion());
        }
        certs::check_client_leaf(leaf.as_ref()).map_err(|refused| {
            tracing::info!(%refused, "client certificate refused");
            Error::InvalidCertificate(CertificateError::InvalidPurpose)
        })?;
        let mut refused = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        for (index, (authority, verifier)) in self.each.iter().enumerate() {
            match verifier.verify_client_cert(leaf, intermediates, now) {
                Ok(verified) => match authority.check(&chain, moment) {
                    Ok(()) => {
                        self.keep(name, &chain, index);
                        return Ok(verified);
                    }
                    Err(CertificateError::Revoked) => {
                        return Err(Error::InvalidCertificate(CertificateError::Revoked));
                    }
                    // Another certificate of the same CA may be current.
                    Err(error) => refused = Error::InvalidCertificate(error),
                },
                // Of several reasons the one that says most: some CA did issue it.
                Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {}
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.all.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.all.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.all.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use certs::Purpose;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};

    use super::*;

    const NOW: i64 = 1_795_000_000;

    fn params(name: &str, seconds: i64) -> CertificateParams {
        let at = |moment: i64| time::OffsetDateTime::from_unix_timestamp(moment).unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params.not_before, params.not_after) = (at(NOW), at(NOW + seconds));
        params
    }

    fn authority(name: &str, seconds: i64) -> CertificateParams {
        let mut params = params(name, seconds);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        params
    }

    /// What was verified before counts for as long as each certificate of its chain does, and no longer; another chain is
    /// verified for itself.
    #[test]
    fn a_chain_that_was_verified_counts_while_all_of_it_does() {
        let key = || KeyPair::generate().unwrap();
        let root = CertifiedIssuer::self_signed(authority("root.example", 1_000), key()).unwrap();
        let middle = CertifiedIssuer::signed_by(authority("middle.example", 50), key(), &root).unwrap();
        let mut params = params("client.example", 100);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&key(), &middle).unwrap();
        let anchor = certs::read_anchors(&root.pem(), Purpose::Device).unwrap().remove(0);
        let verifier = DeviceVerifier::new(&[Arc::new(ClientAuthority::without_list(anchor))], true).unwrap();
        let verify = |intermediates: &[CertificateDer<'_>], seconds: i64| {
            let now = Duration::from_secs(u64::try_from(NOW + seconds).unwrap());
            verifier.verify_client_cert(leaf.der(), intermediates, UnixTime::since_unix_epoch(now))
        };
        let chain = [middle.der().clone()];

        assert!(verify(&[], 0).is_err(), "its issuer is missing");
        assert!(verify(&chain, 0).is_ok());
        assert_eq!(verifier.verified.len(), 1);
        assert!(verify(&chain, 50).is_ok(), "known");
        assert!(verify(&chain, 51).is_err(), "the intermediate is over");
        assert!(verify(&chain, -1).is_err(), "its time has not come");
        assert!(verify(&[], 0).is_err(), "its issuer is still missing");
        assert!(
            verify(&[middle.der().clone(), root.der().clone()], 0).is_ok(),
            "control: one more"
        );
    }
}
