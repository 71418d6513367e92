//! What does it cost to check what a device proves? `cargo bench -p device-checks`.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use device_checks::attestation::tpm::{CertifiedKey, KeyRole, examine};
use device_checks::attestation::{RootClass, Roots, TpmDevice, TpmKey};
use device_checks::wire::Octets;
use device_checks::{ASSERTION_TYPE, Amr, Assertion, ExpectedRequest, KeyType, jws, verify_assertion};
use directory::{
    DeviceId, Enrollment, EnrollmentId, EnrollmentState, KeyStore, Method, PublicKey, Revision, Timestamp, UserId,
};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};

criterion_group!(checks, assertion, evidence);
criterion_main!(checks);

/// Target: 150 µs.
fn assertion(criterion: &mut Criterion) {
    let enrollment = enrollment();
    let token = token(&enrollment);
    let expected = ExpectedRequest {
        audience: AUDIENCE,
        method: "GET",
        url: URL,
        now: NOW,
    };
    criterion.bench_function("verify assertion", |bencher| {
        bencher.iter(|| verify_assertion(black_box(&token), &enrollment, &expected).unwrap());
    });
}

/// Target: 2 ms.
fn evidence(criterion: &mut Criterion) {
    for (name, device, root, statements) in [
        (
            "full TPM evidence (RSA EK)",
            device(&[RSA_EK_CERTIFICATE, ISSUER], RSA_EK),
            ROOT,
            [possession(), verification()],
        ),
        (
            "full TPM evidence (P-256 EK)",
            device(&[ECC_EK_CERTIFICATE], ECC_EK),
            ECC_ROOT,
            [possession(), verification()],
        ),
    ] {
        let roots = Roots::new([(root.to_vec(), RootClass::Hardware)], []).unwrap();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| prove(black_box(&device), &roots, &statements));
        });
    }
}

fn prove(device: &TpmDevice, roots: &Roots, [possession, verification]: &[TpmKey; 2]) -> [CertifiedKey; 2] {
    let evidence = examine(device).unwrap();
    roots.vouch(evidence.chain(), IN_2030).unwrap();
    let secret = [5; 32];
    let (_, pending) = evidence.challenge(secret, &mut rand::rng()).unwrap();
    let activated = pending.activate(&secret).unwrap();
    let qualifying = std::array::from_fn(|at| u8::try_from(at).unwrap());
    [
        activated
            .certified(possession, &qualifying, KeyRole::Possession)
            .unwrap(),
        activated
            .certified(verification, &qualifying, KeyRole::Verification)
            .unwrap(),
    ]
}

fn token(enrollment: &Enrollment) -> String {
    let claims = Assertion {
        iss: enrollment.id,
        aud: AUDIENCE.to_owned(),
        sub: enrollment.user,
        iat: NOW.secs(),
        exp: NOW.secs() + 60,
        jti: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        nonce: "A".repeat(75),
        htm: "GET".to_owned(),
        htu: URL.to_owned(),
        amr: vec![Amr::Fpt],
        key_type: KeyType::ProofOfPossession,
    };
    let sign = |digest: &[u8; 32]| -> Result<[u8; 64], p256::ecdsa::Error> {
        let signature: Signature = key().sign_prehash(digest)?;
        Ok(signature.to_bytes().into())
    };
    jws::sign(ASSERTION_TYPE, enrollment.key, &claims, sign).unwrap()
}

fn enrollment() -> Enrollment {
    let public = PublicKey::from_sec1(&key().verifying_key().to_sec1_point(false).to_bytes()).unwrap();
    Enrollment {
        id: EnrollmentId::from_random(1),
        device: DeviceId::from_random(1),
        user: UserId::from_random(1),
        state: EnrollmentState::Active,
        generation: 0,
        key: public.thumbprint(),
        key_store: KeyStore::Tpm,
        hardware_key: true,
        public_key: Some(public),
        verification: None,
        methods: BTreeSet::from([Method::SignedNonce]),
        instance: None,
        created: NOW,
        version: Revision(1),
    }
}

fn key() -> SigningKey {
    SigningKey::from_slice(&[1; 32]).unwrap()
}

fn device(chain: &[&[u8]], endorsement: &[u8]) -> TpmDevice {
    TpmDevice {
        ver: "2.0".to_owned(),
        x5c: chain.iter().map(|der| Octets(der.to_vec())).collect(),
        ek: Octets(endorsement.to_vec()),
        ak: Octets(include_bytes!("../src/fixtures/tpm/ecc-ak.public").to_vec()),
    }
}

fn possession() -> TpmKey {
    statement(
        include_bytes!("../src/fixtures/tpm/possession.public"),
        include_bytes!("../src/fixtures/tpm/ecc-possession.attest"),
        include_bytes!("../src/fixtures/tpm/ecc-possession.sig"),
    )
}

fn verification() -> TpmKey {
    statement(
        include_bytes!("../src/fixtures/tpm/verification.public"),
        include_bytes!("../src/fixtures/tpm/ecc-verification.attest"),
        include_bytes!("../src/fixtures/tpm/ecc-verification.sig"),
    )
}

fn statement(public: &[u8], attest: &[u8], signature: &[u8]) -> TpmKey {
    TpmKey {
        ver: "2.0".to_owned(),
        pub_area: Octets(public.to_vec()),
        cert_info: Octets(attest.to_vec()),
        sig: Octets(signature.to_vec()),
    }
}

const AUDIENCE: &str = "https://auth.example.com";
const URL: &str = "https://wiki.example.com/pages/start";
const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const IN_2030: Timestamp = Timestamp::from_secs(1_893_456_000);
const RSA_EK_CERTIFICATE: &[u8] = include_bytes!("../src/fixtures/tpm/rsa-ek.crt");
const ISSUER: &[u8] = include_bytes!("../src/fixtures/tpm/issuer.crt");
const ROOT: &[u8] = include_bytes!("../src/fixtures/tpm/root.crt");
const RSA_EK: &[u8] = include_bytes!("../src/fixtures/tpm/rsa-ek.public");
const ECC_EK_CERTIFICATE: &[u8] = include_bytes!("../src/fixtures/tpm/ecc-ek.crt");
const ECC_ROOT: &[u8] = include_bytes!("../src/fixtures/tpm/ecc-root.crt");
const ECC_EK: &[u8] = include_bytes!("../src/fixtures/tpm/ecc-ek.public");
