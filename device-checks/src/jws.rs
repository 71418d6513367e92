//! Who signed this? Compact JWS (RFC 7515) with ES256 and nothing else, whose header says what it is for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::{KeyThumbprint, PublicKey};
use p256::ecdsa::Signature;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A token that was read but not verified: nothing in it may be believed, only looked up.
pub struct Unverified<'a> {
    key: KeyThumbprint,
    payload: Vec<u8>,
    signed: &'a [u8],
    signature: Signature,
}

/// Says why a text is not a token of the expected kind, or not by that key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It is longer than any token needs to be.
    #[error("expected a token of at most {MAXIMUM_LENGTH} characters")]
    TooLong,
    /// It is not three parts in base64url.
    #[error("expected three parts in base64url without padding, separated by dots (RFC 7515)")]
    Shape,
    /// The header is not exactly `alg`, `typ` and `kid`.
    #[error("expected a header of alg, typ and kid alone")]
    Header,
    /// It is signed in another way.
    #[error("expected the algorithm ES256")]
    Algorithm,
    /// It is made for something else.
    #[error("expected a token of another type")]
    Type,
    /// The claims are not as expected.
    #[error("expected other claims, each once and of its type")]
    Claims,
    /// Another key is named.
    #[error("expected the token to name another key")]
    OtherKey,
    /// The signature is not by that key.
    #[error("the signature is not by the key")]
    Signature,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: KeyThumbprint,
}

impl<'a> Unverified<'a> {
    /// Reads a token of this type.
    ///
    /// # Errors
    ///
    /// Refuses every other shape, algorithm and type; what is in the claims is not looked at.
    pub fn parse(text: &'a str, typ: &str) -> Result<Self, BadToken> {
        let parts = Parts::split(text)?;
        let header: Header = serde_json::from_slice(&parts.header).map_err(|_| BadToken::Header)?;
        if header.alg != ALGORITHM {
            return Err(BadToken::Algorithm);
        }
        if header.typ != typ {
            return Err(BadToken::Type);
        }
        Ok(Self {
            key: header.kid,
            payload: parts.payload,
            signed: parts.signed,
            signature: Signature::from_slice(&parts.signature).map_err(|_| BadToken::Signature)?,
        })
    }

    /// The key the token names; whether it signed it is not known yet.
    pub fn key(&self) -> KeyThumbprint {
        self.key
    }

    /// What the token claims, for looking up whose it would be.
    ///
    /// # Errors
    ///
    /// Refuses claims that are not of this shape.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, BadToken> {
        serde_json::from_slice(&self.payload).map_err(|_| BadToken::Claims)
    }

    /// What the token says, now that this key is known to have signed it.
    ///
    /// # Errors
    ///
    /// Refuses a token that names or was signed by another key.
    pub fn verify<T: DeserializeOwned>(&self, key: &PublicKey) -> Result<T, BadToken> {
        if key.thumbprint() != self.key {
            return Err(BadToken::OtherKey);
        }
        verify_signature(key, self.signed, &self.signature)?;
        self.claims()
    }
}

