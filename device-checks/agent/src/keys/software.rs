//! How does a file hold a key? PKCS #8, sealed under a random key beside it and, for verification, under the user's
//! PIN.

use std::fs::File;
use std::path::{Path, PathBuf};

use device_checks::wire::{self, PublicKey};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use zeroize::Zeroizing;

use super::seal::Sealed;
use super::tries::Tries;
use super::{
    Certifiable, DeviceKey, KeyError, KeyReference, KeyStore, Role, Shared, StoredKey, Unlock, Verify, checked,
};
use crate::private_file::{self, FileError};
use crate::secret::Secret;

/// Keys in files: whoever copies the folder has them, but for the PIN of those that ask for one.
#[derive(Debug, Clone)]
pub struct SoftwareStore {
    folder: PathBuf,
}

impl SoftwareStore {
    /// The keys in this folder, which is made when the first key is.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, file: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{file}.{ending}"))
    }
}

impl KeyStore for SoftwareStore {
    fn kind(&self) -> wire::KeyStore {
        wire::KeyStore::Software
    }

    fn create(&self, role: Role, verify: Option<Verify<'_>>) -> Result<StoredKey, KeyError> {
        let pin = pin_for(role, verify)?;
        let vault = Vault::take(&self.folder)?;
        let key = generate();
        let public = public(&key)?;
        let file = public.thumbprint().to_string();
        let pkcs8 = key
            .to_pkcs8_der()
            .map_err(|source| hardware("write a key as PKCS #8", source))?;
        vault.seal(&self.path(&file, "key"), pkcs8.as_bytes(), &file, pin)?;
        Ok(StoredKey {
            public,
            reference: KeyReference::Software { file },
        })
    }

    fn open(&self, key: &StoredKey, unlock: Option<Unlock<'_>>) -> Result<Box<dyn DeviceKey>, KeyError> {
        let file = name(key)?;
        let vault = Vault::take(&self.folder)?;
        let pkcs8 = vault.open(&self.path(file, "key"), file, unlock)?;
        let private = SigningKey::from_pkcs8_der(&pkcs8).map_err(|_| KeyError::Damaged(file.to_owned()))?;
        if public(&private)? == key.public {
            Ok(Box::new(SoftwareKey {
                key: private,
                public: key.public,
            }))
        } else {
            Err(KeyError::Damaged(file.to_owned()))
        }
    }

    fn change(&self, key: &StoredKey, unlock: Unlock<'_>, to: &Secret) -> Result<StoredKey, KeyError> {
        let (file, pin) = (name(key)?, checked(to)?);
        let vault = Vault::take(&self.folder)?;
        let path = self.path(file, "key");
        let pkcs8 = vault.open(&path, file, Some(unlock))?;
        vault.seal(&path, &pkcs8, file, Some(pin))?;
        Ok(key.clone())
    }

    fn shared(&self, key: &StoredKey) -> Result<Option<Shared>, KeyError> {
        name(key).map(|_| None)
    }

    fn delete(&self, key: &StoredKey) -> Result<(), KeyError> {
        let file = name(key)?;
        private_file::remove(&self.path(file, "key"))?;
        Ok(private_file::remove(&self.path(file, "key.tries"))?)
    }
}

/// The installation's own key, and the right to use what is sealed under it: one at a time, so that tries are counted.
pub(super) struct Vault {
    key: Zeroizing<[u8; 32]>,
    _lock: File,
}

impl Vault {
    /// Opens the folder's vault; makes it where there is none.
    pub(super) fn take(folder: &Path) -> Result<Self, KeyError> {
        private_file::make_folder(folder)?;
        let lock_file = folder.join("lock");
        let lock = open_lock(&lock_file).map_err(|source| FileError::Unusable {
            file: lock_file,
            source,
        })?;
        let file = folder.join("sealing.key");
        let key = match private_file::read(&file)? {
            Some(octets) => Zeroizing::new(
                <[u8; 32]>::try_from(octets.as_slice()).map_err(|_| KeyError::Damaged("sealing.key".to_owned()))?,
            ),
            None => {
                let key = Zeroizing::new(rand::random::<[u8; 32]>());
                private_file::write(&file, key.as_slice())?;
                key
            }
        };
        Ok(Self { key, _lock: lock })
    }

    /// Writes a sealed secret.
    pub(super) fn seal(&self, path: &Path, secret: &[u8], name: &str, pin: Option<&Secret>) -> Result<(), KeyError> {
        let sealed = Sealed::seal(secret, name, &self.key, pin).map_err(|_| KeyError::Damaged(name.to_owned()))?;
        let json = serde_json::to_vec(&sealed).map_err(|source| hardware("write a sealed key", source))?;
        Ok(private_file::write(path, &json)?)
    }

