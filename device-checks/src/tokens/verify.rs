//! Does a token that a device signed count? By an enrolled key, for this gateway, this request or challenge, now.

use directory::{
    AttemptId, Enrollment, EnrollmentId, KeyThumbprint, Method, PublicKey, Timestamp, UserId, VerificationMethod,
};

use super::{
    ANSWER_TYPE, ASSERTION_TYPE, Amr, Answer, Assertion, INSTANCE_PROOF_TYPE, InstanceProof, KEY_PROOF_TYPE, KeyProof,
    KeyType, LEEWAY, LONGEST, Outcome, PUSH_ANSWER_TYPE, PushAnswer, PushOutcome,
};
use crate::jws::{BadToken, Unverified};
use crate::loopback::{ENROLLMENT_PROOF_TYPE, EnrollmentProof};
use crate::wire::{Signal, SignalReport, hash};

/// Says why an answer, assertion or proof does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refuted {
    /// It is not such a token, or not by that key.
    #[error(transparent)]
    Token(#[from] BadToken),
    /// The key is none of the enrolment's.
    #[error("the key is none of this enrolment's")]
    UnknownKey,
    /// It says less or more of the key and the user than the key proves.
    #[error("the claims keyType and amr do not fit the key")]
    KeyType,
    /// It is for somebody else.
    #[error("the claim aud is not this gateway")]
    Audience,
    /// Another user or enrolment is meant.
    #[error("the claims iss and sub are not this enrolment")]
    Subject,
    /// It is too old, from the future, or good for too long.
    #[error("the claims iat and exp are not now")]
    Time,
    /// It was made for another request.
    #[error("the claims htm and htu are not this request")]
    Request,
    /// It was made for another body or token.
    #[error("the claims body and ath are not this request's")]
    Contents,
    /// It answers another challenge.
    #[error("the claim tx is another attempt")]
    Attempt,
    /// The authenticator was asked by somebody else than the gateway; the device itself says by whom.
    #[error("the claim origin is `{seen}`, not where the challenge was made")]
    Origin {
        /// The origin that the authenticator saw.
        seen: String,
    },
    /// It says what nobody asked.
    #[error("the claim signals says what was not asked for")]
    Signals,
}

/// Proof that an enrolled key signed this very request, for this gateway, now. Only [`verify_assertion`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedAssertion {
    enrollment: EnrollmentId,
    key: KeyThumbprint,
    key_type: KeyType,
    nonce: String,
}

/// Proof that an enrolled key signed this answer to this challenge, now. Only [`verify_answer`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedAnswer {
    enrollment: EnrollmentId,
    key: KeyThumbprint,
    key_type: KeyType,
    nonce: String,
    /// What the user did.
    pub outcome: Outcome,
    /// What the device says of itself.
    pub signals: SignalReport,
    /// Its management attestations, not verified yet.
    pub management: Vec<String>,
}

/// Proof that an enrolled key signed this answer to this push, now. Only [`verify_push_answer`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPushAnswer {
    enrollment: EnrollmentId,
    key: KeyThumbprint,
    key_type: KeyType,
    nonce: String,
    /// What the user did.
    pub outcome: PushOutcome,
    /// The number that they typed.
    pub number: Option<String>,
}

macro_rules! proof_by_key {
    ($name:ident) => {
        impl $name {
            /// The enrolment whose key signed.
            pub fn enrollment(&self) -> EnrollmentId {
                self.enrollment
            }

            /// The key that signed.
            pub fn key(&self) -> KeyThumbprint {
                self.key
            }

            /// Which of the enrolment's keys it is.
            pub fn key_type(&self) -> KeyType {
                self.key_type
            }

            /// The nonce it used up.
            pub fn nonce(&self) -> &str {
                &self.nonce
            }
        }
    };
}

proof_by_key!(VerifiedAssertion);
proof_by_key!(VerifiedAnswer);
proof_by_key!(VerifiedPushAnswer);

/// What an assertion has to be about.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedRequest<'a> {
    /// The auth host's origin.
    pub audience: &'a str,
    /// The request's method.
    pub method: &'a str,
    /// The request's URL without query.
    pub url: &'a str,
    /// The present moment.
    pub now: Timestamp,
}

/// What an answer has to be about.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedAnswer<'a> {
    /// The auth host's origin.
    pub audience: &'a str,
    /// The attempt.
    pub attempt: AttemptId,
    /// The origin on whose behalf the challenge was made.
    pub origin: &'a str,
    /// The facts that were asked for.
    pub signals: &'a [Signal],
    /// The present moment.
    pub now: Timestamp,
}

/// What an answer to a push has to be about.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedPushAnswer<'a> {
    /// The auth host's origin.
    pub audience: &'a str,
    /// The attempt.
    pub attempt: AttemptId,
    /// The present moment.
    pub now: Timestamp,
}

/// What the proof of an instance that waits to enrol has to be about.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedProof<'a> {
    /// The auth host's origin; it is the page's too.
    pub audience: &'a str,
    /// The attempt.
    pub attempt: AttemptId,
    /// Its nonce.
    pub nonce: &'a str,
    /// The present moment.
    pub now: Timestamp,
}

