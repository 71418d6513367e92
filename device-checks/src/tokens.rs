//! Which signed tokens are there, what do they claim, and what has to be so for each to be believed?
//!
//! All are compact JWS with ES256 ([`crate::jws`]), told apart by `typ`. Claims are JWT claims (RFC 7519) where there are
//! such, and those of DPoP (RFC 9449) where they mean the same. Times are whole seconds since 1970. An unknown or repeated
//! claim is refused.

mod verify;

use directory::{AttemptId, DeviceId, EnrollmentId, InstanceId, KeyThumbprint, OrganizationId, UserId};
use serde::{Deserialize, Serialize};

pub use verify::*;

use crate::wire::{Signal, SignalReport};

/// `typ` of [`Challenge`].
pub const CHALLENGE_TYPE: &str = "latchkey-challenge+jwt";
/// `typ` of [`Answer`].
pub const ANSWER_TYPE: &str = "latchkey-answer+jwt";
/// `typ` of [`PushAnswer`].
pub const PUSH_ANSWER_TYPE: &str = "latchkey-push-answer+jwt";
/// `typ` of [`Assertion`].
pub const ASSERTION_TYPE: &str = "latchkey-device-assertion+jwt";
/// `typ` of [`InstanceProof`].
pub const INSTANCE_PROOF_TYPE: &str = "latchkey-instance-proof+jwt";
/// `typ` of [`KeyProof`].
pub const KEY_PROOF_TYPE: &str = "latchkey-key-proof+jwt";
/// `typ` of [`EnrollmentReceipt`].
pub const RECEIPT_TYPE: &str = "latchkey-enrollment+jwt";
/// The method of a challenge that a page on the same machine hands on, or that the device itself asked for.
pub const SIGNED_NONCE: &str = "signed_nonce";
/// The method of a challenge that comes over the agent's stream, for a browser elsewhere.
pub const PUSH: &str = "push";
/// The audience of challenges: any authenticator that pinned the organisation.
pub const AUTHENTICATOR: &str = "urn:latchkey:authenticator";
/// How far honest clocks differ, in seconds.
pub const LEEWAY: i64 = 60;
/// How long an answer or assertion may be good for at most, in seconds.
pub const LONGEST: i64 = 300;

/// Which of an account's keys signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyType {
    /// Signs without asking anybody: possession.
    ProofOfPossession,
    /// Signs after the user was verified: possession and knowledge or inherence.
    UserVerification,
}

/// How the user was authenticated (RFC 8176 has `pin` and `face`; `fpt` is FastPass's possession, so that a finger is
/// `fingerprint`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Amr {
    Fpt,
    Pin,
    Fingerprint,
    Face,
}

/// What the gateway asks of a device; signed by one of the organisation's challenge keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Challenge {
    /// The auth host's origin.
    pub iss: String,
    /// [`AUTHENTICATOR`].
    pub aud: String,
    /// When it was made.
    pub iat: i64,
    /// From when on it is over: at most [`LONGEST`] later.
    pub exp: i64,
    /// The attempt, which the answer names as `tx`.
    pub jti: AttemptId,
    /// At least 128 random bits.
    pub nonce: String,
    /// The organisation.
    pub org_id: OrganizationId,
    /// The attempt, under the name that the field uses.
    pub transaction_id: AttemptId,
    /// Where the answer goes.
    pub verification_uri: String,
    /// The origin of the page, or of the gateway itself, on whose behalf it is asked.
    pub origin: String,
    /// The facts asked for.
    pub signals: Vec<Signal>,
    /// SHA-256 (hexadecimal) of the subject names, in DER, of the CAs whose management certificates count.
    pub management_issuers: Vec<String>,
    /// The keys that may answer.
    pub key_types: Vec<KeyType>,
    /// [`SIGNED_NONCE`] or [`PUSH`]: what was made for one way is answered on no other.
    pub method: String,
    /// Whether somebody has to approve.
    pub user_mediation: Demand,
    /// Whether the user has to be verified.
    pub user_verification: Demand,
    /// Who signs in, where and to what; absent where the device alone is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignInAsked>,
    /// The origin of the application whose page renews its session by the answer; absent in a sign-in. The gateway's frame
    /// hands on for an application's page what renews that application and nothing else, or any page could have a visitor's
    /// device answer a challenge that somebody else began a sign-in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<String>,
    /// Whether the user has to type the number that the browser shows. The number itself is not in here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub number: bool,
}

/// What a user is shown before they approve a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignInAsked {
    /// The name of the application that is to be opened.
    pub application: String,
    /// The browser that asks, as far as it says.
    pub browser: String,
    /// The address it asks from.
    pub address: String,
    /// What the gateway calls the networks that the address is of, where it knows any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The login as it was typed; whether there is such a user it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_hint: Option<String>,
}

