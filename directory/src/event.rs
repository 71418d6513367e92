//! What does the System Log say happened, by whom, to what? Names and ids follow Okta's System Log where it has one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::words::serde_words;
use crate::{Timestamp, TransactionId};

/// One line of the System Log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The transaction's id, a dash, and the event's number in it: `trn…-0`.
    pub id: String,
    /// When it happened.
    pub published: Timestamp,
    /// What happened.
    pub event_type: EventType,
    /// How much attention it wants.
    pub severity: Severity,
    /// Whether it came about.
    pub outcome: Outcome,
    /// Who did it.
    pub actor: Actor,
    /// What it was done to.
    pub targets: Vec<Target>,
    /// The command it belongs to; all events of one command share it.
    pub transaction: TransactionId,
    /// What else is known of it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// What kind of thing acted.
    pub kind: ActorKind,
    /// Its id.
    pub id: String,
    /// What people call it.
    pub display_name: String,
    /// From which address it acted, where there is one.
    pub address: Option<IpAddr>,
}

/// What kind of thing acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ActorKind {
    ApiToken,
    User,
    Device,
    System,
}

/// What something was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its id.
    pub id: String,
    /// What kind of thing it is.
    pub kind: TargetKind,
    /// What people call it.
    pub display_name: String,
}

/// What kind of thing something is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum TargetKind {
    User,
    Group,
    Device,
    Enrollment,
    Certificate,
    EnrollmentToken,
    ApiToken,
    Authenticator,
    Instance,
    ManagementCertificate,
    Organization,
    Session,
}

/// Whether something came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", tag = "result")]
pub enum Outcome {
    /// It did.
    Success,
    /// It was refused and changed nothing.
    Failure {
        /// Why, for people to read.
        reason: String,
    },
}

/// How much attention an event wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something went as asked.
    Info,
    /// Something was refused.
    Warn,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum EventType {
    UserCreate,
    UserUpdate,
    UserActivate,
    UserDeactivate,
    UserSuspend,
    UserUnsuspend,
    UserDelete,
    GroupCreate,
    GroupUpdate,
    GroupDelete,
    GroupMemberAdd,
    GroupMemberRemove,
    SubgroupAdd,
    SubgroupRemove,
    DeviceEnroll,
    DeviceUpdate,
    DeviceActivate,
    DeviceDeactivate,
    DeviceSuspend,
    DeviceUnsuspend,
    DeviceDelete,
    DeviceUserAdd,
    DeviceUserRemove,
    DeviceReport,
    DeviceReportWithdraw,
    DeviceSignals,
    FactorActivate,
    FactorDeactivate,
    FactorUpdate,
    FactorSuspend,
    FactorUnsuspend,
    ReleaseCreate,
    ReleaseUse,
    PasswordSet,
    Authenticate,
    SuspiciousActivity,
    SessionStart,
    SessionEnd,
    CertificateIssue,
    CertificateRevoke,
    CertificateHold,
    CertificateRelease,
    ManagementBind,
    ManagementUnbind,
    EnrollmentTokenCreate,
    ApiTokenCreate,
    ApiTokenRevoke,
    OrganizationCreate,
    SettingsUpdate,
}

impl Event {
    /// Whether the event came about.
    pub fn succeeded(&self) -> bool {
        self.outcome == Outcome::Success
    }
}

serde_words!(ActorKind, "an actor", { ApiToken = "ApiToken", User = "User", Device = "Device", System = "System" });

serde_words!(TargetKind, "a target", {
    User = "User",
    Group = "UserGroup",
    Device = "Device",
    Enrollment = "Enrollment",
    Certificate = "Certificate",
    EnrollmentToken = "EnrollmentToken",
    ApiToken = "ApiToken",
    Authenticator = "Authenticator",
    Instance = "AuthenticatorInstance",
    ManagementCertificate = "ManagementCertificate",
    Organization = "Organization",
    Session = "Session",
});

serde_words!(Severity, "a severity", { Info = "INFO", Warn = "WARN" });

serde_words!(EventType, "an event type", {
    UserCreate = "user.lifecycle.create",
    UserUpdate = "user.account.update_profile",
    UserActivate = "user.lifecycle.activate",
    UserDeactivate = "user.lifecycle.deactivate",
    UserSuspend = "user.lifecycle.suspend",
    UserUnsuspend = "user.lifecycle.unsuspend",
    UserDelete = "user.lifecycle.delete.completed",
    GroupCreate = "group.lifecycle.create",
    GroupUpdate = "group.profile.update",
    GroupDelete = "group.lifecycle.delete",
    GroupMemberAdd = "group.user_membership.add",
    GroupMemberRemove = "group.user_membership.remove",
    SubgroupAdd = "group.subgroup.add",
    SubgroupRemove = "group.subgroup.remove",
    DeviceEnroll = "device.enrollment.create",
    DeviceUpdate = "device.profile.update",
    DeviceActivate = "device.lifecycle.activate",
    DeviceDeactivate = "device.lifecycle.deactivate",
    DeviceSuspend = "device.lifecycle.suspend",
    DeviceUnsuspend = "device.lifecycle.unsuspend",
    DeviceDelete = "device.lifecycle.delete",
    DeviceUserAdd = "device.user.add",
    DeviceUserRemove = "device.user.remove",
    DeviceReport = "device.mdm.report",
    DeviceReportWithdraw = "device.mdm.withdraw",
    DeviceSignals = "device.signals.report",
    FactorActivate = "user.mfa.factor.activate",
    FactorDeactivate = "user.mfa.factor.deactivate",
    FactorUpdate = "user.mfa.factor.update",
    FactorSuspend = "user.mfa.factor.suspend",
    FactorUnsuspend = "user.mfa.factor.unsuspend",
    ReleaseCreate = "user.mfa.release.create",
    ReleaseUse = "user.mfa.release.use",
    PasswordSet = "user.account.update_password",
    Authenticate = "user.authentication.auth_via_mfa",
    SuspiciousActivity = "user.account.report_suspicious_activity_by_enduser",
    SessionStart = "user.session.start",
    SessionEnd = "user.session.end",
    CertificateIssue = "pki.cert.issue",
    CertificateRevoke = "pki.cert.lifecycle.revoke",
    CertificateHold = "pki.cert.lifecycle.hold",
    CertificateRelease = "pki.cert.lifecycle.release",
    ManagementBind = "pki.cert.bind",
    ManagementUnbind = "pki.cert.unbind",
    EnrollmentTokenCreate = "device.enrollment_token.create",
    ApiTokenCreate = "system.api_token.create",
    ApiTokenRevoke = "system.api_token.revoke",
    OrganizationCreate = "system.organization.create",
    SettingsUpdate = "system.fastpass.update",
});
