//! What do the fuzz targets start from? A key that is known, so that what is behind a signature is reached too.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::{PublicKey, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use sha2::{Digest, Sha256};

/// When everything happens: 2030, when the certificates among the fixtures are valid.
pub const NOW: Timestamp = Timestamp::from_secs(1_893_456_000);
/// The auth host's origin.
pub const AUDIENCE: &str = "https://auth.example.com";

/// The public half of the key.
pub fn public() -> PublicKey {
    PublicKey::from_sec1(&key().verifying_key().to_sec1_point(false).to_bytes()).unwrap()
}

/// What the key signs, as r and s.
pub fn sign(message: &[u8]) -> [u8; 64] {
    let signature: Signature = key().sign_prehash(&Sha256::digest(message)).unwrap();
    signature.to_bytes().into()
}

/// A token with this header and these claims, signed.
pub fn token(header: &str, claims: &[u8]) -> String {
    let head = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(head.as_bytes()));
    format!("{head}.{signature}")
}

fn key() -> SigningKey {
    SigningKey::from_slice(&[1; 32]).unwrap()
}
