//! How does one change enter the picture? The old record leaves every index, the new one enters every index.

use std::sync::Arc;

use crate::{
    ApiToken, Authenticator, AuthenticatorId, AuthenticatorKind, Certificate, CertificateState, Change, Device,
    DeviceId, Enrollment, EnrollmentId, EnrollmentToken, EnrollmentTokenId, Fingerprint, Group, GroupId, Instance,
    InstanceId, ManagementCertificate, Snapshot, User, UserId,
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
            Change::PutInstance(instance) => self.put_instance(instance),
            Change::DeleteInstance(id) => self.remove_instance(*id),
            Change::PutAuthenticator(authenticator) => self.put_authenticator(authenticator),
            Change::DeleteAuthenticator(id) => self.remove_authenticator(*id),
            Change::PutManagementCertificate(certificate) => self.put_management(certificate),
            Change::DeleteManagementCertificate(id) => self.remove_management(id),
            Change::PutSettings(settings) => self.settings = Some(Arc::new((**settings).clone())),
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
        if let Some(hardware) = &device.hardware {
            self.devices_by_hardware.insert(hardware.id, device.id);
        }
        self.devices.insert(device.id, Arc::new(device.clone()));
    }

    fn remove_device(&mut self, id: DeviceId) {
        let Some(old) = self.devices.remove(&id) else { return };
        self.devices_by_name.remove(&(old.name.clone(), id));
        if let Some(hardware) = &old.hardware {
            self.devices_by_hardware.remove(&hardware.id);
        }
    }

    fn put_enrollment(&mut self, enrollment: &Enrollment) {
        self.remove_enrollment(enrollment.id);
        self.enrollments_by_device.insert((enrollment.device, enrollment.id));
        self.enrollments_by_user.insert((enrollment.user, enrollment.id));
        self.enrollments_by_key.insert(enrollment.key, enrollment.id);
        if let Some(verification) = &enrollment.verification {
            self.enrollments_by_key
                .insert(verification.key.thumbprint(), enrollment.id);
        }
        self.enrollments.insert(enrollment.id, Arc::new(enrollment.clone()));
    }

    fn remove_enrollment(&mut self, id: EnrollmentId) {
        let Some(old) = self.enrollments.remove(&id) else {
            return;
        };
        self.enrollments_by_device.remove(&(old.device, id));
        self.enrollments_by_user.remove(&(old.user, id));
        self.enrollments_by_key.remove(&old.key);
        if let Some(verification) = &old.verification {
            self.enrollments_by_key.remove(&verification.key.thumbprint());
        }
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

    fn put_instance(&mut self, instance: &Instance) {
        self.remove_instance(instance.id);
        self.instances_by_key.insert(instance.key.thumbprint(), instance.id);
        self.instances_by_device.insert((instance.device, instance.id));
        self.instances.insert(instance.id, Arc::new(instance.clone()));
    }

    fn remove_instance(&mut self, id: InstanceId) {
        let Some(old) = self.instances.remove(&id) else { return };
        self.instances_by_key.remove(&old.key.thumbprint());
        self.instances_by_device.remove(&(old.device, id));
    }

    fn put_authenticator(&mut self, authenticator: &Authenticator) {
        self.remove_authenticator(authenticator.id);
        self.authenticators_by_user
            .insert((authenticator.user, authenticator.id));
        if let AuthenticatorKind::Webauthn(key) = &authenticator.kind {
            self.authenticators_by_credential
                .insert(key.credential.clone(), authenticator.id);
        }
        self.authenticators
            .insert(authenticator.id, Arc::new(authenticator.clone()));
    }

    fn remove_authenticator(&mut self, id: AuthenticatorId) {
        let Some(old) = self.authenticators.remove(&id) else {
            return;
        };
        self.authenticators_by_user.remove(&(old.user, id));
        if let AuthenticatorKind::Webauthn(key) = &old.kind {
            self.authenticators_by_credential.remove(&key.credential);
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
