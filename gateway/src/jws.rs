//! How does an application check what the gateway tells it? By an ES256 signature (RFC 7515, RFC 7518 section 3.4).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Signs JSON Web Tokens with one P-256 key.
pub(crate) struct TokenSigner {
    key: SigningKey,
    header: String,
    public: PublicJwk,
}

/// The public half, as applications read it from the JWKS (RFC 7517; thumbprint: RFC 7638).
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PublicJwk {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    kid: String,
    x: String,
    y: String,
}

/// Says why a signing key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The text is not a P-256 key.
    #[error("expected a P-256 private key in PKCS#8 PEM")]
    NotAKey,
    /// The key has no coordinates to publish.
    #[error("the key's public half cannot be written down")]
    NoCoordinates,
}

impl TokenSigner {
    /// Makes a new key from 32 random bytes, or nothing in the (2^-32) case that they are no P-256 scalar.
    pub(crate) fn generate(random: &[u8; 32]) -> Option<(Self, String)> {
        let key = SigningKey::from_slice(random).ok()?;
        let pem = key.to_pkcs8_pem(LineEnding::LF).ok()?.to_string();
        Some((Self::from_key(key).ok()?, pem))
    }

    /// Reads a key.
    ///
    /// # Errors
    /// If the text is not a P-256 private key in PKCS#8 PEM.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::from_key(SigningKey::from_pkcs8_pem(pem).map_err(|_| KeyError::NotAKey)?)
    }

    fn from_key(key: SigningKey) -> Result<Self, KeyError> {
        let point = key.verifying_key().to_sec1_point(false);
        let x = URL_SAFE_NO_PAD.encode(point.x().ok_or(KeyError::NoCoordinates)?);
        let y = URL_SAFE_NO_PAD.encode(point.y().ok_or(KeyError::NoCoordinates)?);
        let thumbprint = Sha256::digest(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
        let kid = URL_SAFE_NO_PAD.encode(thumbprint);
        let header = URL_SAFE_NO_PAD.encode(format!(
            r#"{{"alg":"ES256","typ":"latchkey-assertion+jwt","kid":"{kid}"}}"#
        ));
        let public = PublicJwk {
            kty: "EC",
            crv: "P-256",
            alg: "ES256",
            usage: "sig",
            kid,
            x,
            y,
        };
        Ok(Self { key, header, public })
    }

    /// Signs claims as a compact JWS.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String, serde_json::Error> {
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?);
        let mut token = format!("{}.{payload}", self.header);
        let signature: Signature = self.key.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut token);
        Ok(token)
    }

    /// The public half.
    pub(crate) fn public(&self) -> &PublicJwk {
        &self.public
    }
}

impl std::fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenSigner({})", self.public.kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier;

    #[test]
    fn a_token_verifies_with_the_published_key_and_not_after_a_change() {
        let (signer, pem) = TokenSigner::generate(&[7; 32]).unwrap();
        let token = TokenSigner::from_pem(&pem)
            .unwrap()
            .sign(&serde_json::json!({ "sub": "alice" }))
            .unwrap();
        let jwk = serde_json::to_value(signer.public()).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();

        let mut point = vec![4];
        for name in ["x", "y"] {
            point.extend(URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap());
        }
        let key = VerifyingKey::from_sec1_bytes(&point).unwrap();
        let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();

        assert!(key.verify(signed.as_bytes(), &signature).is_ok());
        assert!(key.verify(signed.replace("ey", "eY").as_bytes(), &signature).is_err());
    }

    #[test]
    fn nothing_of_the_private_key_shows_in_debug_output() {
        let (signer, pem) = TokenSigner::generate(&[7; 32]).unwrap();
        assert!(format!("{signer:?}").starts_with("TokenSigner("));
        assert!(TokenSigner::from_pem(&pem.replace("PRIVATE", "PUBLIC")).is_err());
    }
}
