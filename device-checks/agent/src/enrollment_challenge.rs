//! Does the auth host ask this very installation, through a browser on this machine? Checked before anything is proved to it.

use device_checks::AUTHENTICATOR;
use device_checks::jws::Unverified;
use device_checks::loopback::{ENROLLMENT_CHALLENGE_TYPE, EnrollmentChallenge, EnrollmentProof};
use device_checks::wire::{KeyThumbprint, Timestamp};

use crate::challenge::{BadChallenge, SHORTEST_NONCE, check_time, pinned_key};
use crate::state::Pinned;

/// Proof that the pinned organisation asks this instance, by way of a page of its auth host, a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEnrollmentChallenge(EnrollmentChallenge);

impl VerifiedEnrollmentChallenge {
    /// Checks a challenge that a page of the pinned auth host handed on to the instance with this key.
    ///
    /// # Errors
    ///
    /// Says what is not as it has to be; such a challenge is not answered at all.
    pub fn check(token: &str, pinned: &Pinned, instance: KeyThumbprint, now: Timestamp) -> Result<Self, BadChallenge> {
        let token = Unverified::parse(token, ENROLLMENT_CHALLENGE_TYPE)?;
        let key = pinned_key(pinned, &token).ok_or(BadChallenge::UnknownKey)?;
        let challenge: EnrollmentChallenge = token.verify(key)?;
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
        if challenge.nonce.len() < SHORTEST_NONCE {
            return Err(BadChallenge::Nonce);
        }
        if challenge.origin != pinned.issuer {
            return Err(BadChallenge::Origin);
        }
        if challenge.key == instance {
            Ok(Self(challenge))
        } else {
            Err(BadChallenge::Instance)
        }
    }

    /// The login of the user who signed in in the browser.
    pub fn login(&self) -> &str {
        &self.0.login
    }

    /// What the instance's key has to sign.
    pub fn proof(&self, now: Timestamp) -> EnrollmentProof {
        EnrollmentProof {
            aud: self.0.iss.clone(),
            iat: now.secs(),
            tx: self.0.jti,
            nonce: self.0.nonce.clone(),
            // Checked: it is where the page is.
            origin: self.0.origin.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use device_checks::jws;
    use device_checks::wire::{AttemptId, OrganizationId, PublicKey};
    use p256::ecdsa::signature::hazmat::PrehashSigner;
    use p256::ecdsa::{Signature, SigningKey};
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
    const ISSUER: &str = "https://auth.example.com";
    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn the_organisations_own_challenge_for_this_instance_is_accepted() {
        let verified = check(&sign(&KEY, &claims())).unwrap();
        assert_eq!(verified.login(), "alice");
        let proof = verified.proof(NOW);
        assert_eq!((proof.aud.as_str(), proof.origin.as_str()), (ISSUER, ISSUER));
        assert_eq!((proof.tx, proof.nonce), (AttemptId::from_random(1), "n".repeat(43)));
    }

    /// E-22, E-24: each claim in turn; another instance's page is the phishing one.
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
            ("iat", json!(now + 100), BadChallenge::Time),
            ("nonce", json!("short"), BadChallenge::Nonce),
            ("origin", json!("https://evil.example"), BadChallenge::Origin),
            ("key", json!(public(&[9; 32]).thumbprint()), BadChallenge::Instance),
        ] {
            let mut wrong = claims();
            wrong[claim] = value.clone();
            assert_eq!(check(&sign(&KEY, &wrong)), Err(expected), "{claim} = {value}");
        }
        assert_eq!(check(&sign(&[8; 32], &claims())), Err(BadChallenge::UnknownKey));
        assert!(check(&sign(&KEY, &claims())).is_ok());
    }

    #[test]
    fn every_claim_is_mandatory_and_there_is_none_beside_them() {
        let names: Vec<String> = claims().as_object().unwrap().keys().cloned().collect();
        for name in names {
            let mut without = claims();
            without.as_object_mut().unwrap().remove(&name);
            assert!(
                matches!(check(&sign(&KEY, &without)), Err(BadChallenge::Token(_))),
                "{name}"
            );
        }
        let mut more = claims();
        more["more"] = json!(1);
        assert!(matches!(check(&sign(&KEY, &more)), Err(BadChallenge::Token(_))));
    }

    fn check(token: &str) -> Result<VerifiedEnrollmentChallenge, BadChallenge> {
        let pinned = Pinned {
            organization: OrganizationId::from_random(1),
            issuer: ISSUER.to_owned(),
            device_origin: None,
            challenge_keys: vec![public(&KEY)],
            authority: None,
        };
        VerifiedEnrollmentChallenge::check(token, &pinned, public(&[3; 32]).thumbprint(), NOW)
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
            "origin": ISSUER,
            "key": public(&[3; 32]).thumbprint(),
            "login": "alice",
        })
    }

    fn public(key: &[u8; 32]) -> PublicKey {
        let key = SigningKey::from_slice(key).unwrap();
        PublicKey::from_sec1(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
    }

    fn sign(key: &[u8; 32], claims: &Value) -> String {
        let signing = SigningKey::from_slice(key).unwrap();
        let sign = |digest: &[u8; 32]| {
            let signature: Result<Signature, p256::ecdsa::Error> = signing.sign_prehash(digest);
            signature.map(|signature| signature.to_bytes().into())
        };
        jws::sign(ENROLLMENT_CHALLENGE_TYPE, public(key).thumbprint(), claims, sign).unwrap()
    }
}
