//! Who asks, on which device, and how is each known?

use std::sync::Arc;

use device_checks::{KeyType, LeafCertificate};
use directory::{
    Certificate, CertificateState, Device, DeviceState, Enrollment, EnrollmentId, EnrollmentState, Snapshot, Timestamp,
    User, UserStatus,
};

use super::assertion::Presented;
use super::denial::Denial;

/// What a request shows of a device: a certificate on its connection, a signature in its head.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    /// The certificate whose key the client proved to hold.
    pub(crate) certificate: Option<&'a LeafCertificate>,
    /// The assertion that was verified when the request came.
    pub(crate) assertion: Option<&'a Presented>,
}

/// A user and the device that proved itself for this very user.
#[derive(Debug, Clone)]
pub(crate) struct Identified {
    /// The user; active.
    pub(crate) user: Arc<User>,
    /// The device; active.
    pub(crate) device: Arc<Device>,
    /// The enrolment that joins the two; active.
    pub(crate) enrollment: Arc<Enrollment>,
    /// The certificate that proved it, if one did; live.
    pub(crate) certificate: Option<Arc<Certificate>>,
    /// The signature that proved it, if one did.
    pub(crate) asserted: Option<Asserted>,
}

/// How a device signed a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asserted {
    /// With which of its keys.
    pub(crate) key_type: KeyType,
    /// When that was verified.
    pub(crate) at: Timestamp,
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
    /// The enrolment that the credential is of, where it is known.
    enrollment: Option<EnrollmentId>,
}

/// Names the user and the device by what the request shows of it. Credentials are never composed: where two are shown they
/// are of one enrolment, or nobody is named.
///
/// # Errors
/// If nothing is shown, or none of it counts any longer: then Cedar is not asked.
pub(crate) fn identify(
    shown: Shown<'_>,
    directory: &Snapshot,
    now: Timestamp,
) -> Result<Identified, Box<Unidentified>> {
    let by_certificate = shown.certificate.map(|leaf| by_certificate(leaf, directory, now));
    let by_assertion = shown.assertion.map(|presented| by_assertion(presented, directory));
    match (by_certificate, by_assertion) {
        (None, None) => Err(Unidentified::nobody(Denial::NotSignedIn)),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(certificate), Some(assertion)) => together(certificate, assertion),
    }
}

/// A credential that counts no longer is dropped, unless it is of another enrolment than the one beside it.
fn together(
    certificate: Result<Identified, Box<Unidentified>>,
    assertion: Result<Identified, Box<Unidentified>>,
) -> Result<Identified, Box<Unidentified>> {
    let of = |one: &Result<Identified, Box<Unidentified>>| match one {
        Ok(identified) => Some(identified.enrollment.id),
        Err(unidentified) => unidentified.enrollment,
    };
    let agree = match (of(&certificate), of(&assertion)) {
        (Some(one), Some(other)) => one == other,
        // A certificate of which nothing is known names nobody else.
        (None, _) | (_, None) => true,
    };
    if !agree {
        return Err(Unidentified::nobody(Denial::CredentialsDisagree));
    }
    match (certificate, assertion) {
        (Ok(certificate), Ok(assertion)) => Ok(Identified {
            asserted: assertion.asserted,
            ..certificate
        }),
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
        (Err(certificate), Err(_)) => Err(certificate),
    }
}

/// Finds the certificate by its fingerprint: no name in it is read.
fn by_certificate(
    shown: &LeafCertificate,
    directory: &Snapshot,
    now: Timestamp,
) -> Result<Identified, Box<Unidentified>> {
    let certificate = directory
        .certificate(&shown.fingerprint)
        .ok_or_else(|| Unidentified::nobody(Denial::CertificateUnknown))?;
    let account = Account::of(certificate.enrollment, directory);
    let device = directory.device(certificate.device);
    // A deleted device leaves its revoked certificates behind.
    let (Some(device), Some(enrollment)) = (device, account.enrollment) else {
        return Err(account.refused(Denial::CertificateRevoked));
    };
    check_device(device)
        .and_then(|()| check_certificate(certificate, now))
        .and_then(|()| check_enrollment(enrollment, Denial::CertificateRevoked))
        .map_err(|denial| account.refused(denial))?;
    Ok(Identified {
        user: account.active_user()?.clone(),
        device: device.clone(),
        enrollment: enrollment.clone(),
        certificate: Some(certificate.clone()),
        asserted: None,
    })
}

/// The key has signed; whether it still counts is judged now, and again for as long as the request lives.
fn by_assertion(presented: &Presented, directory: &Snapshot) -> Result<Identified, Box<Unidentified>> {
    let account = Account::of(presented.assertion.enrollment(), directory);
    let (Some(device), Some(enrollment)) = (account.device, account.enrollment) else {
        return Err(account.refused(Denial::DeviceDeleted));
    };
    check_device(device)
        .and_then(|()| check_enrollment(enrollment, Denial::EnrollmentEnded))
        .map_err(|denial| account.refused(denial))?;
    if !presented.is_by(enrollment) {
        return Err(account.refused(Denial::EnrollmentEnded));
    }
    Ok(Identified {
        user: account.active_user()?.clone(),
        device: device.clone(),
        enrollment: enrollment.clone(),
        certificate: None,
        asserted: Some(Asserted {
            key_type: presented.assertion.key_type(),
            at: presented.at,
        }),
    })
}

/// What the directory has of an enrolment.
struct Account<'a> {
    id: EnrollmentId,
    enrollment: Option<&'a Arc<Enrollment>>,
    device: Option<&'a Arc<Device>>,
    user: Option<&'a Arc<User>>,
}

impl<'a> Account<'a> {
    fn of(id: EnrollmentId, directory: &'a Snapshot) -> Self {
        let enrollment = directory.enrollment(id);
        Self {
            id,
            enrollment,
            device: enrollment.and_then(|enrollment| directory.device(enrollment.device)),
            user: enrollment.and_then(|enrollment| directory.user(enrollment.user)),
        }
    }

    fn active_user(&self) -> Result<&'a Arc<User>, Box<Unidentified>> {
        let active = self.user.filter(|user| user.status == UserStatus::Active);
        active.ok_or_else(|| self.refused(Denial::UserInactive))
    }

    fn refused(&self, denial: Denial) -> Box<Unidentified> {
        Box::new(Unidentified {
            denial,
            device: self.device.cloned(),
            user: self.user.cloned(),
            enrollment: Some(self.id),
        })
    }
}

impl Unidentified {
    fn nobody(denial: Denial) -> Box<Self> {
        Box::new(Self {
            denial,
            device: None,
            user: None,
            enrollment: None,
        })
    }
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

fn check_enrollment(enrollment: &Enrollment, ended: Denial) -> Result<(), Denial> {
    match enrollment.state {
        EnrollmentState::Active => Ok(()),
        EnrollmentState::Suspended | EnrollmentState::Ended { .. } => Err(ended),
    }
}
