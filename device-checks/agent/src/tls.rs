//! How does the agent speak TLS? It trusts the CA that was named, or the system's, and may show a certificate whose key
//! it asks to sign.

use std::sync::Arc;

use certs::{BadAnchors, Purpose, read_anchors};
use device_checks::wire::PublicKey;
use p256::ecdsa::Signature;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{ClientConfig, RootCertStore, SignatureAlgorithm, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;
use sha2::{Digest, Sha256};

use crate::keys::{DeviceKey, KeyError};

/// A certificate chain in PEM, and the key it is for.
pub struct Identity {
    /// The chain, the device's own certificate first.
    pub chain: Vec<u8>,
    /// The key.
    pub key: Arc<dyn DeviceKey>,
}

/// Says why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA cannot be trusted.
    #[error("the gateway's CA cannot be used")]
    Authority(#[source] BadAnchors),
    /// The device certificate cannot be read.
    #[error("the device certificate is not in PEM")]
    Chain(#[source] pem::PemError),
    /// The TLS library refuses.
    #[error("cannot set up TLS")]
    Setup(#[source] rustls::Error),
}

/// What a connection trusts and shows: the CAs in this PEM text, else those the system trusts.
///
/// # Errors
///
/// The CA or the identity cannot be used.
pub fn configure(authority: Option<&str>, identity: Option<Identity>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?;
    let builder = match authority {
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for anchor in read_anchors(pem, Purpose::Server).map_err(TlsError::Authority)? {
                roots.add(anchor.der).map_err(TlsError::Setup)?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder.with_platform_verifier().map_err(TlsError::Setup)?,
    };
    Ok(match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(Shown::new(identity)?)),
        None => builder.with_no_client_auth(),
    })
}

/// Shows the one certificate there is to whoever asks for one.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl Shown {
    fn new(identity: Identity) -> Result<Self, TlsError> {
        let blocks = pem::parse_many(identity.chain).map_err(TlsError::Chain)?;
        let chain = blocks
            .into_iter()
            .map(|block| CertificateDer::from(block.into_contents()));
        let key = Arc::new(TlsKey(identity.key));
        Ok(Self(Arc::new(CertifiedKey::new(chain.collect(), key))))
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A key of any store as rustls uses keys.
struct TlsKey(Arc<dyn DeviceKey>);

impl std::fmt::Debug for TlsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TlsKey({})", self.0.public().thumbprint())
    }
}

impl SigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let signer = || Box::new(Self(Arc::clone(&self.0))) as Box<dyn Signer>;
        offered.contains(&SCHEME).then(signer)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        // A TPM takes its time; the handshake waits for it, other tasks need not.
        tokio::task::block_in_place(|| sign_der(&*self.0, message))
            .map_err(|error| rustls::Error::Other(rustls::OtherError(Arc::new(error))))
    }

    fn scheme(&self) -> SignatureScheme {
        SCHEME
    }
}

/// Signs a message: ECDSA with SHA-256, the signature in DER as X.509 and TLS want it.
///
/// # Errors
///
/// The key does not sign.
pub fn sign_der(key: &dyn DeviceKey, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    let signature = key.sign_digest(&Sha256::digest(message).into())?;
    let signature = Signature::from_slice(&signature).map_err(|source| KeyError::Hardware {
        doing: "use a signature that the key made",
        source: source.into(),
    })?;
    Ok(signature.to_der().as_bytes().to_vec())
}

/// A request for a certificate for this key (PKCS #10); what is in it but the key, the gateway ignores.
///
/// # Errors
///
/// The key does not sign.
pub fn certificate_request(key: &dyn DeviceKey) -> Result<rcgen::CertificateSigningRequest, KeyError> {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    let public = key.public();
    let subject = Subject {
        key,
        point: public.sec1(),
    };
    let request = parameters.serialize_request(&subject);
    request.map_err(|source| KeyError::Hardware {
        doing: "sign a certificate request",
        source: source.into(),
    })
}

struct Subject<'a> {
    key: &'a dyn DeviceKey,
    point: [u8; 65],
}

impl rcgen::PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Subject<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        sign_der(self.key, message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// The key that a certificate's SubjectPublicKeyInfo has to show for it to be this one's.
pub fn is_for(leaf: &device_checks::LeafCertificate, key: &PublicKey) -> bool {
    leaf.key == key.thumbprint()
}

const SCHEME: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
