//! What does a device hear that is enrolled? What the gateway knows of it, with its signature over that.

use device_checks::attestation::RootClass;
use device_checks::wire::{self, Enrolled, KeyProtection};
use device_checks::{DeviceSignals, EnrollmentReceipt, RECEIPT_TYPE};
use directory::{AttemptId, Device, Enrollment, EnrollmentId, Method, PublicKey, Snapshot, Timestamp};

use super::organization::organization;
use crate::api_error::{ApiError, fault};
use crate::world::World;

/// Whom an answer is for, and what it is of.
pub(super) struct Answer<'a> {
    pub(super) attempt: AttemptId,
    pub(super) nonce: &'a str,
    pub(super) instance_key: &'a PublicKey,
    /// Of which class the evidence's root is, where there was evidence.
    pub(super) root_class: Option<RootClass>,
    pub(super) now: Timestamp,
}

impl Answer<'_> {
    /// The answer about this enrolment, with this certificate chain.
    pub(super) fn enrolled(
        &self,
        world: &World,
        directory: &Snapshot,
        enrollment: EnrollmentId,
        certificate: String,
    ) -> Result<Enrolled, ApiError> {
        let gone = || ApiError::not_found("enrolment", enrollment.as_str());
        let enrollment = directory.enrollment(enrollment).ok_or_else(gone)?;
        let device = directory.device(enrollment.device).ok_or_else(gone)?;
        let setup = world.setup.load();
        let known = setup.trust.on_record(directory, &device, Some(&enrollment), self.now);
        let signals = DeviceSignals::of(&known, self.now);
        Ok(Enrolled {
            device: device.id,
            name: device.name.clone(),
            user: enrollment.user,
            enrollment: enrollment.id,
            instance: enrollment.instance.ok_or_else(gone)?,
            key_protection: protection(signals.hardware_key),
            root_class: self.root_class,
            managed: signals.managed,
            fastpass: enrollment.methods.contains(&Method::SignedNonce),
            receipt: self.receipt(world, directory, &device, &enrollment, &certificate)?,
            certificate,
        })
    }

    /// The gateway's word on what it enrolled, for this device alone.
    fn receipt(
        &self,
        world: &World,
        directory: &Snapshot,
        device: &Device,
        enrollment: &Enrollment,
        certificate: &str,
    ) -> Result<String, ApiError> {
        let gone = || ApiError::not_found("enrolment", enrollment.id.as_str());
        let receipt = EnrollmentReceipt {
            iss: world.setup.load().auth_origin.clone(),
            org_id: organization(directory)?,
            aud: self.instance_key.thumbprint(),
            iat: self.now.secs(),
            tx: self.attempt,
            nonce: self.nonce.to_owned(),
            device: device.id,
            sub: enrollment.user,
            enrollment: enrollment.id,
            instance: enrollment.instance.ok_or_else(gone)?,
            key: enrollment.public_key.ok_or_else(gone)?.thumbprint(),
            certificate: wire::hash(certificate.as_bytes()),
        };
        let signed = world.signer.sign(RECEIPT_TYPE, &receipt);
        signed.map_err(|error| fault(&error, "a receipt could not be signed"))
    }
}

/// The word for where a key lives.
pub(super) fn protection(in_hardware: bool) -> KeyProtection {
    if in_hardware {
        KeyProtection::Hardware
    } else {
        KeyProtection::Software
    }
}
