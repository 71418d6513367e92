//! How does one change enter the picture? The old record leaves every index, the new one enters every index.

use std::sync::Arc;

use crate::{
    ApiToken, Certificate, CertificateState, Change, Device, DeviceId, Enrollment, EnrollmentId, EnrollmentToken,
    EnrollmentTokenId, Group, GroupId, Snapshot, User, UserId,
};

impl Snapshot {
    /// Applies one change; its cost depends on the record's own size and the logarithm of how many there are.
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::PutUser(user) => self.put_user(user),
            Change::DeleteUser(id) => self.remove_user(*id),
            Change::PutGroup(group) => self.put_group(group),
            Change::DeleteGroup(id) => self.remove_group(*id),
            Change::PutDevice(device) => self.put_device(device),
            Change::DeleteDevice(id) => self.remove_device(*id),
            Change::PutEnrollment(enrollment) => self.put_enrollment(enrollment),
            Change::DeleteEnrollment(id) => self.remove_enrollment(*id),
            Change::PutCertificate(certificate) => self.put_certificate(certificate),
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
        }
    }

    fn put_user(&mut self, user: &User) {
        self.remove_user(user.id);
        self.users_by_login.insert(user.login.to_ascii_lowercase(), user.id);
        for group in &user.groups {
            self.members.insert((*group, user.id));
        }
        self.users.insert(user.id, Arc::new(user.clone()));
    }

    fn remove_user(&mut self, id: UserId) {
        let Some(old) = self.users.remove(&id) else { return };
        self.users_by_login.remove(&old.login.to_ascii_lowercase());
        for group in &old.groups {
            self.members.remove(&(*group, id));
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

    fn put_device(&mut self, device: &Device) {
        self.remove_device(device.id);
        self.devices_by_name.insert((device.name.clone(), device.id));
        self.devices.insert(device.id, Arc::new(device.clone()));
    }

    fn remove_device(&mut self, id: DeviceId) {
        let Some(old) = self.devices.remove(&id) else { return };
        self.devices_by_name.remove(&(old.name.clone(), id));
    }

    fn put_enrollment(&mut self, enrollment: &Enrollment) {
        self.remove_enrollment(enrollment.id);
        self.enrollments_by_device.insert((enrollment.device, enrollment.id));
        self.enrollments_by_user.insert((enrollment.user, enrollment.id));
        self.enrollments_by_key.insert(enrollment.key, enrollment.id);
        self.enrollments.insert(enrollment.id, Arc::new(enrollment.clone()));
    }

    fn remove_enrollment(&mut self, id: EnrollmentId) {
        let Some(old) = self.enrollments.remove(&id) else {
            return;
        };
        self.enrollments_by_device.remove(&(old.device, id));
        self.enrollments_by_user.remove(&(old.user, id));
        self.enrollments_by_key.remove(&old.key);
    }

    /// A certificate is never taken away, and of what the indexes hold only its state can change.
    fn put_certificate(&mut self, certificate: &Certificate) {
        let fingerprint = certificate.fingerprint;
        self.certificates_by_device.insert((certificate.device, fingerprint));
        self.certificates_by_serial
            .insert((certificate.issuer, certificate.serial.clone()), fingerprint);
        match certificate.state {
            CertificateState::Live => self.revoked_by_issuer.remove(&(certificate.issuer, fingerprint)),
            CertificateState::Held { .. } | CertificateState::Revoked { .. } => {
                self.revoked_by_issuer.insert((certificate.issuer, fingerprint))
            }
        };
        self.certificates.insert(fingerprint, Arc::new(certificate.clone()));
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

    /// An API token is never taken away, and its secret never changes.
    fn put_api_token(&mut self, token: &ApiToken) {
        self.api_tokens_by_secret.insert(token.secret, token.id);
        self.api_tokens.insert(token.id, Arc::new(token.clone()));
    }
}
