//! How does a device write a management attestation, for whichever key store signs it?

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::{Algorithm, Claims, Header, TYPE, p256_key};
use crate::anchor::{self, Unreadable};

/// What the key of a management certificate has to sign, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningInput {
    algorithm: Algorithm,
    text: String,
}

/// Says why there is nothing to sign.
#[derive(Debug, thiserror::Error)]
pub enum CannotSign {
    /// The certificate cannot be read.
    #[error("cannot read the management certificate")]
    Unreadable(#[from] Unreadable),
    /// The claims cannot be written as JSON.
    #[error("cannot write the attestation")]
    Json(#[from] serde_json::Error),
}

impl Algorithm {
    /// How the key of this certificate, in DER, has to sign: ES256 on P-256, else RS256.
    ///
    /// # Errors
    ///
    /// Refuses what is no certificate.
    pub fn of(leaf: &[u8]) -> Result<Self, Unreadable> {
        let certificate = anchor::read(leaf)?;
        Ok(p256_key(&certificate).map_or(Self::Rs256, |_| Self::Es256))
    }
}

impl SigningInput {
    /// Writes header and claims of an attestation by the key of this certificate, in DER.
    ///
    /// # Errors
    ///
    /// Fails where the certificate cannot be read.
    pub fn new(leaf: &[u8], claims: &Claims) -> Result<Self, CannotSign> {
        let algorithm = Algorithm::of(leaf)?;
        let header = Header {
            alg: algorithm,
            typ: TYPE.to_owned(),
            x5c: vec![STANDARD.encode(leaf)],
        };
        let mut text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header)?);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims)?, &mut text);
        Ok(Self { algorithm, text })
    }

    /// How it is to be signed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The octets to be signed; the key store hashes them with SHA-256.
    pub fn octets(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The attestation: with r and s of 32 octets each for ES256, with PKCS #1's signature for RS256.
    pub fn signed(self, signature: &[u8]) -> String {
        let mut token = self.text;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }
}
