//! P-15, P-17, S-12: what a device signs counts for what it says and nothing else.

mod device;

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::{Method, VerificationMethod};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::device::*;
use super::*;
use crate::jws::{self, BadToken};
use crate::samples::NOW;
use crate::wire::hash;

/// Control of P-15 and S-12: what the enrolment's keys signed is taken for what they prove.
#[test]
fn what_an_enrolled_key_signed_is_verified() {
    let answered = verify_answer(&answer(POSSESSION, |_| {}), &enrollment(), &expected_answer()).unwrap();
    assert_eq!(answered.enrollment(), enrollment().id);
    assert_eq!(answered.key(), public(POSSESSION).thumbprint());
    assert_eq!(answered.key_type(), KeyType::ProofOfPossession);
    assert_eq!(answered.nonce(), "nonce");
    assert_eq!(answered.outcome, Outcome::Approved);

    let asserted = verify_assertion(&assertion(VERIFICATION, |_| {}), &enrollment(), &expected_request()).unwrap();
    assert_eq!(asserted.key(), public(VERIFICATION).thumbprint());
    assert_eq!(asserted.key_type(), KeyType::UserVerification);
    assert_eq!(claimed_enrollment(&assertion(POSSESSION, |_| {})), Ok(enrollment().id));
    assert_eq!(answering_enrollment(&answer(POSSESSION, |_| {})), Ok(enrollment().id));
}

/// P-15: the key of another device or user, and one that was rotated out.
#[test]
fn a_key_that_is_none_of_the_enrolments_is_refused() {
    let refused = Some(Refuted::UnknownKey);
    assert_eq!(answered(&answer(POSSESSION, |_| {})), None);
    assert_eq!(asserted(&assertion(POSSESSION, |_| {})), None);

    assert_eq!(
        answered(&answer(STRANGER, |_| {})),
        refused,
        "another device's or user's"
    );
    assert_eq!(asserted(&assertion(STRANGER, |_| {})), refused);
    let mut rotated = enrollment();
    rotated.public_key = Some(public(STRANGER));
    let rotated = verify_answer(&answer(POSSESSION, |_| {}), &rotated, &expected_answer());
    assert_eq!(rotated.err(), refused, "rotated out");
    let claims = claims_of_answer(POSSESSION);
    let named = jws::sign(ANSWER_TYPE, public(POSSESSION).thumbprint(), &claims, |digest| {
        sign(STRANGER, digest)
    });
    assert_eq!(
        answered(&named.unwrap()),
        Some(BadToken::Signature.into()),
        "another key under an enrolled name"
    );
    let mut without = enrollment();
    without.verification = None;
    let without = verify_answer(&answer(VERIFICATION, |_| {}), &without, &expected_answer());
    assert_eq!(without.err(), refused, "no verification key is enrolled");
}

/// P-15, P-17 for a push: by another key, of another type, about somebody or something else, at another time it counts for
/// nothing. Control: as it is.
#[test]
fn an_answer_to_a_push_counts_as_it_is_and_in_no_other_way() {
    let push = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims_of_push_answer(POSSESSION);
        change(&mut claims);
        let expected = ExpectedPushAnswer {
            audience: AUDIENCE,
            attempt: attempt(),
            now: NOW,
        };
        let of = |typ: &str, key: u8| verify_push_answer(&token(typ, key, &claims), &enrollment(), &expected);
        [
            of(PUSH_ANSWER_TYPE, POSSESSION),
            of(PUSH_ANSWER_TYPE, STRANGER),
            of(ANSWER_TYPE, POSSESSION),
        ]
    };

    let [good, stranger, of_a_page] = push(&|_| {});
    let good = good.unwrap();
    assert_eq!(
        (good.outcome, good.number.as_deref()),
        (PushOutcome::Approved, Some("42"))
    );
    assert_eq!(stranger.err(), Some(Refuted::UnknownKey));
    assert_eq!(of_a_page.err(), Some(BadToken::Type.into()));
    for (claim, value, refuted) in [
        ("aud", json!("https://evil.example"), Refuted::Audience),
        ("sub", json!(UserId::from_random(2)), Refuted::Subject),
        ("tx", json!(AttemptId::from_random(2)), Refuted::Attempt),
        ("exp", json!(NOW.secs() - 61), Refuted::Time),
        ("keyType", json!("userVerification"), Refuted::KeyType),
    ] {
        let [wrong, ..] = push(&|claims| claims[claim] = value.clone());
        assert_eq!(wrong.err(), Some(refuted), "{claim}");
    }
    let page = token(PUSH_ANSWER_TYPE, POSSESSION, &claims_of_answer(POSSESSION));
    assert!(
        push_answering_enrollment(&page).is_err(),
        "what a page gets has other claims"
    );
}

