//! Did this attestation key sign that? A TPMT_SIGNATURE (part 2, section 11.3.4), or ECDSA's r and s in DER.

use p256::ecdsa::Signature as EcdsaSignature;
use rsa::{Pkcs1v15Sign, Pss};
use sha2::{Digest, Sha256, Sha384};

use super::public::{Hash, Key, Scheme};
use super::reader::{Malformed, Reader};
use crate::jws;

/// A signature that was read but not verified.
pub(super) struct Signature<'a> {
    scheme: Scheme,
    value: Value<'a>,
}

enum Value<'a> {
    Ecdsa(EcdsaSignature),
    Rsa(&'a [u8]),
}

impl<'a> Signature<'a> {
    /// Reads a signature and nothing else. A TPMT_SIGNATURE begins with 00, a DER SEQUENCE with 30.
    pub(super) fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        match octets.first() {
            Some(&SEQUENCE) => parse_der(octets),
            Some(_) | None => parse_tpm(octets),
        }
    }

    /// Whether this key, in this way of signing, signed this message.
    pub(super) fn is_by(&self, key: &Key, scheme: Scheme, message: &[u8]) -> bool {
        if self.scheme != scheme {
            return false;
        }
        match (key, &self.value, scheme) {
            (Key::P256(key), Value::Ecdsa(signature), Scheme::Ecdsa(Hash::Sha256)) => {
                jws::verify_signature(key, message, signature).is_ok()
            }
            (Key::Rsa(key), Value::Rsa(signature), Scheme::Rsassa(Hash::Sha256)) => key
                .verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), signature)
                .is_ok(),
            (Key::Rsa(key), Value::Rsa(signature), Scheme::Rsassa(Hash::Sha384)) => key
                .verify(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message), signature)
                .is_ok(),
            (Key::Rsa(key), Value::Rsa(signature), Scheme::Rsapss(Hash::Sha256)) => {
                key.verify(pss::<Sha256>(), &Sha256::digest(message), signature).is_ok()
            }
            (Key::Rsa(key), Value::Rsa(signature), Scheme::Rsapss(Hash::Sha384)) => {
                key.verify(pss::<Sha384>(), &Sha384::digest(message), signature).is_ok()
            }
            // An elliptic key with another hash, or a key of the other kind.
            (Key::P256(_) | Key::Rsa(_), Value::Ecdsa(_) | Value::Rsa(_), _) => false,
        }
    }
}

fn parse_der(octets: &[u8]) -> Result<Signature<'_>, Malformed> {
    let signature = EcdsaSignature::from_der(octets).map_err(|_| Malformed::Signature)?;
    Ok(Signature {
        scheme: Scheme::Ecdsa(Hash::Sha256),
        value: Value::Ecdsa(signature),
    })
}

fn parse_tpm(octets: &[u8]) -> Result<Signature<'_>, Malformed> {
    let mut reader = Reader::new(octets);
    let scheme = Scheme::parse("sigAlg", reader.u16()?, reader.u16()?)?;
    let value = match scheme {
        Scheme::Ecdsa(_) => {
            let (r, s) = (reader.number("r")?, reader.number("s")?);
            Value::Ecdsa(EcdsaSignature::from_scalars(r, s).map_err(|_| Malformed::Signature)?)
        }
        Scheme::Rsassa(_) | Scheme::Rsapss(_) => Value::Rsa(reader.buffer("sig", RSA_OCTETS)?),
    };
    reader.end()?;
    Ok(Signature { scheme, value })
}

/// TPMs take the longest salt that fits, or the hash's length where FIPS 186-4 rules (part 1, appendix B.7): both are taken.
fn pss<D: Digest>() -> Pss<D> {
    Pss {
        salt_len: None,
        ..Pss::new()
    }
}

const SEQUENCE: u8 = 0x30;
const RSA_OCTETS: usize = 256;
