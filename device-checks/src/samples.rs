//! What do the tests of this crate start from? Keys with known numbers, and CAs made on the spot.

use directory::{PublicKey, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SubjectPublicKeyInfo,
};
use time::OffsetDateTime;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
/// When the certificates among the fixtures are valid: 2030.
pub(crate) const FIXTURES_NOW: Timestamp = Timestamp::from_secs(1_893_456_000);

/// A CA of which everything is known.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) der: Vec<u8>,
}

impl Ca {
    pub(crate) fn root(name: &str) -> Self {
        Self::changed(name, |_| {})
    }

    /// One whose certificate differs from a good one by this change.
    pub(crate) fn changed(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority(name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let issuer = Issuer::new(params, key);
        Self { issuer, der }
    }

    /// One that this one certified.
    pub(crate) fn below(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority(name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        let issuer = Issuer::new(params, key);
        Self { issuer, der }
    }

    /// The certificate of an endorsement key, changed in this way.
    pub(crate) fn endorse(&self, key: &PublicKey, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = leaf();
        params.distinguished_name = DistinguishedName::new();
        params.extended_key_usages = vec![endorsement()];
        params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
        change(&mut params);
        self.issue(key.subject_public_key_info(), &params)
    }

    /// The certificate of a client, changed in this way.
    pub(crate) fn admit(&self, key: &PublicKey, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        self.admit_other(key.subject_public_key_info(), change)
    }

    /// The certificate of a client with a key of another kind.
    pub(crate) fn admit_other(&self, key: Vec<u8>, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = leaf();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        change(&mut params);
        self.issue(key, &params)
    }

    fn issue(&self, key: Vec<u8>, params: &CertificateParams) -> Vec<u8> {
        let key = SubjectPublicKeyInfo::from_der(&key).unwrap();
        assert!(!key.der_bytes().is_empty());
        params.signed_by(&key, &self.issuer).unwrap().der().to_vec()
    }
}

/// tcg-kp-EKCertificate.
pub(crate) fn endorsement() -> ExtendedKeyUsagePurpose {
    ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])
}

/// Valid from so many to so many seconds after [`NOW`].
pub(crate) fn valid(params: &mut CertificateParams, from: i64, until: i64) {
    let moment = |offset: i64| OffsetDateTime::from_unix_timestamp(NOW.secs() + offset).unwrap();
    (params.not_before, params.not_after) = (moment(from), moment(until));
}

/// The private key with this number.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

pub(crate) fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_sec1(&key.verifying_key().to_sec1_point(false).to_bytes()).unwrap()
}

/// r and s over a digest.
pub(crate) fn sign(key: &SigningKey, digest: &[u8; 32]) -> [u8; 64] {
    let signature: Signature = key.sign_prehash(digest).unwrap();
    signature.to_bytes().into()
}

/// The same randomness each time.
pub(crate) fn randomness() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn authority(name: &str) -> CertificateParams {
    let mut params = leaf();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn leaf() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.is_ca = IsCa::ExplicitNoCa;
    valid(&mut params, -DAY, DAY);
    params
}

/// A day in seconds.
pub(crate) const DAY: i64 = 24 * 60 * 60;
