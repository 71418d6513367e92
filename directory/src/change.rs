//! What does a command change? Each change carries the whole new state of one record.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    ApiToken, ApiTokenId, Authenticator, AuthenticatorId, Certificate, Device, DeviceId, Enrollment, EnrollmentId,
    EnrollmentToken, EnrollmentTokenId, Fingerprint, Group, GroupId, Instance, InstanceId, ManagementCertificate,
    MdmReport, Revision, Settings, User, UserId,
};

/// The new state of one record, or that it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Change {
    PutUser(Box<User>),
    DeleteUser(UserId),
    PutGroup(Box<Group>),
    DeleteGroup(GroupId),
    PutDevice(Box<Device>),
    DeleteDevice(DeviceId),
    PutEnrollment(Box<Enrollment>),
    DeleteEnrollment(EnrollmentId),
    PutCertificate(Box<Certificate>),
    PutReport(Box<MdmReport>),
    DeleteReport { device: DeviceId, source: String },
    PutEnrollmentToken(Box<EnrollmentToken>),
    DeleteEnrollmentToken(EnrollmentTokenId),
    PutApiToken(Box<ApiToken>),
    PutInstance(Box<Instance>),
    DeleteInstance(InstanceId),
    PutAuthenticator(Box<Authenticator>),
    DeleteAuthenticator(AuthenticatorId),
    PutManagementCertificate(Box<ManagementCertificate>),
    DeleteManagementCertificate(Fingerprint),
    PutSettings(Box<Settings>),
}

/// The tables records live in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Table {
    Users,
    Groups,
    Devices,
    Enrollments,
    Certificates,
    Reports,
    EnrollmentTokens,
    ApiTokens,
    Instances,
    Authenticators,
    ManagementCertificates,
    Settings,
}

/// Whom a list of changes concerns; live requests that rest on any of it are judged again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Touched {
    /// Users whose record or membership changed.
    pub users: BTreeSet<UserId>,
    /// Groups that changed; whoever is in them, directly or not, is concerned.
    pub groups: BTreeSet<GroupId>,
    /// Devices whose record changed, or anything that hangs on them.
    pub devices: BTreeSet<DeviceId>,
    /// Certificates that changed.
    pub certificates: BTreeSet<Fingerprint>,
    /// API tokens that changed.
    pub api_tokens: BTreeSet<ApiTokenId>,
}

impl Change {
    /// Which record the change is about: its table and its id there.
    pub fn key(&self) -> (Table, String) {
        match self {
            Self::PutUser(user) => (Table::Users, user.id.to_string()),
            Self::DeleteUser(id) => (Table::Users, id.to_string()),
            Self::PutGroup(group) => (Table::Groups, group.id.to_string()),
            Self::DeleteGroup(id) => (Table::Groups, id.to_string()),
            Self::PutDevice(device) => (Table::Devices, device.id.to_string()),
            Self::DeleteDevice(id) => (Table::Devices, id.to_string()),
            Self::PutEnrollment(enrollment) => (Table::Enrollments, enrollment.id.to_string()),
            Self::DeleteEnrollment(id) => (Table::Enrollments, id.to_string()),
            Self::PutCertificate(certificate) => (Table::Certificates, certificate.fingerprint.to_string()),
            Self::PutReport(report) => (Table::Reports, report_key(report.device, &report.source)),
            Self::DeleteReport { device, source } => (Table::Reports, report_key(*device, source)),
            Self::PutEnrollmentToken(token) => (Table::EnrollmentTokens, token.id.to_string()),
            Self::DeleteEnrollmentToken(id) => (Table::EnrollmentTokens, id.to_string()),
            Self::PutApiToken(token) => (Table::ApiTokens, token.id.to_string()),
            Self::PutInstance(instance) => (Table::Instances, instance.id.to_string()),
            Self::DeleteInstance(id) => (Table::Instances, id.to_string()),
            Self::PutAuthenticator(authenticator) => (Table::Authenticators, authenticator.id.to_string()),
            Self::DeleteAuthenticator(id) => (Table::Authenticators, id.to_string()),
            Self::PutManagementCertificate(certificate) => {
                (Table::ManagementCertificates, certificate.fingerprint.to_string())
            }
            Self::DeleteManagementCertificate(id) => (Table::ManagementCertificates, id.to_string()),
            Self::PutSettings(_) => (Table::Settings, SETTINGS_KEY.to_owned()),
        }
    }