/// P-15: without a signature, and with an HMAC under the public key.
#[test]
fn an_answer_in_another_algorithm_is_refused() {
    use hmac::{Hmac, KeyInit, Mac};
    for alg in ["none", "HS256"] {
        let header = json!({"alg": alg, "typ": ANSWER_TYPE, "kid": public(POSSESSION).thumbprint()});
        let head = head(&header.to_string(), &claims_of_answer(POSSESSION).to_string());
        let secret = public(POSSESSION).sec1();
        let tag = Hmac::<Sha256>::new_from_slice(&secret)
            .unwrap()
            .chain_update(&head)
            .finalize();
        let padded = [tag.into_bytes(), Sha256::digest(b"")].concat();
        let token = format!("{head}.{}", URL_SAFE_NO_PAD.encode(padded));
        assert_eq!(answered(&token), Some(BadToken::Algorithm.into()), "{alg}");
    }
}

/// P-17, second half: an answer to one challenge is none to another; and every other claim, wrong in turn.
#[test]
fn an_answer_with_one_other_claim_is_refused() {
    let with = |name: &str, value: Value| answered(&answer(POSSESSION, |claims| claims[name] = value));
    let seen = |origin: &str| {
        Some(Refuted::Origin {
            seen: origin.to_owned(),
        })
    };
    assert_eq!(with("nonce", json!("nonce")), None);

    assert_eq!(with("tx", json!(AttemptId::from_random(2))), Some(Refuted::Attempt));
    assert_eq!(with("aud", json!("https://auth.example.com/")), Some(Refuted::Audience));
    assert_eq!(with("aud", json!("https://evil.example.com")), Some(Refuted::Audience));
    assert_eq!(with("iss", json!(EnrollmentId::from_random(2))), Some(Refuted::Subject));
    assert_eq!(with("sub", json!(UserId::from_random(2))), Some(Refuted::Subject));
    assert_eq!(
        with("origin", json!("https://wiki.example.com:8443")),
        seen("https://wiki.example.com:8443")
    );
    assert_eq!(with("origin", json!("null")), seen("null"));
    assert_eq!(with("outcome", json!("foreign_origin")), seen(ORIGIN));
    assert_eq!(with("signals", json!({"kernel": "6.1"})), Some(Refuted::Signals));
    assert_eq!(
        with("signals", json!({"diskEncrypted": true})),
        None,
        "what was asked for"
    );
}

/// P-07: each key says what it proves, no more and no less.
#[test]
fn a_key_never_passes_for_the_other() {
    let says = |key, key_type: &str, amr: Value| {
        answered(&answer(key, |claims| {
            claims["keyType"] = key_type.into();
            claims["amr"] = amr;
        }))
    };
    let refused = Some(Refuted::KeyType);
    assert_eq!(says(POSSESSION, "proofOfPossession", json!(["fpt"])), None);
    assert_eq!(says(VERIFICATION, "userVerification", json!(["fpt", "pin"])), None);

    assert_eq!(says(POSSESSION, "userVerification", json!(["fpt", "pin"])), refused);
    assert_eq!(says(POSSESSION, "userVerification", json!(["fpt"])), refused);
    assert_eq!(says(VERIFICATION, "proofOfPossession", json!(["fpt"])), refused);
    for amr in [json!(["fpt", "pin"]), json!(["fpt", "face"]), json!([]), json!(["pin"])] {
        assert_eq!(says(POSSESSION, "proofOfPossession", amr), refused);
    }
    for amr in [
        json!(["fpt"]),
        json!(["pin"]),
        json!([]),
        json!(["fpt", "face"]),
        json!(["fpt", "pin", "face"]),
    ] {
        assert_eq!(says(VERIFICATION, "userVerification", amr), refused);
    }
}

