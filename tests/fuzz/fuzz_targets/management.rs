#![no_main]
//! Does any text pass for a management attestation? The first octet tells text (`t`), claims (`c`) that are signed with a
//! good header, a header (`h`) before good claims, and a certificate (`x`) shown with them.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use device_checks::Anchor;
use device_checks::management::{self, Claims, Expected, SigningInput, TYPE};
use directory::AttemptId;
use latchkey_fuzz::{AUDIENCE, NOW, public, sign, token};
use libfuzzer_sys::fuzz_target;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SubjectPublicKeyInfo,
};

fuzz_target!(|octets: &[u8]| {
    let Some((kind, rest)) = octets.split_first() else {
        return;
    };
    let text = match kind {
        b'c' => token(&header(&LEAF.1), rest),
        b'h' => token(&String::from_utf8_lossy(rest), &serde_json::to_vec(&claims()).unwrap()),
        b'x' => token(&header(rest), &serde_json::to_vec(&claims()).unwrap()),
        b's' => SigningInput::new(rest, &claims()).map_or(String::new(), |input| {
            let signature = sign(input.octets());
            input.signed(&signature)
        }),
        _ => String::from_utf8_lossy(rest).into_owned(),
    };
    let expected = Expected {
        audience: AUDIENCE,
        attempt: AttemptId::from_random(1),
        nonce: "nonce",
        key: public().thumbprint(),
        now: NOW,
    };
    let _ = management::issuer_hash_of(rest);
    let verified = management::verify(&text, std::slice::from_ref(&LEAF.0), &expected);
    assert!(verified.is_err() || *kind != b't', "somebody else signed");
});

/// A CA, and a certificate of it for our key.
static LEAF: LazyLock<(Anchor, Vec<u8>)> = LazyLock::new(|| {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let anchor = Anchor::parse(authority.self_signed(&key).unwrap().der()).unwrap();
    let mut leaf = CertificateParams::default();
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let ours = SubjectPublicKeyInfo::from_der(&public().subject_public_key_info()).unwrap();
    let leaf = leaf
        .signed_by(&ours, &Issuer::new(authority, key))
        .unwrap()
        .der()
        .to_vec();
    (anchor, leaf)
});

fn header(leaf: &[u8]) -> String {
    format!(
        r#"{{"alg":"ES256","typ":"{TYPE}","x5c":["{}"]}}"#,
        STANDARD.encode(leaf)
    )
}

fn claims() -> Claims {
    Claims {
        aud: AUDIENCE.to_owned(),
        iat: NOW.secs(),
        tx: AttemptId::from_random(1),
        nonce: "nonce".to_owned(),
        cnf: public().thumbprint(),
    }
}