/// How much something is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Demand {
    None,
    Discouraged,
    Optional,
    Preferred,
    Required,
}

/// What a device answers to a challenge; signed by one of the account's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// The enrolment.
    pub iss: EnrollmentId,
    /// The auth host's origin.
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// When it was made.
    pub iat: i64,
    /// From when on it is over.
    pub exp: i64,
    /// Random; tells answers apart.
    pub jti: String,
    /// The challenge's attempt.
    pub tx: AttemptId,
    /// The challenge's nonce.
    pub nonce: String,
    /// How the user was authenticated.
    pub amr: Vec<Amr>,
    /// Which key signs.
    pub key_type: KeyType,
    /// The origin that the authenticator saw.
    pub origin: String,
    /// What the user did.
    pub outcome: Outcome,
    /// The facts asked for, as far as they are known.
    pub signals: SignalReport,
    /// Management attestations over this challenge's nonce: see [`crate::management`].
    pub management: Vec<String>,
}

/// What a user did when asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Approved, or nobody had to.
    Approved,
    /// Said no.
    Denied,
    /// Closed the question.
    Cancelled,
    /// Could not be verified.
    VerificationUnavailable,
    /// Was not asked: another origin than the gateway's handed the challenge on.
    ForeignOrigin,
}

/// What a device answers to a push; signed by one of the account's keys. It says nothing of the device: what it proves is that
/// its user approved, not where the browser is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushAnswer {
    /// The enrolment.
    pub iss: EnrollmentId,
    /// The auth host's origin.
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// When it was made.
    pub iat: i64,
    /// From when on it is over.
    pub exp: i64,
    /// Random; tells answers apart.
    pub jti: String,
    /// The challenge's attempt.
    pub tx: AttemptId,
    /// The challenge's nonce.
    pub nonce: String,
    /// How the user was authenticated.
    pub amr: Vec<Amr>,
    /// Which key signs.
    pub key_type: KeyType,
    /// What the user did.
    pub outcome: PushOutcome,
    /// The number that the user read off the browser, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

/// What a user did when a push asked them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushOutcome {
    /// Approved.
    Approved,
    /// Said no.
    Denied,
    /// Said that somebody else signs in under their name.
    NotMe,
    /// Closed the question.
    Cancelled,
    /// Could not be asked, or not be verified.
    VerificationUnavailable,
}

/// Proof by an enrolled key on one HTTP request: the claims of DPoP (RFC 9449, section 4.2), and whose key it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assertion {
    /// The enrolment.
    pub iss: EnrollmentId,
    /// The auth host's origin.
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// When it was made.
    pub iat: i64,
    /// From when on it is over.
    pub exp: i64,
    /// Random; tells assertions apart.
    pub jti: String,
    /// A nonce from the gateway, for one assertion.
    pub nonce: String,
    /// The request's method.
    pub htm: String,
    /// The request's URL without query and fragment, byte for byte.
    pub htu: String,
    /// How the user was authenticated.
    pub amr: Vec<Amr>,
    /// Which key signs.
    pub key_type: KeyType,
}

/// Proof by an authenticator instance's key on one step of an enrolment, over its body and token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InstanceProof {
    /// The auth host's origin.
    pub aud: String,
    /// When it was made.
    pub iat: i64,
    /// Random; tells proofs apart.
    pub jti: String,
    /// The request's method.
    pub htm: String,
    /// The request's URL.
    pub htu: String,
    /// [`crate::wire::hash`] of the body.
    pub body: String,
    /// [`crate::wire::hash`] of the enrolment token, where there is one yet (RFC 9449 calls it so).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ath: Option<String>,
}

/// Proof that a user-verification key to be enrolled is held, in this attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyProof {
    /// The auth host's origin.
    pub aud: String,
    /// The attempt.
    pub tx: AttemptId,
    /// Its nonce.
    pub nonce: String,
}

/// What the gateway enrolled, for the device that asked alone; signed by a challenge key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrollmentReceipt {
    /// The auth host's origin.
    pub iss: String,
    /// The organisation.
    pub org_id: OrganizationId,
    /// The instance's key: for whom the receipt is.
    pub aud: KeyThumbprint,
    /// When it was made.
    pub iat: i64,
    /// The attempt.
    pub tx: AttemptId,
    /// Its nonce.
    pub nonce: String,
    /// The device.
    pub device: DeviceId,
    /// The user.
    pub sub: UserId,
    /// The enrolment.
    pub enrollment: EnrollmentId,
    /// The instance.
    pub instance: InstanceId,
    /// The possession key.
    pub key: KeyThumbprint,
    /// [`crate::wire::hash`] of the certificate chain in PEM.
    pub certificate: String,
}

#[cfg(test)]
mod tests;
