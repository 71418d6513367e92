//! What does an enrolment change? The token is used, and device, enrolment and certificate come into being, all at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Draft, Refusal, validate};
use crate::{
    AuthenticatorEnroll, Certificate, CertificateState, Change, Device, DeviceState, Enroll, Enrollment,
    EnrollmentState, EnrollmentToken, EventType, FastPassSettings, HardwareId, Instance, KeyProtection, KeyThumbprint,
    Method, Ownership, RevocationReason, Snapshot, Target, User, UserStatus, UserVerification,
};

impl Snapshot {
    /// The device that an enrolment would be on: the token's, the one that is this machine, or the one this authenticator
    /// instance is on; nothing where it is a new one.
    ///
    /// # Errors
    ///
    /// Refuses a device that is not active, and proofs that name different devices.
    pub fn device_to_enroll(
        &self,
        token: &EnrollmentToken,
        hardware: Option<HardwareId>,
        instance: Option<KeyThumbprint>,
    ) -> Result<Option<Arc<Device>>, Refusal> {
        let machine = hardware.and_then(|id| self.device_by_hardware(id));
        let by_instance = instance
            .and_then(|key| self.instance_by_key(key))
            .and_then(|instance| self.device(instance.device));
        let moved = by_instance
            .as_ref()
            .is_some_and(|device| match (&device.hardware, hardware) {
                (Some(known), Some(proved)) => known.id != proved,
                (None, Some(_)) => machine.as_ref().is_some_and(|machine| machine.id != device.id),
                (_, None) => false,
            });
        // Whoever is shut out learns that first.
        for device in [&machine, &by_instance].into_iter().flatten() {
            check_active(device)?;
        }
        if moved {
            return Err(Refusal::InstanceElsewhere);
        }
        let proved = machine.or(by_instance);
        // Where it is known which machine a device is, nothing less shows that this is it.
        let unproved = |device: &Device| device.hardware.is_some() && hardware.is_none();
        if proved.as_deref().is_some_and(unproved) {
            return Err(Refusal::HardwareUnproved);
        }
        let Some(id) = token.device else { return Ok(proved) };
        let wanted = self.device(id).ok_or(Refusal::DeviceNotActive)?;
        check_active(&wanted)?;
        let another_machine = matches!((&wanted.hardware, hardware), (Some(known), Some(id)) if known.id != id);
        if unproved(&wanted) {
            return Err(Refusal::HardwareUnproved);
        }
        if another_machine || proved.is_some_and(|device| device.id != id) {
            return Err(Refusal::TokenForOtherDevice);
        }
        Ok(Some(wanted))
    }
}

fn check_active(device: &Device) -> Result<(), Refusal> {
    match device.state {
        DeviceState::Active => Ok(()),
        DeviceState::Suspended { .. } | DeviceState::Deactivated { .. } => Err(Refusal::DeviceNotActive),
    }
}

impl<'a> Draft<'a> {
    pub(super) fn enroll(&mut self, enroll: &Enroll) -> Result<(), Refusal> {
        let token = self.usable_token(enroll)?;
        let user = self.user(token.user)?;
        if user.status != UserStatus::Active {
            return Err(Refusal::UserNotActive);
        }
        let device = self.enrolled_device(enroll, token)?;
        self.check_new(enroll)?;
        let fastpass = self.snapshot.fastpass();
        if let Some(authenticator) = &enroll.authenticator {
            check_demands(authenticator, fastpass)?;
            self.supersede(&user, &device);
        } else if fastpass.key_protection == KeyProtection::Hardware {
            return Err(Refusal::HardwareRequired);
        }
        self.record(enroll, token, &user, &device, fastpass);
        if let Some(authenticator) = &enroll.authenticator {
            self.record_instance(authenticator, &device);
            self.take_management(&device, &authenticator.management);
        }
        self.touch_user(&user);
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
        if token
            .proofs
            .iter()
            .any(|proof| proof.basis.lost(self.snapshot).is_some())
        {
            return Err(Refusal::TokenGroundless);
        }
        let instance = enroll.authenticator.as_ref().map(|one| one.instance_key.thumbprint());
        if token.bound_to.is_some() && token.bound_to != instance {
            return Err(Refusal::TokenForOtherInstance);
        }
        Ok(token)
    }

    fn enrolled_device(&self, enroll: &Enroll, token: &EnrollmentToken) -> Result<Device, Refusal> {
        let authenticator = enroll.authenticator.as_ref();
        let hardware = authenticator.and_then(|one| one.hardware.as_ref());
        let instance = authenticator.map(|one| one.instance_key.thumbprint());
        let known = self
            .snapshot
            .device_to_enroll(token, hardware.map(|hardware| hardware.id), instance)?;
        let Some(known) = known else {
            return self.new_device(enroll);
        };
        if known.id != enroll.device.id {
            return Err(match token.device {
                Some(_) => Refusal::TokenForOtherDevice,
                None => Refusal::DeviceChanged,
            });
        }
        let mut device = Device::clone(&known);
        if let Some(hardware) = hardware {
            device.hardware = Some(hardware.clone());
        }
        if authenticator.is_some() {
            device.updated = self.now;
        }
        Ok(device)
    }

