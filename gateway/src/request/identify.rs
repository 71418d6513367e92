//! Who asks, on which device, and how is each known?
//!
//! Credentials are never composed: a session names the user, and what a device shows beside it adds the device alone, and
//! only where that is this user's own.

use std::sync::Arc;

use device_checks::{KeyType, LeafCertificate};
use directory::{
    Certificate, CertificateState, Device, DeviceState, Enrollment, EnrollmentId, EnrollmentState, Generation, Session,
    SessionEnd, Snapshot, Timestamp, User, UserStatus,
};

use super::assertion::Presented;
use super::denial::Denial;
use crate::sessions::Grip;

/// What a request shows: a certificate on its connection, a signature in its head, a cookie.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    /// The certificate whose key the client proved to hold.
    pub(crate) certificate: Option<&'a LeafCertificate>,
    /// The assertion that was verified when the request came.
    pub(crate) assertion: Option<&'a Presented>,
    /// What its cookie stands for.
    pub(crate) session: Option<&'a Arc<Grip>>,
}

/// A user, how they are known, and the device in use as far as it is known.
#[derive(Clone)]
pub(crate) struct Identified {
    /// The user; active.
    pub(crate) user: Arc<User>,
    /// The device; active, and enrolled for this very user.
    pub(crate) device: Option<DeviceInUse>,
    /// The session, where one names the user.
    pub(crate) session: Option<SessionInUse>,
    /// Why a device that was shown beside the session counts for nothing.
    pub(crate) dropped: Option<Denial>,
}

/// A device that is known to be the one in use.
#[derive(Debug, Clone)]
pub(crate) struct DeviceInUse {
    /// The device; active.
    pub(crate) device: Arc<Device>,
    /// The enrolment that joins it and the user; active.
    pub(crate) enrollment: Arc<Enrollment>,
    /// How it proved itself.
    pub(crate) by: ProvedBy,
}

/// How a device proved itself.
#[derive(Debug, Clone)]
pub(crate) enum ProvedBy {
    /// With this very request: by the certificate on its connection, a signature, or both.
    Request {
        /// The certificate; live.
        certificate: Option<Arc<Certificate>>,
        /// The signature.
        asserted: Option<Asserted>,
    },
    /// In the sign-in, step-up or renewal that made this generation of the session.
    Session {
        /// When.
        at: Timestamp,
    },
}

/// A session, by the generation that the request's cookie stands for.
#[derive(Clone)]
pub(crate) struct SessionInUse {
    /// The cookie.
    pub(crate) grip: Arc<Grip>,
    /// The session; live.
    pub(crate) session: Arc<Session>,
}

/// A user and the device that proved itself for this very user.
#[derive(Debug, Clone)]
pub(crate) struct DeviceIdentity {
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

/// Names the user and the device by what the request shows.
///
/// # Errors
/// If nothing is shown, or none of it counts any longer: then Cedar is not asked.
pub(crate) fn identify(
    shown: Shown<'_>,
    directory: &Snapshot,
    now: Timestamp,
) -> Result<Identified, Box<Unidentified>> {
    let by_device = (shown.certificate.is_some() || shown.assertion.is_some())
        .then(|| identify_device(shown.certificate, shown.assertion, directory, now));
    let by_session = shown.session.map(|grip| SessionInUse::of(grip, directory));
    match (by_session, by_device) {
        (None, None) => Err(Unidentified::nobody(Denial::NotSignedIn)),
        (None | Some(Err(_)), Some(device)) => device.map(Identified::by_device),
        (Some(Err(ended)), None) => Err(ended),
        (Some(Ok((session, user))), None) => Ok(Identified {
            device: session.device(directory),
            user,
            session: Some(session),
            dropped: None,
        }),
        (Some(Ok((session, user))), Some(device)) => beside(session, user, device, directory),
    }
}

/// A session, and what a device shows beside it. It names the user whatever that is; the device counts if it is the
/// session's own, or the session has none and it is this user's.
fn beside(
    session: SessionInUse,
    user: Arc<User>,
    device: Result<DeviceIdentity, Box<Unidentified>>,
    directory: &Snapshot,
) -> Result<Identified, Box<Unidentified>> {
    let (device, dropped) = match device {
        Err(unidentified) if unidentified.denial == Denial::CredentialsDisagree => return Err(unidentified),
        Err(unidentified) => (None, Some(unidentified.denial)),
        Ok(identity) if identity.user.id != user.id || !session.agrees(&identity, directory) => {
            (None, Some(Denial::CredentialsDisagree))
        }
        Ok(identity) => (Some(DeviceInUse::from(identity)), None),
    };
    Ok(Identified {
        user,
        device,
        session: Some(session),
        dropped,
    })
}

/// Names the user and the device by what a device shows. Where two credentials are shown they are of one enrolment, or nobody
/// is named.
///
/// # Errors
/// If nothing is shown, or none of it counts any longer.
pub(crate) fn identify_device(
    certificate: Option<&LeafCertificate>,
    assertion: Option<&Presented>,
    directory: &Snapshot,
    now: Timestamp,
) -> Result<DeviceIdentity, Box<Unidentified>> {
    let by_certificate = certificate.map(|leaf| by_certificate(leaf, directory, now));
    let by_assertion = assertion.map(|presented| by_assertion(presented, directory));
    match (by_certificate, by_assertion) {
        (None, None) => Err(Unidentified::nobody(Denial::NotSignedIn)),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(certificate), Some(assertion)) => together(certificate, assertion),
    }
}

