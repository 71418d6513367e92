//! What is known at one revision? A cheap-to-clone, immutable picture of the directory with its indexes.

mod apply;
mod authenticators;

pub use authenticators::WayIn;

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::{
    ApiToken, ApiTokenId, Authenticator, AuthenticatorId, Certificate, Change, CredentialId, Device, DeviceId,
    Enrollment, EnrollmentId, EnrollmentToken, EnrollmentTokenId, Fingerprint, Group, GroupId, HardwareId, Instance,
    InstanceId, KeyThumbprint, ManagementCertificate, MdmReport, Revision, SecretHash, Serial, Settings, User, UserId,
};

/// The directory at one revision. Snapshots share what they have in common, so a new one costs only what changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    revision: Revision,
    users: OrdMap<UserId, Arc<User>>,
    users_by_login: OrdMap<String, UserId>,
    members: OrdSet<(GroupId, UserId)>,
    groups: OrdMap<GroupId, Arc<Group>>,
    groups_by_name: OrdMap<String, GroupId>,
    subgroups: OrdSet<(GroupId, GroupId)>,
    groups_version: Revision,
    devices: OrdMap<DeviceId, Arc<Device>>,
    devices_by_name: OrdSet<(String, DeviceId)>,
    enrollments: OrdMap<EnrollmentId, Arc<Enrollment>>,
    enrollments_by_device: OrdSet<(DeviceId, EnrollmentId)>,
    enrollments_by_user: OrdSet<(UserId, EnrollmentId)>,
    enrollments_by_key: OrdMap<KeyThumbprint, EnrollmentId>,
    certificates: OrdMap<Fingerprint, Arc<Certificate>>,
    certificates_by_device: OrdSet<(DeviceId, Fingerprint)>,
    certificates_by_serial: OrdMap<(Fingerprint, Serial), Fingerprint>,
    revoked_by_issuer: OrdSet<(Fingerprint, Fingerprint)>,
    reports: OrdMap<(DeviceId, String), Arc<MdmReport>>,
    enrollment_tokens: OrdMap<EnrollmentTokenId, Arc<EnrollmentToken>>,
    enrollment_tokens_by_secret: OrdMap<SecretHash, EnrollmentTokenId>,
    enrollment_tokens_by_user: OrdSet<(UserId, EnrollmentTokenId)>,
    enrollment_tokens_by_device: OrdSet<(DeviceId, EnrollmentTokenId)>,
    api_tokens: OrdMap<ApiTokenId, Arc<ApiToken>>,
    api_tokens_by_secret: OrdMap<SecretHash, ApiTokenId>,
    devices_by_hardware: OrdMap<HardwareId, DeviceId>,
    instances: OrdMap<InstanceId, Arc<Instance>>,
    instances_by_key: OrdMap<KeyThumbprint, InstanceId>,
    instances_by_device: OrdSet<(DeviceId, InstanceId)>,
    authenticators: OrdMap<AuthenticatorId, Arc<Authenticator>>,
    authenticators_by_user: OrdSet<(UserId, AuthenticatorId)>,
    authenticators_by_credential: OrdMap<CredentialId, AuthenticatorId>,
    management: OrdMap<Fingerprint, Arc<ManagementCertificate>>,
    management_by_device: OrdSet<(DeviceId, Fingerprint)>,
    settings: Option<Arc<Settings>>,
}

impl Snapshot {
    /// The directory before anything happened.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Builds the directory from the records a store holds, which keep the versions they have.
    pub fn restored(revision: Revision, records: impl IntoIterator<Item = Change>) -> Self {
        let mut snapshot = Self::empty();
        for record in records {
            snapshot.apply(&record);
        }
        snapshot.revision = revision;
        // A group that is gone left no version behind; what was computed before must not pass for current.
        snapshot.groups_version = revision;
        snapshot
    }

    /// The directory after these changes, whose records get this revision as their version.
    #[must_use]
    pub fn with(&self, revision: Revision, changes: &[Change]) -> Self {
        let mut snapshot = self.clone();
        snapshot.revision = revision;
        for change in changes {
            let mut change = change.clone();
            change.stamp(revision);
            snapshot.apply(&change);
        }
        snapshot
    }

