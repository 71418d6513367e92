//! What do a device and the gateway say to each other? The JSON of `docs/protocol.md`, the same types on both sides.
//!
//! Paths are on the auth host unless they say otherwise. Bodies are JSON objects; an unknown member is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub use directory::{
    AttemptId, DeviceId, EnrollmentId, InstanceId, KeyStore, KeyThumbprint, OrganizationId, OsVersion, Platform,
    PublicKey, Timestamp, UserId, VerificationMethod,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::attestation::{DeviceStatement, KeyStatement, RootClass};

/// `GET`: [`Organization`].
pub const ORGANIZATION_PATH: &str = "/.well-known/latchkey-organization";
/// `POST` [`Authenticate`]: [`Authenticated`]. With an instance proof.
pub const AUTHENTICATE_PATH: &str = "/agent/v1/authenticate";
/// `POST` [`Begin`]: [`Begun`]. With the enrolment token (`Authorization: Bearer`) and an instance proof.
pub const BEGIN_PATH: &str = "/agent/v1/enrollments/begin";
/// `POST` [`Activate`]: [`Activated`]. As before.
pub const ACTIVATE_PATH: &str = "/agent/v1/enrollments/activate";
/// `POST` [`Finish`]: 201 [`Enrolled`]. As before.
pub const FINISH_PATH: &str = "/agent/v1/enrollments/finish";
/// `POST` [`Recover`]: 201 [`Enrolled`]. With an instance proof alone.
pub const RECOVER_PATH: &str = "/agent/v1/enrollments/recover";
/// `POST`, empty: [`Nonce`], for one `Device-Assertion`.
pub const NONCE_PATH: &str = "/agent/v1/nonces";
/// `GET`: [`EnrollmentStatus`]; `DELETE`: 204, removes the account. With a `Device-Assertion`. Behind it comes the
/// enrolment's id, then `?device=` and the device's id, so that a deleted device can be told that it was.
pub const ENROLLMENTS_PATH: &str = "/agent/v1/enrollments/";
/// `POST` [`Rename`] to `ENROLLMENTS_PATH` + id + this: 204. With a `Device-Assertion`.
pub const RENAME_SUFFIX: &str = "/rename";
/// `POST` to `ENROLLMENTS_PATH` + id + this: 201 [`GivenTotp`]. With a `Device-Assertion`.
pub const TOTP_SUFFIX: &str = "/totp";
/// `POST` [`AskChallenge`]: [`Challenged`].
pub const CHALLENGES_PATH: &str = "/agent/v1/challenges";
/// `POST` [`Answered`]: [`AnswerTaken`].
pub const ANSWERS_PATH: &str = "/agent/v1/answers";
/// `GET` `ENROLLMENTS_PATH` + id + this: [`Pushed`] in lines of JSON, for as long as the account counts; an empty line now and
/// then says that the connection lives. With a `Device-Assertion`.
pub const PUSHES_SUFFIX: &str = "/pushes";
/// `POST` [`Answered`] with a [`crate::PushAnswer`]: 204.
pub const PUSH_ANSWERS_PATH: &str = "/agent/v1/push-answers";
/// `POST` [`Renew`] on the device host, over mTLS with the certificate that is to be renewed: 201 [`Renewed`].
pub const RENEW_PATH: &str = "/agent/v1/certificates/renew";

/// The header field with a proof by the authenticator instance's key, for the steps of an enrolment.
pub const INSTANCE_PROOF_FIELD: &str = "instance-proof";
/// The header field with an assertion by an enrolled key, for one request.
pub const ASSERTION_FIELD: &str = "device-assertion";
/// The header field of an answer with a fresh nonce for the next assertion.
pub const NONCE_FIELD: &str = "device-assertion-nonce";

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// Who the gateway is, for a device to pin at enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Organization {
    /// The versions of the protocol that are spoken.
    pub versions: Vec<u32>,
    /// Which organisation it is; never changes.
    pub organization: OrganizationId,
    /// The auth host's origin: `https://auth.example.com`. The audience of everything a device signs.
    pub issuer: String,
    /// The origin where certificates are renewed over mTLS, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_origin: Option<String>,
    /// The keys that sign challenges and enrolment answers.
    pub challenge_keys: Vec<PublicKey>,
    /// The formats of evidence that the gateway can verify; empty when no roots are configured.
    pub attestation: Vec<String>,
    /// What enrolment takes.
    pub fastpass: FastPass,
    /// The ports on 127.0.0.1 where pages of the auth host look for an authenticator, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loopback_ports: Vec<u16>,
}

/// What the organisation asks of FastPass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FastPass {
    /// Whether devices sign in at all.
    pub enabled: bool,
    /// Whether keys have to be proved to live in hardware.
    pub hardware_required: bool,
    /// Whether a user-verification key has to be enrolled.
    pub user_verification_required: bool,
}