    fn new_device(&self, enroll: &Enroll) -> Result<Device, Refusal> {
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
            hardware: enroll.authenticator.as_ref().and_then(|one| one.hardware.clone()),
            created: self.now,
            updated: self.now,
            version: self.snapshot.revision(),
        })
    }

    /// Keys and certificate must be new anywhere, also beside ended enrolments and revoked certificates.
    fn check_new(&self, enroll: &Enroll) -> Result<(), Refusal> {
        let certificate = &enroll.certificate;
        let verification = enroll.authenticator.as_ref().and_then(|one| one.verification.as_ref());
        let verification = verification.map(|verification| verification.key.thumbprint());
        let known = |key: &KeyThumbprint| self.snapshot.enrollment_by_key(key).is_some();
        if known(&enroll.key) || verification.is_some_and(|key| known(&key) || key == enroll.key) {
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

    /// The user's earlier accounts by an authenticator on this very device end: there is one at a time.
    fn supersede(&mut self, user: &User, device: &Device) {
        let snapshot = self.snapshot;
        let earlier = snapshot
            .enrollments_of_device(device.id)
            .filter(|known| known.user == user.id && known.instance.is_some() && known.state.is_link());
        for enrollment in earlier {
            self.end_enrollment(&enrollment);
            self.end_certificates_of(&enrollment, RevocationReason::Superseded);
        }
    }

    fn record(
        &mut self,
        enroll: &Enroll,
        token: &EnrollmentToken,
        user: &User,
        device: &Device,
        fastpass: FastPassSettings,
    ) {
        let enrollment = self.enrollment(enroll, user, device, fastpass);
        let certificate = self.issued_certificate(enroll, device);
        let (of_user, of_device) = (Target::from(user), Target::from(device));
        let linked = self
            .snapshot
            .enrollments_of_device(device.id)
            .any(|known| known.user == user.id && known.state == EnrollmentState::Active);

        self.events.insert(
            0,
            self.success(
                EventType::DeviceEnroll,
                [of_device.clone(), of_user.clone(), Target::from(token)],
            ),
        );
        if !linked {
            self.event(EventType::DeviceUserAdd, [of_device.clone(), of_user.clone()]);
        }
        for _ in &enrollment.methods {
            self.event(
                EventType::FactorActivate,
                [Target::from(&enrollment), of_user.clone(), of_device.clone()],
            );
        }
        self.event(EventType::CertificateIssue, [Target::from(&certificate), of_device]);
        self.put(Change::PutEnrollmentToken(Box::new(EnrollmentToken {
            used: Some(self.now),
            ..token.clone()
        })));
        self.put(Change::PutDevice(Box::new(device.clone())));
        self.put(Change::PutEnrollment(Box::new(enrollment)));
        self.put(Change::PutCertificate(Box::new(certificate)));
    }

    fn enrollment(&self, enroll: &Enroll, user: &User, device: &Device, fastpass: FastPassSettings) -> Enrollment {
        let authenticator = enroll.authenticator.as_ref();
        let mut methods = BTreeSet::from([Method::Certificate]);
        if authenticator.is_some() && fastpass.enabled {
            methods.insert(Method::SignedNonce);
        }
        Enrollment {
            id: enroll.enrollment,
            device: device.id,
            user: user.id,
            state: EnrollmentState::Active,
            generation: 0,
            key: enroll.key,
            key_store: enroll.key_store,
            hardware_key: authenticator.is_some_and(|one| one.hardware_key),
            public_key: authenticator.map(|one| one.public_key),
            verification: authenticator.and_then(|one| one.verification.clone()),
            methods,
            instance: authenticator.map(|one| one.instance),
            created: self.now,
            version: self.snapshot.revision(),
        }
    }

    fn record_instance(&mut self, authenticator: &AuthenticatorEnroll, device: &Device) {
        if self.snapshot.instance(authenticator.instance).is_none() {
            self.put(Change::PutInstance(Box::new(Instance {
                id: authenticator.instance,
                device: device.id,
                key: authenticator.instance_key,
                created: self.now,
                version: self.snapshot.revision(),
            })));
        }
    }

    pub(super) fn issued_certificate(&self, enroll: &Enroll, device: &Device) -> Certificate {
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

/// What the organisation asks of the keys of an authenticator.
fn check_demands(authenticator: &AuthenticatorEnroll, fastpass: FastPassSettings) -> Result<(), Refusal> {
    let in_hardware = authenticator.hardware_key && authenticator.attested;
    if fastpass.key_protection == KeyProtection::Hardware && !in_hardware {
        return Err(Refusal::HardwareRequired);
    }
    if fastpass.user_verification == UserVerification::Required && authenticator.verification.is_none() {
        return Err(Refusal::UserVerificationRequired);
    }
    Ok(())
}
