//! How does a TPM hold keys? It makes them under its storage root key, and no other TPM can load them.

mod attest;
mod connection;
mod pem;

use std::time::Duration;

use device_checks::wire::{self, Octets, PublicKey};
use tss_esapi::attributes::{ObjectAttributes, ObjectAttributesBuilder};
use tss_esapi::constants::{PropertyTag, StructureTag};
use tss_esapi::handles::KeyHandle;
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::structures::{
    Auth, Digest, EccPoint, EccScheme, HashScheme, HashcheckTicket, KeyDerivationFunctionScheme, Private, Public,
    PublicBuilder, PublicEccParametersBuilder, Signature, SignatureScheme, SymmetricDefinitionObject,
};
use tss_esapi::traits::{Marshall, UnMarshall};
use tss_esapi::tss2_esys::TPMT_TK_HASHCHECK;
use zeroize::Zeroizing;

use super::seal::pin_key;
use super::software::{hardware, pin_for};
use super::{
    Certifiable, DeviceKey, KeyError, KeyReference, KeyStore, Role, Shared, StoredKey, Unlock, Verify, checked,
};
use crate::secret::Secret;

use connection::{Connection, failed};

pub use attest::TpmAttestor;

/// Keys in a TPM 2.0, under the storage root key of TCG's default ECC template, in the owner hierarchy.
#[derive(Debug, Clone)]
pub struct TpmStore {
    tcti: String,
}

impl TpmStore {
    /// The TPM that is reached this way: `device:/dev/tpmrm0`, `swtpm:host=127.0.0.1,port=2321`.
    pub fn new(tcti: &str) -> Self {
        Self { tcti: tcti.to_owned() }
    }
}

/// Whether a TPM 2.0 answers.
///
/// # Errors
///
/// None does, or this user may not use it.
pub fn answers(tcti: &str) -> Result<(), KeyError> {
    let mut connection = Connection::open(tcti)?;
    let family = connection.property(PropertyTag::FamilyIndicator)?;
    // "2.0" and a zero octet (TPM 2.0 Library, part 2, section 6.13).
    if family == Some(u32::from_be_bytes(*b"2.0\0")) {
        Ok(())
    } else {
        Err(hardware("use the TPM", "it is not of version 2.0"))
    }
}

impl KeyStore for TpmStore {
    fn kind(&self) -> wire::KeyStore {
        wire::KeyStore::Tpm
    }

    fn create(&self, role: Role, verify: Option<Verify<'_>>) -> Result<StoredKey, KeyError> {
        let pin = pin_for(role, verify)?;
        let salt = pin.map(|_| rand::random::<[u8; 16]>());
        let authorization = authorization(pin, salt.as_ref().map(<[u8; 16]>::as_slice))?;
        let mut connection = Connection::open(&self.tcti)?;
        let template = template(pin.is_some()).map_err(|error| failed("describe a key", error))?;
        let (public, private) = connection.create(template, &authorization)?;
        Ok(StoredKey {
            public: point(&public)?,
            reference: KeyReference::Tpm {
                public: Octets(public.marshall().map_err(|error| failed("read a new key", error))?),
                private: Octets(private.value().to_vec()),
                salt: salt.map(|salt| Octets(salt.to_vec())),
            },
        })
    }

    fn open(&self, key: &StoredKey, unlock: Option<Unlock<'_>>) -> Result<Box<dyn DeviceKey>, KeyError> {
        let parts = Parts::of(key)?;
        let authorization = parts.authorization(unlock)?;
        Ok(Box::new(TpmKey {
            tcti: self.tcti.clone(),
            public: key.public,
            parts,
            authorization,
        }))
    }