    /// The revision this is the picture of.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The version of the record a change would replace or delete, or nothing where there is none.
    pub fn version_of(&self, change: &Change) -> Option<Revision> {
        match change {
            Change::PutUser(user) => self.user(user.id).map(|user| user.version),
            Change::DeleteUser(id) => self.user(*id).map(|user| user.version),
            Change::PutGroup(group) => self.group(group.id).map(|group| group.version),
            Change::DeleteGroup(id) => self.group(*id).map(|group| group.version),
            Change::PutDevice(device) => self.device(device.id).map(|device| device.version),
            Change::DeleteDevice(id) => self.device(*id).map(|device| device.version),
            Change::PutEnrollment(enrollment) => self.enrollment(enrollment.id).map(|known| known.version),
            Change::DeleteEnrollment(id) => self.enrollment(*id).map(|known| known.version),
            Change::PutCertificate(certificate) => {
                self.certificate(&certificate.fingerprint).map(|known| known.version)
            }
            Change::PutReport(report) => self.report(report.device, &report.source).map(|known| known.version),
            Change::DeleteReport { device, source } => self.report(*device, source).map(|known| known.version),
            Change::PutEnrollmentToken(token) => self.enrollment_token(token.id).map(|known| known.version),
            Change::DeleteEnrollmentToken(id) => self.enrollment_token(*id).map(|known| known.version),
            Change::PutApiToken(token) => self.api_token(token.id).map(|known| known.version),
            Change::PutInstance(instance) => self.instance(instance.id).map(|known| known.version),
            Change::DeleteInstance(id) => self.instance(*id).map(|known| known.version),
            Change::PutAuthenticator(authenticator) => self.authenticator(authenticator.id).map(|known| known.version),
            Change::DeleteAuthenticator(id) => self.authenticator(*id).map(|known| known.version),
            Change::PutManagementCertificate(certificate) => self
                .management_certificate(&certificate.fingerprint)
                .map(|known| known.version),
            Change::DeleteManagementCertificate(id) => self.management_certificate(id).map(|known| known.version),
            Change::PutSettings(_) => self.settings.as_ref().map(|known| known.version),
        }
    }
}

#[cfg(test)]
impl Snapshot {
    /// Whether records and indexes are the same; when groups last changed a rebuilt snapshot cannot know.
    pub(crate) fn has_the_records_of(&self, other: &Self) -> bool {
        *self
            == Self {
                groups_version: self.groups_version,
                ..other.clone()
            }
    }
}

/// Users and groups.
impl Snapshot {
    /// The user with this id.
    pub fn user(&self, id: UserId) -> Option<&Arc<User>> {
        self.users.get(&id)
    }

    /// The user with this login, compared without case.
    pub fn user_by_login(&self, login: &str) -> Option<&Arc<User>> {
        self.users_by_login
            .get(&login.to_ascii_lowercase())
            .and_then(|id| self.users.get(id))
    }

    /// All users, by id.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// The users directly in this group, by id.
    pub fn members(&self, group: GroupId) -> impl Iterator<Item = &Arc<User>> {
        let members = self.members.range((group, UserId::FIRST)..=(group, UserId::LAST));
        members.filter_map(|(_, user)| self.users.get(user))
    }

    /// The group with this id.
    pub fn group(&self, id: GroupId) -> Option<&Arc<Group>> {
        self.groups.get(&id)
    }

    /// The group with exactly this name.
    pub fn group_by_name(&self, name: &str) -> Option<&Arc<Group>> {
        self.groups_by_name.get(name).and_then(|id| self.groups.get(id))
    }

