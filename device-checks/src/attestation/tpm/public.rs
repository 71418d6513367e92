//! What is the public area of a TPM's key? A TPMT_PUBLIC (part 2, section 12.2.4) with algorithms from a short list.

use directory::PublicKey;
use p256::ecdsa::VerifyingKey;
use rsa::BoxedUint;
use sha2::{Digest, Sha256, Sha384};

use super::reader::{Malformed, Reader};

/// The public area of a key.
#[derive(Debug, Clone)]
pub(super) struct Public {
    /// What may be done with it, and by whom.
    pub(super) attributes: Attributes,
    /// Whether it has an authorisation policy.
    pub(super) has_policy: bool,
    /// The hash of its name.
    pub(super) name_hash: Hash,
    /// Its name (part 1, section 16): the hash's identifier and the hash of the public area.
    pub(super) name: Vec<u8>,
    /// Whether it protects what is below it, with AES-128 in CFB.
    pub(super) is_storage: bool,
    /// How alone it signs; nothing leaves that open.
    pub(super) scheme: Option<Scheme>,
    /// The key itself.
    pub(super) key: Key,
}

/// A key of a size that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// RSA with 2048 bits and the exponent 65537. Public operations alone: RUSTSEC-2023-0071 is about private ones.
    Rsa(rsa::RsaPublicKey),
    /// A point on P-256.
    P256(PublicKey),
}

/// A way of signing, and the hash it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Ecdsa(Hash),
    Rsassa(Hash),
    Rsapss(Hash),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
}

/// A TPMA_OBJECT (section 8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes(pub(super) u32);

impl Public {
    /// Reads a TPMT_PUBLIC and nothing else.
    pub(super) fn parse(octets: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(octets);
        let kind = reader.u16()?;
        let name_hash = Hash::parse("nameAlg", reader.u16()?)?;
        let attributes = Attributes::parse(reader.u32()?)?;
        let has_policy = !reader.buffer("authPolicy", LONGEST_DIGEST)?.is_empty();
        let is_storage = parse_symmetric(&mut reader)?;
        let (scheme, key) = match kind {
            RSA => parse_rsa(&mut reader)?,
            ECC => parse_ecc(&mut reader)?,
            other => return Err(unsupported("type", other)),
        };
        reader.end()?;
        Ok(Self {
            attributes,
            has_policy,
            name_hash,
            name: name_hash.name(octets),
            is_storage,
            scheme,
            key,
        })
    }
}

impl Attributes {
    pub(super) const FIXED_TPM: u32 = 1 << 1;
    pub(super) const FIXED_PARENT: u32 = 1 << 4;
    pub(super) const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    pub(super) const USER_WITH_AUTH: u32 = 1 << 6;
    pub(super) const ADMIN_WITH_POLICY: u32 = 1 << 7;
    pub(super) const NO_DA: u32 = 1 << 10;
    pub(super) const RESTRICTED: u32 = 1 << 16;
    pub(super) const DECRYPT: u32 = 1 << 17;
    pub(super) const SIGN: u32 = 1 << 18;
    /// The key was made inside this TPM and never leaves it.
    pub(super) const BORN_AND_STAYS: u32 = Self::FIXED_TPM | Self::FIXED_PARENT | Self::SENSITIVE_DATA_ORIGIN;
    /// Bits that have no meaning: 0, 3, 12 to 15, 20 to 31.
    const RESERVED: u32 = 0xfff0_f009;

    fn parse(bits: u32) -> Result<Self, Malformed> {
        match bits & Self::RESERVED {
            0 => Ok(Self(bits)),
            value => Err(Malformed::Unsupported {
                field: "objectAttributes (reserved bits)",
                value,
            }),
        }
    }

    /// Whether all of the first are set and none of the second.
    pub(super) fn are(self, set: u32, clear: u32) -> bool {
        self.0 & set == set && self.0 & clear == 0
    }
}

impl Hash {
    /// Reads an algorithm identifier (section 6.3).
    pub(super) fn parse(field: &'static str, identifier: u16) -> Result<Self, Malformed> {
        match identifier {
            SHA256 => Ok(Self::Sha256),
            SHA384 => Ok(Self::Sha384),
            other => Err(unsupported(field, other)),
        }
    }

    fn name(self, octets: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => [&SHA256.to_be_bytes()[..], &Sha256::digest(octets)].concat(),
            Self::Sha384 => [&SHA384.to_be_bytes()[..], &Sha384::digest(octets)].concat(),
        }
    }
}

