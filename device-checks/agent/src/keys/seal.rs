//! How is a secret kept in a file? Sealed under the installation's own key and, where there is one, the user's PIN.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use device_checks::wire::Octets;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// A secret that only its key opens (XChaCha20-Poly1305), and only as what it was sealed as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    version: u32,
    /// Present where a PIN is needed: what makes its key differ from that of the same PIN elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<Octets>,
    nonce: Octets,
    secret: Octets,
}

/// Says that a secret does not open: another key or PIN, or it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unopened;

impl Sealed {
    /// Seals a secret as `name`.
    ///
    /// # Errors
    ///
    /// The cipher refuses, as it does beyond its bounds alone.
    pub fn seal(secret: &[u8], name: &str, key: &[u8; 32], pin: Option<&Secret>) -> Result<Self, Unopened> {
        let salt: Option<[u8; 16]> = pin.map(|_| rand::random());
        let nonce: [u8; 24] = rand::random();
        let key = sealing_key(key, pin, salt.as_ref().map(<[u8; 16]>::as_slice))?;
        let payload = Payload {
            msg: secret,
            aad: name.as_bytes(),
        };
        let sealed = XChaCha20Poly1305::new((&*key).into()).encrypt(&XNonce::from(nonce), payload);
        Ok(Self {
            version: VERSION,
            salt: salt.map(|salt| Octets(salt.to_vec())),
            nonce: Octets(nonce.to_vec()),
            secret: Octets(sealed.map_err(|_| Unopened)?),
        })
    }

    /// Whether it takes a PIN to open.
    pub fn takes_pin(&self) -> bool {
        self.salt.is_some()
    }

    /// Opens what was sealed as `name`.
    ///
    /// # Errors
    ///
    /// The key, the PIN, the name or the contents are others.
    pub fn open(&self, name: &str, key: &[u8; 32], pin: Option<&Secret>) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let nonce: [u8; 24] = self.nonce.0.as_slice().try_into().map_err(|_| Unopened)?;
        if self.version != VERSION || self.takes_pin() != pin.is_some() {
            return Err(Unopened);
        }
        let key = sealing_key(key, pin, self.salt.as_ref().map(|salt| salt.0.as_slice()))?;
        let payload = Payload {
            msg: &self.secret.0,
            aad: name.as_bytes(),
        };
        let opened = XChaCha20Poly1305::new((&*key).into()).decrypt(&XNonce::from(nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| Unopened)
    }
}

/// 32 octets that a PIN stands for (Argon2id, RFC 9106), with this salt and, where there is one, this further key.
///
/// # Errors
///
/// The salt or key has an impossible length.
pub(super) fn pin_key(pin: &Secret, salt: &[u8], further: &[u8]) -> Result<Zeroizing<[u8; 32]>, Unopened> {
    let parameters = Params::new(MEMORY, PASSES, 1, Some(32)).map_err(|_| Unopened)?;
    let argon2 = Argon2::new_with_secret(further, Algorithm::Argon2id, Version::V0x13, parameters);
    let mut key = Zeroizing::new([0; 32]);
    argon2
        .and_then(|argon2| argon2.hash_password_into(pin.expose().as_bytes(), salt, key.as_mut_slice()))
        .map_err(|_| Unopened)?;
    Ok(key)
}

fn sealing_key(key: &[u8; 32], pin: Option<&Secret>, salt: Option<&[u8]>) -> Result<Zeroizing<[u8; 32]>, Unopened> {
    match pin.zip(salt) {
        Some((pin, salt)) => pin_key(pin, salt, key),
        None => Ok(Zeroizing::new(*key)),
    }
}

const VERSION: u32 = 1;
/// KiB, and passes over them: the least that OWASP advises for Argon2id, for each try takes as much on slow machines.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn pin(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn what_was_sealed_opens_with_its_key_and_as_itself_alone() {
        let sealed = Sealed::seal(b"secret", "a", &KEY, None).unwrap();

        assert_eq!(sealed.open("a", &KEY, None).unwrap().as_slice(), b"secret");
        assert!(sealed.open("b", &KEY, None).is_err());
        assert!(sealed.open("a", &[8; 32], None).is_err());
        assert!(sealed.open("a", &KEY, Some(&pin("1234"))).is_err());
    }

    #[test]
    fn what_was_sealed_under_a_pin_takes_the_key_as_well() {
        let sealed = Sealed::seal(b"secret", "a", &KEY, Some(&pin("1234"))).unwrap();

        assert_eq!(
            sealed.open("a", &KEY, Some(&pin("1234"))).unwrap().as_slice(),
            b"secret"
        );
        assert!(sealed.open("a", &KEY, Some(&pin("1235"))).is_err());
        assert!(sealed.open("a", &KEY, None).is_err());
        assert!(sealed.open("a", &[8; 32], Some(&pin("1234"))).is_err());
    }

    #[test]
    fn what_was_changed_anywhere_does_not_open() {
        let sealed = Sealed::seal(b"secret", "a", &KEY, None).unwrap();
        for index in 0..sealed.secret.0.len() {
            let mut changed = sealed.clone();
            changed.secret.0[index] ^= 1;
            assert!(changed.open("a", &KEY, None).is_err(), "{index}");
        }
        let mut changed = sealed.clone();
        changed.nonce.0[0] ^= 1;
        assert!(changed.open("a", &KEY, None).is_err());
        assert!(sealed.open("a", &KEY, None).is_ok());
    }
}