    fn change(&self, key: &StoredKey, unlock: Unlock<'_>, to: &Secret) -> Result<StoredKey, KeyError> {
        let (parts, pin) = (Parts::of(key)?, checked(to)?);
        if parts.salt.is_none() {
            return Err(KeyError::OtherStore);
        }
        let salt = rand::random::<[u8; 16]>();
        let (old, new) = (
            parts.authorization(Some(unlock))?,
            authorization(Some(pin), Some(&salt))?,
        );
        let mut connection = Connection::open(&self.tcti)?;
        let private = guarded(&mut connection, true, |connection| {
            connection.change(&parts.public()?, &parts.private()?, &old, &new)
        })?;
        Ok(StoredKey {
            public: key.public,
            reference: KeyReference::Tpm {
                public: parts.public,
                private: Octets(private.value().to_vec()),
                salt: Some(Octets(salt.to_vec())),
            },
        })
    }

    fn shared(&self, key: &StoredKey) -> Result<Option<Shared>, KeyError> {
        let parts = Parts::of(key)?;
        if parts.salt.is_some() {
            return Ok(None);
        }
        pem::write(&parts.public, &parts.private).map(Shared::File).map(Some)
    }

    fn delete(&self, key: &StoredKey) -> Result<(), KeyError> {
        // A TPM keeps nothing of such keys: whoever forgets the reference has destroyed them.
        Parts::of(key).map(drop)
    }
}

/// A key as the TPM gave it out.
#[derive(Clone)]
struct Parts {
    public: Octets,
    private: Octets,
    salt: Option<Octets>,
}

impl Parts {
    fn of(key: &StoredKey) -> Result<Self, KeyError> {
        match key.reference.clone() {
            KeyReference::Tpm { public, private, salt } => Ok(Self { public, private, salt }),
            KeyReference::Software { .. } | KeyReference::Pkcs11 { .. } => Err(KeyError::OtherStore),
        }
    }

    fn public(&self) -> Result<Public, KeyError> {
        Public::unmarshall(&self.public.0).map_err(|error| failed("read a key", error))
    }

    fn private(&self) -> Result<Private, KeyError> {
        Private::try_from(self.private.0.clone()).map_err(|error| failed("read a key", error))
    }

    fn authorization(&self, unlock: Option<Unlock<'_>>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        match (&self.salt, unlock) {
            (None, _) => Ok(Zeroizing::default()),
            (
                Some(salt),
                Some(Unlock {
                    by: Verify::Pin(pin), ..
                }),
            ) => authorization(Some(pin), Some(&salt.0)),
            (Some(_), _) => Err(KeyError::PinNeeded),
        }
    }
}

struct TpmKey {
    tcti: String,
    public: PublicKey,
    parts: Parts,
    authorization: Zeroizing<Vec<u8>>,
}

impl DeviceKey for TpmKey {
    fn public(&self) -> PublicKey {
        self.public
    }

    fn sign_digest(&self, digest: &[u8; 32]) -> Result<[u8; 64], KeyError> {
        let mut connection = Connection::open(&self.tcti)?;
        let (public, private) = (self.parts.public()?, self.parts.private()?);
        let signature = guarded(&mut connection, self.parts.salt.is_some(), |connection| {
            connection.with_key(&public, &private, &self.authorization, "sign", |context, key| {
                sign(context, key, digest)
            })
        })?;
        join(&signature)
    }

    fn certifiable(&self) -> Option<Certifiable<'_>> {
        Some(Certifiable {
            public: &self.parts.public,
            private: &self.parts.private,
            authorization: &self.authorization,
        })
    }
}

/// Does something that a wrong PIN would fail, unless a few more wrong PINs would lock out everybody on this machine.
fn guarded<T>(
    connection: &mut Connection,
    takes_pin: bool,
    work: impl FnOnce(&mut Connection) -> Result<T, KeyError>,
) -> Result<T, KeyError> {
    if !takes_pin {
        return work(connection);
    }
    let counted = connection.property(PropertyTag::LockoutCounter)?;
    let counted = counted.zip(connection.property(PropertyTag::MaxAuthFail)?);
    let unknown = || hardware("use a PIN", "the TPM does not say how near to its lock-out it is");
    let (counter, most) = counted.ok_or_else(unknown)?;
    let interval = connection.property(PropertyTag::LockoutInterval)?.unwrap_or_default();
    let recovery = Duration::from_secs(interval.into());
    let left = most.saturating_sub(counter);
    if left == 0 {
        return Err(KeyError::LockedOut { recovery });
    }
    if left <= (most / 4).clamp(1, 4) {
        return Err(KeyError::NearLockOut { left, recovery });
    }
    work(connection).map_err(|error| match error {
        KeyError::WrongPin { .. } => KeyError::WrongPin {
            tries_left: Some(left.saturating_sub(1)),
        },
        KeyError::LockedOut { .. } => KeyError::LockedOut { recovery },
        other => other,
    })
}

