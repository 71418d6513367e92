//! What is known at one revision? A cheap-to-clone, immutable picture of the directory with its indexes.

mod apply;
mod authenticators;
mod packed;
mod records;
mod table;

pub use authenticators::WayIn;

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use self::packed::Packing;
use self::records::FoundBy;
use self::table::Table;
use crate::{
    ApiToken, ApiTokenId, Authenticator, Certificate, Change, Device, DeviceId, Enrollment, EnrollmentId,
    EnrollmentToken, EnrollmentTokenId, Fingerprint, Group, GroupId, Instance, KeyThumbprint, ManagementCertificate,
    MdmReport, Revision, SecretHash, Serial, Settings, User, UserId,
};

/// The directory at one revision. Snapshots share what they have in common, so a new one costs only what changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    revision: Revision,
    users: Table<User>,
    groups: OrdMap<GroupId, Arc<Group>>,
    groups_by_name: OrdMap<String, GroupId>,
    subgroups: OrdSet<(GroupId, GroupId)>,
    groups_version: Revision,
    devices: Table<Device>,
    enrollments: Table<Enrollment>,
    certificates: Table<Certificate>,
    reports: OrdMap<(DeviceId, String), Arc<MdmReport>>,
    enrollment_tokens: OrdMap<EnrollmentTokenId, Arc<EnrollmentToken>>,
    enrollment_tokens_by_secret: OrdMap<SecretHash, EnrollmentTokenId>,
    enrollment_tokens_by_user: OrdSet<(UserId, EnrollmentTokenId)>,
    enrollment_tokens_by_device: OrdSet<(DeviceId, EnrollmentTokenId)>,
    api_tokens: OrdMap<ApiTokenId, Arc<ApiToken>>,
    api_tokens_by_secret: OrdMap<SecretHash, ApiTokenId>,
    instances: Table<Instance>,
    authenticators: Table<Authenticator>,
    management: OrdMap<Fingerprint, Arc<ManagementCertificate>>,
    management_by_device: OrdSet<(DeviceId, Fingerprint)>,
    settings: Option<Arc<Settings>>,
}

/// Records of a directory, packed anew.
#[derive(Debug)]
pub struct Repacked {
    users: table::Repacked<User>,
    devices: table::Repacked<Device>,
    enrollments: table::Repacked<Enrollment>,
    certificates: table::Repacked<Certificate>,
    instances: table::Repacked<Instance>,
    authenticators: table::Repacked<Authenticator>,
}

impl Snapshot {
    /// The directory before anything happened.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Builds the directory from the records a store holds, which keep the versions they have. They take a fraction of the room
    /// that they will take once they change.
    pub fn restored(revision: Revision, records: impl IntoIterator<Item = Change>) -> Self {
        let mut snapshot = Self::empty();
        let (mut users, mut devices, mut enrollments) = (Packing::new(), Packing::new(), Packing::new());
        let (mut certificates, mut instances, mut authenticators) = (Packing::new(), Packing::new(), Packing::new());
        for record in records {
            match record {
                Change::PutUser(user) => users.add(*user),
                Change::PutDevice(device) => devices.add(*device),
                Change::PutEnrollment(enrollment) => enrollments.add(*enrollment),
                Change::PutCertificate(certificate) => certificates.add(*certificate),
                Change::PutInstance(instance) => instances.add(*instance),
                Change::PutAuthenticator(authenticator) => authenticators.add(*authenticator),
                other => snapshot.apply(&other),
            }
        }
        snapshot.users = Table::packed(users);
        snapshot.devices = Table::packed(devices);
        snapshot.enrollments = Table::packed(enrollments);
        snapshot.certificates = Table::packed(certificates);
        snapshot.instances = Table::packed(instances);
        snapshot.authenticators = Table::packed(authenticators);
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

    /// Whether so much has changed since it was packed that it should be again: more than so many records of a kind, and an
    /// eighth of them.
    pub fn is_worn(&self, most: usize) -> bool {
        self.users.is_worn(most)
            || self.devices.is_worn(most)
            || self.enrollments.is_worn(most)
            || self.certificates.is_worn(most)
            || self.instances.is_worn(most)
            || self.authenticators.is_worn(most)
    }

    /// Packs all records anew, for [`Self::on`]. With many of them this takes seconds.
    pub fn pack(&self) -> Repacked {
        Repacked {
            users: self.users.pack(),
            devices: self.devices.pack(),
            enrollments: self.enrollments.pack(),
            certificates: self.certificates.pack(),
            instances: self.instances.pack(),
            authenticators: self.authenticators.pack(),
        }
    }

    /// This very directory, on records that were packed when it was at an earlier revision.
    #[must_use]
    pub fn on(&self, repacked: Repacked) -> Self {
        let mut snapshot = self.clone();
        snapshot.users = snapshot.users.on(repacked.users);
        snapshot.devices = snapshot.devices.on(repacked.devices);
        snapshot.enrollments = snapshot.enrollments.on(repacked.enrollments);
        snapshot.certificates = snapshot.certificates.on(repacked.certificates);
        snapshot.instances = snapshot.instances.on(repacked.instances);
        snapshot.authenticators = snapshot.authenticators.on(repacked.authenticators);
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
        let finds_the_same = self.users.finds_the_same_as(&other.users)
            && self.devices.finds_the_same_as(&other.devices)
            && self.enrollments.finds_the_same_as(&other.enrollments)
            && self.certificates.finds_the_same_as(&other.certificates)
            && self.instances.finds_the_same_as(&other.instances)
            && self.authenticators.finds_the_same_as(&other.authenticators);
        finds_the_same
            && *self
                == Self {
                    groups_version: self.groups_version,
                    ..other.clone()
                }
    }
}

/// Users and groups.
impl Snapshot {
    /// The user with this id.
    pub fn user(&self, id: UserId) -> Option<Arc<User>> {
        self.users.get(id)
    }