/// The enrolment that an assertion says it is by, for looking up its keys.
///
/// # Errors
///
/// Refuses what is no assertion.
pub fn claimed_enrollment(token: &str) -> Result<EnrollmentId, BadToken> {
    let claims: Assertion = Unverified::parse(token, ASSERTION_TYPE)?.claims()?;
    Ok(claims.iss)
}

/// The enrolment that an answer says it is by.
///
/// # Errors
///
/// Refuses what is no answer.
pub fn answering_enrollment(token: &str) -> Result<EnrollmentId, BadToken> {
    let claims: Answer = Unverified::parse(token, ANSWER_TYPE)?.claims()?;
    Ok(claims.iss)
}

/// The enrolment that an answer to a push says it is by.
///
/// # Errors
///
/// Refuses what is no such answer.
pub fn push_answering_enrollment(token: &str) -> Result<EnrollmentId, BadToken> {
    let claims: PushAnswer = Unverified::parse(token, PUSH_ANSWER_TYPE)?.claims()?;
    Ok(claims.iss)
}

/// The attempt that the proof of an instance that waits to enrol says it is about.
///
/// # Errors
///
/// Refuses what is no such proof.
pub fn proved_attempt(token: &str) -> Result<AttemptId, BadToken> {
    let claims: EnrollmentProof = Unverified::parse(token, ENROLLMENT_PROOF_TYPE)?.claims()?;
    Ok(claims.tx)
}

/// Checks an assertion but for its nonce, which the caller burns, and the state of device and user, which it judges.
///
/// # Errors
///
/// Says what does not fit; nobody but the log is told.
pub fn verify_assertion(
    token: &str,
    enrollment: &Enrollment,
    expected: &ExpectedRequest<'_>,
) -> Result<VerifiedAssertion, Refuted> {
    let token = Unverified::parse(token, ASSERTION_TYPE)?;
    let (key, method) = key_of(enrollment, token.key())?;
    let claims: Assertion = token.verify(&key)?;
    let key_type = check_key_type(method, claims.key_type, &claims.amr)?;
    check_audience(&claims.aud, expected.audience)?;
    check_subject(enrollment, claims.iss, claims.sub)?;
    check_time(claims.iat, claims.exp, expected.now)?;
    if claims.htm != expected.method || claims.htu != expected.url {
        return Err(Refuted::Request);
    }
    Ok(VerifiedAssertion {
        enrollment: enrollment.id,
        key: key.thumbprint(),
        key_type,
        nonce: claims.nonce,
    })
}

/// Checks an answer but for its nonce, which the caller compares and burns, and the state of device and user.
///
/// # Errors
///
/// Says what does not fit.
pub fn verify_answer(
    token: &str,
    enrollment: &Enrollment,
    expected: &ExpectedAnswer<'_>,
) -> Result<VerifiedAnswer, Refuted> {
    let token = Unverified::parse(token, ANSWER_TYPE)?;
    let (key, method) = key_of(enrollment, token.key())?;
    let claims: Answer = token.verify(&key)?;
    let key_type = check_key_type(method, claims.key_type, &claims.amr)?;
    check_audience(&claims.aud, expected.audience)?;
    check_subject(enrollment, claims.iss, claims.sub)?;
    check_time(claims.iat, claims.exp, expected.now)?;
    if claims.tx != expected.attempt {
        return Err(Refuted::Attempt);
    }
    if claims.origin != expected.origin || claims.outcome == Outcome::ForeignOrigin {
        return Err(Refuted::Origin { seen: claims.origin });
    }
    if claims
        .signals
        .signals()
        .any(|signal| !expected.signals.contains(&signal))
    {
        return Err(Refuted::Signals);
    }
    Ok(VerifiedAnswer {
        enrollment: enrollment.id,
        key: key.thumbprint(),
        key_type,
        nonce: claims.nonce,
        outcome: claims.outcome,
        signals: claims.signals,
        management: claims.management,
    })
}

/// Checks an answer to a push but for its nonce and number, which the caller compares, and the state of device and user.
///
/// # Errors
///
/// Says what does not fit.
pub fn verify_push_answer(
    token: &str,
    enrollment: &Enrollment,
    expected: &ExpectedPushAnswer<'_>,
) -> Result<VerifiedPushAnswer, Refuted> {
    let token = Unverified::parse(token, PUSH_ANSWER_TYPE)?;
    let (key, method) = key_of(enrollment, token.key())?;
    let claims: PushAnswer = token.verify(&key)?;
    let key_type = check_key_type(method, claims.key_type, &claims.amr)?;
    check_audience(&claims.aud, expected.audience)?;
    check_subject(enrollment, claims.iss, claims.sub)?;
    check_time(claims.iat, claims.exp, expected.now)?;
    if claims.tx != expected.attempt {
        return Err(Refuted::Attempt);
    }
    Ok(VerifiedPushAnswer {
        enrollment: enrollment.id,
        key: key.thumbprint(),
        key_type,
        nonce: claims.nonce,
        outcome: claims.outcome,
        number: claims.number,
    })
}

