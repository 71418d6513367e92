//! What can be asked of the directory? Data already parsed; the caller brings ids, secrets' hashes and certificates.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::{
    ApiTokenId, AuthenticatorId, DeviceId, EnrollmentId, EnrollmentTokenId, EventType, Factor, FactorProof,
    Fingerprint, GroupId, Hardware, InstanceId, KeyProtection, KeyStore, KeyThumbprint, MdmReport, NewWebauthn,
    NumberChallenge, OrganizationId, Ownership, Platform, Protected, PublicKey, Reported, RevocationReason, Scope,
    SecretHash, Serial, SessionId, Timestamp, TokenOrigin, UserId, UserVerification, Verification, WebauthnUse,
};

/// One wish; [`Snapshot::plan`](crate::Snapshot::plan) says what it would change, or why it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Command {
    CreateUser(NewUser),
    UpdateUser {
        user: UserId,
        update: UserUpdate,
    },
    ActivateUser(UserId),
    DeactivateUser(UserId),
    SuspendUser(UserId),
    UnsuspendUser(UserId),
    DeleteUser(UserId),
    CreateGroup(NewGroup),
    UpdateGroup {
        group: GroupId,
        update: GroupUpdate,
    },
    DeleteGroup(GroupId),
    AddMember {
        group: GroupId,
        user: UserId,
    },
    RemoveMember {
        group: GroupId,
        user: UserId,
    },
    AddSubgroup {
        group: GroupId,
        subgroup: GroupId,
    },
    RemoveSubgroup {
        group: GroupId,
        subgroup: GroupId,
    },
    UpdateDevice {
        device: DeviceId,
        update: DeviceUpdate,
    },
    SuspendDevice(DeviceId),
    UnsuspendDevice(DeviceId),
    DeactivateDevice(DeviceId),
    ActivateDevice(DeviceId),
    DeleteDevice(DeviceId),
    CreateEnrollmentToken(NewEnrollmentToken),
    Enroll(Box<Enroll>),
    EndEnrollment(EnrollmentId),
    RenewCertificate(RenewCertificate),
    TakeAnswer(Box<SignalAnswer>),
    SetPassword {
        user: UserId,
        id: AuthenticatorId,
        hash: Protected,
    },
    RehashPassword {
        authenticator: AuthenticatorId,
        before: Protected,
        hash: Protected,
    },
    SetTotp {
        user: UserId,
        id: AuthenticatorId,
        secret: Protected,
    },
    /// For the app on a device: replaces the one that the account there had.
    SetDeviceTotp {
        enrollment: EnrollmentId,
        id: AuthenticatorId,
        secret: Protected,
    },
    UseTotp {
        authenticator: AuthenticatorId,
        step: u64,
    },
    AddWebauthn(Box<NewWebauthn>),
    UseWebauthn(WebauthnUse),
    RenameWebauthn {
        authenticator: AuthenticatorId,
        name: String,
    },
    SetRecoveryCodes {
        user: UserId,
        id: AuthenticatorId,
        codes: BTreeSet<SecretHash>,
    },
    UseRecoveryCode {
        authenticator: AuthenticatorId,
        code: SecretHash,
    },
    RemoveAuthenticator(AuthenticatorId),
    /// The user's own wish, refused where they could not sign in any more.
    GiveUpAuthenticator(AuthenticatorId),
    /// The user's own wish, refused where they could not sign in any more.
    GiveUpEnrollment(EnrollmentId),
    ReleaseUser {
        user: UserId,
        ends: Timestamp,
    },
    UseRelease(UserId),
    RecordFailure(Failure),
    /// Says on the device of this account that somebody else signs in under its user's name; for the System Log alone.
    ReportSuspicion(EnrollmentId),
    FoundOrganization(OrganizationId),
    UpdateFastPass(FastPassUpdate),
    IssueManagement {
        device: DeviceId,
        certificate: NewManagementCertificate,
    },
    RevokeManagement(Fingerprint),
    RevokeCertificate {
        fingerprint: Fingerprint,
        reason: RevocationReason,
    },
    HoldCertificate(Fingerprint),
    ReleaseCertificate(Fingerprint),
    ReportDevice(MdmReport),
    WithdrawReport {
        device: DeviceId,
        source: String,
    },
    CreateApiToken(NewApiToken),
    RevokeApiToken(ApiTokenId),
}

/// A proof that came to nothing, for the System Log alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whose, where there is such a user.
    pub user: Option<UserId>,
    /// Which factor.
    pub factor: Factor,
    /// Why.
    pub reason: &'static str,
    /// By which account on a device, where it was by one.
    pub enrollment: Option<EnrollmentId>,
    /// The foreign origin that a device saw.
    pub origin: Option<String>,
}

