//! Which machine does a TPM say it is in, and which of its keys are bound to it? TPM 2.0, without a TPM on this side.
//!
//! Evidence goes one way: [`examine`] says that it is well-formed, [`TpmEvidence::challenge`] and
//! [`PendingActivation::activate`] that endorsement and attestation key are in one TPM, and [`ActivatedAk::certified`] that a
//! key is in it too. That the endorsement key is a TPM's at all is the word of a root: [`super::Roots::vouch`].
//!
//! Sections are those of the TPM 2.0 Library, revision 1.38. Of RSA only public operations are done here, which
//! RUSTSEC-2023-0071 (timing of private ones) does not touch.

mod certify;
mod credential;
mod key;
mod public;
mod reader;
mod signature;

#[cfg(test)]
mod forge;

use directory::{HardwareId, PublicKey};
use rsa::rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use x509_parser::certificate::X509Certificate;
use x509_parser::public_key::PublicKey as CertifiedPublicKey;

pub use credential::CannotEncrypt;
pub use key::{BadCertification, CertifiedKey, KeyRole};
pub use reader::Malformed;

use self::public::{Attributes, Hash, Key, Public, Scheme};
use super::TpmDevice;
use crate::anchor::{self, Unreadable};
use crate::wire::{Credential, Octets};

/// Evidence that is well-formed. Whether it is true, and whose word it is, is not known yet. Only [`examine`] makes one.
#[derive(Debug, Clone)]
pub struct TpmEvidence {
    hardware: HardwareId,
    chain: Vec<Vec<u8>>,
    endorsement: Key,
    attestation: AttestationKey,
}

/// A restricted signing key: what it signs and begins with TPM_GENERATED, its TPM has made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AttestationKey {
    name: Vec<u8>,
    scheme: Scheme,
    key: Key,
}

/// Says why evidence of a machine is not well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEvidence {
    /// It is of another version.
    #[error("expected ver 2.0")]
    Version,
    /// There is no certificate, or it cannot be read.
    #[error("cannot read the endorsement key's certificate")]
    Certificate(#[source] Unreadable),
    /// The EK's public area is not one.
    #[error("cannot read the endorsement key")]
    Endorsement(#[source] Malformed),
    /// The EK may do more or less than an endorsement key.
    #[error(
        "the endorsement key is not a storage key with SHA-256 and AES-128 that is fixedTPM, fixedParent, \
         sensitiveDataOrigin, restricted and decrypt"
    )]
    NotEndorsement,
    /// The certificate is for another key.
    #[error("the endorsement key is not its certificate's")]
    OtherKey,
    /// The AK's public area is not one.
    #[error("cannot read the attestation key")]
    Attestation(#[source] Malformed),
    /// The AK may do more or less than an attestation key.
    #[error(
        "the attestation key is not a signing key (ECDSA with SHA-256 on P-256, or RSA-2048) that is fixedTPM, fixedParent, \
         sensitiveDataOrigin and restricted, and not decrypt"
    )]
    NotAttestation,
}

/// A credential was made; the secret in it is awaited, once. Only [`TpmEvidence::challenge`] makes one.
pub struct PendingActivation {
    secret: [u8; 32],
    activated: ActivatedAk,
}

/// Says that what a TPM found in a credential is not what was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not the secret of the credential")]
pub struct WrongSecret;

/// Proof that this attestation key is in the TPM with this endorsement key. Only [`PendingActivation::activate`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivatedAk {
    hardware: HardwareId,
    attestation: AttestationKey,
}

/// Checks that evidence is well-formed: an endorsement key with its certificate, and an attestation key.
///
/// That the EK is a storage key is only said here: its certificate vouches for it, and the credential is made so that
/// another key cannot open it. What the AK may do is proved by its activation, since its name covers it.
///
/// # Errors
///
/// Says what is not as it has to be.
pub fn examine(statement: &TpmDevice) -> Result<TpmEvidence, BadEvidence> {
    if statement.ver != VERSION {
        return Err(BadEvidence::Version);
    }
    let chain: Vec<Vec<u8>> = statement.x5c.iter().map(|Octets(der)| der.clone()).collect();
    let certificate = chain.first().map_or(&[][..], Vec::as_slice);
    let certificate = anchor::read(certificate).map_err(BadEvidence::Certificate)?;
    let endorsement = Public::parse(&statement.ek.0).map_err(BadEvidence::Endorsement)?;
    let endorsement = endorsement_key(endorsement).ok_or(BadEvidence::NotEndorsement)?;
    if key_of(&certificate).as_ref() != Some(&endorsement) {
        return Err(BadEvidence::OtherKey);
    }
    let hardware = HardwareId::of(certificate.public_key().raw);
    let attestation = Public::parse(&statement.ak.0).map_err(BadEvidence::Attestation)?;
    let attestation = attestation_key(attestation).ok_or(BadEvidence::NotAttestation)?;
    Ok(TpmEvidence {
        hardware,
        chain,
        endorsement,
        attestation,
    })
}

