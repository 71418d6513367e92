//! How do hashes and serial numbers look as text? Lowercase hexadecimal, one spelling each.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::{Fingerprint, HardwareId, KeyThumbprint, SecretHash, Serial};

/// Says why a text is not a hash or serial number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {what}")]
pub struct BadHex {
    what: &'static str,
}

impl Fingerprint {
    /// The fingerprint of a certificate's DER.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl KeyThumbprint {
    /// The thumbprint of a key's SubjectPublicKeyInfo in DER.
    pub fn of(subject_public_key_info: &[u8]) -> Self {
        Self(Sha256::digest(subject_public_key_info).into())
    }
}

impl HardwareId {
    /// The machine whose endorsement key has this SubjectPublicKeyInfo in DER.
    pub fn of(subject_public_key_info: &[u8]) -> Self {
        Self(Sha256::digest(subject_public_key_info).into())
    }
}

impl SecretHash {
    /// The hash of a secret as its holder shows it.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }
}

impl Serial {
    /// Takes 1 to 20 octets that make a positive number in its shortest form (RFC 5280, section 4.1.2.2).
    ///
    /// # Errors
    ///
    /// Refuses none, too many, zero, negative numbers and needless leading zeros.
    pub fn from_octets(octets: Vec<u8>) -> Result<Self, BadHex> {
        let valid = match octets.as_slice() {
            [] | [0] => false,
            [0, second, ..] => *second >= 0x80,
            [first, ..] => *first < 0x80,
        };
        if valid && octets.len() <= 20 {
            Ok(Self(octets))
        } else {
            Err(BadHex { what: SERIAL })
        }
    }
}

impl FromStr for Serial {
    type Err = BadHex;

    fn from_str(text: &str) -> Result<Self, BadHex> {
        decode(text).ok_or(BadHex { what: SERIAL }).and_then(Self::from_octets)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        encode(&self.0, f)
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        encode(&self.0, f)
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<SecretHash> for String {
    /// Writes the hash for the store; nothing else shows it.
    fn from(hash: SecretHash) -> Self {
        hash.0.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

impl TryFrom<String> for Serial {
    type Error = BadHex;

    fn try_from(text: String) -> Result<Self, BadHex> {
        text.parse()
    }
}

macro_rules! hash {
    ($name:ident, $what:literal) => {
        impl FromStr for $name {
            type Err = BadHex;

            fn from_str(text: &str) -> Result<Self, BadHex> {
                decode(text)
                    .and_then(|octets| octets.try_into().ok())
                    .map(Self)
                    .ok_or(BadHex { what: $what })
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadHex;

            fn try_from(text: String) -> Result<Self, BadHex> {
                text.parse()
            }
        }
    };
}

macro_rules! shown_hash {
    ($name:ident, $what:literal) => {
        hash!($name, $what);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                encode(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                encode(&self.0, f)
            }
        }

        impl From<$name> for String {
            fn from(hash: $name) -> Self {
                hash.to_string()
            }
        }
    };
}

shown_hash!(
    Fingerprint,
    "a certificate fingerprint: 64 lowercase hexadecimal digits"
);
shown_hash!(HardwareId, "a hardware id: 64 lowercase hexadecimal digits");
shown_hash!(KeyThumbprint, "a key thumbprint: 64 lowercase hexadecimal digits");
hash!(SecretHash, "a secret's hash: 64 lowercase hexadecimal digits");

fn encode(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    rest.is_empty().then_some(())?;
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

const SERIAL: &str = "a serial number: 1 to 20 octets in lowercase hexadecimal digits, positive, without leading zeros";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fingerprint_is_the_sha_256_of_the_certificate() {
        let fingerprint = Fingerprint::of(b"abc");
        assert_eq!(
            fingerprint.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert!(fingerprint.to_string().to_uppercase().parse::<Fingerprint>().is_err());
    }

    #[test]
    fn a_secrets_hash_never_shows_itself() {
        let hash = SecretHash::of("secret");
        assert_eq!(format!("{hash:?}"), "[redacted]");
        assert_eq!(SecretHash::try_from(String::from(hash)), Ok(hash));
    }

    #[test]
    fn only_a_positive_serial_number_of_at_most_20_octets_is_one() {
        assert!("0a".parse::<Serial>().is_ok());
        assert!("0080".parse::<Serial>().is_ok());
        assert!("7f".repeat(20).parse::<Serial>().is_ok());
        for bad in ["", "0", "00", "80", "0001", "0A", "zz", &"7f".repeat(21)] {
            assert!(bad.parse::<Serial>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_as_a_serial_number_prints_the_same(text in "[0-9a-fA-F]{0,44}|\\PC{0,8}") {
            if let Ok(serial) = text.parse::<Serial>() {
                prop_assert_eq!(serial.to_string(), text);
            }
        }
    }
}