    /// Reads a sealed secret; a wrong PIN counts.
    pub(super) fn open(
        &self,
        path: &Path,
        name: &str,
        unlock: Option<Unlock<'_>>,
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let octets = private_file::read(path)?.ok_or_else(|| KeyError::Gone(name.to_owned()))?;
        let damaged = || KeyError::Damaged(name.to_owned());
        let sealed: Sealed = serde_json::from_slice(&octets).map_err(|_| damaged())?;
        if !sealed.takes_pin() {
            return sealed.open(name, &self.key, None).map_err(|_| damaged());
        }
        let Some(Unlock {
            by: Verify::Pin(pin),
            now,
        }) = unlock
        else {
            return Err(KeyError::PinNeeded);
        };
        let tries = Tries::new(path.with_added_extension("tries"));
        tries.begin(now)?;
        let secret = sealed
            .open(name, &self.key, Some(pin))
            .map_err(|_| KeyError::WrongPin { tries_left: None })?;
        tries.succeed()?;
        Ok(secret)
    }
}

struct SoftwareKey {
    key: SigningKey,
    public: PublicKey,
}

impl DeviceKey for SoftwareKey {
    fn public(&self) -> PublicKey {
        self.public
    }

    fn sign_digest(&self, digest: &[u8; 32]) -> Result<[u8; 64], KeyError> {
        let signature: Result<Signature, _> = self.key.sign_prehash(digest);
        signature
            .map(|signature| signature.to_bytes().into())
            .map_err(|source| hardware("sign", source))
    }

    fn certifiable(&self) -> Option<Certifiable<'_>> {
        None
    }
}

/// The PIN a key of this role is to be kept under; nothing where it is a service of the operating system that is asked.
pub(super) fn pin_for(role: Role, verify: Option<Verify<'_>>) -> Result<Option<&Secret>, KeyError> {
    match role {
        Role::Instance | Role::Possession => Ok(None),
        Role::Verification => match verify.ok_or(KeyError::PinNeeded)? {
            Verify::Pin(pin) => checked(pin).map(Some),
            Verify::Checked(_) => Ok(None),
        },
    }
}

fn generate() -> SigningKey {
    // A random scalar is out of range once in 2^32 times.
    loop {
        let scalar = Zeroizing::new(rand::random::<[u8; 32]>());
        if let Ok(key) = SigningKey::from_slice(scalar.as_slice()) {
            return key;
        }
    }
}

fn public(key: &SigningKey) -> Result<PublicKey, KeyError> {
    let point = key.verifying_key().to_sec1_point(false);
    PublicKey::from_sec1(point.as_bytes()).ok_or(KeyError::OtherStore)
}

fn name(key: &StoredKey) -> Result<&str, KeyError> {
    match &key.reference {
        // The name is the thumbprint, whatever the state says: it leads nowhere else.
        KeyReference::Software { file } if *file == key.public.thumbprint().to_string() => Ok(file),
        KeyReference::Software { .. } | KeyReference::Tpm { .. } | KeyReference::Pkcs11 { .. } => {
            Err(KeyError::OtherStore)
        }
    }
}

fn open_lock(file: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)?;
    lock.lock()?;
    Ok(lock)
}

