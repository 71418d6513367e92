//! Is this challenge the pinned organisation's, and for now? Checked whole before anything is signed or shown.

use device_checks::jws::{BadToken, Unverified};
use device_checks::wire::{ANSWERS_PATH, PUSH_ANSWERS_PATH, PublicKey, Timestamp};
use device_checks::{AUTHENTICATOR, CHALLENGE_TYPE, Challenge, Demand, KeyType, LEEWAY, LONGEST, PUSH, SIGNED_NONCE};

use crate::state::Pinned;

/// Proof that the pinned organisation made this challenge, for a request from this origin, a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedChallenge(Challenge);

/// Says why a challenge is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadChallenge {
    /// It is no challenge, or not whole.
    #[error(transparent)]
    Token(#[from] BadToken),
    /// It is signed by a key that was not pinned.
    #[error("the challenge is signed by a key that this device did not pin")]
    UnknownKey,
    /// It is by another gateway.
    #[error("the challenge is by another gateway")]
    Issuer,
    /// It is for something else than an authenticator.
    #[error("the challenge is not for an authenticator")]
    Audience,
    /// It is by another organisation.
    #[error("the challenge is by another organisation")]
    Organization,
    /// It is over, from the future, or good for too long.
    #[error("the challenge is not of now: check the clock")]
    Time,
    /// Its nonce is shorter than 128 bits.
    #[error("the challenge's nonce is too short")]
    Nonce,
    /// It is two attempts at once.
    #[error("the challenge names two attempts")]
    Transaction,
    /// It asks for another method.
    #[error("the challenge asks for an unknown method")]
    Method,
    /// Its answer would go elsewhere.
    #[error("the challenge's answer would go elsewhere")]
    Destination,
    /// Somebody else asks than it was made for.
    #[error("the challenge was made for another origin than the one that asks")]
    Origin,
    /// It may be answered by no key.
    #[error("the challenge can be answered by no key")]
    Keys,
    /// It wants a verified user, but not a verified user's key.
    #[error("the challenge wants a verified user by the wrong key")]
    Verification,
    /// Another installation is meant.
    #[error("the challenge is for another installation: was the browser opened by an agent elsewhere?")]
    Instance,
}

impl VerifiedChallenge {
    /// Checks a challenge that came from this origin.
    ///
    /// # Errors
    ///
    /// Says what is not as it has to be; such a challenge is not answered at all.
    pub fn check(token: &str, pinned: &Pinned, origin: &str, now: Timestamp) -> Result<Self, BadChallenge> {
        Self::check_way(token, pinned, (SIGNED_NONCE, ANSWERS_PATH), origin, now)
    }

    /// Checks a challenge that came over the stream from the gateway: a push, and nothing that was made for a page.
    ///
    /// # Errors
    ///
    /// As [`VerifiedChallenge::check`].
    pub fn check_push(token: &str, pinned: &Pinned, now: Timestamp) -> Result<Self, BadChallenge> {
        Self::check_way(token, pinned, (PUSH, PUSH_ANSWERS_PATH), &pinned.issuer, now)
    }

    fn check_way(
        token: &str,
        pinned: &Pinned,
        way: (&str, &str),
        origin: &str,
        now: Timestamp,
    ) -> Result<Self, BadChallenge> {
        let token = Unverified::parse(token, CHALLENGE_TYPE)?;
        let key = pinned_key(pinned, &token).ok_or(BadChallenge::UnknownKey)?;
        let challenge: Challenge = token.verify(key)?;
        if challenge.iss != pinned.issuer {
            return Err(BadChallenge::Issuer);
        }
        if challenge.aud != AUTHENTICATOR {
            return Err(BadChallenge::Audience);
        }
        if challenge.org_id != pinned.organization {
            return Err(BadChallenge::Organization);
        }
        check_time(challenge.iat, challenge.exp, now)?;
        check_contents(&challenge, pinned, way)?;
        if challenge.origin == origin {
            Ok(Self(challenge))
        } else {
            Err(BadChallenge::Origin)
        }
    }

    /// What is asked.
    pub fn asked(&self) -> &Challenge {
        &self.0
    }
}

/// The pinned key that a token names.
pub fn pinned_key<'a>(pinned: &'a Pinned, token: &Unverified<'_>) -> Option<&'a PublicKey> {
    pinned.challenge_keys.iter().find(|key| key.thumbprint() == token.key())
}