    /// All groups, by id.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.values()
    }

    /// The groups directly in this group, by id.
    pub fn subgroups(&self, group: GroupId) -> impl Iterator<Item = &Arc<Group>> {
        let subgroups = self.subgroups.range((group, GroupId::FIRST)..=(group, GroupId::LAST));
        subgroups.filter_map(|(_, subgroup)| self.groups.get(subgroup))
    }

    /// All groups the user is in, directly or through other groups.
    pub fn effective_groups(&self, user: &User) -> BTreeSet<GroupId> {
        self.closure(user.groups.iter().copied())
    }

    /// The given groups and all that these are in, each once, so that a circle would end too.
    pub(crate) fn closure(&self, start: impl IntoIterator<Item = GroupId>) -> BTreeSet<GroupId> {
        let mut waiting: Vec<GroupId> = start.into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if let Some(group) = self.groups.get(&id)
                && found.insert(id)
            {
                waiting.extend(group.parents.iter().copied());
            }
        }
        found
    }

    /// The last revision in which any group, or what it is in, changed.
    pub fn groups_version(&self) -> Revision {
        self.groups_version
    }
}

/// Devices and what hangs on them.
impl Snapshot {
    /// The device with this id.
    pub fn device(&self, id: DeviceId) -> Option<&Arc<Device>> {
        self.devices.get(&id)
    }

    /// All devices, by id.
    pub fn devices(&self) -> impl Iterator<Item = &Arc<Device>> {
        self.devices.values()
    }

    /// The devices with ids after this one, by id.
    pub fn devices_after(&self, id: DeviceId) -> impl Iterator<Item = &Arc<Device>> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.devices.range((Excluded(id), Unbounded)).map(|(_, device)| device)
    }

    /// The devices with exactly this name, by id.
    pub fn devices_named(&self, name: &str) -> impl Iterator<Item = &Arc<Device>> {
        let named = self
            .devices_by_name
            .range((name.to_owned(), DeviceId::FIRST)..=(name.to_owned(), DeviceId::LAST));
        named.filter_map(|(_, device)| self.devices.get(device))
    }

    /// The enrolment with this id.
    pub fn enrollment(&self, id: EnrollmentId) -> Option<&Arc<Enrollment>> {
        self.enrollments.get(&id)
    }

    /// The enrolments on this device, ended ones too, by id.
    pub fn enrollments_of_device(&self, device: DeviceId) -> impl Iterator<Item = &Arc<Enrollment>> {
        let of_device = self
            .enrollments_by_device
            .range((device, EnrollmentId::FIRST)..=(device, EnrollmentId::LAST));
        of_device.filter_map(|(_, id)| self.enrollments.get(id))
    }

    /// The enrolments of this user, ended ones too, by id.
    pub fn enrollments_of_user(&self, user: UserId) -> impl Iterator<Item = &Arc<Enrollment>> {
        let of_user = self
            .enrollments_by_user
            .range((user, EnrollmentId::FIRST)..=(user, EnrollmentId::LAST));
        of_user.filter_map(|(_, id)| self.enrollments.get(id))
    }

    /// The users linked to this device: those with an enrolment on it that has not ended.
    pub fn users_of_device(&self, device: DeviceId) -> impl Iterator<Item = &Arc<User>> {
        let linked = self
            .enrollments_of_device(device)
            .filter(|enrollment| enrollment.state.is_link());
        let users: BTreeSet<UserId> = linked.map(|enrollment| enrollment.user).collect();
        users.into_iter().filter_map(|user| self.users.get(&user))
    }

    /// The devices linked to this user: those with an enrolment of theirs that has not ended.
    pub fn devices_of_user(&self, user: UserId) -> impl Iterator<Item = &Arc<Device>> {
        let linked = self
            .enrollments_of_user(user)
            .filter(|enrollment| enrollment.state.is_link());
        let devices: BTreeSet<DeviceId> = linked.map(|enrollment| enrollment.device).collect();
        devices.into_iter().filter_map(|device| self.devices.get(&device))
    }

    /// The enrolment with this key, also if it has ended.
    pub fn enrollment_by_key(&self, key: &KeyThumbprint) -> Option<&Arc<Enrollment>> {
        self.enrollments_by_key.get(key).and_then(|id| self.enrollments.get(id))
    }

    /// The certificate with this fingerprint, also if its device is gone.
    pub fn certificate(&self, fingerprint: &Fingerprint) -> Option<&Arc<Certificate>> {
        self.certificates.get(fingerprint)
    }

    /// The certificate this CA issued under this serial number.
    pub fn certificate_by_serial(&self, issuer: &Fingerprint, serial: &Serial) -> Option<&Arc<Certificate>> {
        let fingerprint = self.certificates_by_serial.get(&(*issuer, serial.clone()))?;
        self.certificates.get(fingerprint)
    }

    /// All certificates, by fingerprint.
    pub fn certificates(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.certificates.values()
    }

    /// The certificates this device got, revoked ones too, by fingerprint.
    pub fn certificates_of_device(&self, device: DeviceId) -> impl Iterator<Item = &Arc<Certificate>> {
        let of_device = self
            .certificates_by_device
            .range((device, Fingerprint::FIRST)..=(device, Fingerprint::LAST));
        of_device.filter_map(|(_, fingerprint)| self.certificates.get(fingerprint))
    }

    /// The certificates of this CA that are revoked or on hold, expired ones too: what its CRL names.
    pub fn revoked_certificates(&self, issuer: &Fingerprint) -> impl Iterator<Item = &Arc<Certificate>> {
        let revoked = self
            .revoked_by_issuer
            .range((*issuer, Fingerprint::FIRST)..=(*issuer, Fingerprint::LAST));
        revoked.filter_map(|(_, fingerprint)| self.certificates.get(fingerprint))
    }

    /// What this management service said of the device.
    pub fn report(&self, device: DeviceId, source: &str) -> Option<&Arc<MdmReport>> {
        self.reports.get(&(device, source.to_owned()))
    }

    /// What management services said of the device, by source.
    pub fn reports_of_device(&self, device: DeviceId) -> impl Iterator<Item = &Arc<MdmReport>> {
        let from = self.reports.range((device, String::new())..);
        from.take_while(move |((of, _), _)| *of == device)
            .map(|(_, report)| report)
    }
}

