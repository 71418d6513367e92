//! What proves a user or a device, beside its record? Instances, machines, authenticators, management certificates.

use std::sync::Arc;

use super::records::FoundBy;
use crate::{
    Authenticator, AuthenticatorId, AuthenticatorKind, Basis, CredentialId, Device, DeviceId, DeviceState, Enrollment,
    EnrollmentId, EnrollmentState, FastPassSettings, Fingerprint, HardwareId, Instance, InstanceId, KeyThumbprint,
    ManagementCertificate, ManagementState, Method, Settings, Snapshot, UserId, WebauthnKey,
};

/// What devices are known by.
impl Snapshot {
    /// The device that is this machine; no two are.
    pub fn device_by_hardware(&self, hardware: HardwareId) -> Option<Arc<Device>> {
        self.devices.find(FoundBy::Hardware(hardware)).next()
    }

    /// The authenticator instance with this id.
    pub fn instance(&self, id: InstanceId) -> Option<Arc<Instance>> {
        self.instances.get(id)
    }

    /// The authenticator instance with this key.
    pub fn instance_by_key(&self, key: KeyThumbprint) -> Option<Arc<Instance>> {
        self.instances.find(FoundBy::Key(key)).next()
    }

    /// The authenticator instances on this device, by id.
    pub fn instances_of_device(&self, device: DeviceId) -> impl Iterator<Item = Arc<Instance>> {
        self.instances.find(FoundBy::Device(device))
    }

    /// Whether a device of this user is shut out: suspended or deactivated while the user had an account on it.
    pub fn has_lost_trust(&self, user: UserId) -> bool {
        self.enrollments_of_user(user)
            .any(|enrollment| self.was_shut_out(&enrollment))
    }

    /// The devices of this user that are shut out.
    pub fn shut_out_devices(&self, user: UserId) -> impl Iterator<Item = Arc<Device>> {
        self.enrollments_of_user(user)
            .filter(|enrollment| self.was_shut_out(enrollment))
            .filter_map(|enrollment| self.device(enrollment.device))
    }

    fn was_shut_out(&self, enrollment: &Enrollment) -> bool {
        let state = self.device(enrollment.device).map(|device| device.state);
        match (state, enrollment.state) {
            (None | Some(DeviceState::Active), _) => false,
            (
                Some(DeviceState::Suspended { at } | DeviceState::Deactivated { at }),
                EnrollmentState::Ended { at: ended },
            ) => ended >= at,
            (Some(_), EnrollmentState::Active | EnrollmentState::Suspended) => true,
        }
    }
}

/// Something that a user can begin to sign in with. A code only stands beside another factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WayIn {
    /// A password, a security key.
    Authenticator(AuthenticatorId),
    /// FastPass by an account on an active device.
    Enrollment(EnrollmentId),
}

/// What users prove who they are with.
impl Snapshot {
    /// What this user can begin to sign in with now.
    pub fn ways_in(&self, user: UserId) -> impl Iterator<Item = WayIn> {
        let fastpass = self.fastpass().enabled;
        let by_authenticator = self
            .authenticators_of_user(user)
            .filter(|known| known.kind.begins_a_session())
            .map(|known| WayIn::Authenticator(known.id));
        let by_device = self
            .enrollments_of_user(user)
            .filter(move |known| fastpass && self.signs_in(known))
            .map(|known| WayIn::Enrollment(known.id));
        by_authenticator.chain(by_device)
    }

    fn signs_in(&self, enrollment: &Enrollment) -> bool {
        let device = self.device(enrollment.device);
        enrollment.state == EnrollmentState::Active
            && enrollment.methods.contains(&Method::SignedNonce)
            && device.is_some_and(|device| device.state == DeviceState::Active)
    }

    /// The authenticator with this id.
    pub fn authenticator(&self, id: AuthenticatorId) -> Option<Arc<Authenticator>> {
        self.authenticators.get(id)
    }

    /// The authenticators of this user, by id.
    pub fn authenticators_of_user(&self, user: UserId) -> impl Iterator<Item = Arc<Authenticator>> {
        self.authenticators.find(FoundBy::User(user))
    }

    /// The user's password, if they have one.
    pub fn password_of(&self, user: UserId) -> Option<Arc<Authenticator>> {
        self.authenticators_of_user(user)
            .find(|authenticator| matches!(authenticator.kind, AuthenticatorKind::Password { .. }))
    }

    /// The user's own authenticator app, if they have one.
    pub fn totp_of(&self, user: UserId) -> Option<Arc<Authenticator>> {
        self.authenticators_of_user(user)
            .find(|authenticator| matches!(authenticator.kind, AuthenticatorKind::Totp { held_by: None, .. }))
    }

