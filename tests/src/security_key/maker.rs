//! Who makes security keys of one model, and vouches for them? A CA, and the certificate of a batch.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, DnValue, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::sign;
use crate::device::Key;

/// A maker of keys.
pub struct Maker {
    /// The model (AAGUID).
    pub model: [u8; 16],
    root: String,
    batch: Vec<u8>,
    key: Key,
}

impl Maker {
    /// One with a CA of its own, for this model.
    pub fn new(model: [u8; 16]) -> Self {
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.distinguished_name.push(DnType::CommonName, "Makers of keys");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = root.self_signed(&root_key).unwrap();
        let issuer = Issuer::new(root, root_key);
        let key = Key::new();
        let batch_key = KeyPair::from_pem(&key.pem()).unwrap();
        let mut batch = CertificateParams::new(Vec::new()).unwrap();
        let country = DnValue::PrintableString("CH".try_into().unwrap());
        batch.distinguished_name.push(DnType::CountryName, country);
        batch
            .distinguished_name
            .push(DnType::OrganizationName, "Makers of keys");
        batch
            .distinguished_name
            .push(DnType::OrganizationalUnitName, "Authenticator Attestation");
        batch.distinguished_name.push(DnType::CommonName, "Batch 1");
        batch.is_ca = IsCa::ExplicitNoCa;
        batch.use_authority_key_identifier_extension = true;
        let model_is = [&[0x04, 0x10][..], &model].concat();
        batch.custom_extensions = vec![CustomExtension::from_oid_content(MODEL, model_is)];
        let batch = batch.signed_by(&batch_key, &issuer).unwrap();
        Self {
            model,
            root: certificate.pem(),
            batch: batch.der().to_vec(),
            key,
        }
    }

    /// The CA's certificate in PEM.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The model as it is written.
    pub fn model(&self) -> String {
        let digits: String = self.model.iter().map(|octet| format!("{octet:02x}")).collect();
        let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &digits[range]);
        groups.join("-")
    }

    pub(super) fn chain(&self) -> Vec<Vec<u8>> {
        vec![self.batch.clone()]
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        sign(self.key.signing(), message)
    }
}

/// id-fido-gen-ce-aaguid.
const MODEL: &[u64] = &[1, 3, 6, 1, 4, 1, 45724, 1, 1, 4];