/// Tokens.
impl Snapshot {
    /// The enrolment token with this id.
    pub fn enrollment_token(&self, id: EnrollmentTokenId) -> Option<&Arc<EnrollmentToken>> {
        self.enrollment_tokens.get(&id)
    }

    /// The enrolment token with this secret.
    pub fn enrollment_token_by_secret(&self, secret: &SecretHash) -> Option<&Arc<EnrollmentToken>> {
        self.enrollment_tokens_by_secret
            .get(secret)
            .and_then(|id| self.enrollment_tokens.get(id))
    }

    /// The enrolment tokens made for this user, by id.
    pub fn enrollment_tokens_of_user(&self, user: UserId) -> impl Iterator<Item = &Arc<EnrollmentToken>> {
        let of_user = self
            .enrollment_tokens_by_user
            .range((user, EnrollmentTokenId::FIRST)..=(user, EnrollmentTokenId::LAST));
        of_user.filter_map(|(_, id)| self.enrollment_tokens.get(id))
    }

    /// The enrolment tokens made for this device, by id.
    pub fn enrollment_tokens_of_device(&self, device: DeviceId) -> impl Iterator<Item = &Arc<EnrollmentToken>> {
        let of_device = self
            .enrollment_tokens_by_device
            .range((device, EnrollmentTokenId::FIRST)..=(device, EnrollmentTokenId::LAST));
        of_device.filter_map(|(_, id)| self.enrollment_tokens.get(id))
    }

    /// The API token with this id.
    pub fn api_token(&self, id: ApiTokenId) -> Option<&Arc<ApiToken>> {
        self.api_tokens.get(&id)
    }

    /// The API token with this secret.
    pub fn api_token_by_secret(&self, secret: &SecretHash) -> Option<&Arc<ApiToken>> {
        self.api_tokens_by_secret
            .get(secret)
            .and_then(|id| self.api_tokens.get(id))
    }

    /// All API tokens, by id.
    pub fn api_tokens(&self) -> impl Iterator<Item = &Arc<ApiToken>> {
        self.api_tokens.values()
    }
}

impl Fingerprint {
    /// Sorts before every other.
    const FIRST: Self = Self([0; 32]);
    /// Sorts after every other.
    const LAST: Self = Self([0xff; 32]);
}