/// Checks that the instance with this key made this very step of an enrolment.
///
/// # Errors
///
/// Says what does not fit.
pub fn verify_instance_proof(
    token: &str,
    key: &PublicKey,
    expected: &ExpectedRequest<'_>,
    body: &[u8],
    enrollment_token: Option<&str>,
) -> Result<(), Refuted> {
    let claims: InstanceProof = Unverified::parse(token, INSTANCE_PROOF_TYPE)?.verify(key)?;
    check_audience(&claims.aud, expected.audience)?;
    check_time(claims.iat, claims.iat.saturating_add(1), expected.now)?;
    if claims.htm != expected.method || claims.htu != expected.url {
        return Err(Refuted::Request);
    }
    if claims.body != hash(body) || claims.ath != enrollment_token.map(|token| hash(token.as_bytes())) {
        return Err(Refuted::Contents);
    }
    Ok(())
}

/// Checks that whoever enrols a user-verification key holds it, in this attempt.
///
/// # Errors
///
/// Says what does not fit.
pub fn verify_key_proof(
    token: &str,
    key: &PublicKey,
    audience: &str,
    attempt: AttemptId,
    nonce: &str,
) -> Result<(), Refuted> {
    let claims: KeyProof = Unverified::parse(token, KEY_PROOF_TYPE)?.verify(key)?;
    check_audience(&claims.aud, audience)?;
    if claims.tx != attempt || claims.nonce != nonce {
        return Err(Refuted::Attempt);
    }
    Ok(())
}

/// Checks that the instance with this key was asked, on its own machine, by a page of the auth host, in this attempt.
///
/// # Errors
///
/// Says what does not fit.
pub fn verify_enrollment_proof(token: &str, key: &PublicKey, expected: &ExpectedProof<'_>) -> Result<(), Refuted> {
    let claims: EnrollmentProof = Unverified::parse(token, ENROLLMENT_PROOF_TYPE)?.verify(key)?;
    check_audience(&claims.aud, expected.audience)?;
    check_time(claims.iat, claims.iat.saturating_add(1), expected.now)?;
    if claims.tx != expected.attempt || claims.nonce != expected.nonce {
        return Err(Refuted::Attempt);
    }
    if claims.origin != expected.audience {
        return Err(Refuted::Origin { seen: claims.origin });
    }
    Ok(())
}

/// The key of the enrolment that a token names, and how its user is verified, where that is what it is for; an enrolment
/// without FastPass has none that signs tokens.
fn key_of(enrollment: &Enrollment, named: KeyThumbprint) -> Result<(PublicKey, Option<VerificationMethod>), Refuted> {
    if !enrollment.methods.contains(&Method::SignedNonce) {
        return Err(Refuted::UnknownKey);
    }
    let possession = enrollment.public_key.map(|key| (key, None));
    let verification = enrollment.verification.as_ref();
    let verification = verification.map(|verification| (verification.key, Some(verification.method)));
    let mut keys = [possession, verification].into_iter().flatten();
    keys.find(|(key, _)| key.thumbprint() == named)
        .ok_or(Refuted::UnknownKey)
}

/// A possession key never passes for more than possession, nor does a verification key hide what it is, or say that the
/// user was verified in another way than it was enrolled for.
fn check_key_type(method: Option<VerificationMethod>, claimed: KeyType, amr: &[Amr]) -> Result<KeyType, Refuted> {
    let (known, expected) = match method {
        None => (KeyType::ProofOfPossession, &[Amr::Fpt][..]),
        Some(VerificationMethod::Pin) => (KeyType::UserVerification, &[Amr::Fpt, Amr::Pin][..]),
        Some(VerificationMethod::Fingerprint) => (KeyType::UserVerification, &[Amr::Fpt, Amr::Fingerprint][..]),
        Some(VerificationMethod::Face) => (KeyType::UserVerification, &[Amr::Fpt, Amr::Face][..]),
    };
    let is_whole = expected.iter().all(|one| amr.contains(one));
    let is_alone = amr.iter().all(|one| expected.contains(one));
    if known == claimed && is_whole && is_alone {
        Ok(known)
    } else {
        Err(Refuted::KeyType)
    }
}

fn check_audience(claimed: &str, expected: &str) -> Result<(), Refuted> {
    if claimed == expected {
        Ok(())
    } else {
        Err(Refuted::Audience)
    }
}

fn check_subject(enrollment: &Enrollment, iss: EnrollmentId, sub: UserId) -> Result<(), Refuted> {
    if iss == enrollment.id && sub == enrollment.user {
        Ok(())
    } else {
        Err(Refuted::Subject)
    }
}

fn check_time(iat: i64, exp: i64, now: Timestamp) -> Result<(), Refuted> {
    let lifetime = exp.checked_sub(iat).ok_or(Refuted::Time)?;
    let begun = iat <= now.secs().saturating_add(LEEWAY);
    let over = now.secs() >= exp.saturating_add(LEEWAY);
    if begun && !over && (1..=LONGEST).contains(&lifetime) {
        Ok(())
    } else {
        Err(Refuted::Time)
    }
}