/// E-21: a key that was enrolled for a finger or a face says that, and nothing else.
#[test]
fn a_key_says_how_its_user_is_verified() {
    for (method, own, others) in [
        (VerificationMethod::Fingerprint, "fingerprint", ["pin", "face"]),
        (VerificationMethod::Face, "face", ["pin", "fingerprint"]),
    ] {
        let mut enrolled = enrollment();
        enrolled.verification.as_mut().unwrap().method = method;
        let says = |amr: Value| {
            let token = answer(VERIFICATION, |claims| claims["amr"] = amr);
            verify_answer(&token, &enrolled, &expected_answer()).err()
        };
        assert_eq!(says(json!(["fpt", own])), None);
        for other in others {
            assert_eq!(says(json!(["fpt", other])), Some(Refuted::KeyType));
            assert_eq!(says(json!(["fpt", own, other])), Some(Refuted::KeyType));
        }
        assert_eq!(says(json!(["fpt"])), Some(Refuted::KeyType));
    }
}

#[test]
fn an_enrolment_without_fastpass_signs_nothing() {
    let mut certificate_alone = enrollment();
    certificate_alone.methods = BTreeSet::from([Method::Certificate]);
    let refused = verify_assertion(&assertion(POSSESSION, |_| {}), &certificate_alone, &expected_request());
    assert_eq!(refused.err(), Some(Refuted::UnknownKey));
    assert_eq!(asserted(&assertion(POSSESSION, |_| {})), None);
}

#[test]
fn an_assertion_with_one_other_claim_is_refused() {
    let with = |name: &str, value: Value| asserted(&assertion(POSSESSION, |claims| claims[name] = value));
    assert_eq!(with("htm", json!("GET")), None);

    assert_eq!(with("htm", json!("get")), Some(Refuted::Request));
    assert_eq!(with("htm", json!("POST")), Some(Refuted::Request));
    for url in [
        "https://wiki.example.com/Page",
        "https://wiki.example.com/page?",
        "http://wiki.example.com/page",
    ] {
        assert_eq!(with("htu", json!(url)), Some(Refuted::Request), "{url}");
    }
    assert_eq!(with("aud", json!("https://wiki.example.com")), Some(Refuted::Audience));
    assert_eq!(with("iss", json!(EnrollmentId::from_random(2))), Some(Refuted::Subject));
    assert_eq!(with("sub", json!(UserId::from_random(2))), Some(Refuted::Subject));
}

#[test]
fn a_token_counts_for_five_minutes_and_a_minute_of_leeway() {
    let at = |iat: i64, exp: i64| {
        asserted(&assertion(POSSESSION, |claims| {
            claims["iat"] = (NOW.secs().saturating_add(iat)).into();
            claims["exp"] = (NOW.secs().saturating_add(exp)).into();
        }))
    };
    for (iat, exp) in [
        (0, 300),
        (-300, 0),
        (60, 61),
        (60, 360),
        (-60, -59),
        (-359, -59),
        (0, 1),
    ] {
        assert_eq!(at(iat, exp), None, "from {iat} to {exp}");
    }
    let outside = [
        (61, 62),
        (-61, -60),
        (-360, -60),
        (0, 301),
        (0, 0),
        (1, 0),
        (i64::MIN, 1),
        (0, i64::MAX),
    ];
    for (iat, exp) in outside {
        assert_eq!(at(iat, exp), Some(Refuted::Time), "from {iat} to {exp}");
    }
}