    /// The TOTP authenticators whose codes count now: the user's own app, and those on devices that are not shut out.
    pub fn usable_totps_of(&self, user: UserId) -> impl Iterator<Item = Arc<Authenticator>> {
        self.authenticators_of_user(user)
            .filter(|authenticator| match &authenticator.kind {
                AuthenticatorKind::Totp { .. } => self.basis_of(authenticator).is_some(),
                AuthenticatorKind::Password { .. }
                | AuthenticatorKind::Webauthn(_)
                | AuthenticatorKind::RecoveryCodes { .. } => false,
            })
    }

    /// What a proof by this authenticator rests on: itself as it is set, or the account on a device that it is of, as that is
    /// now. Nothing where that counts for nothing.
    pub fn basis_of(&self, authenticator: &Authenticator) -> Option<Basis> {
        let basis = match &authenticator.kind {
            AuthenticatorKind::Totp {
                held_by: Some(account), ..
            } => {
                let enrollment = self.enrollment(*account)?;
                Basis::Enrollment {
                    id: enrollment.id,
                    generation: enrollment.generation,
                    device: enrollment.device,
                }
            }
            AuthenticatorKind::Password { .. }
            | AuthenticatorKind::Totp { held_by: None, .. }
            | AuthenticatorKind::Webauthn(_)
            | AuthenticatorKind::RecoveryCodes { .. } => Basis::Authenticator {
                id: authenticator.id,
                set: authenticator.updated,
            },
        };
        basis.lost(self).is_none().then_some(basis)
    }

    /// The TOTP authenticator of the app on a device.
    pub fn totp_held_by(&self, enrollment: &Enrollment) -> Option<Arc<Authenticator>> {
        self.authenticators_of_user(enrollment.user)
            .find(|authenticator| match &authenticator.kind {
                AuthenticatorKind::Totp { held_by, .. } => *held_by == Some(enrollment.id),
                AuthenticatorKind::Password { .. }
                | AuthenticatorKind::Webauthn(_)
                | AuthenticatorKind::RecoveryCodes { .. } => false,
            })
    }

    /// The user's security keys and passkeys, by id.
    pub fn webauthn_of(&self, user: UserId) -> impl Iterator<Item = (Arc<Authenticator>, WebauthnKey)> {
        let keys = self.authenticators_of_user(user);
        keys.filter_map(|authenticator| match &authenticator.kind {
            AuthenticatorKind::Webauthn(key) => {
                let key = WebauthnKey::clone(key);
                Some((authenticator, key))
            }
            AuthenticatorKind::Password { .. }
            | AuthenticatorKind::Totp { .. }
            | AuthenticatorKind::RecoveryCodes { .. } => None,
        })
    }

    /// The security key or passkey with this credential.
    pub fn webauthn_by_credential(&self, credential: &CredentialId) -> Option<Arc<Authenticator>> {
        self.authenticators.find(FoundBy::Credential(credential)).next()
    }

    /// The user's recovery codes, if they were given any.
    pub fn recovery_codes_of(&self, user: UserId) -> Option<Arc<Authenticator>> {
        self.authenticators_of_user(user)
            .find(|authenticator| matches!(authenticator.kind, AuthenticatorKind::RecoveryCodes { .. }))
    }

    /// How many recovery codes the user has left.
    pub fn recovery_codes_left(&self, user: UserId) -> usize {
        match self.recovery_codes_of(user).as_ref().map(|known| &known.kind) {
            Some(AuthenticatorKind::RecoveryCodes { unused }) => unused.len(),
            Some(
                AuthenticatorKind::Password { .. } | AuthenticatorKind::Totp { .. } | AuthenticatorKind::Webauthn(_),
            )
            | None => 0,
        }
    }

    /// The organisation and what it asks of FastPass; nothing before it was founded.
    pub fn settings(&self) -> Option<&Arc<Settings>> {
        self.settings.as_ref()
    }

    /// What is asked of FastPass.
    pub fn fastpass(&self) -> FastPassSettings {
        self.settings().map(|settings| settings.fastpass).unwrap_or_default()
    }
}

/// Management certificates.
impl Snapshot {
    /// The management certificate with this fingerprint, bound or not.
    pub fn management_certificate(&self, fingerprint: &Fingerprint) -> Option<&Arc<ManagementCertificate>> {
        self.management.get(fingerprint)
    }

    /// The management certificates that are or were bound to this device, by fingerprint.
    pub fn management_of_device(&self, device: DeviceId) -> impl Iterator<Item = &Arc<ManagementCertificate>> {
        let of_device = self
            .management_by_device
            .range((device, Fingerprint::FIRST)..=(device, Fingerprint::LAST));
        of_device.filter_map(|(_, fingerprint)| self.management.get(fingerprint))
    }

    /// The management certificate that the device showed when it was last asked.
    pub fn proved_management(&self, device: DeviceId) -> Option<&Arc<ManagementCertificate>> {
        self.management_of_device(device)
            .find(|certificate| matches!(certificate.state, ManagementState::Proved { .. }))
    }
}