/// A credential that counts no longer is dropped, unless it is of another enrolment than the one beside it.
fn together(
    certificate: Result<DeviceIdentity, Box<Unidentified>>,
    assertion: Result<DeviceIdentity, Box<Unidentified>>,
) -> Result<DeviceIdentity, Box<Unidentified>> {
    let of = |one: &Result<DeviceIdentity, Box<Unidentified>>| match one {
        Ok(identity) => Some(identity.enrollment.id),
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
        (Ok(certificate), Ok(assertion)) => Ok(DeviceIdentity {
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
) -> Result<DeviceIdentity, Box<Unidentified>> {
    let certificate = directory
        .certificate(&shown.fingerprint)
        .ok_or_else(|| Unidentified::nobody(Denial::CertificateUnknown))?;
    let account = Account::of(certificate.enrollment, directory);
    let device = directory.device(certificate.device);
    // A deleted device leaves its revoked certificates behind.
    let (Some(device), Some(enrollment)) = (device, &account.enrollment) else {
        return Err(account.refused(Denial::CertificateRevoked));
    };
    check_device(&device)
        .and_then(|()| check_certificate(&certificate, now))
        .and_then(|()| check_enrollment(enrollment, Denial::CertificateRevoked))
        .map_err(|denial| account.refused(denial))?;
    Ok(DeviceIdentity {
        user: account.active_user()?,
        device,
        enrollment: enrollment.clone(),
        certificate: Some(certificate),
        asserted: None,
    })
}

/// The key has signed; whether it still counts is judged now, and again for as long as the request lives.
fn by_assertion(presented: &Presented, directory: &Snapshot) -> Result<DeviceIdentity, Box<Unidentified>> {
    let account = Account::of(presented.assertion.enrollment(), directory);
    let (Some(device), Some(enrollment)) = (&account.device, &account.enrollment) else {
        return Err(account.refused(Denial::DeviceDeleted));
    };
    check_device(device)
        .and_then(|()| check_enrollment(enrollment, Denial::EnrollmentEnded))
        .map_err(|denial| account.refused(denial))?;
    if !presented.is_by(enrollment) {
        return Err(account.refused(Denial::EnrollmentEnded));
    }
    Ok(DeviceIdentity {
        user: account.active_user()?,
        device: device.clone(),
        enrollment: enrollment.clone(),
        certificate: None,
        asserted: Some(Asserted {
            key_type: presented.assertion.key_type(),
            at: presented.at,
        }),
    })
}

impl Identified {
    fn by_device(identity: DeviceIdentity) -> Self {
        Self {
            user: identity.user.clone(),
            device: Some(identity.into()),
            session: None,
            dropped: None,
        }
    }
}

impl From<DeviceIdentity> for DeviceInUse {
    fn from(identity: DeviceIdentity) -> Self {
        Self {
            device: identity.device,
            enrollment: identity.enrollment,
            by: ProvedBy::Request {
                certificate: identity.certificate,
                asserted: identity.asserted,
            },
        }
    }
}

impl SessionInUse {
    /// The session that a cookie stands for, and its user, while it has its ground.
    fn of(grip: &Arc<Grip>, directory: &Snapshot) -> Result<(Self, Arc<User>), Box<Unidentified>> {
        let session = grip.session();
        let user = directory.user(session.user);
        let ended = |end| {
            Box::new(Unidentified {
                denial: Denial::SessionEnded(end),
                device: None,
                user: user.clone(),
                enrollment: None,
            })
        };
        if let Some(end) = session.end(directory) {
            return Err(ended(end));
        }
        if grip.is_replaced() || session.generation(grip.generation()).is_none() {
            return Err(ended(SessionEnd::Replaced));
        }
        let user = user.clone().ok_or_else(|| ended(SessionEnd::UserInactive))?;
        let grip = grip.clone();
        Ok((Self { grip, session }, user))
    }

    /// What had been proved when the cookie was made.
    pub(crate) fn generation(&self) -> Option<&Generation> {
        self.session.generation(self.grip.generation())
    }

    /// The device that proved itself for this generation, while that counts.
    fn device(&self, directory: &Snapshot) -> Option<DeviceInUse> {
        let proof = self.generation()?.device?;
        let (enrollment, device) = proof.counting(directory)?;
        (enrollment.user == self.session.user).then(|| DeviceInUse {
            device: device.clone(),
            enrollment: enrollment.clone(),
            by: ProvedBy::Session { at: proof.at },
        })
    }

    /// Whether what a device shows is of the same device as whatever the session knows of one.
    fn agrees(&self, identity: &DeviceIdentity, directory: &Snapshot) -> bool {
        let Some(generation) = self.generation() else {
            return false;
        };
        let proved = generation.device.and_then(|proof| proof.counting(directory));
        let proved = proved.map(|(_, device)| device.id);
        let signed_in = generation.devices_in_use();
        proved.into_iter().chain(signed_in).all(|id| id == identity.device.id)
    }
}

/// What the directory has of an enrolment.
struct Account {
    id: EnrollmentId,
    enrollment: Option<Arc<Enrollment>>,
    device: Option<Arc<Device>>,
    user: Option<Arc<User>>,
}

impl Account {
    fn of(id: EnrollmentId, directory: &Snapshot) -> Self {
        let enrollment = directory.enrollment(id);
        Self {
            id,
            device: enrollment
                .as_ref()
                .and_then(|enrollment| directory.device(enrollment.device)),
            user: enrollment
                .as_ref()
                .and_then(|enrollment| directory.user(enrollment.user)),
            enrollment,
        }
    }

    fn active_user(&self) -> Result<Arc<User>, Box<Unidentified>> {
        let active = self.user.clone().filter(|user| user.status == UserStatus::Active);
        active.ok_or_else(|| self.refused(Denial::UserInactive))
    }

    fn refused(&self, denial: Denial) -> Box<Unidentified> {
        Box::new(Unidentified {
            denial,
            device: self.device.clone(),
            user: self.user.clone(),
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