/// A failure of what holds the key.
pub(super) fn hardware(doing: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> KeyError {
    KeyError::Hardware {
        doing,
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use device_checks::wire::Timestamp;
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::hazmat::PrehashVerifier;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    #[test]
    fn a_key_signs_and_its_public_half_verifies() {
        let (_folder, store) = store();
        let key = store.create(Role::Possession, None).unwrap();

        let opened = store.open(&key, None).unwrap();
        let signature = opened.sign_digest(&[9; 32]).unwrap();

        let verifying = VerifyingKey::from_sec1_bytes(&key.public.sec1()).unwrap();
        let signature = Signature::from_slice(&signature).unwrap();
        assert!(verifying.verify_prehash(&[9; 32], &signature).is_ok());
        assert!(verifying.verify_prehash(&[8; 32], &signature).is_err());
    }

    #[test]
    fn a_verification_key_opens_with_its_pin_alone_and_wrong_ones_slow_down() {
        let (_folder, store) = store();
        let key = create(&store, "2468");

        assert!(matches!(store.open(&key, None), Err(KeyError::PinNeeded)));
        for _ in 0..4 {
            assert!(matches!(open(&store, &key, "1357"), Err(KeyError::WrongPin { .. })));
        }
        assert!(matches!(open(&store, &key, "2468"), Err(KeyError::Wait { .. })));
        let later = NOW.plus(std::time::Duration::from_secs(30));
        let pin = Secret::new("2468".to_owned());
        let unlock = Unlock {
            by: Verify::Pin(&pin),
            now: later,
        };
        assert!(store.open(&key, Some(unlock)).is_ok());
        assert!(open(&store, &key, "2468").is_ok(), "a right PIN ends the wait");
    }

    #[test]
    fn a_changed_pin_replaces_the_old_one() {
        let (_folder, store) = store();
        let key = create(&store, "2468");
        let [old, new] = ["2468", "8642"].map(|pin| Secret::new(pin.to_owned()));
        let unlock = |pin| Unlock {
            by: Verify::Pin(pin),
            now: NOW,
        };

        assert!(matches!(
            store.change(&key, unlock(&new), &old),
            Err(KeyError::WrongPin { .. })
        ));
        let key = store.change(&key, unlock(&old), &new).unwrap();

        assert!(matches!(open(&store, &key, "2468"), Err(KeyError::WrongPin { .. })));
        assert!(open(&store, &key, "8642").is_ok());
    }

    #[test]
    fn a_pin_too_short_and_a_verification_key_without_one_are_refused() {
        let (_folder, store) = store();
        let short = Secret::new("123".to_owned());
        let made = store.create(Role::Verification, Some(Verify::Pin(&short)));
        assert!(matches!(made, Err(KeyError::UnfitPin)));
        assert!(matches!(
            store.create(Role::Verification, None),
            Err(KeyError::PinNeeded)
        ));
    }

    /// A service of the operating system stands before such a key, not a PIN: the store keeps it as it keeps a possession key, and
    /// no such word opens a key with a PIN.
    #[test]
    fn what_a_service_verified_opens_its_own_keys_alone() {
        let (_folder, store) = store();
        let verified = crate::pam::Verified::assumed();
        let by = Verify::Checked(&verified);
        let unlock = Unlock { by, now: NOW };
        let [key, with_pin] = [
            store.create(Role::Verification, Some(by)).unwrap(),
            create(&store, "2468"),
        ];

        assert!(store.open(&key, Some(unlock)).is_ok());
        assert!(matches!(store.open(&with_pin, Some(unlock)), Err(KeyError::PinNeeded)));
        assert!(open(&store, &with_pin, "2468").is_ok(), "control");
    }

    #[test]
    fn files_are_their_owners_and_one_that_was_changed_or_swapped_does_not_open() {
        let (folder, store) = store();
        let [key, other] = [(); 2].map(|()| store.create(Role::Possession, None).unwrap());
        let file = |key: &StoredKey| folder.path().join(format!("keys/{}.key", key.public.thumbprint()));
        for entry in std::fs::read_dir(folder.path().join("keys")).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let text = std::fs::read_to_string(file(&key)).unwrap();
        assert!(!text.contains("PRIVATE"), "{text}");

        std::fs::copy(file(&other), file(&key)).unwrap();
        assert!(matches!(store.open(&key, None), Err(KeyError::Damaged(_))));
        private_file::write(&file(&key), b"{}").unwrap();
        assert!(matches!(store.open(&key, None), Err(KeyError::Damaged(_))));
        private_file::write(&file(&key), text.as_bytes()).unwrap();
        assert!(store.open(&key, None).is_ok());
        store.delete(&key).unwrap();
        assert!(matches!(store.open(&key, None), Err(KeyError::Gone(_))));
        assert!(store.open(&other, None).is_ok());
    }

    #[test]
    fn a_key_does_not_open_without_the_installations_own_key() {
        let (folder, store) = store();
        let key = store.create(Role::Possession, None).unwrap();
        private_file::write(&folder.path().join("keys/sealing.key"), &[1; 32]).unwrap();
        assert!(matches!(store.open(&key, None), Err(KeyError::Damaged(_))));
    }

    fn store() -> (tempfile::TempDir, SoftwareStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = SoftwareStore::new(folder.path().join("keys"));
        (folder, store)
    }

    fn create(store: &SoftwareStore, pin: &str) -> StoredKey {
        let pin = Secret::new(pin.to_owned());
        store.create(Role::Verification, Some(Verify::Pin(&pin))).unwrap()
    }

    fn open(store: &SoftwareStore, key: &StoredKey, pin: &str) -> Result<Box<dyn DeviceKey>, KeyError> {
        let pin = Secret::new(pin.to_owned());
        let unlock = Unlock {
            by: Verify::Pin(&pin),
            now: NOW,
        };
        store.open(key, Some(unlock))
    }
}
