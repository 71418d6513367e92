//! S-06 and S-07, as far as one attestation can prove them; whether a certificate is bound or revoked is judged elsewhere.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::SigningKey;
use proptest::prelude::*;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType, SerialNumber};
use rsa::pkcs8::{DecodePrivateKey, EncodePublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::samples::{Ca, DAY, NOW, endorsement, key, public, sign, valid};

/// S-06: a certificate of the configured CA whose key signed this challenge counts, and says what it says.
#[test]
fn a_management_certificate_whose_key_signed_the_challenge_is_verified() {
    let scene = Scene::new();
    let (device, hardware) = (DeviceId::from_random(7), HardwareId::of(b"an endorsement key"));
    let leaf = scene.ca.admit(&public(&scene.key), |params| {
        let uris = [
            format!("urn:latchkey:device:{device}"),
            format!("urn:latchkey:ek:{hardware}"),
            format!("urn:latchkey:device:{device}x"),
            format!("urn:other:device:{device}"),
            format!("urn:latchkey:ek:{device}"),
        ];
        params.subject_alt_names = uris.map(|uri| SanType::URI(uri.try_into().unwrap())).to_vec();
        let dns = format!("urn:latchkey:device:{device}").try_into().unwrap();
        params.subject_alt_names.push(SanType::Rfc822Name(dns));
        params.serial_number = Some(SerialNumber::from(vec![1, 2, 3]));
    });

    let verified = scene.verify(&scene.token(&leaf)).unwrap();

    assert_eq!(
        verified.identities(),
        [Identity::Device(device), Identity::Hardware(hardware)]
    );
    assert_eq!(verified.certificate(), Fingerprint::of(&leaf));
    assert_eq!(verified.issuer(), Fingerprint::of(&scene.ca.der));
    assert_eq!(verified.serial().to_string(), "010203");
    assert_eq!(verified.not_after().secs(), NOW.secs() + DAY);
    assert_eq!(issuer_hash_of(&leaf).unwrap(), issuer_hash(scene.anchors[0].subject()));
    assert_eq!(issuer_hash_of(b""), Err(Unreadable::Shape));
}

/// S-06: an RSA key signs too, if it is long enough.
#[test]
fn an_rsa_key_of_2048_bits_signs_and_a_shorter_one_does_not() {
    let scene = Scene::new();
    let verified = |pkcs8: &[u8]| {
        let key = rsa::RsaPrivateKey::from_pkcs8_der(pkcs8).unwrap();
        let info = rsa::RsaPublicKey::from(&key).to_public_key_der().unwrap().into_vec();
        let leaf = scene.ca.admit_other(info, |_| {});
        let input = SigningInput::new(&leaf, &scene.claims).unwrap();
        assert_eq!(input.algorithm(), Algorithm::Rs256);
        let padding = rsa::Pkcs1v15Sign::new::<Sha256>();
        let signature = key.sign(padding, &Sha256::digest(input.octets())).unwrap();
        scene.verify(&input.signed(&signature)).map(|_| ())
    };
    assert_eq!(verified(RSA_2048), Ok(()));
    assert_eq!(verified(RSA_1024), Err(BadToken::Signature.into()));
}

/// S-07: expired, of another CA, shown but not proved; the control is beside each.
#[test]
fn a_certificate_that_is_not_a_valid_one_of_the_ca_is_refused() {
    let scene = Scene::new();
    let verified = |change: fn(&mut CertificateParams)| {
        let leaf = scene.ca.admit(&public(&scene.key), change);
        scene.verify(&scene.token(&leaf)).map(|_| ())
    };
    assert_eq!(verified(|_| {}), Ok(()));

    assert_eq!(verified(|params| valid(params, -DAY, 0)), Ok(()));
    let expired = verified(|params| valid(params, -DAY, -1));
    assert!(
        matches!(expired, Err(BadManagement::Chain(webpki::Error::CertExpired { .. }))),
        "{expired:?}"
    );
    let early = verified(|params| valid(params, 1, DAY));
    assert!(
        matches!(early, Err(BadManagement::Chain(webpki::Error::CertNotValidYet { .. }))),
        "{early:?}"
    );

    let other = Ca::root("Other CA").admit(&public(&scene.key), |_| {});
    let unknown = Err(BadManagement::Chain(webpki::Error::UnknownIssuer));
    assert_eq!(scene.verify(&scene.token(&other)), unknown);
    let namesake = Ca::root("MDM CA").admit(&public(&scene.key), |_| {});
    let refused = scene.verify(&scene.token(&namesake));
    assert!(matches!(refused, Err(BadManagement::Chain(_))), "{refused:?}");
    let below = scene.ca.below("sub CA", |_| {}).admit(&public(&scene.key), |_| {});
    assert_eq!(
        scene.verify(&scene.token(&below)),
        unknown,
        "not issued by the CA itself"
    );
    assert_eq!(verify(&scene.token(&scene.leaf), &[], &scene.expected()), unknown);

    let shown = SigningInput::new(&scene.leaf, &scene.claims).unwrap();
    let signature = sign(&key(99), &Sha256::digest(shown.octets()).into());
    assert_eq!(
        scene.verify(&shown.signed(&signature)),
        Err(BadToken::Signature.into()),
        "shown, not proved"
    );
}

/// S-07: a CA that is itself not valid now lends nobody its word.
#[test]
fn a_ca_counts_in_its_own_time_alone() {
    let verified = |from, until| {
        let ca = Ca::changed("MDM CA", |params| valid(params, from, until));
        let scene = Scene::of(ca);
        scene.verify(&scene.token(&scene.leaf)).map(|_| ())
    };
    let unknown = Err(BadManagement::Chain(webpki::Error::UnknownIssuer));
    assert_eq!(verified(-DAY, 0), Ok(()));
    assert_eq!(verified(-DAY, -1), unknown);
    assert_eq!(verified(0, DAY), Ok(()));
    assert_eq!(verified(1, DAY), unknown);
}

#[test]
fn a_certificate_for_anything_else_is_refused() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
    let scene = Scene::new();
    let verified = |usages: Vec<ExtendedKeyUsagePurpose>, usage: KeyUsagePurpose| {
        let leaf = scene.ca.admit(&public(&scene.key), |params| {
            params.extended_key_usages = usages;
            params.key_usages = vec![usage];
        });
        scene.verify(&scene.token(&leaf)).map(|_| ())
    };
    assert_eq!(verified(vec![ClientAuth], KeyUsagePurpose::DigitalSignature), Ok(()));
    for usages in [vec![], vec![Any], vec![ServerAuth], vec![endorsement()]] {
        let refused = verified(usages, KeyUsagePurpose::DigitalSignature);
        assert_eq!(refused, Err(BadManagement::Usage));
    }
    assert_eq!(
        verified(vec![ClientAuth], KeyUsagePurpose::KeyAgreement),
        Err(BadManagement::Usage)
    );
    let ca = scene
        .ca
        .below("sub CA", |params| params.extended_key_usages = vec![ClientAuth]);
    assert_eq!(scene.verify(&scene.token(&ca.der)), Err(BadManagement::Authority));
}