    /// Writes into the record in which revision it changes; a deletion has no record to write into.
    pub fn stamp(&mut self, revision: Revision) {
        match self {
            Self::PutUser(user) => user.version = revision,
            Self::PutGroup(group) => group.version = revision,
            Self::PutDevice(device) => device.version = revision,
            Self::PutEnrollment(enrollment) => enrollment.version = revision,
            Self::PutCertificate(certificate) => certificate.version = revision,
            Self::PutReport(report) => report.version = revision,
            Self::PutEnrollmentToken(token) => token.version = revision,
            Self::PutApiToken(token) => token.version = revision,
            Self::PutInstance(instance) => instance.version = revision,
            Self::PutAuthenticator(authenticator) => authenticator.version = revision,
            Self::PutManagementCertificate(certificate) => certificate.version = revision,
            Self::PutSettings(settings) => settings.version = revision,
            Self::DeleteUser(_)
            | Self::DeleteGroup(_)
            | Self::DeleteDevice(_)
            | Self::DeleteEnrollment(_)
            | Self::DeleteReport { .. }
            | Self::DeleteEnrollmentToken(_)
            | Self::DeleteInstance(_)
            | Self::DeleteAuthenticator(_)
            | Self::DeleteManagementCertificate(_) => {}
        }
    }
}

impl Touched {
    /// Collects whom the changes concern.
    pub fn of<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Self {
        let mut touched = Self::default();
        changes.into_iter().for_each(|change| touched.add(change));
        touched
    }

    /// Adds whom others concern.
    pub fn extend(&mut self, other: Self) {
        self.users.extend(other.users);
        self.groups.extend(other.groups);
        self.devices.extend(other.devices);
        self.certificates.extend(other.certificates);
        self.api_tokens.extend(other.api_tokens);
    }

    fn add(&mut self, change: &Change) {
        match change {
            Change::PutUser(user) => self.users.extend([user.id]),
            Change::DeleteUser(id) => self.users.extend([*id]),
            Change::PutGroup(group) => self.groups.extend([group.id]),
            Change::DeleteGroup(id) => self.groups.extend([*id]),
            Change::PutDevice(device) => self.devices.extend([device.id]),
            Change::DeleteDevice(id) => self.devices.extend([*id]),
            // The user too: the enrolment may be gone from the snapshot by the time somebody looks there.
            Change::PutEnrollment(enrollment) => {
                self.devices.extend([enrollment.device]);
                self.users.extend([enrollment.user]);
            }
            Change::PutCertificate(certificate) => {
                self.certificates.extend([certificate.fingerprint]);
                self.devices.extend([certificate.device]);
            }
            Change::PutReport(report) => self.devices.extend([report.device]),
            Change::DeleteReport { device, .. } => self.devices.extend([*device]),
            Change::PutApiToken(token) => self.api_tokens.extend([token.id]),
            Change::PutManagementCertificate(certificate) => self.devices.extend([certificate.device]),
            // An enrolment, an instance and a management certificate are deleted only together with their device, an
            // authenticator changes together with its user, and no request rests on the others.
            Change::DeleteEnrollment(_)
            | Change::PutEnrollmentToken(_)
            | Change::DeleteEnrollmentToken(_)
            | Change::PutInstance(_)
            | Change::DeleteInstance(_)
            | Change::PutAuthenticator(_)
            | Change::DeleteAuthenticator(_)
            | Change::DeleteManagementCertificate(_)
            | Change::PutSettings(_) => {}
        }
    }
}

crate::words::words!(Table, "a table", {
    Users = "users",
    Groups = "groups",
    Devices = "devices",
    Enrollments = "enrollments",
    Certificates = "certificates",
    Reports = "reports",
    EnrollmentTokens = "enrollment_tokens",
    ApiTokens = "api_tokens",
    Instances = "instances",
    Authenticators = "authenticators",
    ManagementCertificates = "management_certificates",
    Settings = "settings",
});

/// The settings are one record.
const SETTINGS_KEY: &str = "settings";

/// A report has no id of its own: there is one for each device and source.
fn report_key(device: DeviceId, source: &str) -> String {
    format!("{device}/{source}")
}