/// Writes a token of this type; `sign` signs its SHA-256 and gives r and s.
///
/// # Errors
///
/// Fails where signing does, or where the claims cannot be written.
pub fn sign<E>(
    typ: &str,
    kid: KeyThumbprint,
    claims: &impl Serialize,
    sign: impl FnOnce(&[u8; 32]) -> Result<[u8; 64], E>,
) -> Result<String, SignError<E>> {
    let header = Header {
        alg: ALGORITHM.to_owned(),
        typ: typ.to_owned(),
        kid,
    };
    let part = |json: Result<Vec<u8>, serde_json::Error>| json.map(|json| URL_SAFE_NO_PAD.encode(json));
    let mut token = part(serde_json::to_vec(&header)).map_err(SignError::Claims)?;
    token.push('.');
    token.push_str(&part(serde_json::to_vec(claims)).map_err(SignError::Claims)?);
    let signature = sign(&Sha256::digest(&token).into()).map_err(SignError::Key)?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// Says why a token was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError<E> {
    /// The claims cannot be written as JSON.
    #[error("cannot write the claims")]
    Claims(#[source] serde_json::Error),
    /// The key does not sign.
    #[error("cannot sign")]
    Key(#[source] E),
}

/// The parts of a token, decoded, whatever its header says.
pub(crate) struct Parts<'a> {
    pub(crate) signed: &'a [u8],
    pub(crate) header: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    pub(crate) fn split(text: &'a str) -> Result<Self, BadToken> {
        if text.len() > MAXIMUM_LENGTH {
            return Err(BadToken::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(BadToken::Shape)?;
        let (header, payload) = signed.split_once('.').ok_or(BadToken::Shape)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| BadToken::Shape);
        Ok(Self {
            signed: signed.as_bytes(),
            header: decode(header)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }
}

/// Whether this key signed this message; `r` and `s` as in ES256. By ring, which takes a fifth of p256's time for it.
pub(crate) fn verify_signature(key: &PublicKey, message: &[u8], signature: &Signature) -> Result<(), BadToken> {
    let point = key.sec1();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point);
    key.verify(message, &signature.to_bytes())
        .map_err(|_| BadToken::Signature)
}

const ALGORITHM: &str = "ES256";
const MAXIMUM_LENGTH: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::samples;

    const TYP: &str = "latchkey-test+jwt";
    const OTHER_TYP: &str = "latchkey-other+jwt";

    #[test]
    fn a_token_says_to_its_key_what_was_signed() {
        let token = token(1, &json!({"said": 1}));
        let unverified = Unverified::parse(&token, TYP).unwrap();

        assert_eq!(unverified.key(), public(1).thumbprint());
        assert_eq!(unverified.claims::<Value>(), Ok(json!({"said": 1})));
        assert_eq!(unverified.verify::<Value>(&public(1)), Ok(json!({"said": 1})));
        assert_eq!(unverified.verify::<Value>(&public(2)), Err(BadToken::OtherKey));
    }

    #[test]
    fn a_token_that_names_a_key_which_did_not_sign_it_is_refused() {
        let named = |signer| sign(TYP, public(1).thumbprint(), &json!({}), |digest| signed(signer, digest)).unwrap();
        assert_eq!(verified(&named(1)), Ok(json!({})));
        assert_eq!(verified(&named(2)), Err(BadToken::Signature));
    }

    #[test]
    fn signing_fails_where_the_key_does() {
        let failed = sign(TYP, public(1).thumbprint(), &json!({}), |_| Err("locked"));
        assert!(matches!(failed, Err(SignError::Key("locked"))));
    }

    /// P-15: no algorithm, another one, and HMAC with the public key as its secret.
    #[test]
    fn every_algorithm_but_es256_is_refused() {
        use hmac::{Hmac, KeyInit, Mac};
        let header = |alg: &str| json!({"alg": alg, "typ": TYP, "kid": public(1).thumbprint()});
        assert_eq!(verified(&assembled(&header("ES256"), "{}", None)), Ok(json!({})));

        for alg in [
            "none", "None", "", "es256", "HS256", "RS256", "ES384", "ES256K", "EdDSA",
        ] {
            assert_eq!(
                verified(&assembled(&header(alg), "{}", None)),
                Err(BadToken::Algorithm),
                "{alg}"
            );
        }
        let unsigned = assembled(&header("none"), "{}", Some(&[]));
        assert_eq!(verified(&unsigned), Err(BadToken::Algorithm));
        let secret = public(1).sec1();
        let head = unsigned.trim_end_matches('.').to_owned();
        let tag = Hmac::<Sha256>::new_from_slice(&secret)
            .unwrap()
            .chain_update(&head)
            .finalize();
        let forged = format!("{head}.{}", URL_SAFE_NO_PAD.encode(tag.into_bytes()));
        assert_eq!(verified(&forged), Err(BadToken::Algorithm));
        let relabelled = assembled(&header("ES256"), "{}", Some(&[0; 32]));
        assert_eq!(verified(&relabelled), Err(BadToken::Signature));
    }

    #[test]
    fn a_header_is_alg_typ_and_kid_alone() {
        let good = json!({"alg": "ES256", "typ": TYP, "kid": public(1).thumbprint()});
        let with = |name: &str, value: Value| {
            let mut header = good.clone();
            header[name] = value;
            verified(&assembled(&header, "{}", None))
        };
        assert_eq!(with("typ", TYP.into()), Ok(json!({})));

        assert_eq!(with("typ", OTHER_TYP.into()), Err(BadToken::Type));
        assert_eq!(with("typ", TYP.to_uppercase().into()), Err(BadToken::Type));
        for name in ["jku", "jwk", "x5u", "x5c", "crit", "cty", "b64", "zip", "ALG"] {
            assert_eq!(with(name, json!("x")), Err(BadToken::Header), "{name}");
        }
        for kid in [
            "../../etc/passwd",
            "",
            "0",
            "' OR 1=1 --",
            &"A".repeat(64),
            &"0".repeat(65),
        ] {
            assert_eq!(with("kid", kid.into()), Err(BadToken::Header), "{kid}");
        }
        for wrong in [json!(null), json!(1), json!(["ES256"])] {
            assert_eq!(with("alg", wrong), Err(BadToken::Header));
        }
        let (kid, head) = (public(1).thumbprint(), format!("\"alg\":\"ES256\",\"typ\":\"{TYP}\""));
        for text in [
            format!("{{{head},\"alg\":\"ES256\",\"kid\":\"{kid}\"}}"),
            format!("{{{head},\"kid\":\"{kid}\",\"kid\":\"{kid}\"}}"),
            format!("{{{head}}}"),
            format!("{{{head},\"kid\":\"{kid}\"}} {{}}"),
            "null".to_owned(),
            String::new(),
        ] {
            assert_eq!(
                verified(&assembled_text(&text, "{}", None)),
                Err(BadToken::Header),
                "{text}"
            );
        }
    }

    #[test]
    fn a_token_is_three_parts_in_base64url_and_not_too_long() {
        let token = token(1, &json!({}));
        assert_eq!(verified(&token), Ok(json!({})));

        let (head, signature) = token.rsplit_once('.').unwrap();
        for text in [
            String::new(),
            ".".to_owned(),
            head.to_owned(),
            format!("{token}.AA"),
            format!("{token}="),
            format!("{token}\n"),
            format!(" {token}"),
            format!("{head}.{}", signature.replace(['-', '_'], "+")) + "+",
            format!("{head}.!"),
        ] {
            assert_eq!(verified(&text), Err(BadToken::Shape), "{text}");
        }
        assert_eq!(verified(".."), Err(BadToken::Header));
        let longest = "x".repeat(MAXIMUM_LENGTH);
        assert_eq!(verified(&longest), Err(BadToken::Shape));
        assert_eq!(verified(&(longest + "x")), Err(BadToken::TooLong));
    }

    /// The cases that the Wycheproof suite tries: r and s of 0, n and beyond, in DER, too short and too long.
    #[test]
    fn r_and_s_are_numbers_below_the_order_in_32_octets_each() {
        let header = json!({"alg": "ES256", "typ": TYP, "kid": public(1).thumbprint()});
        let good = signed(1, &digest_of(&header)).unwrap();
        let with = |signature: &[u8]| verified(&assembled(&header, "{}", Some(signature)));
        assert_eq!(with(&good), Ok(json!({})));

        let (r, s) = good.split_at(32);
        let zero = [0; 32];
        let mut above = ORDER;
        above[31] += 1;
        for (r, s) in [
            (&zero[..], s),
            (r, &zero[..]),
            (&zero, &zero),
            (&ORDER, s),
            (r, &ORDER),
            (&above, &above),
        ] {
            assert_eq!(with(&[r, s].concat()), Err(BadToken::Signature));
        }
        assert_eq!(with(&[[0xff; 32], [0xff; 32]].concat()), Err(BadToken::Signature));
        assert_eq!(with(&[s, r].concat()), Err(BadToken::Signature), "swapped");
        for length in [0, 1, 32, 63] {
            assert_eq!(with(&good[..length]), Err(BadToken::Signature), "{length} octets");
        }
        assert_eq!(with(&[&good[..], &[0]].concat()), Err(BadToken::Signature));
        assert_eq!(with(&[&[0][..], r, &[0], s].concat()), Err(BadToken::Signature));
        let der = Signature::from_slice(&good).unwrap().to_der();
        assert_eq!(with(der.as_bytes()), Err(BadToken::Signature), "in DER");
    }

    #[test]
    fn a_key_that_is_no_point_of_the_curve_verifies_nothing() {
        for key in [
            PublicKey { x: [0; 32], y: [0; 32] },
            PublicKey { x: [7; 32], y: [9; 32] },
        ] {
            let token = sign(TYP, key.thumbprint(), &json!({}), |digest| signed(1, digest)).unwrap();
            let refused = Unverified::parse(&token, TYP).unwrap().verify::<Value>(&key);
            assert_eq!(refused, Err(BadToken::Signature));
        }
    }

    proptest! {
        /// S-12: whatever character of a token is changed, it is not taken.
        #[test]
        fn a_changed_character_is_noticed(at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.=+/-]") {
            let token = token(1, &json!({"said": 1}));
            let mut changed = token.clone();
            let at = at.index(token.len());
            changed.replace_range(at..=at, &other);
            prop_assume!(changed != token);
            prop_assert!(verified(&token).is_ok());
            prop_assert!(verified(&changed).is_err());
        }

        #[test]
        fn what_strangers_send_is_no_token(text in "\\PC{0,80}|[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{86}") {
            prop_assert!(Unverified::parse(&text, TYP).is_err());
        }
    }

    fn verified(token: &str) -> Result<Value, BadToken> {
        Unverified::parse(token, TYP)?.verify(&public(1))
    }

    fn token(number: u8, claims: &Value) -> String {
        sign(TYP, public(number).thumbprint(), claims, |digest| {
            signed(number, digest)
        })
        .unwrap()
    }

    fn assembled(header: &Value, claims: &str, signature: Option<&[u8]>) -> String {
        assembled_text(&header.to_string(), claims, signature)
    }

    /// A token with these octets as its signature, or with one by key 1.
    fn assembled_text(header: &str, claims: &str, signature: Option<&[u8]>) -> String {
        let head = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let own = signed(1, &Sha256::digest(&head).into()).unwrap();
        format!("{head}.{}", URL_SAFE_NO_PAD.encode(signature.unwrap_or(&own)))
    }

    fn digest_of(header: &Value) -> [u8; 32] {
        let head = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode("{}")
        );
        Sha256::digest(head).into()
    }

    fn signed(number: u8, digest: &[u8; 32]) -> Result<[u8; 64], ()> {
        Ok(samples::sign(&samples::key(number), digest))
    }

    fn public(number: u8) -> PublicKey {
        samples::public(&samples::key(number))
    }

    /// The order of P-256 (SEC 2, section 2.4.2).
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
        0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
}