/// A user says who they are, in the terminal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Authenticate {
    /// The login.
    pub username: String,
    /// The password.
    pub password: String,
    /// The code of the TOTP authenticator: six digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp: Option<String>,
    /// The key of the authenticator instance; the token will work with it alone.
    pub instance_key: PublicKey,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum Authenticated {
    /// The user may enrol a device.
    Success {
        /// The enrolment token: single-use, for this instance's key.
        token: String,
        /// How many seconds it can be used.
        expires_in: u64,
    },
    /// The policies ask for more, which the user has: the same again, with it.
    FactorRequired {
        /// Which factors would do: `totp`.
        factors: Vec<String>,
        /// Why, for people.
        message: String,
    },
}

/// A device begins to enrol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Begin {
    /// [`VERSION`].
    pub version: u32,
    /// What the device is to be called; a device that is known keeps its name.
    pub name: String,
    /// Which system it runs.
    pub platform: Platform,
    /// The key of the authenticator instance, which signed the instance proof.
    pub instance_key: PublicKey,
    /// Which instance it is, where it has enrolled here before; the gateway knows its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Where the account's keys will live, as the device says.
    pub key_store: KeyStore,
    /// What proves which machine it is.
    pub statement: DeviceStatement,
}

/// What the gateway wants to be shown next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Begun {
    /// This attempt.
    pub attempt: AttemptId,
    /// 32 random octets, in base64url, that everything certified has to cover.
    pub nonce: String,
    /// For whom the device enrols.
    pub user: UserId,
    /// Their login.
    pub login: String,
    /// What only the TPM that has both keys can open; absent without evidence, and then the next step is `finish`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// What enrolment takes.
    pub fastpass: FastPass,
    /// How many seconds there are to finish.
    pub expires_in: u64,
}

/// A secret for a TPM (TPM 2.0 Library, part 1, section 24: credential protection), in base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credential {
    /// The contents of the TPM2B_ID_OBJECT.
    pub blob: Octets,
    /// The contents of the TPM2B_ENCRYPTED_SECRET.
    pub secret: Octets,
}

/// The TPM opened the credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Activate {
    /// Which attempt.
    pub attempt: AttemptId,
    /// What was in it.
    pub secret: Octets,
}

/// It is proved which machine it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Activated {
    /// Of which class the root of its evidence is.
    pub root_class: RootClass,
    /// Whether that counts here as attested hardware.
    pub attested: bool,
}

/// The device has made its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Finish {
    /// Which attempt.
    pub attempt: AttemptId,
    /// A certificate request (PKCS #10, PEM) by the proof-of-possession key.
    pub certificate_request: String,
    /// What proves where that key lives.
    pub possession: KeyStatement,
    /// The user-verification key, where the user chose one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationKey>,
    /// An answer by a management certificate, where there is one: see [`crate::management`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management: Option<String>,
}

/// A user-verification key to be enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerificationKey {
    /// The key.
    pub key: PublicKey,
    /// How the user is verified.
    pub method: VerificationMethod,
    /// What proves where it lives and who enforces the verification.
    pub statement: KeyStatement,
    /// [`crate::KeyProof`] signed by it.
    pub proof: String,
}

/// The answer to [`Finish`] never came: was the device enrolled?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recover {
    /// The attempt, which the receipt names.
    pub attempt: AttemptId,
    /// Its nonce, which the receipt repeats.
    pub nonce: String,
    /// The key of the authenticator instance, which signed the instance proof.
    pub instance_key: PublicKey,
    /// A certificate request (PKCS #10, PEM) by the proof-of-possession key that was to be enrolled.
    pub certificate_request: String,
}

/// The device is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Enrolled {
    /// The device: a new one, or the one it was known to be.
    pub device: DeviceId,
    /// What it is called.
    pub name: String,
    /// The user.
    pub user: UserId,
    /// Their account on it.
    pub enrollment: EnrollmentId,
    /// The authenticator instance.
    pub instance: InstanceId,
    /// The device certificate, then the CA's, in PEM.
    pub certificate: String,
    /// `HARDWARE` where that is proved and counts, else `SOFTWARE`.
    pub key_protection: KeyProtection,
    /// Of which class the evidence's root is, where there was evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_class: Option<RootClass>,
    /// Whether the device counts as managed from now on.
    pub managed: bool,
    /// Whether it can sign assertions (FastPass is enabled).
    pub fastpass: bool,
    /// The gateway's signature over what it enrolled: [`crate::EnrollmentReceipt`].
    pub receipt: String,
}

/// Where a key lives, as the gateway knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum KeyProtection {
    Hardware,
    Software,
}

/// A nonce for one assertion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Nonce {
    /// The nonce.
    pub nonce: String,
    /// How many seconds it can be used.
    pub expires_in: u64,
}

/// How an enrolment stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrollmentStatus {
    /// The device.
    pub device: DeviceId,
    /// What it is called.
    pub name: String,
    /// `ACTIVE`: any other status answers with an error.
    pub status: String,
    /// The user's login.
    pub login: String,
    /// Where the possession key is known to live.
    pub key_protection: KeyProtection,
    /// Whether the machine counts as attested hardware now.
    pub secure_hardware: bool,
    /// Of which class the evidence's root is, where one that is configured vouches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_class: Option<RootClass>,
    /// Whether the device counts as managed now.
    pub managed: bool,
    /// When the device's report was last taken (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<String>,
    /// Whether assertions by this enrolment are taken.
    pub fastpass: bool,
}

