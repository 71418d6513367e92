//! What would an enrolled device sign, and what is it asked? With keys that are known.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::{
    AttemptId, DeviceId, Enrollment, EnrollmentId, EnrollmentState, KeyStore, Method, PublicKey, Revision, UserId,
    Verification, VerificationMethod,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::jws;
use crate::samples::{self, NOW};
use crate::tokens::{
    ANSWER_TYPE, ASSERTION_TYPE, Amr, Answer, Assertion, ExpectedAnswer, ExpectedRequest, KeyType, Outcome, PushAnswer,
    PushOutcome,
};
use crate::wire::{Signal, SignalReport};

pub(super) fn answer(key: u8, change: impl FnOnce(&mut Value)) -> String {
    let mut claims = claims_of_answer(key);
    change(&mut claims);
    token(ANSWER_TYPE, key, &claims)
}

pub(super) fn assertion(key: u8, change: impl FnOnce(&mut Value)) -> String {
    let mut claims = claims_of_assertion(key);
    change(&mut claims);
    token(ASSERTION_TYPE, key, &claims)
}

pub(super) fn token(typ: &str, key: u8, claims: &Value) -> String {
    jws::sign(typ, public(key).thumbprint(), claims, |digest| sign(key, digest)).unwrap()
}

/// An assertion whose claims are this text.
pub(super) fn by_text(claims: &str) -> String {
    let header = json!({"alg": "ES256", "typ": ASSERTION_TYPE, "kid": public(POSSESSION).thumbprint()});
    let head = head(&header.to_string(), claims);
    let signature = sign(POSSESSION, &Sha256::digest(&head).into()).unwrap();
    format!("{head}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(super) fn head(header: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

pub(super) fn claims_of_answer(key: u8) -> Value {
    let (key_type, amr) = says(key);
    json!(Answer {
        iss: enrollment().id,
        aud: AUDIENCE.to_owned(),
        sub: enrollment().user,
        iat: NOW.secs(),
        exp: NOW.secs() + 60,
        jti: "1".to_owned(),
        tx: attempt(),
        nonce: "nonce".to_owned(),
        amr,
        key_type,
        origin: ORIGIN.to_owned(),
        outcome: Outcome::Approved,
        signals: SignalReport::default(),
        management: vec![],
    })
}

pub(super) fn claims_of_push_answer(key: u8) -> Value {
    let (key_type, amr) = says(key);
    json!(PushAnswer {
        iss: enrollment().id,
        aud: AUDIENCE.to_owned(),
        sub: enrollment().user,
        iat: NOW.secs(),
        exp: NOW.secs() + 60,
        jti: "1".to_owned(),
        tx: attempt(),
        nonce: "nonce".to_owned(),
        amr,
        key_type,
        outcome: PushOutcome::Approved,
        number: Some("42".to_owned()),
    })
}

pub(super) fn claims_of_assertion(key: u8) -> Value {
    let (key_type, amr) = says(key);
    json!(Assertion {
        iss: enrollment().id,
        aud: AUDIENCE.to_owned(),
        sub: enrollment().user,
        iat: NOW.secs(),
        exp: NOW.secs() + 60,
        jti: "1".to_owned(),
        nonce: "nonce".to_owned(),
        htm: "GET".to_owned(),
        htu: URL.to_owned(),
        amr,
        key_type,
    })
}

pub(super) fn says(key: u8) -> (KeyType, Vec<Amr>) {
    if key == VERIFICATION {
        (KeyType::UserVerification, vec![Amr::Fpt, Amr::Pin])
    } else {
        (KeyType::ProofOfPossession, vec![Amr::Fpt])
    }
}

pub(super) fn enrollment() -> Enrollment {
    Enrollment {
        id: EnrollmentId::from_random(1),
        device: DeviceId::from_random(1),
        user: UserId::from_random(1),
        state: EnrollmentState::Active,
        generation: 0,
        key: public(POSSESSION).thumbprint(),
        key_store: KeyStore::Software,
        hardware_key: false,
        public_key: Some(public(POSSESSION)),
        verification: Some(Verification {
            key: public(VERIFICATION),
            method: VerificationMethod::Pin,
            hardware: false,
        }),
        methods: BTreeSet::from([Method::Certificate, Method::SignedNonce]),
        instance: None,
        created: NOW,
        version: Revision(1),
    }
}

pub(super) fn expected_answer() -> ExpectedAnswer<'static> {
    ExpectedAnswer {
        audience: AUDIENCE,
        attempt: attempt(),
        origin: ORIGIN,
        signals: &[Signal::Os, Signal::DiskEncrypted],
        now: NOW,
    }
}

pub(super) fn expected_request() -> ExpectedRequest<'static> {
    ExpectedRequest {
        audience: AUDIENCE,
        method: "GET",
        url: URL,
        now: NOW,
    }
}

pub(super) fn attempt() -> AttemptId {
    AttemptId::from_random(1)
}

pub(super) fn sign(key: u8, digest: &[u8; 32]) -> Result<[u8; 64], ()> {
    Ok(samples::sign(&samples::key(key), digest))
}

pub(super) fn public(key: u8) -> PublicKey {
    samples::public(&samples::key(key))
}

pub(super) const AUDIENCE: &str = "https://auth.example.com";
pub(super) const URL: &str = "https://wiki.example.com/page";
pub(super) const ORIGIN: &str = "https://wiki.example.com";
/// The keys: of the enrolment for possession and for verification, of nobody.
pub(super) const POSSESSION: u8 = 1;
pub(super) const VERIFICATION: u8 = 2;
pub(super) const STRANGER: u8 = 3;
