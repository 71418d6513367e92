//! Is the client's certificate one that some CA of ours vouches for? Revocation and device state are judged later.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

/// Verifies a chain as webpki does, after checking what webpki leaves open about the leaf.
pub(crate) struct DeviceVerifier {
    chain: Arc<dyn ClientCertVerifier>,
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
    /// Trusts the given anchors, in DER; `required` decides whether a client may come without a certificate.
    ///
    /// # Errors
    /// If there is none, or one of them cannot be used.
    pub(crate) fn for_anchors(anchors: &[Vec<u8>], required: bool) -> Result<Self, ClientTrustError> {
        let mut roots = RootCertStore::empty();
        for anchor in anchors {
            roots
                .add(CertificateDer::from(anchor.as_slice()))
                .map_err(ClientTrustError::Anchor)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = if required {
            builder
        } else {
            builder.allow_unauthenticated()
        };
        Ok(Self {
            chain: builder.build().map_err(ClientTrustError::Verifier)?,
        })
    }
}

impl fmt::Debug for DeviceVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceVerifier")
    }
}

impl ClientCertVerifier for DeviceVerifier {
    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
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
        self.chain.verify_client_cert(leaf, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
