//! Where do private keys live, and how do they sign? The same traits over files, a TPM and a PKCS#11 token.

pub mod codes;
mod configuration;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod seal;
mod software;
#[cfg(feature = "tpm")]
pub mod tpm;
mod tries;

use std::time::Duration;

use device_checks::attestation::{DeviceStatement, KeyStatement};
use device_checks::wire::{self, Credential, Octets, PublicKey, Timestamp, VerificationMethod};
use device_checks::{Amr, jws};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::pam::Verified;
use crate::private_file::FileError;
use crate::secret::Secret;

pub use configuration::{Choice, Configuration, DEFAULT_TCTI, Pkcs11Configuration, tpm_attestor, tpm_is_there};
#[cfg(feature = "pkcs11")]
pub use pkcs11::Pkcs11Store;
pub use seal::Sealed;
pub use software::SoftwareStore;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The authenticator instance: by it the gateway knows this installation.
    Instance,
    /// An account's key that signs without asking anybody.
    Possession,
    /// An account's key that signs after the user was verified.
    Verification,
}

/// How a user shows that it is them.
#[derive(Debug, Clone, Copy)]
pub enum Verify<'a> {
    /// By a PIN, which the store asks for itself.
    Pin(&'a Secret),
    /// By a service of the operating system, which the store has to believe: it keeps such a key as it keeps those that ask for
    /// nobody.
    Checked(&'a Verified),
}

/// What a user showed.
#[derive(Debug, Clone)]
pub enum Confirmed {
    /// This PIN, right or wrong.
    Pin(Secret),
    /// Themselves, to a service of the operating system.
    Checked(Verified),
}

/// A try to open a key that asks for its user.
#[derive(Debug, Clone, Copy)]
pub struct Unlock<'a> {
    /// How the user shows that it is them.
    pub by: Verify<'a>,
    /// The present moment: wrong tries make the next ones wait.
    pub now: Timestamp,
}

/// Where a key is found again; kept in the state. It opens nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "store", rename_all = "snake_case", deny_unknown_fields)]
pub enum KeyReference {
    /// A sealed file in the state.
    Software {
        /// Its name.
        file: String,
    },
    /// A key that only the TPM that made it can load.
    Tpm {
        /// Its TPMT_PUBLIC.
        public: Octets,
        /// Its TPM2B_PRIVATE's contents, which the TPM encrypted.
        private: Octets,
        /// What makes the PIN's key differ from others', where there is a PIN.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        salt: Option<Octets>,
    },
    /// An object of a PKCS#11 token.
    Pkcs11 {
        /// Its CKA_ID, in hexadecimal.
        id: String,
        /// The sealed file that asks for the user's PIN before the key is used, where one is asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guard: Option<String>,
    },
}

/// A key that was made, and where it is found again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredKey {
    /// Its public half.
    pub public: PublicKey,
    /// Where the private half is.
    pub reference: KeyReference,
}

/// A place where keys are made, and which they never leave. Its calls block: run them on a worker that may.
pub trait KeyStore: Send + Sync {
    /// Which kind of place it is.
    fn kind(&self) -> wire::KeyStore;

    /// Makes a key; a verification key with how its user will be verified.
    ///
    /// # Errors
    ///
    /// The store fails, or a verification key was to be made without a way to verify.
    fn create(&self, role: Role, verify: Option<Verify<'_>>) -> Result<StoredKey, KeyError>;

    /// Opens a key for signing; a verification key for its user.
    ///
    /// # Errors
    ///
    /// The key is not there, was changed, belongs to another store, or its user could not be verified; hardware that
    /// verifies users itself may say so when the key signs.
    fn open(&self, key: &StoredKey, unlock: Option<Unlock<'_>>) -> Result<Box<dyn DeviceKey>, KeyError>;

    /// Lets the user be verified by another PIN from now on; what comes back replaces the old reference.
    ///
    /// # Errors
    ///
    /// As [`KeyStore::open`].
    fn change(&self, key: &StoredKey, unlock: Unlock<'_>, to: &Secret) -> Result<StoredKey, KeyError>;

    /// How other programs use a key that asks for nobody; nothing where they cannot.
    ///
    /// # Errors
    ///
    /// The key belongs to another store.
    fn shared(&self, key: &StoredKey) -> Result<Option<Shared>, KeyError>;

    /// Destroys a key; one that is gone already is as well.
    ///
    /// # Errors
    ///
    /// The store fails.
    fn delete(&self, key: &StoredKey) -> Result<(), KeyError>;
}

/// How other programs use a key without ever having it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shared {
    /// By a file that this machine's TPM alone can load: a TSS2 PRIVATE KEY in PEM.
    File(String),
    /// By a PKCS#11 URI (RFC 7512).
    Uri(String),
}

/// A key that signs.
pub trait DeviceKey: Send + Sync {
    /// Its public half.
    fn public(&self) -> PublicKey;

    /// Signs a SHA-256 digest; gives r and s.
    ///
    /// # Errors
    ///
    /// The store fails.
    fn sign_digest(&self, digest: &[u8; 32]) -> Result<[u8; 64], KeyError>;

    /// What a TPM's attestation key can certify of it; nothing where it lives elsewhere.
    fn certifiable(&self) -> Option<Certifiable<'_>>;
}

/// A key in a TPM, as that TPM loads it.
pub struct Certifiable<'a> {
    /// Its TPMT_PUBLIC.
    pub public: &'a Octets,
    /// Its TPM2B_PRIVATE's contents.
    pub private: &'a Octets,
    /// Its authorisation value.
    pub authorization: &'a Zeroizing<Vec<u8>>,
}

/// Hardware that proves which machine this is and which keys live in it. One value serves one enrolment, from the first
/// call to the last. Its calls block.
pub trait Attestor: Send + Sync {
    /// What says which machine this is, with a new attestation key.
    ///
    /// # Errors
    ///
    /// The hardware fails or has no certificate.
    fn begin(&self) -> Result<DeviceStatement, KeyError>;