/// S-07, P-17 first half: an attestation serves the attempt, the enrolment and the moment it was made for.
#[test]
fn an_attestation_with_one_other_claim_is_refused() {
    let scene = Scene::new();
    let verified = |change: &dyn Fn(&mut Claims)| {
        let mut claims = scene.claims.clone();
        change(&mut claims);
        scene.verify(&scene.token_of(&scene.leaf, &claims)).map(|_| ())
    };
    assert_eq!(verified(&|_| {}), Ok(()));
    assert_eq!(verified(&|claims| claims.aud.push('/')), Err(BadManagement::Audience));
    assert_eq!(
        verified(&|claims| claims.tx = AttemptId::from_random(2)),
        Err(BadManagement::Attempt)
    );
    assert_eq!(verified(&|claims| claims.nonce.push('A')), Err(BadManagement::Attempt));
    assert_eq!(
        verified(&|claims| claims.cnf = public(&key(9)).thumbprint()),
        Err(BadManagement::Key)
    );
    for offset in [-60, 60] {
        assert_eq!(verified(&|claims| claims.iat += offset), Ok(()));
    }
    for wrong in [NOW.secs() - 61, NOW.secs() + 61, i64::MIN, i64::MAX, 0] {
        assert_eq!(verified(&|claims| claims.iat = wrong), Err(BadManagement::Time));
    }
}

#[test]
fn a_header_is_exactly_what_it_has_to_be() {
    let scene = Scene::new();
    let x5c = STANDARD.encode(&scene.leaf);
    let verified = |header: Value| {
        scene
            .verify(&scene.signed(&header.to_string(), &scene.payload()))
            .map(|_| ())
    };
    let good = json!({"alg": "ES256", "typ": TYPE, "x5c": [x5c]});
    let with = |name: &str, value: Value| {
        let mut header = good.clone();
        header[name] = value;
        header
    };
    assert_eq!(verified(good.clone()), Ok(()));

    for alg in ["none", "HS256", "es256", "ES384", "RS512", "PS256", ""] {
        assert_eq!(verified(with("alg", alg.into())), Err(BadToken::Header.into()), "{alg}");
    }
    assert_eq!(verified(with("alg", "RS256".into())), Err(BadToken::Signature.into()));
    assert_eq!(verified(with("typ", "JWT".into())), Err(BadToken::Type.into()));
    assert_eq!(
        verified(with("typ", crate::ANSWER_TYPE.into())),
        Err(BadToken::Type.into())
    );
    for name in ["kid", "jku", "jwk", "x5u", "crit", "x5t"] {
        assert_eq!(verified(with(name, json!("x"))), Err(BadToken::Header.into()), "{name}");
    }
    for chain in [
        json!([]),
        json!([x5c, x5c]),
        json!(["!"]),
        json!([x5c.replace('=', "") + "==="]),
    ] {
        let refused = verified(with("x5c", chain.clone()));
        assert_eq!(refused, Err(BadManagement::Certificates), "{chain}");
    }
    let url_safe = URL_SAFE_NO_PAD.encode(&scene.leaf);
    assert_eq!(
        verified(with("x5c", json!([url_safe]))),
        Err(BadManagement::Certificates)
    );
    let trailing = STANDARD.encode([&scene.leaf[..], &[0]].concat());
    assert_eq!(verified(with("x5c", json!([trailing]))), Err(Unreadable::Shape.into()));
}

