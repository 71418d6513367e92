//! What does the directory keep of a device's key? Its public half alone, a point on P-256, written as a JWK (RFC 7517).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::KeyThumbprint;

/// A P-256 public key by its coordinates. Whether they are a point on the curve is checked by whoever verifies with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(try_from = "Jwk", into = "Jwk")]
pub struct PublicKey {
    /// The x coordinate, big-endian.
    pub x: [u8; 32],
    /// The y coordinate, big-endian.
    pub y: [u8; 32],
}

impl PublicKey {
    /// The uncompressed point (SEC 1, section 2.3.3).
    pub fn sec1(&self) -> [u8; 65] {
        let mut point = [4; 65];
        for (slot, octet) in point.iter_mut().skip(1).zip(self.x.iter().chain(&self.y)) {
            *slot = *octet;
        }
        point
    }

    /// Takes an uncompressed point; nothing where it is not 65 octets that begin with 4.
    pub fn from_sec1(point: &[u8]) -> Option<Self> {
        let (first, coordinates) = point.split_first()?;
        let (x, y) = coordinates.split_at_checked(32)?;
        (*first == 4).then_some(())?;
        Some(Self {
            x: x.try_into().ok()?,
            y: y.try_into().ok()?,
        })
    }

    /// The key as certificates show it: a SubjectPublicKeyInfo in DER (RFC 5480, section 2).
    pub fn subject_public_key_info(&self) -> Vec<u8> {
        [&SPKI_HEAD[..], &self.sec1()].concat()
    }

    /// How the key is named everywhere, as `kid` too: SHA-256 of its SubjectPublicKeyInfo.
    pub fn thumbprint(&self) -> KeyThumbprint {
        KeyThumbprint::of(&self.subject_public_key_info())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.thumbprint())
    }
}

/// The shape of a public key in JSON (RFC 7518, section 6.2.1).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a P-256 key as a JWK: kty, crv, x, y")]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    y: String,
}

impl From<PublicKey> for Jwk {
    fn from(key: PublicKey) -> Self {
        Self {
            kty: KTY.to_owned(),
            crv: CRV.to_owned(),
            x: URL_SAFE_NO_PAD.encode(key.x),
            y: URL_SAFE_NO_PAD.encode(key.y),
        }
    }
}

impl TryFrom<Jwk> for PublicKey {
    type Error = &'static str;

    fn try_from(jwk: Jwk) -> Result<Self, Self::Error> {
        let coordinate = |text: &str| URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok();
        if jwk.kty != KTY || jwk.crv != CRV {
            return Err("expected a JWK with kty EC and crv P-256");
        }
        coordinate(&jwk.x)
            .zip(coordinate(&jwk.y))
            .map(|(x, y)| Self { x, y })
            .ok_or("expected x and y of 32 octets each, in base64url without padding")
    }
}

const KTY: &str = "EC";
const CRV: &str = "P-256";

/// What stands before an uncompressed P-256 point in its SubjectPublicKeyInfo.
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PublicKey = PublicKey { x: [7; 32], y: [9; 32] };

    #[test]
    fn a_key_reads_back_from_a_point_and_from_a_jwk() {
        assert_eq!(PublicKey::from_sec1(&KEY.sec1()), Some(KEY));
        let json = serde_json::to_string(&KEY).unwrap();
        assert!(json.starts_with(r#"{"kty":"EC","crv":"P-256","x":"#), "{json}");
        assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), KEY);
    }

    #[test]
    fn what_is_not_a_p_256_key_or_is_more_than_one_is_refused() {
        let json = serde_json::to_string(&KEY).unwrap();
        for bad in [
            json.replace("P-256", "P-384"),
            json.replace("EC", "OKP"),
            json.replace("\"y\"", "\"d\""),
            json.replace('}', ",\"d\":\"AA\"}"),
            json.replace("\"x\":\"", "\"x\":\"AA"),
            json.replace("BwcH", "Bw=H"),
        ] {
            assert!(serde_json::from_str::<PublicKey>(&bad).is_err(), "{bad}");
        }
        assert_eq!(PublicKey::from_sec1(&KEY.sec1()[..64]), None);
        assert_eq!(PublicKey::from_sec1(&[2; 65]), None);
    }
}
