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

/// Names the user and the device by the connection's certificate, which is found by its fingerprint: no name in it is
/// read.
///
/// # Errors
/// If there is no certificate, or it no longer counts: then it was the only credential, and Cedar is not asked.
pub(crate) fn identify(
    shown: Option<&LeafCertificate>,
    directory: &Snapshot,
    now: Timestamp,
) -> Result<Identified, Denial> {
    let shown = shown.ok_or(Denial::NotSignedIn)?;
    let certificate = directory
        .certificate(&shown.fingerprint)
        .ok_or(Denial::CertificateUnknown)?;
    let device = directory.device(certificate.device).ok_or(Denial::CertificateRevoked)?;
    match device.state {
        DeviceState::Active => {}
        DeviceState::Suspended { .. } => return Err(Denial::DeviceSuspended),
        DeviceState::Deactivated { .. } => return Err(Denial::DeviceDeactivated),
    }
    match certificate.state {
        CertificateState::Live => {}
        CertificateState::Held { .. } | CertificateState::Revoked { .. } => return Err(Denial::CertificateRevoked),
    }
    if now > certificate.not_after || now < certificate.not_before {
        return Err(Denial::CertificateExpired);
    }
    let enrollment = directory
        .enrollment(certificate.enrollment)
        .ok_or(Denial::CertificateRevoked)?;
    match enrollment.state {
        EnrollmentState::Active => {}
        EnrollmentState::Suspended | EnrollmentState::Ended { .. } => return Err(Denial::CertificateRevoked),
    }
    let user = directory.user(enrollment.user).ok_or(Denial::UserInactive)?;
    match user.status {
        UserStatus::Active => {}
        UserStatus::Suspended { .. } | UserStatus::Deactivated { .. } => return Err(Denial::UserInactive),
    }
    Ok(Identified {
        user: user.clone(),
        device: device.clone(),
        enrollment: enrollment.clone(),
        certificate: certificate.clone(),
    })
}
