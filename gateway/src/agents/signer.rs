//! How does a device know that the gateway asks? By a signature with the key that it pinned when it enrolled.

use device_checks::jws;
use directory::PublicKey;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use serde::Serialize;

use crate::jws::KeyError;

/// Signs challenges and enrolment receipts.
pub(crate) struct ChallengeSigner {
    key: SigningKey,
    public: PublicKey,
}

impl ChallengeSigner {
    /// Reads a key.
    ///
    /// # Errors
    /// If the text is not a P-256 private key in PKCS#8 PEM.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = SigningKey::from_pkcs8_pem(pem).map_err(|_| KeyError::NotAKey)?;
        let point = key.verifying_key().to_sec1_point(false);
        let public = PublicKey::from_sec1(point.as_bytes()).ok_or(KeyError::NoCoordinates)?;
        Ok(Self { key, public })
    }

    /// The public half.
    pub(crate) fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs claims as a token of this type.
    ///
    /// # Errors
    /// If the claims cannot be written or the key does not sign.
    pub(crate) fn sign(
        &self,
        typ: &str,
        claims: &impl Serialize,
    ) -> Result<String, jws::SignError<p256::ecdsa::Error>> {
        jws::sign(typ, self.public.thumbprint(), claims, |digest| {
            let signature: Signature = self.key.sign_prehash(digest)?;
            Ok(signature.to_bytes().into())
        })
    }
}

impl std::fmt::Debug for ChallengeSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChallengeSigner({:?})", self.public)
    }
}