impl TpmEvidence {
    /// Which machine it would be.
    pub fn hardware(&self) -> HardwareId {
        self.hardware
    }

    /// The endorsement key's certificate, then what leads to a root, in DER: for [`super::Roots::vouch`].
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// Encloses a fresh secret for the TPM that has both keys.
    ///
    /// # Errors
    ///
    /// Fails where the endorsement key cannot be encrypted to.
    pub fn challenge(
        &self,
        secret: [u8; 32],
        randomness: &mut impl CryptoRng,
    ) -> Result<(Credential, PendingActivation), CannotEncrypt> {
        let credential = credential::make(&self.endorsement, &self.attestation.name, &secret, randomness)?;
        let activated = ActivatedAk {
            hardware: self.hardware,
            attestation: self.attestation.clone(),
        };
        Ok((credential, PendingActivation { secret, activated }))
    }
}

impl PendingActivation {
    /// Takes the one answer that there may be.
    ///
    /// # Errors
    ///
    /// Refuses every other secret; the credential is void then.
    pub fn activate(self, answer: &[u8]) -> Result<ActivatedAk, WrongSecret> {
        if bool::from(self.secret.as_slice().ct_eq(answer)) {
            Ok(self.activated)
        } else {
            Err(WrongSecret)
        }
    }
}

impl std::fmt::Debug for PendingActivation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingActivation")
            .field("secret", &"[redacted]")
            .field("activated", &self.activated)
            .finish()
    }
}

impl ActivatedAk {
    /// Which machine it is, as far as a root vouches for it.
    pub fn hardware(&self) -> HardwareId {
        self.hardware
    }
}

/// The templates L-1, L-2, H-1 and H-2 of the TCG EK Credential Profile agree in this; those with P-384 or RSA-3072 are not
/// taken.
fn endorsement_key(public: Public) -> Option<Key> {
    let storage = Attributes::BORN_AND_STAYS | Attributes::RESTRICTED | Attributes::DECRYPT;
    let fits = public.attributes.are(storage, Attributes::SIGN)
        && public.name_hash == Hash::Sha256
        && public.is_storage
        && public.scheme.is_none();
    fits.then_some(public.key)
}

fn attestation_key(public: Public) -> Option<AttestationKey> {
    let signing = Attributes::BORN_AND_STAYS | Attributes::RESTRICTED | Attributes::SIGN;
    let fits = public.attributes.are(signing, Attributes::DECRYPT) && !public.is_storage;
    let scheme = public.scheme.filter(|_| fits)?;
    let usable = match (&public.key, scheme) {
        (Key::P256(_), Scheme::Ecdsa(hash)) => hash == Hash::Sha256,
        (Key::Rsa(_), Scheme::Rsassa(_) | Scheme::Rsapss(_)) => true,
        (Key::P256(_), Scheme::Rsassa(_) | Scheme::Rsapss(_)) | (Key::Rsa(_), Scheme::Ecdsa(_)) => false,
    };
    usable.then_some(AttestationKey {
        name: public.name,
        scheme,
        key: public.key,
    })
}

/// The key that a certificate is for, where it is of a kind that endorsement keys may be of.
fn key_of(certificate: &X509Certificate<'_>) -> Option<Key> {
    let info = certificate.public_key();
    match info.parsed().ok()? {
        CertifiedPublicKey::RSA(key) => {
            let modulus = key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus);
            public::rsa_key(modulus).ok().filter(|_| key.exponent == [1, 0, 1])
        }
        CertifiedPublicKey::EC(point) => {
            let key = PublicKey::from_sec1(point.data())?;
            (key.subject_public_key_info() == info.raw).then_some(Key::P256(key))
        }
        CertifiedPublicKey::DSA(_)
        | CertifiedPublicKey::GostR3410(_)
        | CertifiedPublicKey::GostR3410_2012(_)
        | CertifiedPublicKey::Unknown(_) => None,
    }
}

const VERSION: &str = "2.0";

#[cfg(test)]
mod tests;
