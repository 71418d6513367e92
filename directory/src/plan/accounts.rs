//! What do commands about a device's accounts change, once it is enrolled? They end, are renewed, and answer challenges.

use std::sync::Arc;

use super::targets::{device_target, user_target};
use super::{Draft, Refusal};
use crate::{
    Certificate, CertificateState, Change, Device, DeviceState, Enrollment, EnrollmentId, EnrollmentState, EventType,
    RenewCertificate, RevocationReason, SignalAnswer, Target, TargetKind, UserStatus,
};

impl<'a> Draft<'a> {
    /// The user gives the account up; on a device that is shut out it stays as it is.
    pub(super) fn end_account(&mut self, id: EnrollmentId) -> Result<(), Refusal> {
        let snapshot = self.snapshot;
        let (enrollment, device) = self.usable_account(id)?;
        let others = snapshot
            .enrollments_of_device(device.id)
            .any(|other| other.user == enrollment.user && other.id != id && other.state.is_link());
        if !others {
            self.event(
                EventType::DeviceUserRemove,
                [Target::from(&*device), user_target(snapshot, enrollment.user)],
            );
        }
        self.end_enrollment(&enrollment);
        self.end_certificates_of(&enrollment, RevocationReason::CessationOfOperation);
        self.touch_device(&device);
        if let Some(user) = snapshot.user(enrollment.user) {
            self.touch_user(&user);
        }
        Ok(())
    }

    /// The key stays, the oldest certificates make room.
    pub(super) fn renew_certificate(&mut self, renew: &RenewCertificate) -> Result<(), Refusal> {
        let snapshot = self.snapshot;
        let shown = snapshot
            .certificate(&renew.shown)
            .ok_or_else(|| Refusal::not_found(TargetKind::Certificate, renew.shown))?;
        let (enrollment, device) = self.usable_account(shown.enrollment)?;
        if !self.is_alive(&shown) {
            return Err(Refusal::CertificateNotLive);
        }
        if renew.key != enrollment.key {
            return Err(Refusal::OtherKey);
        }
        if enrollment.created < renew.enrolled_since {
            return Err(Refusal::EnrollmentTooOld);
        }
        let new = &renew.certificate;
        if snapshot.certificate(&new.fingerprint).is_some()
            || snapshot.certificate_by_serial(&new.issuer, &new.serial).is_some()
        {
            return Err(Refusal::CertificateKnown);
        }
        let certificate = Certificate {
            fingerprint: new.fingerprint,
            serial: new.serial.clone(),
            issuer: new.issuer,
            enrollment: enrollment.id,
            device: device.id,
            not_before: new.not_before,
            not_after: new.not_after,
            state: CertificateState::Live,
            version: snapshot.revision(),
        };
        self.event(
            EventType::CertificateIssue,
            [Target::from(&certificate), device_target(snapshot, device.id)],
        );
        self.make_room(&enrollment, renew.most_alive);
        self.put(Change::PutCertificate(Box::new(certificate)));
        self.touch_device(&device);
        Ok(())
    }

    /// What the device says of itself takes the place of what it said before.
    pub(super) fn take_answer(&mut self, answer: &SignalAnswer) -> Result<(), Refusal> {
        let (_, device) = self.usable_account(answer.enrollment)?;
        self.event(EventType::DeviceSignals, [Target::from(&*device)]);
        self.put(Change::PutDevice(Box::new(Device {
            reported: Some(answer.reported.clone()),
            ..Device::clone(&device)
        })));
        self.take_management(&device, &answer.management);
        Ok(())
    }

    /// Revokes an enrolment's certificates.
    pub(super) fn end_certificates_of(&mut self, enrollment: &Enrollment, reason: RevocationReason) {
        let snapshot = self.snapshot;
        let of_enrollment = snapshot
            .certificates_of_device(enrollment.device)
            .filter(|certificate| certificate.enrollment == enrollment.id);
        of_enrollment.for_each(|certificate| self.end_certificate(&certificate, reason));
    }

    /// The enrolment and its device, both active, of an active user.
    pub(super) fn usable_account(&self, id: EnrollmentId) -> Result<(Arc<Enrollment>, Arc<Device>), Refusal> {
        let enrollment = self
            .snapshot
            .enrollment(id)
            .ok_or_else(|| Refusal::not_found(TargetKind::Enrollment, id))?;
        let device = self.device(enrollment.device)?;
        if device.state != DeviceState::Active {
            return Err(Refusal::DeviceNotActive);
        }
        if enrollment.state != EnrollmentState::Active {
            return Err(Refusal::EnrollmentNotActive);
        }
        if self.user(enrollment.user)?.status != UserStatus::Active {
            return Err(Refusal::UserNotActive);
        }
        Ok((enrollment, device))
    }

    fn make_room(&mut self, enrollment: &Enrollment, most_alive: usize) {
        let snapshot = self.snapshot;
        let mut alive: Vec<Arc<Certificate>> = snapshot
            .certificates_of_device(enrollment.device)
            .filter(|certificate| certificate.enrollment == enrollment.id && self.is_alive(certificate))
            .collect();
        alive.sort_by_key(|certificate| certificate.not_before);
        let too_many = alive.len().saturating_add(1).saturating_sub(most_alive.max(1));
        for certificate in alive.into_iter().take(too_many) {
            self.end_certificate(&certificate, RevocationReason::Superseded);
        }
    }

    fn is_alive(&self, certificate: &Certificate) -> bool {
        certificate.state == CertificateState::Live && self.now <= certificate.not_after
    }
}
