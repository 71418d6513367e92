//! Is the client's certificate one that some CA of ours vouches for? The device's state is judged later.

use std::fmt;
use std::sync::Arc;

use certs::{Anchor, ForeignCrl};
use directory::Timestamp;
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
        let provider = Arc::new(rustls::crypto::ring::default_provider());
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
        })
    }
}

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
    /// One that publishes no list.
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
        certs::check_client_leaf(leaf.as_ref()).map_err(|refused| {
            tracing::info!(%refused, "client certificate refused");
            Error::InvalidCertificate(CertificateError::InvalidPurpose)
        })?;
        let mut refused = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        for (authority, verifier) in &self.each {
            match verifier.verify_client_cert(leaf, intermediates, now) {
                Ok(verified) => {
                    let chain: Vec<_> = std::iter::once(leaf).chain(intermediates).collect();
                    let moment =
                        Timestamp::from_millis(i64::try_from(now.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000));
                    match authority.check(&chain, moment) {
                        Ok(()) => return Ok(verified),
                        Err(CertificateError::Revoked) => {
                            return Err(Error::InvalidCertificate(CertificateError::Revoked));
                        }
                        // Another certificate of the same CA may be current.
                        Err(error) => refused = Error::InvalidCertificate(error),
                    }
                }
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