#[test]
fn times_are_whole_numbers_and_each_claim_is_there_once() {
    let with = |name: &str, value: Value| asserted(&assertion(POSSESSION, |claims| claims[name] = value));
    let refused = Some(BadToken::Claims.into());
    let exp = NOW.secs() + 60;
    assert_eq!(with("exp", exp.into()), None);

    for wrong in [
        json!(exp.to_string()),
        json!(exp as f64),
        json!(1e300),
        json!(null),
        json!([exp]),
        json!(u64::MAX),
    ] {
        assert_eq!(with("exp", wrong.clone()), refused, "{wrong}");
    }
    assert_eq!(with("exp", (-1).into()), Some(Refuted::Time));
    for name in ["nbf", "admin", "Iss", "tx"] {
        assert_eq!(with(name, json!(1)), refused, "{name}");
    }
    let claims = claims_of_assertion(POSSESSION);
    for name in claims.as_object().unwrap().keys() {
        let mut missing = claims.clone();
        missing.as_object_mut().unwrap().remove(name);
        assert_eq!(asserted(&by_text(&missing.to_string())), refused, "without {name}");
        let text = claims.to_string();
        let repeated = text.replacen('{', &format!("{{\"{name}\":{},", claims[name]), 1);
        assert_eq!(asserted(&by_text(&repeated)), refused, "{name} twice");
    }
    assert_eq!(asserted(&by_text(&claims.to_string())), None);
}

#[test]
fn a_token_of_one_type_is_none_of_another() {
    let refused = BadToken::Type;
    let types = [
        CHALLENGE_TYPE,
        ANSWER_TYPE,
        INSTANCE_PROOF_TYPE,
        KEY_PROOF_TYPE,
        RECEIPT_TYPE,
        "JWT",
        "",
    ];
    for typ in types {
        let token = token(typ, POSSESSION, &claims_of_assertion(POSSESSION));
        assert_eq!(asserted(&token), Some(refused.into()), "{typ}");
        assert_eq!(claimed_enrollment(&token), Err(refused), "{typ}");
    }
    let assertion = assertion(POSSESSION, |_| {});
    assert_eq!(answered(&assertion), Some(refused.into()));
    assert_eq!(answering_enrollment(&assertion), Err(refused));
    let key = public(POSSESSION);
    assert_eq!(
        verify_key_proof(&assertion, &key, AUDIENCE, attempt(), "nonce"),
        Err(refused.into())
    );
    let proof = verify_instance_proof(&assertion, &key, &expected_request(), b"", None);
    assert_eq!(proof, Err(refused.into()));
}