    /// The user with this login, compared without case.
    pub fn user_by_login(&self, login: &str) -> Option<Arc<User>> {
        self.users.find(FoundBy::Login(&login.to_ascii_lowercase())).next()
    }

    /// All users, by id.
    pub fn users(&self) -> impl Iterator<Item = Arc<User>> {
        self.users.all()
    }

    /// The users directly in this group, by id.
    pub fn members(&self, group: GroupId) -> impl Iterator<Item = Arc<User>> {
        self.users.find(FoundBy::Group(group))
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
    pub fn device(&self, id: DeviceId) -> Option<Arc<Device>> {
        self.devices.get(id)
    }

    /// All devices, by id.
    pub fn devices(&self) -> impl Iterator<Item = Arc<Device>> {
        self.devices.all()
    }

    /// The devices with ids after this one, by id.
    pub fn devices_after(&self, id: DeviceId) -> impl Iterator<Item = Arc<Device>> {
        self.devices.after(Some(id))
    }

    /// The devices with exactly this name, by id.
    pub fn devices_named(&self, name: &str) -> impl Iterator<Item = Arc<Device>> {
        self.devices.find(FoundBy::Name(name))
    }

    /// The enrolment with this id.
    pub fn enrollment(&self, id: EnrollmentId) -> Option<Arc<Enrollment>> {
        self.enrollments.get(id)
    }

    /// The enrolments on this device, ended ones too, by id.
    pub fn enrollments_of_device(&self, device: DeviceId) -> impl Iterator<Item = Arc<Enrollment>> {
        self.enrollments.find(FoundBy::Device(device))
    }

    /// The enrolments of this user, ended ones too, by id.
    pub fn enrollments_of_user(&self, user: UserId) -> impl Iterator<Item = Arc<Enrollment>> {
        self.enrollments.find(FoundBy::User(user))
    }

    /// The users linked to this device: those with an enrolment on it that has not ended.
    pub fn users_of_device(&self, device: DeviceId) -> impl Iterator<Item = Arc<User>> {
        let linked = self
            .enrollments_of_device(device)
            .filter(|enrollment| enrollment.state.is_link());
        let users: BTreeSet<UserId> = linked.map(|enrollment| enrollment.user).collect();
        users.into_iter().filter_map(|user| self.users.get(user))
    }

    /// The devices linked to this user: those with an enrolment of theirs that has not ended.
    pub fn devices_of_user(&self, user: UserId) -> impl Iterator<Item = Arc<Device>> {
        let linked = self
            .enrollments_of_user(user)
            .filter(|enrollment| enrollment.state.is_link());
        let devices: BTreeSet<DeviceId> = linked.map(|enrollment| enrollment.device).collect();
        devices.into_iter().filter_map(|device| self.devices.get(device))
    }

    /// The enrolment with this key, also if it has ended.
    pub fn enrollment_by_key(&self, key: &KeyThumbprint) -> Option<Arc<Enrollment>> {
        self.enrollments.find(FoundBy::Key(*key)).next()
    }

    /// The certificate with this fingerprint, also if its device is gone.
    pub fn certificate(&self, fingerprint: &Fingerprint) -> Option<Arc<Certificate>> {
        self.certificates.get(*fingerprint)
    }

    /// The certificate this CA issued under this serial number.
    pub fn certificate_by_serial(&self, issuer: &Fingerprint, serial: &Serial) -> Option<Arc<Certificate>> {
        self.certificates.find(FoundBy::Serial(*issuer, serial)).next()
    }

    /// All certificates, by fingerprint.
    pub fn certificates(&self) -> impl Iterator<Item = Arc<Certificate>> {
        self.certificates.all()
    }

    /// The certificates this device got, revoked ones too, by fingerprint.
    pub fn certificates_of_device(&self, device: DeviceId) -> impl Iterator<Item = Arc<Certificate>> {
        self.certificates.find(FoundBy::Device(device))
    }

    /// The certificates of this CA that are revoked or on hold, expired ones too: what its CRL names.
    pub fn revoked_certificates(&self, issuer: &Fingerprint) -> impl Iterator<Item = Arc<Certificate>> {
        self.certificates.find(FoundBy::RevokedBy(*issuer))
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