/// Whether something that is good from `iat` to `exp` is good now, and not for too long.
pub(crate) fn check_time(iat: i64, exp: i64, now: Timestamp) -> Result<(), BadChallenge> {
    let lifetime = exp.checked_sub(iat).ok_or(BadChallenge::Time)?;
    let begun = iat <= now.secs().saturating_add(LEEWAY);
    let over = now.secs() >= exp.saturating_add(LEEWAY);
    if begun && !over && (1..=LONGEST).contains(&lifetime) {
        Ok(())
    } else {
        Err(BadChallenge::Time)
    }
}

fn check_contents(challenge: &Challenge, pinned: &Pinned, (method, answers): (&str, &str)) -> Result<(), BadChallenge> {
    if challenge.nonce.len() < SHORTEST_NONCE {
        return Err(BadChallenge::Nonce);
    }
    if challenge.transaction_id != challenge.jti {
        return Err(BadChallenge::Transaction);
    }
    if challenge.method != method {
        return Err(BadChallenge::Method);
    }
    if challenge.verification_uri != format!("{}{answers}", pinned.issuer) {
        return Err(BadChallenge::Destination);
    }
    if challenge.key_types.is_empty() {
        return Err(BadChallenge::Keys);
    }
    let verified = challenge.key_types.contains(&KeyType::UserVerification);
    if challenge.user_verification == Demand::Required && !verified {
        return Err(BadChallenge::Verification);
    }
    Ok(())
}

/// 128 bits in base64url.
pub(crate) const SHORTEST_NONCE: usize = 22;

#[cfg(test)]
mod tests {
    use device_checks::jws;
    use device_checks::wire::{AttemptId, OrganizationId, Signal};
    use p256::ecdsa::signature::hazmat::PrehashSigner;
    use p256::ecdsa::{Signature, SigningKey};
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
    const ISSUER: &str = "https://auth.example.com";
    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn the_organisations_own_challenge_is_accepted() {
        let verified = check(&sign(&KEY, CHALLENGE_TYPE, &claims())).unwrap();
        assert_eq!(verified.asked().signals, [Signal::Os, Signal::Tpm]);
    }

    /// P-13: a challenge that is not by a pinned key is refused, whatever it says.
    #[test]
    fn a_challenge_not_signed_by_a_pinned_key_is_refused() {
        assert_eq!(
            check(&sign(&[8; 32], CHALLENGE_TYPE, &claims())),
            Err(BadChallenge::UnknownKey)
        );
        let mut tampered = sign(&KEY, CHALLENGE_TYPE, &claims());
        let last = tampered.pop().unwrap();
        tampered.push(if last == 'A' { 'Q' } else { 'A' });
        assert!(matches!(check(&tampered), Err(BadChallenge::Token(_))));
        let other_type = sign(&KEY, "latchkey-answer+jwt", &claims());
        assert_eq!(check(&other_type), Err(BadChallenge::Token(BadToken::Type)));
        assert!(check(&sign(&KEY, CHALLENGE_TYPE, &claims())).is_ok());
    }

    /// P-13: a challenge for another organisation, issuer, time, origin or purpose is refused; each claim in turn.
    #[test]
    fn a_challenge_with_one_wrong_claim_is_refused() {
        let now = NOW.secs();
        for (claim, value, expected) in [
            ("iss", json!("https://auth.example.net"), BadChallenge::Issuer),
            ("aud", json!(ISSUER), BadChallenge::Audience),
            (
                "orgId",
                json!(OrganizationId::from_random(2)),
                BadChallenge::Organization,
            ),
            ("exp", json!(now - 61), BadChallenge::Time),
            ("exp", json!(now + 400), BadChallenge::Time),
            ("exp", json!(now - 100), BadChallenge::Time),
            ("iat", json!(now + 100), BadChallenge::Time),
            ("iat", json!(i64::MIN), BadChallenge::Time),
            ("nonce", json!("short"), BadChallenge::Nonce),
            (
                "transactionId",
                json!(AttemptId::from_random(2)),
                BadChallenge::Transaction,
            ),
            ("method", json!("password"), BadChallenge::Method),
            (
                "verificationUri",
                json!("https://evil.example/agent/v1/answers"),
                BadChallenge::Destination,
            ),
            ("origin", json!("https://evil.example"), BadChallenge::Origin),
            ("keyTypes", json!([]), BadChallenge::Keys),
            ("userVerification", json!("REQUIRED"), BadChallenge::Verification),
        ] {
            let mut wrong = claims();
            wrong[claim] = value.clone();
            let checked = check(&sign(&KEY, CHALLENGE_TYPE, &wrong));
            assert_eq!(checked, Err(expected), "{claim} = {value}");
        }
        assert!(check(&sign(&KEY, CHALLENGE_TYPE, &claims())).is_ok());
    }

