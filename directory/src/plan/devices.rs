//! What do commands about devices change? Whatever hangs on a device follows it in the same plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::targets::{device_target, user_target};
use super::{Draft, Refusal, validate};
use crate::{
    Certificate, CertificateState, Change, Device, DeviceId, DeviceState, DeviceUpdate, Enrollment, EnrollmentState,
    EnrollmentToken, EventType, ManagementState, RevocationReason, Target, TargetKind,
};

impl<'a> Draft<'a> {
    pub(super) fn update_device(&mut self, id: DeviceId, update: &DeviceUpdate) -> Result<(), Refusal> {
        let old = Device::clone(&*self.device(id)?);
        let update = update.clone();
        let device = Device {
            name: update.name.unwrap_or(old.name),
            ownership: update.ownership.unwrap_or(old.ownership),
            groups: update.groups.unwrap_or(old.groups),
            tags: update.tags.unwrap_or(old.tags),
            updated: self.now,
            ..old
        };
        validate::name("name", &device.name)?;
        validate::device_groups("groups", &device.groups)?;
        validate::device_tags("tags", &device.tags)?;
        self.event(EventType::DeviceUpdate, [Target::from(&device)]);
        self.changes.push(Change::PutDevice(Box::new(device)));
        Ok(())
    }

    pub(super) fn suspend_device(&mut self, id: DeviceId) -> Result<(), Refusal> {
        let device = self.device(id)?;
        self.put_device_state(&device, device.state.suspend(self.now)?, EventType::DeviceSuspend);
        for enrollment in self.snapshot.enrollments_of_device(id) {
            self.move_enrollment(&enrollment, enrollment.state.suspend());
        }
        for certificate in self.snapshot.certificates_of_device(id) {
            self.move_certificate(&certificate, certificate.state.suspend(self.now));
        }
        Ok(())
    }

    pub(super) fn unsuspend_device(&mut self, id: DeviceId) -> Result<(), Refusal> {
        let device = self.device(id)?;
        self.put_device_state(&device, device.state.unsuspend()?, EventType::DeviceUnsuspend);
        for enrollment in self.snapshot.enrollments_of_device(id) {
            self.move_enrollment(&enrollment, enrollment.state.unsuspend());
        }
        for certificate in self.snapshot.certificates_of_device(id) {
            self.move_certificate(&certificate, certificate.state.unsuspend());
        }
        Ok(())
    }

    /// Ends everything that rests on the device: enrolments, user links, certificates, reports, enrolment tokens.
    pub(super) fn deactivate_device(&mut self, id: DeviceId) -> Result<(), Refusal> {
        let snapshot = self.snapshot;
        let device = self.device(id)?;
        self.put_device_state(&device, device.state.deactivate(self.now)?, EventType::DeviceDeactivate);

        let mut users = BTreeSet::new();
        for enrollment in snapshot.enrollments_of_device(id) {
            if self.end_enrollment(&enrollment) {
                users.insert(enrollment.user);
            }
        }
        for user in users {
            self.event(
                EventType::DeviceUserRemove,
                [Target::from(&*device), user_target(snapshot, user)],
            );
        }
        for certificate in snapshot.certificates_of_device(id) {
            self.end_certificate(&certificate, RevocationReason::CessationOfOperation);
        }
        self.unbind_management(&device);
        for report in snapshot.reports_of_device(id) {
            self.changes.push(Change::DeleteReport {
                device: id,
                source: report.source.clone(),
            });
        }
        for token in snapshot.enrollment_tokens_of_device(id) {
            if token.used.is_none() && token.ends > self.now {
                let ended = EnrollmentToken {
                    ends: self.now,
                    ..EnrollmentToken::clone(token)
                };
                self.changes.push(Change::PutEnrollmentToken(Box::new(ended)));
            }
        }
        Ok(())
    }

    /// Lets the device enrol anew; its old enrolments stay ended and its old certificates revoked.
    pub(super) fn activate_device(&mut self, id: DeviceId) -> Result<(), Refusal> {
        let device = self.device(id)?;
        self.put_device_state(&device, device.state.activate()?, EventType::DeviceActivate);
        Ok(())
    }