#[test]
fn an_instance_proof_covers_the_step_its_body_and_its_token() {
    let verified = |change: &dyn Fn(&mut Value), token: Option<&str>| {
        let mut claims = json!({
            "aud": AUDIENCE, "iat": NOW.secs(), "jti": "1", "htm": "GET", "htu": URL, "body": hash(b"body"),
        });
        if let Some(token) = token {
            claims["ath"] = hash(token.as_bytes()).into();
        }
        change(&mut claims);
        let proof = self::token(INSTANCE_PROOF_TYPE, POSSESSION, &claims);
        verify_instance_proof(&proof, &public(POSSESSION), &expected_request(), b"body", token).err()
    };
    for token in [None, Some("token")] {
        assert_eq!(verified(&|_| {}, token), None);
        assert_eq!(
            verified(&|claims| claims["body"] = hash(b"other").into(), token),
            Some(Refuted::Contents)
        );
        assert_eq!(
            verified(&|claims| claims["ath"] = hash(b"other").into(), token),
            Some(Refuted::Contents)
        );
        assert_eq!(
            verified(&|claims| claims["htm"] = "POST".into(), token),
            Some(Refuted::Request)
        );
        assert_eq!(
            verified(&|claims| claims["htu"] = "/page".into(), token),
            Some(Refuted::Request)
        );
        assert_eq!(
            verified(&|claims| claims["aud"] = "x".into(), token),
            Some(Refuted::Audience)
        );
    }
    let without = |claims: &mut Value| claims["ath"] = Value::Null;
    assert_eq!(
        verified(&without, Some("token")),
        Some(Refuted::Contents),
        "made before there was a token"
    );
    for (offset, refused) in [
        (-60, None),
        (60, None),
        (-61, Some(Refuted::Time)),
        (61, Some(Refuted::Time)),
    ] {
        assert_eq!(
            verified(&|claims| claims["iat"] = (NOW.secs() + offset).into(), None),
            refused,
            "{offset}"
        );
    }
    for extreme in [i64::MIN, i64::MAX] {
        assert_eq!(
            verified(&|claims| claims["iat"] = extreme.into(), None),
            Some(Refuted::Time)
        );
    }
    let foreign = token(INSTANCE_PROOF_TYPE, STRANGER, &json!({}));
    let refused = verify_instance_proof(&foreign, &public(POSSESSION), &expected_request(), b"body", None);
    assert_eq!(refused, Err(BadToken::OtherKey.into()));
}

#[test]
fn a_key_proof_is_for_its_attempt_alone() {
    let claims = KeyProof {
        aud: AUDIENCE.to_owned(),
        tx: attempt(),
        nonce: "nonce".to_owned(),
    };
    let token = token(KEY_PROOF_TYPE, VERIFICATION, &json!(claims));
    let verify = |audience, attempt, nonce| verify_key_proof(&token, &public(VERIFICATION), audience, attempt, nonce);
    assert_eq!(verify(AUDIENCE, attempt(), "nonce"), Ok(()));
    assert_eq!(
        verify("https://other.example.com", attempt(), "nonce"),
        Err(Refuted::Audience)
    );
    assert_eq!(
        verify(AUDIENCE, AttemptId::from_random(2), "nonce"),
        Err(Refuted::Attempt)
    );
    assert_eq!(verify(AUDIENCE, attempt(), "other"), Err(Refuted::Attempt));
}

proptest! {
    /// S-12: a response of which any bit is changed is refused.
    #[test]
    fn an_answer_of_which_a_bit_is_changed_is_refused(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let answer = answer(POSSESSION, |claims| claims["signals"] = json!({"diskEncrypted": true}));
        let mut changed = answer.clone().into_bytes();
        *at.get_mut(&mut changed) ^= 1 << bit;
        prop_assert_eq!(answered(&answer), None);
        if let Ok(changed) = String::from_utf8(changed) {
            prop_assert!(answered(&changed).is_some());
        }
    }

    /// S-12: whatever is said otherwise, under the old signature.
    #[test]
    fn other_claims_under_an_old_signature_are_refused(nonce in "[a-z]{1,10}") {
        prop_assume!(nonce != "nonce");
        let answer = answer(POSSESSION, |_| {});
        let (head, signature) = answer.rsplit_once('.').unwrap();
        let (header, _) = head.split_once('.').unwrap();
        let mut claims = claims_of_answer(POSSESSION);
        claims["nonce"] = nonce.into();
        let changed = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        prop_assert_eq!(answered(&changed), Some(BadToken::Signature.into()));
    }

    #[test]
    fn what_strangers_send_is_refused(text in "\\PC{0,200}") {
        prop_assert!(asserted(&text).is_some());
        prop_assert!(claimed_enrollment(&text).is_err());
        prop_assert!(answering_enrollment(&text).is_err());
    }
}

fn answered(token: &str) -> Option<Refuted> {
    verify_answer(token, &enrollment(), &expected_answer()).err()
}

fn asserted(token: &str) -> Option<Refuted> {
    verify_assertion(token, &enrollment(), &expected_request()).err()
}
