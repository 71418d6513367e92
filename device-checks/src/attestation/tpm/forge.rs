//! What would a TPM's structures look like if one thing about them were wrong? Made in software, with keys that are known.

use aes::Aes128;
use aes::cipher::KeyIvInit;
use p256::ecdsa::SigningKey;
use sha2::{Digest, Sha256};

use super::certify::{CERTIFY, TPM_GENERATED};
use super::credential::{hmac, kdfa, kdfe};
use super::public::{AES, Attributes, CFB, ECC, ECDSA, NULL, P256, SHA256};
use crate::attestation::{TpmDevice, TpmKey};
use crate::samples::{Ca, public, sign};
use crate::wire::{Credential, Octets};

/// A TPMT_PUBLIC of an elliptic key, field by field.
#[derive(Debug, Clone)]
pub(crate) struct Area {
    pub(crate) kind: u16,
    pub(crate) name_hash: u16,
    pub(crate) attributes: u32,
    pub(crate) policy: Vec<u8>,
    pub(crate) symmetric: Vec<u16>,
    pub(crate) scheme: Vec<u16>,
    pub(crate) curve: u16,
    pub(crate) kdf: u16,
    pub(crate) x: Vec<u8>,
    pub(crate) y: Vec<u8>,
    pub(crate) behind: Vec<u8>,
}

/// A TPMS_ATTEST, field by field.
#[derive(Debug, Clone)]
pub(crate) struct Attest {
    pub(crate) magic: u32,
    pub(crate) kind: u16,
    pub(crate) qualifying: Vec<u8>,
    pub(crate) safe: u8,
    pub(crate) name: Vec<u8>,
    pub(crate) behind: Vec<u8>,
}

/// A machine whose TPM is this file.
pub(crate) struct SoftwareTpm {
    pub(crate) endorsement: SigningKey,
    pub(crate) attestation: SigningKey,
    pub(crate) ek: Area,
    pub(crate) ak: Area,
    pub(crate) x5c: Vec<Vec<u8>>,
}

impl SoftwareTpm {
    /// One that this CA vouches for, with keys that this number tells apart.
    pub(crate) fn new(ca: &Ca, number: u8) -> Self {
        let (endorsement, attestation) = (crate::samples::key(number), crate::samples::key(number + 100));
        let storage = Attributes::BORN_AND_STAYS | Attributes::RESTRICTED | Attributes::DECRYPT;
        let mut ek = Area::new(&endorsement, storage | Attributes::ADMIN_WITH_POLICY);
        (ek.policy, ek.symmetric, ek.scheme) = (vec![7; 32], vec![AES, 128, CFB], vec![NULL]);
        let signing = Attributes::BORN_AND_STAYS | Attributes::RESTRICTED | Attributes::SIGN;
        let ak = Area::new(&attestation, signing | Attributes::USER_WITH_AUTH);
        let x5c = vec![ca.endorse(&public(&endorsement), |_| {})];
        Self {
            endorsement,
            attestation,
            ek,
            ak,
            x5c,
        }
    }

    pub(crate) fn device(&self) -> TpmDevice {
        TpmDevice {
            ver: "2.0".to_owned(),
            x5c: self.x5c.iter().cloned().map(Octets).collect(),
            ek: Octets(self.ek.octets()),
            ak: Octets(self.ak.octets()),
        }
    }

    /// Opens a credential for a key of this name (TPM2_ActivateCredential), or finds that it is for another.
    pub(crate) fn open(&self, credential: &Credential, name: &[u8]) -> Option<Vec<u8>> {
        let ours = p256::SecretKey::from_slice(&self.endorsement.to_bytes()).unwrap();
        let (x, y) = (&credential.secret.0[2..34], &credential.secret.0[36..68]);
        let theirs = p256::PublicKey::from_sec1_bytes(&[&[4], x, y].concat()).unwrap();
        let shared = ours.diffie_hellman(&theirs);
        let x = x.try_into().unwrap();
        let seed = kdfe(
            shared.raw_secret_bytes(),
            b"IDENTITY\0",
            x,
            &public(&self.endorsement).x,
        );
        let (integrity, identity) = credential.blob.0[2..].split_at(32);
        let key: [u8; 32] = kdfa(&seed, b"INTEGRITY\0", &[]).unwrap();
        if integrity != hmac(&key, &[identity, name]).unwrap() {
            return None;
        }
        let mut secret = identity.to_vec();
        let key: [u8; 16] = kdfa(&seed, b"STORAGE\0", name).unwrap();
        cfb_mode::Decryptor::<Aes128>::new(&key.into(), &[0; 16].into()).decrypt(&mut secret);
        Some(secret.split_off(2))
    }

    /// Certifies a key by signing whatever it is given.
    pub(crate) fn certify(&self, area: &Area, attest: &Attest) -> TpmKey {
        let cert_info = attest.octets();
        let signature = sign(&self.attestation, &Sha256::digest(&cert_info).into());
        TpmKey {
            ver: "2.0".to_owned(),
            pub_area: Octets(area.octets()),
            cert_info: Octets(cert_info),
            sig: Octets(ecdsa(&signature)),
        }
    }
}

impl Area {
    /// A signing key's.
    pub(crate) fn new(key: &SigningKey, attributes: u32) -> Self {
        let key = public(key);
        Self {
            kind: ECC,
            name_hash: SHA256,
            attributes,
            policy: vec![],
            symmetric: vec![NULL],
            scheme: vec![ECDSA, SHA256],
            curve: P256,
            kdf: NULL,
            x: key.x.to_vec(),
            y: key.y.to_vec(),
            behind: vec![],
        }
    }

    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut octets = numbers(&[self.kind, self.name_hash]);
        octets.extend(self.attributes.to_be_bytes());
        octets.extend(sized(&self.policy));
        octets.extend(numbers(&self.symmetric));
        octets.extend(numbers(&self.scheme));
        octets.extend(numbers(&[self.curve, self.kdf]));
        octets.extend(sized(&self.x));
        octets.extend(sized(&self.y));
        octets.extend(&self.behind);
        octets
    }

    pub(crate) fn name(&self) -> Vec<u8> {
        [numbers(&[SHA256]), Sha256::digest(self.octets()).to_vec()].concat()
    }
}

impl Attest {
    pub(crate) fn new(area: &Area, qualifying: &[u8; 32]) -> Self {
        Self {
            magic: TPM_GENERATED,
            kind: u16::try_from(CERTIFY).unwrap(),
            qualifying: qualifying.to_vec(),
            safe: 1,
            name: area.name(),
            behind: vec![],
        }
    }

    fn octets(&self) -> Vec<u8> {
        let mut octets = self.magic.to_be_bytes().to_vec();
        octets.extend(self.kind.to_be_bytes());
        octets.extend(sized(&[0; 34]));
        octets.extend(sized(&self.qualifying));
        octets.extend([0; 16]);
        octets.push(self.safe);
        octets.extend([0; 8]);
        octets.extend(sized(&self.name));
        octets.extend(sized(&self.name));
        octets.extend(&self.behind);
        octets
    }
}

/// A TPMT_SIGNATURE with ECDSA and SHA-256.
pub(crate) fn ecdsa(signature: &[u8; 64]) -> Vec<u8> {
    let (r, s) = signature.split_at(32);
    [numbers(&[ECDSA, SHA256]), sized(r), sized(s)].concat()
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn sized(octets: &[u8]) -> Vec<u8> {
    [numbers(&[u16::try_from(octets.len()).unwrap()]), octets.to_vec()].concat()
}