#[test]
fn unknown_repeated_and_missing_claims_are_refused() {
    let scene = Scene::new();
    let header = json!({"alg": "ES256", "typ": TYPE, "x5c": [STANDARD.encode(&scene.leaf)]}).to_string();
    let verified = |payload: &str| scene.verify(&scene.signed(&header, payload)).map(|_| ());
    let good = scene.payload();
    assert_eq!(verified(&good), Ok(()));

    let refused = Err(BadToken::Claims.into());
    assert_eq!(verified(&good.replace('}', ",\"sub\":\"x\"}")), refused);
    assert_eq!(
        verified(&good.replace('}', &format!(",\"iat\":{}}}", NOW.secs()))),
        refused
    );
    assert_eq!(verified(&good.replace("\"nonce\"", "\"nunce\"")), refused);
    assert_eq!(verified(&format!("{good}{good}")), refused);
    assert_eq!(verified("[]"), refused);
}

proptest! {
    /// S-12, for management: nothing of an attestation can be changed.
    #[test]
    fn a_changed_character_is_noticed(at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.=-]") {
        let scene = Scene::new();
        let token = scene.token(&scene.leaf);
        let mut changed = token.clone();
        let at = at.index(token.len());
        changed.replace_range(at..=at, &other);
        prop_assume!(changed != token);
        prop_assert!(scene.verify(&token).is_ok());
        prop_assert!(scene.verify(&changed).is_err());
    }

    #[test]
    fn what_strangers_send_is_refused(text in "\\PC{0,80}|[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
        prop_assert!(Scene::new().verify(&text).is_err());
    }
}

/// A management CA, a certificate of it, and a challenge.
struct Scene {
    ca: Ca,
    anchors: Vec<Anchor>,
    key: SigningKey,
    leaf: Vec<u8>,
    claims: Claims,
}

impl Scene {
    fn new() -> Self {
        Self::of(Ca::root("MDM CA"))
    }

    fn of(ca: Ca) -> Self {
        let leaf = ca.admit(&public(&key(1)), |_| {});
        let claims = Claims {
            aud: AUDIENCE.to_owned(),
            iat: NOW.secs(),
            tx: AttemptId::from_random(1),
            nonce: NONCE.to_owned(),
            cnf: public(&key(2)).thumbprint(),
        };
        let anchors = [&Ca::root("Another CA").der, &ca.der].map(|der| Anchor::parse(der).unwrap());
        let anchors = anchors.into_iter().rev().collect();
        let key = key(1);
        Self {
            ca,
            anchors,
            key,
            leaf,
            claims,
        }
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            audience: AUDIENCE,
            attempt: AttemptId::from_random(1),
            nonce: NONCE,
            key: public(&key(2)).thumbprint(),
            now: NOW,
        }
    }

    fn verify(&self, token: &str) -> Result<VerifiedManagement, BadManagement> {
        verify(token, &self.anchors, &self.expected())
    }

    fn token(&self, leaf: &[u8]) -> String {
        self.token_of(leaf, &self.claims)
    }

    fn token_of(&self, leaf: &[u8], claims: &Claims) -> String {
        let input = SigningInput::new(leaf, claims).unwrap();
        let signature = sign(&self.key, &Sha256::digest(input.octets()).into());
        input.signed(&signature)
    }

    fn payload(&self) -> String {
        serde_json::to_string(&self.claims).unwrap()
    }

    fn signed(&self, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = sign(&self.key, &Sha256::digest(&input).into());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

const AUDIENCE: &str = "https://auth.example.com";
const NONCE: &str = "nonce-of-the-attempt";
/// Made by `openssl genrsa`, for tests alone.
const RSA_2048: &[u8] = include_bytes!("../fixtures/rsa-2048.pk8");
const RSA_1024: &[u8] = include_bytes!("../fixtures/rsa-1024.pk8");