/// What the TPM asks for before such a key is used: nothing, or what the PIN and its salt make.
fn authorization(pin: Option<&Secret>, salt: Option<&[u8]>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    match pin.zip(salt) {
        Some((pin, salt)) => {
            let key = pin_key(pin, salt, &[]).map_err(|_| hardware("use a PIN", "its salt is damaged"))?;
            Ok(Zeroizing::new(key.to_vec()))
        }
        None => Ok(Zeroizing::default()),
    }
}

/// A P-256 key that signs SHA-256 digests, made in this TPM and never to leave it.
fn template(takes_pin: bool) -> tss_esapi::Result<Public> {
    let parameters = PublicEccParametersBuilder::new()
        .with_symmetric(SymmetricDefinitionObject::Null)
        .with_ecc_scheme(EccScheme::EcDsa(HashScheme::new(HashingAlgorithm::Sha256)))
        .with_curve(EccCurve::NistP256)
        .with_is_signing_key(true)
        .with_is_decryption_key(false)
        .with_restricted(false)
        .with_key_derivation_function_scheme(KeyDerivationFunctionScheme::Null)
        .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes(takes_pin)?)
        .with_ecc_parameters(parameters)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

fn attributes(takes_pin: bool) -> tss_esapi::Result<ObjectAttributes> {
    // What a wrong PIN would be counted for is protected by the TPM's own lock-out; the others ask for nothing, and so cannot be
    // certified as keys that verify a user.
    let no_lock_out = !takes_pin;
    ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(no_lock_out)
        .with_sign_encrypt(true)
        .build()
}

fn sign(context: &mut tss_esapi::Context, key: KeyHandle, digest: &[u8; 32]) -> tss_esapi::Result<Signature> {
    // An unrestricted key signs what anybody hashed: no ticket.
    let ticket = HashcheckTicket::try_from(TPMT_TK_HASHCHECK {
        tag: StructureTag::Hashcheck.into(),
        hierarchy: tss_esapi::constants::tss::TPM2_RH_NULL,
        digest: Default::default(),
    })?;
    let digest = Digest::try_from(digest.as_slice())?;
    context.sign(key, digest, SignatureScheme::Null, ticket)
}

/// r and s, each of 32 octets.
fn join(signature: &Signature) -> Result<[u8; 64], KeyError> {
    let Signature::EcDsa(signature) = signature else {
        return Err(hardware("sign", "the TPM signed in another way than with ECDSA"));
    };
    let mut joined = [0; 64];
    let (r, s) = joined.split_at_mut(32);
    fill(r, signature.signature_r().value());
    fill(s, signature.signature_s().value());
    Ok(joined)
}

fn point(public: &Public) -> Result<PublicKey, KeyError> {
    let Public::Ecc { unique, .. } = public else {
        return Err(hardware("read a new key", "it is not on a curve"));
    };
    let mut key = PublicKey { x: [0; 32], y: [0; 32] };
    fill(&mut key.x, unique.x().value());
    fill(&mut key.y, unique.y().value());
    Ok(key)
}

/// Writes a number right-aligned: TPMs may leave out leading zeros.
fn fill(slots: &mut [u8], number: &[u8]) {
    for (slot, octet) in slots.iter_mut().rev().zip(number.iter().rev()) {
        *slot = *octet;
    }
}

/// The authorisation value as the TPM's library takes it.
fn auth(value: &[u8]) -> tss_esapi::Result<Auth> {
    Auth::try_from(value)
}
