//! What do a page of the auth host and the agent on the same machine say to each other? JSON over HTTP on 127.0.0.1.
//!
//! The agent listens on one of the ports that the organisation publishes. It answers pages of the pinned auth host alone
//! (exact `Origin`), under its own name alone (exact `Host`), asked by processes of its own user alone.

use directory::{AttemptId, KeyThumbprint, OrganizationId, PublicKey};
use serde::{Deserialize, Serialize};

/// The ports an agent tries, in this order, unless its organisation publishes others.
pub const LOOPBACK_PORTS: [u16; 10] = [
    47_600, 47_601, 47_602, 47_603, 47_604, 47_605, 47_606, 47_607, 47_608, 47_609,
];

/// `GET`: [`Probed`]. 503 says that another user's agent listens here: the next port may be the right one.
pub const PROBE_PATH: &str = "/probe";
/// `POST` [`ChallengeRequest`]: [`ChallengeAnswered`] once the answer is with the gateway.
pub const CHALLENGE_PATH: &str = "/challenge";
/// `POST` [`EnrollmentRequest`] to an agent that waits for its user to enrol: [`EnrollmentProved`].
pub const ENROLL_PROVE_PATH: &str = "/enroll/prove";
/// `POST` [`EnrollmentGranted`] to the same: 204.
pub const ENROLL_TOKEN_PATH: &str = "/enroll/token";
/// `GET`: [`EnrollmentProgress`] of the same.
pub const ENROLL_STATUS_PATH: &str = "/enroll/status";

/// `typ` of [`EnrollmentChallenge`].
pub const ENROLLMENT_CHALLENGE_TYPE: &str = "latchkey-enrollment-challenge+jwt";
/// `typ` of [`EnrollmentProof`].
pub const ENROLLMENT_PROOF_TYPE: &str = "latchkey-enrollment-proof+jwt";

/// An agent is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probed {
    /// The version of this protocol: 1.
    pub version: u32,
    /// Whether it waits for its user to enrol in the browser; such an agent answers no challenges.
    pub enrolling: bool,
}

/// A page hands on what the gateway asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChallengeRequest {
    /// [`crate::Challenge`], signed.
    pub challenge_request: String,
}

/// The agent answered the gateway; what it answered only the gateway says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChallengeAnswered {
    /// Whether the user, or the device alone where nobody had to be asked, approved.
    pub approved: bool,
}

/// Why an agent does not answer a challenge: the body of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoopbackError {
    /// A word that pages know.
    pub error: LoopbackErrorCode,
    /// For people.
    pub message: String,
}

/// The words of [`LoopbackError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoopbackErrorCode {
    /// 404: the user that the page names, or any, has no account here.
    NoAccount,
    /// 409: there are several accounts; the page has to name one.
    WhichAccount,
    /// 400: the challenge is not the pinned organisation's, is over, or is not one at all.
    BadChallenge,
    /// 409: another question is open at this moment.
    Busy,
    /// 502: the gateway did not take the answer, or cannot be reached from here.
    NotTaken,
    /// 500: a key does not work.
    Failed,
}

/// What the gateway asks of an agent that waits to enrol; signed by one of the organisation's challenge keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrollmentChallenge {
    /// The auth host's origin.
    pub iss: String,
    /// [`crate::AUTHENTICATOR`].
    pub aud: String,
    /// When it was made.
    pub iat: i64,
    /// From when on it is over.
    pub exp: i64,
    /// The attempt, which the proof names as `tx`.
    pub jti: AttemptId,
    /// At least 128 random bits.
    pub nonce: String,
    /// The organisation.
    pub org_id: OrganizationId,
    /// The origin of the page.
    pub origin: String,
    /// The key of the instance that opened the browser: no other may answer.
    pub key: KeyThumbprint,
    /// The login of the user who signed in there.
    pub login: String,
}

/// A page hands on what the gateway asks of an agent that waits to enrol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrollmentRequest {
    /// [`EnrollmentChallenge`], signed.
    pub challenge_request: String,
}

/// Proof by the key of the instance that opened the browser that it is on the same machine as the browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrollmentProof {
    /// The auth host's origin.
    pub aud: String,
    /// When it was made.
    pub iat: i64,
    /// The challenge's attempt.
    pub tx: AttemptId,
    /// The challenge's nonce.
    pub nonce: String,
    /// The origin that the agent saw.
    pub origin: String,
}

/// The agent's proof, for the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrollmentProved {
    /// The instance's key.
    pub key: PublicKey,
    /// [`EnrollmentProof`], signed by it.
    pub proof: String,
}

/// The gateway lets this instance enrol.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrollmentGranted {
    /// The enrolment token: single-use, for the instance's key.
    pub token: String,
    /// What the device is to be called, as the user said on the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// How far the agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrollmentProgress {
    /// The step.
    pub step: EnrollmentStep,
    /// The device's name once it is done, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The steps of an enrolment, as a page names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum EnrollmentStep {
    Waiting,
    AskingForPin,
    Identifying,
    Beginning,
    Activating,
    MakingKeys,
    Finishing,
    Done,
    Failed,
}

impl std::fmt::Debug for EnrollmentGranted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrollmentGranted")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
