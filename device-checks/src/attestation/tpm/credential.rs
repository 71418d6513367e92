//! Which octets can only the TPM with both keys open? TPM2_MakeCredential in software (part 1, section 24).

use aes::Aes128;
use aes::cipher::KeyIvInit;
use directory::PublicKey;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdh::EphemeralSecret;
use p256::elliptic_curve::Generate;
use rsa::Oaep;
use rsa::rand_core::CryptoRng;
use sha2::{Digest, Sha256};

use super::public::Key;
use crate::wire::{Credential, Octets};

/// Says that an endorsement key cannot be encrypted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot encrypt to the endorsement key")]
pub struct CannotEncrypt;

/// Encloses a secret for the TPM that holds this endorsement key and a key of this name.
pub(super) fn make(
    endorsement: &Key,
    name: &[u8],
    secret: &[u8; 32],
    randomness: &mut impl CryptoRng,
) -> Result<Credential, CannotEncrypt> {
    let (seed, encrypted_seed) = seed(endorsement, randomness)?;
    let mut identity = sized(secret);
    let key: [u8; 16] = kdfa(&seed, b"STORAGE\0", name)?;
    cfb_mode::Encryptor::<Aes128>::new(&key.into(), &[0; 16].into()).encrypt(&mut identity);
    let key: [u8; 32] = kdfa(&seed, b"INTEGRITY\0", &[])?;
    let integrity = hmac(&key, &[&identity, name])?;
    let blob = [sized(&integrity), identity].concat();
    Ok(Credential {
        blob: Octets(blob),
        secret: Octets(encrypted_seed),
    })
}

/// A seed, and what the endorsement key recovers it from (part 1, appendices B.10.3 and C.6.1).
fn seed(endorsement: &Key, randomness: &mut impl CryptoRng) -> Result<([u8; 32], Vec<u8>), CannotEncrypt> {
    match endorsement {
        Key::Rsa(key) => {
            let mut seed = [0; 32];
            randomness.fill_bytes(&mut seed);
            let padding = Oaep::<Sha256>::new_with_label(*b"IDENTITY\0");
            let encrypted = key.encrypt(randomness, padding, &seed).map_err(|_| CannotEncrypt)?;
            Ok((seed, encrypted))
        }
        Key::P256(key) => {
            let theirs = p256::PublicKey::from_sec1_bytes(&key.sec1()).map_err(|_| CannotEncrypt)?;
            let ours = EphemeralSecret::try_generate_from_rng(randomness).map_err(|_| CannotEncrypt)?;
            let point = PublicKey::from_sec1(&ours.public_key().to_sec1_bytes()).ok_or(CannotEncrypt)?;
            let shared = ours.diffie_hellman(&theirs);
            let seed = kdfe(shared.raw_secret_bytes(), b"IDENTITY\0", &point.x, &key.x);
            Ok((seed, [sized(&point.x), sized(&point.y)].concat()))
        }
    }
}

/// KDFa with SHA-256 for at most 32 octets: one round (part 1, section 11.4.10.2).
pub(super) fn kdfa<const N: usize>(key: &[u8; 32], label: &[u8], context: &[u8]) -> Result<[u8; N], CannotEncrypt> {
    let bits = u32::try_from(N * 8).map_err(|_| CannotEncrypt)?;
    let round = hmac(key, &[&1_u32.to_be_bytes(), label, context, &bits.to_be_bytes()])?;
    round.first_chunk().copied().ok_or(CannotEncrypt)
}

/// KDFe with SHA-256 for 32 octets: one round (part 1, section 11.4.10.3).
pub(super) fn kdfe(shared: &[u8], label: &[u8], ours: &[u8; 32], theirs: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [&1_u32.to_be_bytes(), shared, label, ours, theirs] {
        hash.update(part);
    }
    hash.finalize().into()
}

pub(super) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Result<[u8; 32], CannotEncrypt> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| CannotEncrypt)?;
    parts.iter().for_each(|part| mac.update(part));
    Ok(mac.finalize().into_bytes().into())
}

/// A sized buffer (TPM2B) with 32 octets.
fn sized(octets: &[u8; 32]) -> Vec<u8> {
    [&32_u16.to_be_bytes()[..], octets].concat()
}
