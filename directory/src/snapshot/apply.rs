//! How does one change enter the picture? The old record leaves every index, the new one enters every index.

use std::sync::Arc;

use crate::{
    ApiToken, Change, EnrollmentToken, EnrollmentTokenId, Fingerprint, Group, GroupId, ManagementCertificate, Snapshot,
};

impl Snapshot {
    /// Applies one change; its cost depends on the record's own size and the logarithm of how many there are.
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::PutUser(user) => self.users.put((**user).clone()),
            Change::DeleteUser(id) => self.users.remove(*id),
            Change::PutGroup(group) => self.put_group(group),
            Change::DeleteGroup(id) => self.remove_group(*id),
            Change::PutDevice(device) => self.devices.put((**device).clone()),
            Change::DeleteDevice(id) => self.devices.remove(*id),
            Change::PutEnrollment(enrollment) => self.enrollments.put((**enrollment).clone()),
            Change::DeleteEnrollment(id) => self.enrollments.remove(*id),
            Change::PutCertificate(certificate) => self.certificates.put((**certificate).clone()),
            Change::PutReport(report) => {
                self.reports
                    .insert((report.device, report.source.clone()), Arc::new((**report).clone()));
            }
            Change::DeleteReport { device, source } => {
                self.reports.remove(&(*device, source.clone()));
            }
            Change::PutEnrollmentToken(token) => self.put_enrollment_token(token),
            Change::DeleteEnrollmentToken(id) => self.remove_enrollment_token(*id),
            Change::PutApiToken(token) => self.put_api_token(token),
            Change::PutInstance(instance) => self.instances.put((**instance).clone()),
            Change::DeleteInstance(id) => self.instances.remove(*id),
            Change::PutAuthenticator(authenticator) => self.authenticators.put((**authenticator).clone()),
            Change::DeleteAuthenticator(id) => self.authenticators.remove(*id),
            Change::PutManagementCertificate(certificate) => self.put_management(certificate),
            Change::DeleteManagementCertificate(id) => self.remove_management(id),
            Change::PutSettings(settings) => self.settings = Some(Arc::new((**settings).clone())),
        }
    }

    fn put_group(&mut self, group: &Group) {
        self.remove_group(group.id);
        self.groups_by_name.insert(group.name.clone(), group.id);
        for parent in &group.parents {
            self.subgroups.insert((*parent, group.id));
        }
        self.groups.insert(group.id, Arc::new(group.clone()));
        self.groups_version = self.revision;
    }

    fn remove_group(&mut self, id: GroupId) {
        let Some(old) = self.groups.remove(&id) else { return };
        self.groups_by_name.remove(&old.name);
        for parent in &old.parents {
            self.subgroups.remove(&(*parent, id));
        }
        self.groups_version = self.revision;
    }

    fn put_enrollment_token(&mut self, token: &EnrollmentToken) {
        self.remove_enrollment_token(token.id);
        self.enrollment_tokens_by_secret.insert(token.secret, token.id);
        self.enrollment_tokens_by_user.insert((token.user, token.id));
        if let Some(device) = token.device {
            self.enrollment_tokens_by_device.insert((device, token.id));
        }
        self.enrollment_tokens.insert(token.id, Arc::new(token.clone()));
    }

    fn remove_enrollment_token(&mut self, id: EnrollmentTokenId) {
        let Some(old) = self.enrollment_tokens.remove(&id) else {
            return;
        };
        self.enrollment_tokens_by_secret.remove(&old.secret);
        self.enrollment_tokens_by_user.remove(&(old.user, id));
        if let Some(device) = old.device {
            self.enrollment_tokens_by_device.remove(&(device, id));
        }
    }

    fn put_management(&mut self, certificate: &ManagementCertificate) {
        self.remove_management(&certificate.fingerprint);
        self.management_by_device
            .insert((certificate.device, certificate.fingerprint));
        self.management
            .insert(certificate.fingerprint, Arc::new(certificate.clone()));
    }

    fn remove_management(&mut self, id: &Fingerprint) {
        let Some(old) = self.management.remove(id) else { return };
        self.management_by_device.remove(&(old.device, *id));
    }

    /// An API token is never taken away, and its secret never changes.
    fn put_api_token(&mut self, token: &ApiToken) {
        self.api_tokens_by_secret.insert(token.secret, token.id);
        self.api_tokens.insert(token.id, Arc::new(token.clone()));
    }
}
