//! Is this key in the TPM of that attestation key, and may it be used as it is to be used? What TPM2_Certify proves.

use directory::PublicKey;

use super::certify::Certification;
use super::public::{Attributes, Hash, Key, Public, Scheme};
use super::reader::Malformed;
use super::signature::Signature;
use super::{ActivatedAk, VERSION};
use crate::attestation::TpmKey;

/// What a certified key is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRole {
    /// Signs without asking anybody.
    Possession,
    /// Signs only for whoever knows its authorisation value, of which the TPM allows few guesses.
    Verification,
}

/// Proof that a key was made in a TPM that was asked for it just now, and never leaves it. Only [`ActivatedAk::certified`]
/// makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertifiedKey {
    key: PublicKey,
    role: KeyRole,
}

/// Says why a key does not count as certified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCertification {
    /// The statement is of another version.
    #[error("expected ver 2.0")]
    Version,
    /// The signature is not one.
    #[error("cannot read the signature")]
    SignatureShape(#[source] Malformed),
    /// The attestation key did not sign it.
    #[error("the signature is not by the attestation key")]
    Signature,
    /// What was signed is no certification.
    #[error("cannot read what was certified")]
    Info(#[source] Malformed),
    /// It was made for another occasion.
    #[error("the certification does not cover the expected data")]
    Qualifying,
    /// The key's public area is not one.
    #[error("cannot read the certified key")]
    Key(#[source] Malformed),
    /// Another key is certified.
    #[error("the certification names another key")]
    Name,
    /// The key is of another kind.
    #[error("the certified key does not sign with ECDSA and SHA-256 on P-256")]
    Kind,
    /// The key can leave, was not made there, or does more or less than sign.
    #[error(
        "the certified key is not fixedTPM, fixedParent, sensitiveDataOrigin and sign, or it is restricted or decrypt"
    )]
    Attributes,
    /// The TPM does not see to it that the user is verified.
    #[error("the certified key is not userWithAuth, or it is noDA or adminWithPolicy, or a policy authorises its use")]
    Verification,
}

impl ActivatedAk {
    /// Checks that the TPM certified this key over this data, and that it fits this role.
    ///
    /// A TPM does not say whether the authorisation value of a verification key is empty: that the user was made to choose
    /// one is the agent's word.
    ///
    /// # Errors
    ///
    /// Says what is not as it has to be.
    pub fn certified(
        &self,
        statement: &TpmKey,
        qualifying: &[u8; 32],
        wanted: KeyRole,
    ) -> Result<CertifiedKey, BadCertification> {
        if statement.ver != VERSION {
            return Err(BadCertification::Version);
        }
        let signature = Signature::parse(&statement.sig.0).map_err(BadCertification::SignatureShape)?;
        if !signature.is_by(&self.attestation.key, self.attestation.scheme, &statement.cert_info.0) {
            return Err(BadCertification::Signature);
        }
        let certification = Certification::parse(&statement.cert_info.0).map_err(BadCertification::Info)?;
        if certification.qualifying != qualifying {
            return Err(BadCertification::Qualifying);
        }
        let public = Public::parse(&statement.pub_area.0).map_err(BadCertification::Key)?;
        if certification.name != public.name {
            return Err(BadCertification::Name);
        }
        check_attributes(&public, wanted)?;
        signing_key(&public).map(|key| CertifiedKey { key, role: wanted })
    }
}

impl CertifiedKey {
    /// The key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// What it was certified for.
    pub fn role(&self) -> KeyRole {
        self.role
    }
}

fn check_attributes(public: &Public, wanted: KeyRole) -> Result<(), BadCertification> {
    let set = Attributes::BORN_AND_STAYS | Attributes::SIGN;
    let clear = Attributes::RESTRICTED | Attributes::DECRYPT;
    if !public.attributes.are(set, clear) {
        return Err(BadCertification::Attributes);
    }
    match wanted {
        KeyRole::Possession => Ok(()),
        // The authorisation value alone opens the key, and wrong guesses of it lock the TPM out.
        KeyRole::Verification => {
            let clear = Attributes::NO_DA | Attributes::ADMIN_WITH_POLICY;
            let guarded = public.attributes.are(Attributes::USER_WITH_AUTH, clear) && !public.has_policy;
            if guarded {
                Ok(())
            } else {
                Err(BadCertification::Verification)
            }
        }
    }
}

fn signing_key(public: &Public) -> Result<PublicKey, BadCertification> {
    match (&public.key, public.scheme) {
        (Key::P256(key), None | Some(Scheme::Ecdsa(Hash::Sha256))) if !public.is_storage => Ok(*key),
        (Key::P256(_) | Key::Rsa(_), _) => Err(BadCertification::Kind),
    }
}