    /// P-13: every claim is mandatory, and there is none beside them.
    #[test]
    fn a_challenge_without_one_of_its_claims_or_with_one_more_is_refused() {
        let names: Vec<String> = claims().as_object().unwrap().keys().cloned().collect();
        assert_eq!(names.len(), 16);
        for name in names {
            let mut without = claims();
            without.as_object_mut().unwrap().remove(&name);
            let checked = check(&sign(&KEY, CHALLENGE_TYPE, &without));
            assert_eq!(checked, Err(BadChallenge::Token(BadToken::Claims)), "{name}");
        }
        let mut more = claims();
        more["more"] = json!(1);
        assert!(check(&sign(&KEY, CHALLENGE_TYPE, &more)).is_err());
    }

    /// A push and what a page hands on are never taken for each other. The control of each is the other way.
    #[test]
    fn what_was_made_for_one_way_is_refused_on_the_other() {
        let mut push = claims();
        push["method"] = json!(PUSH);
        push["verificationUri"] = json!(format!("{ISSUER}{PUSH_ANSWERS_PATH}"));
        push["number"] = json!(true);
        let push = sign(&KEY, CHALLENGE_TYPE, &push);
        let of_a_page = sign(&KEY, CHALLENGE_TYPE, &claims());
        let pushed = |token: &str| VerifiedChallenge::check_push(token, &pinned(), NOW);

        assert_eq!(check(&push), Err(BadChallenge::Method));
        assert_eq!(pushed(&of_a_page), Err(BadChallenge::Method));
        let mut mixed = claims();
        mixed["method"] = json!(PUSH);
        let mixed = sign(&KEY, CHALLENGE_TYPE, &mixed);
        assert_eq!(pushed(&mixed), Err(BadChallenge::Destination));

        assert!(pushed(&push).is_ok_and(|verified| verified.asked().number));
        assert!(check(&of_a_page).is_ok());
    }

    #[test]
    fn honest_clocks_may_differ_by_a_minute() {
        let now = NOW.secs();
        for (iat, exp, accepted) in [
            (now + 60, now + 120, true),
            (now + 61, now + 121, false),
            (now - 119, now - 59, true),
            (now - 120, now - 60, false),
        ] {
            let mut moved = claims();
            (moved["iat"], moved["exp"]) = (json!(iat), json!(exp));
            let checked = check(&sign(&KEY, CHALLENGE_TYPE, &moved));
            assert_eq!(checked.is_ok(), accepted, "{iat} {exp}");
        }
    }

    fn check(token: &str) -> Result<VerifiedChallenge, BadChallenge> {
        VerifiedChallenge::check(token, &pinned(), ISSUER, NOW)
    }

    fn claims() -> Value {
        json!({
            "iss": ISSUER,
            "aud": AUTHENTICATOR,
            "iat": NOW.secs(),
            "exp": NOW.secs() + 120,
            "jti": AttemptId::from_random(1),
            "nonce": "n".repeat(43),
            "orgId": OrganizationId::from_random(1),
            "transactionId": AttemptId::from_random(1),
            "verificationUri": format!("{ISSUER}{ANSWERS_PATH}"),
            "origin": ISSUER,
            "signals": ["os", "tpm"],
            "managementIssuers": [],
            "keyTypes": ["proofOfPossession"],
            "method": "signed_nonce",
            "userMediation": "NONE",
            "userVerification": "DISCOURAGED",
        })
    }

    fn pinned() -> Pinned {
        Pinned {
            organization: OrganizationId::from_random(1),
            issuer: ISSUER.to_owned(),
            device_origin: None,
            challenge_keys: vec![public(&KEY)],
            authority: None,
        }
    }

    fn public(key: &[u8; 32]) -> PublicKey {
        let key = SigningKey::from_slice(key).unwrap();
        PublicKey::from_sec1(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
    }

    fn sign(key: &[u8; 32], typ: &str, claims: &Value) -> String {
        let signing = SigningKey::from_slice(key).unwrap();
        let sign = |digest: &[u8; 32]| {
            let signature: Result<Signature, p256::ecdsa::Error> = signing.sign_prehash(digest);
            signature.map(|signature| signature.to_bytes().into())
        };
        jws::sign(typ, public(key).thumbprint(), claims, sign).unwrap()
    }
}