impl Scheme {
    /// Reads the identifier of a way of signing and of its hash.
    pub(super) fn parse(field: &'static str, identifier: u16, hash: u16) -> Result<Self, Malformed> {
        let hash = Hash::parse(field, hash)?;
        match identifier {
            ECDSA => Ok(Self::Ecdsa(hash)),
            RSASSA => Ok(Self::Rsassa(hash)),
            RSAPSS => Ok(Self::Rsapss(hash)),
            other => Err(unsupported(field, other)),
        }
    }
}

/// Reads a TPMT_SYM_DEF_OBJECT (section 11.1.7): nothing, or AES-128 in CFB.
fn parse_symmetric(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.u16()? {
        NULL => return Ok(false),
        AES => {}
        other => return Err(unsupported("symmetric algorithm", other)),
    }
    match (reader.u16()?, reader.u16()?) {
        (128, CFB) => Ok(true),
        (128, mode) => Err(unsupported("symmetric mode", mode)),
        (size, _) => Err(unsupported("symmetric key size", size)),
    }
}

fn parse_scheme(reader: &mut Reader<'_>) -> Result<Option<Scheme>, Malformed> {
    match reader.u16()? {
        NULL => Ok(None),
        identifier => Scheme::parse("scheme", identifier, reader.u16()?).map(Some),
    }
}

/// Reads a TPMS_RSA_PARMS (section 12.2.3.5) and a TPM2B_PUBLIC_KEY_RSA (section 11.2.4.5).
fn parse_rsa(reader: &mut Reader<'_>) -> Result<(Option<Scheme>, Key), Malformed> {
    let scheme = parse_scheme(reader)?;
    match reader.u16()? {
        RSA_BITS => {}
        other => return Err(unsupported("keyBits", other)),
    }
    match reader.u32()? {
        0 | EXPONENT => {}
        value => {
            return Err(Malformed::Unsupported {
                field: "exponent",
                value,
            });
        }
    }
    rsa_key(reader.buffer("the RSA modulus", RSA_OCTETS)?).map(|key| (scheme, key))
}

/// The RSA key with this modulus of 2048 bits.
pub(super) fn rsa_key(modulus: &[u8]) -> Result<Key, Malformed> {
    if modulus.len() != RSA_OCTETS || modulus.first().is_none_or(|first| *first < 0x80) {
        return Err(Malformed::Key);
    }
    let modulus = BoxedUint::from_be_slice(modulus, RSA_BITS.into()).map_err(|_| Malformed::Key)?;
    let key = rsa::RsaPublicKey::new(modulus, BoxedUint::from(EXPONENT)).map_err(|_| Malformed::Key)?;
    Ok(Key::Rsa(key))
}

/// Reads a TPMS_ECC_PARMS (section 12.2.3.6) and a TPMS_ECC_POINT (section 11.2.5.2).
fn parse_ecc(reader: &mut Reader<'_>) -> Result<(Option<Scheme>, Key), Malformed> {
    let scheme = parse_scheme(reader)?;
    match reader.u16()? {
        P256 => {}
        other => return Err(unsupported("curveID", other)),
    }
    match reader.u16()? {
        NULL => {}
        other => return Err(unsupported("kdf", other)),
    }
    let (x, y) = (reader.number("x")?, reader.number("y")?);
    let key = PublicKey { x, y };
    VerifyingKey::from_sec1_bytes(&key.sec1()).map_err(|_| Malformed::Key)?;
    Ok((scheme, Key::P256(key)))
}

fn unsupported(field: &'static str, value: u16) -> Malformed {
    let value = value.into();
    Malformed::Unsupported { field, value }
}

/// Algorithm identifiers (section 6.3, from the TCG algorithm registry).
pub(super) const RSA: u16 = 0x0001;
pub(super) const AES: u16 = 0x0006;
pub(super) const SHA256: u16 = 0x000b;
pub(super) const SHA384: u16 = 0x000c;
pub(super) const NULL: u16 = 0x0010;
pub(super) const RSASSA: u16 = 0x0014;
pub(super) const RSAPSS: u16 = 0x0016;
pub(super) const ECDSA: u16 = 0x0018;
pub(super) const ECC: u16 = 0x0023;
pub(super) const CFB: u16 = 0x0043;
/// TPM_ECC_NIST_P256 (section 6.4).
pub(super) const P256: u16 = 0x0003;
/// The longest digest that a TPM makes: SHA-512's.
const LONGEST_DIGEST: usize = 64;
const RSA_BITS: u16 = 2048;
const RSA_OCTETS: usize = 256;
const EXPONENT: u32 = 65_537;
