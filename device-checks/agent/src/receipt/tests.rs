use device_checks::jws;
use device_checks::wire::{DeviceId, EnrollmentId, InstanceId, KeyProtection, OrganizationId};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::pkcs8::DecodePrivateKey;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const ISSUER: &str = "https://auth.example.com";
const NONCE: &str = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";

/// E-22: what the pinned gateway signed for this device, this attempt and this key is believed.
#[test]
fn a_true_receipt_is_believed() {
    let world = World::new();
    let verified = world.check(world.answer(world.claims())).unwrap();
    assert_eq!(verified.leaf().key, world.possession.thumbprint());
}

/// E-22: a man in the middle cannot make a receipt, nor use one that was made for something else.
#[test]
fn a_receipt_with_one_wrong_claim_is_refused() {
    let world = World::new();
    for (claim, value, expected) in [
        ("iss", json!("https://evil.example"), BadReceipt::Issuer),
        ("orgId", json!(OrganizationId::from_random(9)), BadReceipt::Issuer),
        ("aud", json!(world.possession.thumbprint()), BadReceipt::Audience),
        ("iat", json!(NOW.secs() - 61), BadReceipt::Time),
        ("iat", json!(NOW.secs() + 61), BadReceipt::Time),
        ("tx", json!(AttemptId::from_random(9)), BadReceipt::Attempt),
        ("nonce", json!("another"), BadReceipt::Attempt),
        ("sub", json!(UserId::from_random(9)), BadReceipt::User),
        ("key", json!(world.instance.thumbprint()), BadReceipt::Key),
        ("device", json!(DeviceId::from_random(9)), BadReceipt::Contents),
        ("enrollment", json!(EnrollmentId::from_random(9)), BadReceipt::Contents),
        ("instance", json!(InstanceId::from_random(9)), BadReceipt::Contents),
        ("certificate", json!(hash(b"another")), BadReceipt::Contents),
    ] {
        let mut claims = world.claims();
        claims[claim] = value;
        assert_eq!(world.check(world.answer(claims)).unwrap_err(), expected, "{claim}");
    }
    assert!(world.check(world.answer(world.claims())).is_ok());
}

/// E-22: a receipt by another key is none, and neither is another token of the gateway's.
#[test]
fn a_receipt_that_the_gateway_did_not_sign_is_refused() {
    let world = World::new();
    let mut forged = world.answer(world.claims());
    forged.receipt = sign(&[8; 32], RECEIPT_TYPE, &world.claims());
    assert_eq!(world.check(forged).unwrap_err(), BadReceipt::UnknownKey);

    let mut challenge = world.answer(world.claims());
    challenge.receipt = sign(&[7; 32], device_checks::CHALLENGE_TYPE, &world.claims());
    assert_eq!(world.check(challenge).unwrap_err(), BadReceipt::Token(BadToken::Type));
}

/// E-22: the certificate that came along is this device's own.
#[test]
fn a_certificate_for_another_key_is_refused() {
    let world = World::new();
    for (certificate, expected) in [
        (certificate(&KeyPair::generate().unwrap()), BadReceipt::Key),
        ("no certificate".to_owned(), BadReceipt::Certificate),
    ] {
        let mut claims = world.claims();
        claims["certificate"] = json!(hash(certificate.as_bytes()));
        let mut answer = world.answer(claims);
        answer.certificate = certificate;
        assert_eq!(world.check(answer).unwrap_err(), expected);
    }
}

struct World {
    instance: PublicKey,
    possession: PublicKey,
    certificate: String,
}

impl World {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let possession = SigningKey::from_pkcs8_der(&key.serialize_der()).unwrap();
        Self {
            instance: public(&SigningKey::from_slice(&[5; 32]).unwrap()),
            possession: public(&possession),
            certificate: certificate(&key),
        }
    }

    fn claims(&self) -> Value {
        json!({
            "iss": ISSUER,
            "orgId": OrganizationId::from_random(1),
            "aud": self.instance.thumbprint(),
            "iat": NOW.secs(),
            "tx": AttemptId::from_random(1),
            "nonce": NONCE,
            "device": DeviceId::from_random(1),
            "sub": UserId::from_random(1),
            "enrollment": EnrollmentId::from_random(1),
            "instance": InstanceId::from_random(1),
            "key": self.possession.thumbprint(),
            "certificate": hash(self.certificate.as_bytes()),
        })
    }

    fn answer(&self, claims: Value) -> Enrolled {
        Enrolled {
            device: DeviceId::from_random(1),
            name: "laptop".to_owned(),
            user: UserId::from_random(1),
            enrollment: EnrollmentId::from_random(1),
            instance: InstanceId::from_random(1),
            certificate: self.certificate.clone(),
            key_protection: KeyProtection::Software,
            root_class: None,
            managed: false,
            fastpass: true,
            receipt: sign(&[7; 32], RECEIPT_TYPE, &claims),
        }
    }

    fn check(&self, enrolled: Enrolled) -> Result<VerifiedEnrollment, BadReceipt> {
        let pinned = Pinned {
            organization: OrganizationId::from_random(1),
            issuer: ISSUER.to_owned(),
            device_origin: None,
            challenge_keys: vec![public(&SigningKey::from_slice(&[7; 32]).unwrap())],
            authority: None,
        };
        let attempt = Attempt {
            id: AttemptId::from_random(1),
            nonce: NONCE,
            user: UserId::from_random(1),
            instance_key: &self.instance,
            possession: &self.possession,
        };
        VerifiedEnrollment::check(enrolled, &pinned, attempt, NOW)
    }
}

fn certificate(key: &KeyPair) -> String {
    CertificateParams::default().self_signed(key).unwrap().pem()
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_sec1(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
}

fn sign(key: &[u8; 32], typ: &str, claims: &Value) -> String {
    let signing = SigningKey::from_slice(key).unwrap();
    let sign = |digest: &[u8; 32]| {
        let signature: Result<p256::ecdsa::Signature, p256::ecdsa::Error> = signing.sign_prehash(digest);
        signature.map(|signature| signature.to_bytes().into())
    };
    jws::sign(typ, public(&signing).thumbprint(), claims, sign).unwrap()
}