/// A user to be created; active at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// A new id.
    pub id: UserId,
    /// At most 100 letters, digits and `@._+-`, unique without case.
    pub login: String,
    /// Where the person reads mail.
    pub email: String,
    /// Given name; may be empty.
    pub first_name: String,
    /// Family name; may be empty.
    pub last_name: String,
    /// What kind of user policies see.
    pub user_type: String,
    /// Attributes policies see.
    pub tags: BTreeMap<String, BTreeSet<String>>,
}

/// What to change of a user; what is not given stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are those of the user")]
pub struct UserUpdate {
    pub login: Option<String>,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub user_type: Option<String>,
    pub tags: Option<BTreeMap<String, BTreeSet<String>>>,
}

/// A group to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroup {
    /// A new id.
    pub id: GroupId,
    /// Unique, without commas.
    pub name: String,
    /// For people to read; may be empty.
    pub description: String,
}

/// What to change of a group; what is not given stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are those of the group")]
pub struct GroupUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
}

/// What to change of a device; what is not given stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are those of the device")]
pub struct DeviceUpdate {
    pub name: Option<String>,
    pub ownership: Option<Ownership>,
    pub groups: Option<BTreeSet<String>>,
    pub tags: Option<BTreeMap<String, String>>,
}

/// An enrolment token to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEnrollmentToken {
    /// A new id.
    pub id: EnrollmentTokenId,
    /// The hash of a new secret.
    pub secret: SecretHash,
    /// For whom; must be active.
    pub user: UserId,
    /// For which known device, which must be active; without one, enrolment makes a new record.
    pub device: Option<DeviceId>,
    /// Who lets it be made.
    pub origin: TokenOrigin,
    /// What the user proved for it.
    pub factors: BTreeSet<Factor>,
    /// The same in full.
    pub proofs: Vec<FactorProof>,
    /// The session in which it was asked for.
    pub session: Option<SessionId>,
    /// The authenticator instance's key that alone may use it.
    pub bound_to: Option<KeyThumbprint>,
    /// From when on it no longer works.
    pub ends: Timestamp,
}

/// A device enrols for the user of its enrolment token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enroll {
    /// The hash of the token's secret.
    pub secret: SecretHash,
    /// The device: the one it is known to be, whose record keeps its name and platform, or else a new one.
    pub device: NewDevice,
    /// A new id.
    pub enrollment: EnrollmentId,
    /// The key that proved itself by signing the request; never seen before.
    pub key: KeyThumbprint,
    /// Where the key is said to live.
    pub key_store: KeyStore,
    /// The certificate issued for that key.
    pub certificate: NewCertificate,
    /// What an authenticator of ours adds; nothing where a certificate request alone enrols.
    pub authenticator: Option<AuthenticatorEnroll>,
}

/// What an authenticator adds to an enrolment: its own key, the keys that sign assertions, and what is proved of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticatorEnroll {
    /// The instance: known by its key, or new.
    pub instance: InstanceId,
    /// The instance's key, which signed every step.
    pub instance_key: PublicKey,
    /// The possession key.
    pub public_key: PublicKey,
    /// The user-verification key, where there is one.
    pub verification: Option<Verification>,
    /// Which machine the device was proved to be.
    pub hardware: Option<Hardware>,
    /// Whether that machine certified the possession key.
    pub hardware_key: bool,
    /// Whether a configured root vouches for the machine now.
    pub attested: bool,
    /// What came of its management certificate.
    pub management: ManagementAnswer,
}

/// What came of asking a device for a management certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManagementAnswer {
    /// It was not asked.
    NotAsked,
    /// It has none.
    Absent,
    /// It proved that it holds the key of one that is for it.
    Proved(NewManagementCertificate),
    /// What it showed does not count.
    Refused {
        /// Why, for the System Log.
        reason: String,
    },
}

/// A management certificate to be bound.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the certificate")]
pub struct NewManagementCertificate {
    pub fingerprint: Fingerprint,
    pub issuer: Fingerprint,
    pub serial: Serial,
    pub not_after: Timestamp,
}

/// A device's certificate is replaced by a newer one for the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewCertificate {
    /// The certificate that was shown: live.
    pub shown: Fingerprint,
    /// The new one.
    pub certificate: NewCertificate,
    /// The key it was issued for: the enrolment's.
    pub key: KeyThumbprint,
    /// How many certificates of an enrolment may be alive at once; the oldest make room.
    pub most_alive: usize,
    /// Enrolments made before this are too old to be renewed.
    pub enrolled_since: Timestamp,
}

/// A device answered a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalAnswer {
    /// Whose key answered.
    pub enrollment: EnrollmentId,
    /// What the device says of itself.
    pub reported: Reported,
    /// What came of its management certificate.
    pub management: ManagementAnswer,
}

