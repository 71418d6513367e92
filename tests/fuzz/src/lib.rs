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

/// A field of a request's head.
pub type Field = (String, Vec<u8>);

/// The method, target and fields in lines of a head; nothing where there is no first line.
pub fn head(octets: &[u8]) -> Option<(String, Vec<u8>, Vec<Field>)> {
    let mut lines = octets.split(|octet| *octet == b'\n');
    let first = lines.next()?;
    let at = first.iter().position(|octet| *octet == b' ')?;
    let method = std::str::from_utf8(&first[..at]).ok()?.to_owned();
    let field = |line: &[u8]| {
        let at = line.iter().position(|octet| *octet == b':')?;
        let name = std::str::from_utf8(&line[..at]).ok()?.to_owned();
        Some((name, line[at + 1..].trim_ascii().to_vec()))
    };
    let fields = lines.map(field).collect::<Option<Vec<Field>>>()?;
    Some((method, first[at + 1..].to_vec(), fields))
}

/// The names and values in a `Cookie` field, without the space around them.
pub fn pairs(value: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    value.split(|octet| *octet == b';').map(|pair| {
        let at = pair.iter().position(|octet| *octet == b'=').unwrap_or(pair.len());
        let value = pair.get(at + 1..).unwrap_or_default();
        (pair[..at].trim_ascii().to_vec(), value.trim_ascii().to_vec())
    })
}

/// Whether a cookie is one that only the gateway may set and read.
pub fn is_our_cookie(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    ["latchkey", "__host-latchkey", "__secure-latchkey"]
        .iter()
        .any(|ours| name.starts_with(ours.as_bytes()))
}
