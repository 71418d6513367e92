//! How does one change enter the picture? The old record leaves every index, the new one enters every index.

use std::sync::Arc;

use crate::{
    ApiToken, Authenticator, AuthenticatorId, AuthenticatorKind, Certificate, CertificateState, Change, Device,
    DeviceId, Enrollment, EnrollmentId, EnrollmentToken, EnrollmentTokenId, Fingerprint, Group, GroupId, Instance,
    InstanceId, ManagementCertificate, Snapshot, User, UserId,
};

impl Snapshot {
    /// Applies one change; its cost depends on the record's own size and the logarithm of how many there are.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::PutUser(user) => self.put_user(Arc::from(user)),
            Change::DeleteUser(id) => self.remove_user(id),
            Change::PutGroup(group) => self.put_group(Arc::from(group)),
            Change::DeleteGroup(id) => self.remove_group(id),
            Change::PutDevice(device) => self.put_device(Arc::from(device)),
            Change::DeleteDevice(id) => self.remove_device(id),
            Change::PutEnrollment(enrollment) => self.put_enrollment(Arc::from(enrollment)),
            Change::DeleteEnrollment(id) => self.remove_enrollment(id),
            Change::PutCertificate(certificate) => self.put_certificate(Arc::from(certificate)),
            Change::PutReport(report) => {
                self.reports
                    .insert((report.device, report.source.clone()), Arc::from(report));
            }
            Change::DeleteReport { device, source } => {
                self.reports.remove(&(device, source));
            }
            Change::PutEnrollmentToken(token) => self.put_enrollment_token(Arc::from(token)),
            Change::DeleteEnrollmentToken(id) => self.remove_enrollment_token(id),
            Change::PutApiToken(token) => self.put_api_token(Arc::from(token)),
            Change::PutInstance(instance) => self.put_instance(Arc::from(instance)),
            Change::DeleteInstance(id) => self.remove_instance(id),
            Change::PutAuthenticator(authenticator) => self.put_authenticator(Arc::from(authenticator)),
            Change::DeleteAuthenticator(id) => self.remove_authenticator(id),
            Change::PutManagementCertificate(certificate) => self.put_management(Arc::from(certificate)),
            Change::DeleteManagementCertificate(id) => self.remove_management(&id),
            Change::PutSettings(settings) => self.settings = Some(Arc::from(settings)),
        }
    }

    fn put_user(&mut self, user: Arc<User>) {
        if let Some(old) = self.users.insert(user.id, Arc::clone(&user)) {
            self.forget_user(&old);
        }
        self.users_by_login.insert(user.login.to_ascii_lowercase(), user.id);
        for group in &user.groups {
            self.members.insert((*group, user.id));
        }
    }

    fn remove_user(&mut self, id: UserId) {
        if let Some(old) = self.users.remove(&id) {
            self.forget_user(&old);
        }
    }

    fn forget_user(&mut self, old: &User) {
        self.users_by_login.remove(&old.login.to_ascii_lowercase());
        for group in &old.groups {
            self.members.remove(&(*group, old.id));
        }
    }

    fn put_group(&mut self, group: Arc<Group>) {
        if let Some(old) = self.groups.insert(group.id, Arc::clone(&group)) {
            self.forget_group(&old);
        }
        self.groups_by_name.insert(group.name.clone(), group.id);
        for parent in &group.parents {
            self.subgroups.insert((*parent, group.id));
        }
        self.groups_version = self.revision;
    }

    fn remove_group(&mut self, id: GroupId) {
        if let Some(old) = self.groups.remove(&id) {
            self.forget_group(&old);
            self.groups_version = self.revision;
        }
    }

    fn forget_group(&mut self, old: &Group) {
        self.groups_by_name.remove(&old.name);
        for parent in &old.parents {
            self.subgroups.remove(&(*parent, old.id));
        }
    }

    fn put_device(&mut self, device: Arc<Device>) {
        if let Some(old) = self.devices.insert(device.id, Arc::clone(&device)) {
            self.forget_device(&old);
        }
        self.devices_by_name.insert((device.name.clone(), device.id));
        if let Some(hardware) = &device.hardware {
            self.devices_by_hardware.insert(hardware.id, device.id);
        }
    }

    fn remove_device(&mut self, id: DeviceId) {
        if let Some(old) = self.devices.remove(&id) {
            self.forget_device(&old);
        }
    }

    fn forget_device(&mut self, old: &Device) {
        self.devices_by_name.remove(&(old.name.clone(), old.id));
        if let Some(hardware) = &old.hardware {
            self.devices_by_hardware.remove(&hardware.id);
        }
    }

    fn put_enrollment(&mut self, enrollment: Arc<Enrollment>) {
        let id = enrollment.id;
        if let Some(old) = self.enrollments.insert(id, Arc::clone(&enrollment)) {
            self.forget_enrollment(&old);
        }
        self.enrollments_by_device.insert((enrollment.device, id));
        self.enrollments_by_user.insert((enrollment.user, id));
        self.enrollments_by_key.insert(enrollment.key, id);
        if let Some(verification) = &enrollment.verification {
            self.enrollments_by_key.insert(verification.key.thumbprint(), id);
        }
    }

    fn remove_enrollment(&mut self, id: EnrollmentId) {
        if let Some(old) = self.enrollments.remove(&id) {
            self.forget_enrollment(&old);
        }
    }

    fn forget_enrollment(&mut self, old: &Enrollment) {
        self.enrollments_by_device.remove(&(old.device, old.id));
        self.enrollments_by_user.remove(&(old.user, old.id));
        self.enrollments_by_key.remove(&old.key);
        if let Some(verification) = &old.verification {
            self.enrollments_by_key.remove(&verification.key.thumbprint());
        }
    }

    /// A certificate is never taken away, and of what the indexes hold only its state can change.
    fn put_certificate(&mut self, certificate: Arc<Certificate>) {
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
        self.certificates.insert(fingerprint, certificate);
    }

    fn put_enrollment_token(&mut self, token: Arc<EnrollmentToken>) {
        if let Some(old) = self.enrollment_tokens.insert(token.id, Arc::clone(&token)) {
            self.forget_enrollment_token(&old);
        }
        self.enrollment_tokens_by_secret.insert(token.secret, token.id);
        self.enrollment_tokens_by_user.insert((token.user, token.id));
        if let Some(device) = token.device {
            self.enrollment_tokens_by_device.insert((device, token.id));
        }
    }

    fn remove_enrollment_token(&mut self, id: EnrollmentTokenId) {
        if let Some(old) = self.enrollment_tokens.remove(&id) {
            self.forget_enrollment_token(&old);
        }
    }

    fn forget_enrollment_token(&mut self, old: &EnrollmentToken) {
        self.enrollment_tokens_by_secret.remove(&old.secret);
        self.enrollment_tokens_by_user.remove(&(old.user, old.id));
        if let Some(device) = old.device {
            self.enrollment_tokens_by_device.remove(&(device, old.id));
        }
    }

    fn put_instance(&mut self, instance: Arc<Instance>) {
        if let Some(old) = self.instances.insert(instance.id, Arc::clone(&instance)) {
            self.forget_instance(&old);
        }
        self.instances_by_key.insert(instance.key.thumbprint(), instance.id);
        self.instances_by_device.insert((instance.device, instance.id));
    }

    fn remove_instance(&mut self, id: InstanceId) {
        if let Some(old) = self.instances.remove(&id) {
            self.forget_instance(&old);
        }
    }

    fn forget_instance(&mut self, old: &Instance) {
        self.instances_by_key.remove(&old.key.thumbprint());
        self.instances_by_device.remove(&(old.device, old.id));
    }

    fn put_authenticator(&mut self, authenticator: Arc<Authenticator>) {
        if let Some(old) = self.authenticators.insert(authenticator.id, Arc::clone(&authenticator)) {
            self.forget_authenticator(&old);
        }
        self.authenticators_by_user
            .insert((authenticator.user, authenticator.id));
        if let AuthenticatorKind::Webauthn(key) = &authenticator.kind {
            self.authenticators_by_credential
                .insert(key.credential.clone(), authenticator.id);
        }
    }

    fn remove_authenticator(&mut self, id: AuthenticatorId) {
        if let Some(old) = self.authenticators.remove(&id) {
            self.forget_authenticator(&old);
        }
    }

    fn forget_authenticator(&mut self, old: &Authenticator) {
        self.authenticators_by_user.remove(&(old.user, old.id));
        if let AuthenticatorKind::Webauthn(key) = &old.kind {
            self.authenticators_by_credential.remove(&key.credential);
        }
    }

    fn put_management(&mut self, certificate: Arc<ManagementCertificate>) {
        let fingerprint = certificate.fingerprint;
        if let Some(old) = self.management.insert(fingerprint, Arc::clone(&certificate)) {
            self.management_by_device.remove(&(old.device, fingerprint));
        }
        self.management_by_device.insert((certificate.device, fingerprint));
    }

    fn remove_management(&mut self, id: &Fingerprint) {
        if let Some(old) = self.management.remove(id) {
            self.management_by_device.remove(&(old.device, *id));
        }
    }

    /// An API token is never taken away, and its secret never changes.
    fn put_api_token(&mut self, token: Arc<ApiToken>) {
        self.api_tokens_by_secret.insert(token.secret, token.id);
        self.api_tokens.insert(token.id, token);
    }
}