/// What to change of the FastPass settings; what is not given stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are those of the settings")]
pub struct FastPassUpdate {
    pub enabled: Option<bool>,
    pub key_protection: Option<KeyProtection>,
    pub user_verification: Option<UserVerification>,
    pub number_challenge: Option<NumberChallenge>,
}

/// A device to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the device")]
pub struct NewDevice {
    pub id: DeviceId,
    pub name: String,
    pub platform: Platform,
}

/// A certificate to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the certificate")]
pub struct NewCertificate {
    pub fingerprint: Fingerprint,
    pub serial: Serial,
    pub issuer: Fingerprint,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

/// An API token to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiToken {
    /// A new id.
    pub id: ApiTokenId,
    /// What people call it.
    pub name: String,
    /// The hash of a new secret.
    pub secret: SecretHash,
    /// What it may do; at least one thing.
    pub scopes: BTreeSet<Scope>,
    /// From where it may be used; empty means from anywhere.
    pub networks: Vec<IpNet>,
    /// From when on it no longer works.
    pub ends: Timestamp,
    /// Whether it is demo material.
    pub demo: bool,
}

impl Command {
    /// What the System Log calls it, done or refused.
    pub const fn event_type(&self) -> EventType {
        match self {
            Self::CreateUser(_) => EventType::UserCreate,
            Self::UpdateUser { .. } => EventType::UserUpdate,
            Self::ActivateUser(_) => EventType::UserActivate,
            Self::DeactivateUser(_) => EventType::UserDeactivate,
            Self::SuspendUser(_) => EventType::UserSuspend,
            Self::UnsuspendUser(_) => EventType::UserUnsuspend,
            Self::DeleteUser(_) => EventType::UserDelete,
            Self::CreateGroup(_) => EventType::GroupCreate,
            Self::UpdateGroup { .. } => EventType::GroupUpdate,
            Self::DeleteGroup(_) => EventType::GroupDelete,
            Self::AddMember { .. } => EventType::GroupMemberAdd,
            Self::RemoveMember { .. } => EventType::GroupMemberRemove,
            Self::AddSubgroup { .. } => EventType::SubgroupAdd,
            Self::RemoveSubgroup { .. } => EventType::SubgroupRemove,
            Self::UpdateDevice { .. } => EventType::DeviceUpdate,
            Self::SuspendDevice(_) => EventType::DeviceSuspend,
            Self::UnsuspendDevice(_) => EventType::DeviceUnsuspend,
            Self::DeactivateDevice(_) => EventType::DeviceDeactivate,
            Self::ActivateDevice(_) => EventType::DeviceActivate,
            Self::DeleteDevice(_) => EventType::DeviceDelete,
            Self::CreateEnrollmentToken(_) => EventType::EnrollmentTokenCreate,
            Self::Enroll(_) => EventType::DeviceEnroll,
            Self::EndEnrollment(_) => EventType::DeviceUserRemove,
            Self::RenewCertificate(_) => EventType::CertificateIssue,
            Self::TakeAnswer(_) => EventType::DeviceSignals,
            Self::SetPassword { .. } | Self::RehashPassword { .. } => EventType::PasswordSet,
            Self::SetTotp { .. } | Self::SetDeviceTotp { .. } | Self::SetRecoveryCodes { .. } => {
                EventType::FactorActivate
            }
            Self::UseTotp { .. } | Self::UseRecoveryCode { .. } | Self::RecordFailure(_) => EventType::Authenticate,
            Self::AddWebauthn(_) => EventType::FactorActivate,
            Self::UseWebauthn(_) => EventType::Authenticate,
            Self::RenameWebauthn { .. } => EventType::FactorUpdate,
            Self::ReportSuspicion(_) => EventType::SuspiciousActivity,
            Self::RemoveAuthenticator(_) | Self::GiveUpAuthenticator(_) => EventType::FactorDeactivate,
            Self::GiveUpEnrollment(_) => EventType::DeviceUserRemove,
            Self::ReleaseUser { .. } => EventType::ReleaseCreate,
            Self::UseRelease(_) => EventType::ReleaseUse,
            Self::FoundOrganization(_) => EventType::OrganizationCreate,
            Self::UpdateFastPass(_) => EventType::SettingsUpdate,
            Self::IssueManagement { .. } => EventType::CertificateIssue,
            Self::RevokeManagement(_) => EventType::CertificateRevoke,
            Self::RevokeCertificate { .. } => EventType::CertificateRevoke,
            Self::HoldCertificate(_) => EventType::CertificateHold,
            Self::ReleaseCertificate(_) => EventType::CertificateRelease,
            Self::ReportDevice(_) => EventType::DeviceReport,
            Self::WithdrawReport { .. } => EventType::DeviceReportWithdraw,
            Self::CreateApiToken(_) => EventType::ApiTokenCreate,
            Self::RevokeApiToken(_) => EventType::ApiTokenRevoke,
        }
    }
}
