//! Who asks, on which device, and how is each known?

use std::sync::Arc;

use device_checks::LeafCertificate;
use directory::{
    Certificate, CertificateState, Device, DeviceState, Enrollment, EnrollmentState, Snapshot, Timestamp, User,
    UserStatus,
};

use super::denial::Denial;

/// A user and the device that proved itself for this very user on this connection.
#[derive(Debug, Clone)]
pub(crate) struct Identified {
    /// The user; active.
    pub(crate) user: Arc<User>,
    /// The device; active.
    pub(crate) device: Arc<Device>,
    /// The enrolment that joins the two; active.
    pub(crate) enrollment: Arc<Enrollment>,
    /// The certificate that proved it; live.
    pub(crate) certificate: Arc<Certificate>,
}

/// Why nobody is named, and what is known of who it would have been, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unidentified {
    /// Why.
    pub(crate) denial: Denial,
    /// The device, where the certificate is known.
    pub(crate) device: Option<Arc<Device>>,
    /// The user, where the enrolment is known.
    pub(crate) user: Option<Arc<User>>,
}

/// Names the user and the device by the connection's certificate, which is found by its fingerprint: no name in it is
/// read.
///
/// # Errors
/// If there is no certificate, or it no longer counts: then it was the only credential, and Cedar is not asked.
pub(crate) fn identify(
    shown: Option<&LeafCertificate>,
    directory: &Snapshot,
    now: Timestamp,
) -> Result<Identified, Box<Unidentified>> {
    let nobody = |denial| {
        Box::new(Unidentified {
            denial,
            device: None,
            user: None,
        })
    };
    let shown = shown.ok_or_else(|| nobody(Denial::NotSignedIn))?;
    let certificate = directory
        .certificate(&shown.fingerprint)
        .ok_or_else(|| nobody(Denial::CertificateUnknown))?;
    let device = directory.device(certificate.device);
    let enrollment = directory.enrollment(certificate.enrollment);
    let user = enrollment.and_then(|enrollment| directory.user(enrollment.user));
    let refused = |denial| {
        Box::new(Unidentified {
            denial,
            device: device.cloned(),
            user: user.cloned(),
        })
    };
    // A deleted device leaves its revoked certificates behind.
    let (Some(device), Some(enrollment)) = (device, enrollment) else {
        return Err(refused(Denial::CertificateRevoked));
    };
    check_device(device)
        .and_then(|()| check_certificate(certificate, now))
        .and_then(|()| check_enrollment(enrollment))
        .map_err(refused)?;
    let user = user
        .filter(|user| user.status == UserStatus::Active)
        .ok_or_else(|| refused(Denial::UserInactive))?;
    Ok(Identified {
        user: user.clone(),
        device: device.clone(),
        enrollment: enrollment.clone(),
        certificate: certificate.clone(),
    })
}

fn check_device(device: &Device) -> Result<(), Denial> {
    match device.state {
        DeviceState::Active => Ok(()),
        DeviceState::Suspended { .. } => Err(Denial::DeviceSuspended),
        DeviceState::Deactivated { .. } => Err(Denial::DeviceDeactivated),
    }
}

fn check_certificate(certificate: &Certificate, now: Timestamp) -> Result<(), Denial> {
    match certificate.state {
        CertificateState::Held { .. } | CertificateState::Revoked { .. } => Err(Denial::CertificateRevoked),
        CertificateState::Live if now > certificate.not_after => Err(Denial::CertificateExpired),
        CertificateState::Live => Ok(()),
    }
}

fn check_enrollment(enrollment: &Enrollment) -> Result<(), Denial> {
    match enrollment.state {
        EnrollmentState::Active => Ok(()),
        EnrollmentState::Suspended | EnrollmentState::Ended { .. } => Err(Denial::CertificateRevoked),
    }
}
