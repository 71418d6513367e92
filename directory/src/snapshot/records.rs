//! By what is a record found? By its key, and by what else it is asked for.

use std::ops::ControlFlow;

use borsh::{BorshDeserialize, BorshSerialize};

use super::packed::Key;
use crate::ids::PACKED;
use crate::{
    Authenticator, AuthenticatorId, AuthenticatorKind, Certificate, CertificateState, CredentialId, Device, DeviceId,
    Enrollment, EnrollmentId, Fingerprint, GroupId, HardwareId, Instance, InstanceId, KeyThumbprint, Serial, User,
    UserId,
};

/// A record that comes in great numbers. Packed, it begins with its key.
pub(super) trait Record:
    Clone + PartialEq + std::fmt::Debug + BorshSerialize + BorshDeserialize + Send + Sync + 'static
{
    /// What it is known by.
    type Key: Key;

    /// Its key.
    fn key(&self) -> Self::Key;

    /// Says what else it is found by, until `each` has heard enough; what takes work comes last.
    fn each_found_by(&self, each: impl FnMut(FoundBy<'_>) -> ControlFlow<()>) -> ControlFlow<()>;

    /// Whether it is found by this.
    fn is_found_by(&self, wanted: &FoundBy<'_>) -> bool {
        let found = self.each_found_by(|by| match by == *wanted {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
        found.is_break()
    }
}

/// What records are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum FoundBy<'a> {
    /// A login, in lower case.
    Login(&'a str),
    /// A name, as it is written.
    Name(&'a str),
    /// A group that a user is directly in.
    Group(GroupId),
    /// Whose it is.
    User(UserId),
    /// The device that it is on.
    Device(DeviceId),
    /// The machine that it is.
    Hardware(HardwareId),
    /// One of its keys.
    Key(KeyThumbprint),
    /// A CA, and the serial number it gave.
    Serial(Fingerprint, &'a Serial),
    /// A CA whose list names it.
    RevokedBy(Fingerprint),
    /// The credential that it is.
    Credential(&'a CredentialId),
}

impl Record for User {
    type Key = UserId;

    fn key(&self) -> UserId {
        self.id
    }

    fn each_found_by(&self, mut each: impl FnMut(FoundBy<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        for group in &self.groups {
            each(FoundBy::Group(*group))?;
        }
        each(FoundBy::Login(&self.login.to_ascii_lowercase()))
    }
}

impl Record for Device {
    type Key = DeviceId;

    fn key(&self) -> DeviceId {
        self.id
    }

    fn each_found_by(&self, mut each: impl FnMut(FoundBy<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        if let Some(hardware) = &self.hardware {
            each(FoundBy::Hardware(hardware.id))?;
        }
        each(FoundBy::Name(&self.name))
    }
}

impl Record for Enrollment {
    type Key = EnrollmentId;

    fn key(&self) -> EnrollmentId {
        self.id
    }

    fn each_found_by(&self, mut each: impl FnMut(FoundBy<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        each(FoundBy::Device(self.device))?;
        each(FoundBy::User(self.user))?;
        each(FoundBy::Key(self.key))?;
        match &self.verification {
            Some(verification) => each(FoundBy::Key(verification.key.thumbprint())),
            None => ControlFlow::Continue(()),
        }
    }
}

impl Record for Certificate {
    type Key = Fingerprint;

    fn key(&self) -> Fingerprint {
        self.fingerprint
    }

    fn each_found_by(&self, mut each: impl FnMut(FoundBy<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        match self.state {
            CertificateState::Live => {}
            CertificateState::Held { .. } | CertificateState::Revoked { .. } => {
                each(FoundBy::RevokedBy(self.issuer))?;
            }
        }
        each(FoundBy::Device(self.device))?;
        each(FoundBy::Serial(self.issuer, &self.serial))
    }
}

impl Record for Instance {
    type Key = InstanceId;

    fn key(&self) -> InstanceId {
        self.id
    }

    fn each_found_by(&self, mut each: impl FnMut(FoundBy<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        each(FoundBy::Device(self.device))?;
        each(FoundBy::Key(self.key.thumbprint()))
    }
}

impl Record for Authenticator {
    type Key = AuthenticatorId;

    fn key(&self) -> AuthenticatorId {
        self.id
    }

    fn each_found_by(&self, mut each: impl FnMut(FoundBy<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        each(FoundBy::User(self.user))?;
        match &self.kind {
            AuthenticatorKind::Webauthn(key) => each(FoundBy::Credential(&key.credential)),
            AuthenticatorKind::Password { .. }
            | AuthenticatorKind::Totp { .. }
            | AuthenticatorKind::RecoveryCodes { .. } => ControlFlow::Continue(()),
        }
    }
}

macro_rules! keys {
    ($($key:ident: $octets:expr),+ $(,)?) => {$(
        impl Key for $key {
            const FIRST: Self = Self::FIRST;
            const LAST: Self = Self::LAST;
            const OCTETS: usize = $octets;
        }
    )+};
}

keys! {
    UserId: PACKED,
    DeviceId: PACKED,
    EnrollmentId: PACKED,
    InstanceId: PACKED,
    AuthenticatorId: PACKED,
    Fingerprint: 32,
}