    /// Opens what only this machine can open.
    ///
    /// # Errors
    ///
    /// The hardware fails, or the credential is for another machine.
    fn activate(&self, credential: &Credential) -> Result<Octets, KeyError>;

    /// Certifies a key over these octets; [`KeyStatement::None`] for one that lives elsewhere.
    ///
    /// # Errors
    ///
    /// The hardware fails.
    fn certify(&self, key: &dyn DeviceKey, qualifying: &[u8; 32]) -> Result<KeyStatement, KeyError>;
}

/// Says why a key cannot be made, opened or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The PIN is not the key's.
    #[error("the PIN is wrong{}", left(*.tries_left))]
    WrongPin {
        /// How many tries there are before the machine's own lock-out, where it has one.
        tries_left: Option<u32>,
    },
    /// There were too many wrong PINs of late.
    #[error("too many wrong PINs: the next try is in {}", whole(*.wait))]
    Wait {
        /// How long.
        wait: Duration,
    },
    /// The machine's own lock-out is near, which would lock out every user of its TPM; nothing was tried.
    #[error(
        "the TPM is {left} wrong PIN(s) away from locking out everybody on this machine, so none was tried: \
         one try comes back every {}",
        whole(*.recovery)
    )]
    NearLockOut {
        /// How many tries there are.
        left: u32,
        /// How long until there is one more.
        recovery: Duration,
    },
    /// The TPM has locked out everybody.
    #[error("the TPM locks out everybody after wrong PINs: it recovers in {}", whole(*.recovery))]
    LockedOut {
        /// In how long there is a try.
        recovery: Duration,
    },
    /// The key asks for its user, and nobody was there to be asked.
    #[error("this key signs after its user was verified: a PIN is needed")]
    PinNeeded,
    /// Nothing can be a PIN but 4 to 64 characters.
    #[error("a PIN has 4 to 64 characters")]
    UnfitPin,
    /// The key is not where it was.
    #[error("the key `{0}` is gone")]
    Gone(String),
    /// The key's file was changed, or belongs to other files.
    #[error("the key `{0}` was changed or copied here from elsewhere: it does not open")]
    Damaged(String),
    /// The key lives in another store than the one asked.
    #[error("the key lives in another key store")]
    OtherStore,
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The machine has no EK certificate that would say what it is.
    #[error("the TPM has no endorsement key certificate (RSA, NV index 0x01c00002): it cannot prove what it is")]
    NoCertificate,
    /// This build cannot use such keys.
    #[error("this latchkey-agent was built without {0}")]
    NotBuiltIn(&'static str),
    /// The hardware or its driver fails.
    #[error("cannot {doing}")]
    Hardware {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The worker that used the key broke down.
    #[error("the key's worker broke down")]
    Worker,
}

impl Confirmed {
    /// The same for a key store.
    pub fn verify(&self) -> Verify<'_> {
        match self {
            Self::Pin(pin) => Verify::Pin(pin),
            Self::Checked(verified) => Verify::Checked(verified),
        }
    }

    /// Whether this is what a key of this method asks for.
    pub fn is_by(&self, method: VerificationMethod) -> bool {
        match (self, method) {
            (Self::Pin(_), VerificationMethod::Pin)
            | (Self::Checked(_), VerificationMethod::Fingerprint | VerificationMethod::Face) => true,
            (Self::Pin(_), VerificationMethod::Fingerprint | VerificationMethod::Face)
            | (Self::Checked(_), VerificationMethod::Pin) => false,
        }
    }
}

/// How a verification counts as authentication (RFC 8176).
pub fn amr(method: VerificationMethod) -> Amr {
    match method {
        VerificationMethod::Pin => Amr::Pin,
        VerificationMethod::Fingerprint => Amr::Fingerprint,
        VerificationMethod::Face => Amr::Face,
    }
}

/// Signs claims of this type by a key.
///
/// # Errors
///
/// The key does not sign.
pub fn sign_token(typ: &str, key: &dyn DeviceKey, claims: &impl Serialize) -> Result<String, jws::SignError<KeyError>> {
    jws::sign(typ, key.public().thumbprint(), claims, |digest| key.sign_digest(digest))
}

/// Runs what blocks on a worker that may.
///
/// # Errors
///
/// What the work fails with, or [`KeyError::Worker`].
pub async fn blocking<T: Send + 'static, E: From<KeyError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(KeyError::Worker.into()))
}

/// A PIN that can be one.
fn checked(pin: &Secret) -> Result<&Secret, KeyError> {
    if (4..=64).contains(&pin.expose().chars().count()) {
        Ok(pin)
    } else {
        Err(KeyError::UnfitPin)
    }
}

fn left(tries: Option<u32>) -> String {
    tries.map_or_else(String::new, |tries| {
        format!(" ({tries} more before the TPM locks out everybody)")
    })
}

/// A duration for people, rounded up.
fn whole(duration: Duration) -> String {
    let seconds = duration.as_millis().div_ceil(1000);
    if seconds < 120 {
        format!("{seconds} s")
    } else {
        format!("{} min", seconds.div_ceil(60))
    }
}