/// A new name for the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rename {
    /// The name.
    pub name: String,
}

/// A secret for the codes of this device's app (RFC 6238: SHA-1, six digits, 30 seconds), given once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GivenTotp {
    /// In base32.
    pub secret: String,
}

impl std::fmt::Debug for GivenTotp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A device asks to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskChallenge {
    /// For which enrolment.
    pub enrollment: EnrollmentId,
}

/// A challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Challenged {
    /// [`crate::Challenge`], signed.
    pub challenge: String,
}

/// What the gateway says on the stream of an account, without being asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pushed {
    /// Somebody signs in elsewhere: [`crate::Challenge`], signed, of the method [`crate::PUSH`].
    Challenge(String),
    /// It was answered, or is over: nobody has to be asked any more.
    Withdrawn(AttemptId),
}

/// The answer to a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answered {
    /// The attempt that the challenge began: its `jti`.
    pub attempt: AttemptId,
    /// [`crate::Answer`], or to a push [`crate::PushAnswer`], signed.
    pub answer: String,
}

/// What the gateway knows now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnswerTaken {
    /// Whether the device counts as managed now.
    pub managed: bool,
}

/// A request for a new certificate for the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Renew {
    /// A certificate request (PKCS #10, PEM) by the proof-of-possession key.
    pub certificate_request: String,
}

/// The new certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Renewed {
    /// The device certificate, then the CA's, in PEM.
    pub certificate: String,
}

/// What a device says of itself: only what was asked for, each fact only if it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignalReport {
    /// The version of the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<OsVersion>,
    /// The kernel's version, as `uname -r` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The machine's serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Whether there is a TPM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<bool>,
    /// The TPM's version: `2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm_version: Option<String>,
    /// Whether only signed systems boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
    /// Whether the system disk is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_encrypted: Option<bool>,
    /// Whether the screen locks itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen_lock: Option<bool>,
    /// Whether a firewall runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall: Option<bool>,
}

/// A fact that a challenge can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are those of the report")]
pub enum Signal {
    Os,
    Kernel,
    Serial,
    Tpm,
    SecureBoot,
    DiskEncrypted,
    ScreenLock,
    Firewall,
}

impl Signal {
    /// Every signal there is.
    pub const ALL: [Self; 8] = [
        Self::Os,
        Self::Kernel,
        Self::Serial,
        Self::Tpm,
        Self::SecureBoot,
        Self::DiskEncrypted,
        Self::ScreenLock,
        Self::Firewall,
    ];
}

impl SignalReport {
    /// The signals that it has something to say of.
    pub fn signals(&self) -> impl Iterator<Item = Signal> {
        let said = [
            (Signal::Os, self.os.is_some()),
            (Signal::Kernel, self.kernel.is_some()),
            (Signal::Serial, self.serial.is_some()),
            (Signal::Tpm, self.tpm.is_some() || self.tpm_version.is_some()),
            (Signal::SecureBoot, self.secure_boot.is_some()),
            (Signal::DiskEncrypted, self.disk_encrypted.is_some()),
            (Signal::ScreenLock, self.screen_lock.is_some()),
            (Signal::Firewall, self.firewall.is_some()),
        ];
        said.into_iter().filter_map(|(signal, said)| said.then_some(signal))
    }
}

/// What a TPM has to certify keys over (`qualifyingData`): the gateway's origin, the attempt's nonce, the user and the
/// certificate request, each behind its length, so that evidence serves nowhere and nobody else.
pub fn binding(origin: &str, nonce: &str, user: UserId, certificate_request_der: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"latchkey enrolment v1\0");
    for part in [
        origin.as_bytes(),
        nonce.as_bytes(),
        user.as_str().as_bytes(),
        certificate_request_der,
    ] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-256 in base64url without padding: how proofs name a body or a token.
pub fn hash(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(octets))
}

/// Octets that are base64url without padding in JSON.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Octets(pub Vec<u8>);

impl From<Octets> for String {
    fn from(octets: Octets) -> Self {
        URL_SAFE_NO_PAD.encode(octets.0)
    }
}

impl TryFrom<String> for Octets {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let octets = URL_SAFE_NO_PAD.decode(text);
        octets.map(Self).map_err(|_| "expected base64url without padding")
    }
}

impl std::fmt::Debug for Octets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} octets", self.0.len())
    }
}

// A password, a code and a token never show in debug output.

impl std::fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticate")
            .field("username", &self.username)
            .field("password", &"[redacted]")
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Success { .. } => f.write_str("Success([redacted])"),
            Self::FactorRequired { factors, .. } => write!(f, "FactorRequired({factors:?})"),
        }
    }
}