    /// The certificates' records stay: the CRL and the answer `certificate-revoked` still need them; and what was revoked of
    /// management certificates: none of these counts on another device.
    pub(super) fn delete_device(&mut self, id: DeviceId) -> Result<(), Refusal> {
        let snapshot = self.snapshot;
        let device = self.device(id)?;
        device.state.delete()?;
        self.event(EventType::DeviceDelete, [Target::from(&*device)]);
        self.changes.push(Change::DeleteDevice(id));
        self.changes.extend(
            snapshot
                .enrollments_of_device(id)
                .map(|enrollment| Change::DeleteEnrollment(enrollment.id)),
        );
        self.changes.extend(
            snapshot
                .enrollment_tokens_of_device(id)
                .map(|token| Change::DeleteEnrollmentToken(token.id)),
        );
        self.changes.extend(
            snapshot
                .instances_of_device(id)
                .map(|instance| Change::DeleteInstance(instance.id)),
        );
        self.changes.extend(
            snapshot
                .management_of_device(id)
                .filter(|certificate| !matches!(certificate.state, ManagementState::Revoked { .. }))
                .map(|certificate| Change::DeleteManagementCertificate(certificate.fingerprint)),
        );
        Ok(())
    }

    /// Finds a device, or says that there is none.
    pub(super) fn device(&self, id: DeviceId) -> Result<Arc<Device>, Refusal> {
        self.snapshot
            .device(id)
            .ok_or_else(|| Refusal::not_found(TargetKind::Device, id))
    }

    /// Gives the device's record a new version because something that hangs on it changes.
    pub(super) fn touch_device(&mut self, device: &Device) {
        self.put_unless_there(Change::PutDevice(Box::new(device.clone())));
    }

    /// Ends an enrolment unless it has ended; says whether it had not.
    pub(super) fn end_enrollment(&mut self, enrollment: &Enrollment) -> bool {
        if let Some(totp) = self.snapshot.totp_held_by(enrollment) {
            self.put_unless_there(Change::DeleteAuthenticator(totp.id));
        }
        self.move_enrollment(enrollment, enrollment.state.end(self.now))
    }

    /// Revokes a certificate unless it is revoked.
    pub(super) fn end_certificate(&mut self, certificate: &Certificate, reason: RevocationReason) {
        if let Ok(revoked) = certificate.state.revoke(self.now, reason) {
            self.move_certificate(certificate, revoked);
        }
    }

    /// Puts a certificate into a state, and says so, unless it is in it.
    pub(super) fn move_certificate(&mut self, certificate: &Certificate, state: CertificateState) {
        if state == certificate.state {
            return;
        }
        let event_type = match state {
            CertificateState::Live => EventType::CertificateRelease,
            CertificateState::Held { .. } => EventType::CertificateHold,
            CertificateState::Revoked { .. } => EventType::CertificateRevoke,
        };
        let device = device_target(self.snapshot, certificate.device);
        self.event(event_type, [Target::from(certificate), device]);
        self.changes.push(Change::PutCertificate(Box::new(Certificate {
            state,
            ..certificate.clone()
        })));
    }

    /// Puts an enrolment into a state, and says so, unless it is in it; whatever interrupts trust makes a new generation.
    fn move_enrollment(&mut self, enrollment: &Enrollment, state: EnrollmentState) -> bool {
        if state == enrollment.state {
            return false;
        }
        let (event_type, interrupted) = match state {
            EnrollmentState::Active => (EventType::FactorUnsuspend, 0),
            EnrollmentState::Suspended => (EventType::FactorSuspend, 1),
            EnrollmentState::Ended { .. } => (EventType::FactorDeactivate, 1),
        };
        let generation = enrollment.generation.saturating_add(interrupted);
        let user = user_target(self.snapshot, enrollment.user);
        let device = device_target(self.snapshot, enrollment.device);
        for _ in &enrollment.methods {
            self.event(event_type, [Target::from(enrollment), user.clone(), device.clone()]);
        }
        if let Some(user) = self.snapshot.user(enrollment.user) {
            self.touch_user(&user);
        }
        self.changes.push(Change::PutEnrollment(Box::new(Enrollment {
            state,
            generation,
            ..enrollment.clone()
        })));
        true
    }

    fn put_device_state(&mut self, device: &Device, state: DeviceState, event_type: EventType) {
        let device = Device {
            state,
            updated: self.now,
            ..device.clone()
        };
        self.event(event_type, [Target::from(&device)]);
        self.changes.push(Change::PutDevice(Box::new(device)));
    }
}
