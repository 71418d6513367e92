//! What does an enrolment change? The token is used, and device, enrolment and certificate come into being, all at once.

use std::sync::Arc;

use super::{Draft, Refusal, validate};
use crate::{
    Certificate, CertificateState, Change, Device, DeviceState, Enroll, Enrollment, EnrollmentState, EnrollmentToken,
    EventType, Ownership, Target, User, UserStatus,
};

impl<'a> Draft<'a> {
    pub(super) fn enroll(&mut self, enroll: &Enroll) -> Result<(), Refusal> {
        let token = self.usable_token(enroll)?;
        let user = self.user(token.user)?;
        if user.status != UserStatus::Active {
            return Err(Refusal::UserNotActive);
        }
        let device = self.device_to_enroll(enroll, token)?;
        self.check_new(enroll)?;
        self.record(enroll, token, user, &device);
        Ok(())
    }

    fn usable_token(&self, enroll: &Enroll) -> Result<&'a Arc<EnrollmentToken>, Refusal> {
        let token = self
            .snapshot
            .enrollment_token_by_secret(&enroll.secret)
            .ok_or(Refusal::TokenUnknown)?;
        if token.used.is_some() {
            return Err(Refusal::TokenUsed);
        }
        if self.now >= token.ends {
            return Err(Refusal::TokenExpired);
        }
        Ok(token)
    }

    fn device_to_enroll(&self, enroll: &Enroll, token: &EnrollmentToken) -> Result<Device, Refusal> {
        if let Some(id) = token.device {
            let device = self.device(id)?;
            return match device.state {
                DeviceState::Suspended { .. } | DeviceState::Deactivated { .. } => Err(Refusal::DeviceNotActive),
                DeviceState::Active if id != enroll.device.id => Err(Refusal::TokenForOtherDevice),
                DeviceState::Active => Ok(Device::clone(device)),
            };
        }
        if self.snapshot.device(enroll.device.id).is_some() {
            return Err(Refusal::NotUnique {
                what: "device",
                field: "id",
            });
        }
        validate::name("name", &enroll.device.name)?;
        Ok(Device {
            id: enroll.device.id,
            name: enroll.device.name.clone(),
            platform: enroll.device.platform,
            state: DeviceState::Active,
            ownership: Ownership::Unknown,
            groups: Default::default(),
            tags: Default::default(),
            reported: None,
            secure_hardware: false,
            created: self.now,
            updated: self.now,
            version: self.snapshot.revision(),
        })
    }

    /// Key and certificate must be new anywhere, also beside ended enrolments and revoked certificates.
    fn check_new(&self, enroll: &Enroll) -> Result<(), Refusal> {
        let certificate = &enroll.certificate;
        if self.snapshot.enrollment_by_key(&enroll.key).is_some() {
            return Err(Refusal::KeyKnown);
        }
        if self.snapshot.enrollment(enroll.enrollment).is_some() {
            return Err(Refusal::NotUnique {
                what: "enrolment",
                field: "id",
            });
        }
        if self.snapshot.certificate(&certificate.fingerprint).is_some()
            || self
                .snapshot
                .certificate_by_serial(&certificate.issuer, &certificate.serial)
                .is_some()
        {
            return Err(Refusal::CertificateKnown);
        }
        Ok(())
    }

    fn record(&mut self, enroll: &Enroll, token: &EnrollmentToken, user: &User, device: &Device) {
        let enrollment = self.enrollment(enroll, user, device);
        let certificate = self.issued_certificate(enroll, device);
        let (of_user, of_device) = (Target::from(user), Target::from(device));
        let linked = self
            .snapshot
            .enrollments_of_device(device.id)
            .any(|known| known.user == user.id && known.state == EnrollmentState::Active);

        self.event(
            EventType::DeviceEnroll,
            [of_device.clone(), of_user.clone(), Target::from(token)],
        );
        if !linked {
            self.event(EventType::DeviceUserAdd, [of_device.clone(), of_user.clone()]);
        }
        self.event(
            EventType::FactorActivate,
            [Target::from(&enrollment), of_user, of_device.clone()],
        );
        self.event(EventType::CertificateIssue, [Target::from(&certificate), of_device]);
        self.changes.extend([
            Change::PutEnrollmentToken(Box::new(EnrollmentToken {
                used: Some(self.now),
                ..token.clone()
            })),
            Change::PutDevice(Box::new(device.clone())),
            Change::PutEnrollment(Box::new(enrollment)),
            Change::PutCertificate(Box::new(certificate)),
        ]);
    }

    fn enrollment(&self, enroll: &Enroll, user: &User, device: &Device) -> Enrollment {
        Enrollment {
            id: enroll.enrollment,
            device: device.id,
            user: user.id,
            state: EnrollmentState::Active,
            generation: 0,
            key: enroll.key,
            key_store: enroll.key_store,
            hardware_key: false,
            created: self.now,
            version: self.snapshot.revision(),
        }
    }

    fn issued_certificate(&self, enroll: &Enroll, device: &Device) -> Certificate {
        Certificate {
            fingerprint: enroll.certificate.fingerprint,
            serial: enroll.certificate.serial.clone(),
            issuer: enroll.certificate.issuer,
            enrollment: enroll.enrollment,
            device: device.id,
            not_before: enroll.certificate.not_before,
            not_after: enroll.certificate.not_after,
            state: CertificateState::Live,
            version: self.snapshot.revision(),
        }
    }
}
