//! What do these tests stand on? Software TPMs and tokens of their own, in folders that go with them.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod agent;
pub(crate) mod gateway;
pub(crate) mod page;
pub(crate) mod pam;
pub(crate) mod service;
pub(crate) mod swtpm;

use device_checks::wire::{PublicKey, Timestamp};
use latchkey_agent::keys::{DeviceKey, KeyError, KeyStore, StoredKey, Unlock, Verify};
use latchkey_agent::secret::Secret;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// Opens a key by a PIN.
pub(crate) fn open(store: &dyn KeyStore, key: &StoredKey, pin: &str) -> Result<Box<dyn DeviceKey>, KeyError> {
    let pin = secret(pin);
    let by = Verify::Pin(&pin);
    store.open(key, Some(Unlock { by, now: NOW }))
}

/// Opens a key by a PIN and signs with it: some stores find a wrong PIN only then.
pub(crate) fn sign(store: &dyn KeyStore, key: &StoredKey, pin: &str) -> Result<[u8; 64], KeyError> {
    open(store, key, pin)?.sign_digest(&[9; 32])
}

pub(crate) fn verifies(key: &PublicKey, digest: &[u8; 32], signature: &[u8; 64]) -> bool {
    let key = VerifyingKey::from_sec1_bytes(&key.sec1()).unwrap();
    key.verify_prehash(digest, &Signature::from_slice(signature).unwrap())
        .is_ok()
}
