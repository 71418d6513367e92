//! What do commands about passwords, codes and the organisation change?

use std::collections::BTreeSet;
use std::sync::Arc;

use super::targets::user_target;
use super::{Draft, Refusal};
use crate::{
    Authenticator, AuthenticatorId, AuthenticatorKind, Change, EnrollmentId, EventType, FastPassUpdate, OrganizationId,
    Protected, SecretHash, Settings, Target, TargetKind, User, UserId,
};

impl<'a> Draft<'a> {
    /// Sets the user's password, or replaces it.
    pub(super) fn set_password(&mut self, user: UserId, id: AuthenticatorId, hash: &Protected) -> Result<(), Refusal> {
        let kind = AuthenticatorKind::Password { hash: hash.clone() };
        let known = self.snapshot.password_of(user);
        self.set_authenticator(user, known, id, kind, EventType::PasswordSet)
    }

    /// Keeps the same password under newer parameters, unless it was changed meanwhile.
    pub(super) fn rehash_password(
        &mut self,
        id: AuthenticatorId,
        before: &Protected,
        hash: &Protected,
    ) -> Result<(), Refusal> {
        let known = self.authenticator(id)?;
        match &known.kind {
            AuthenticatorKind::Password { hash } if hash == before => {}
            AuthenticatorKind::Password { .. }
            | AuthenticatorKind::Totp { .. }
            | AuthenticatorKind::Webauthn(_)
            | AuthenticatorKind::RecoveryCodes { .. } => return Err(Refusal::PasswordChanged),
        }
        let rehashed = Authenticator {
            kind: AuthenticatorKind::Password { hash: hash.clone() },
            ..Authenticator::clone(&known)
        };
        let of_user = user_target(self.snapshot, known.user);
        self.event(EventType::PasswordSet, [Target::from(&rehashed), of_user]);
        self.put(Change::PutAuthenticator(Box::new(rehashed)));
        Ok(())
    }

    /// Gives the user a TOTP authenticator, or another secret.
    pub(super) fn set_totp(&mut self, user: UserId, id: AuthenticatorId, secret: &Protected) -> Result<(), Refusal> {
        let kind = AuthenticatorKind::Totp {
            secret: secret.clone(),
            last_step: None,
            held_by: None,
        };
        let known = self.snapshot.totp_of(user);
        self.set_authenticator(user, known, id, kind, EventType::FactorActivate)
    }

    /// Gives the app on a device a TOTP secret, or another one: it ends with the account there.
    pub(super) fn set_device_totp(
        &mut self,
        enrollment: EnrollmentId,
        id: AuthenticatorId,
        secret: &Protected,
    ) -> Result<(), Refusal> {
        let (enrollment, _) = self.usable_account(enrollment)?;
        let kind = AuthenticatorKind::Totp {
            secret: secret.clone(),
            last_step: None,
            held_by: Some(enrollment.id),
        };
        let known = self.snapshot.totp_held_by(&enrollment);
        self.set_authenticator(enrollment.user, known, id, kind, EventType::FactorActivate)
    }

    /// Burns a code: none of this time step or an earlier one works again.
    pub(super) fn use_totp(&mut self, id: AuthenticatorId, step: u64) -> Result<(), Refusal> {
        let known = self.authenticator(id)?;
        let AuthenticatorKind::Totp {
            secret,
            last_step,
            held_by,
        } = &known.kind
        else {
            return Err(Refusal::not_found(TargetKind::Authenticator, id));
        };
        if last_step.is_some_and(|last| step <= last) {
            return Err(Refusal::CodeUsed);
        }
        let used = Authenticator {
            kind: AuthenticatorKind::Totp {
                secret: secret.clone(),
                last_step: Some(step),
                held_by: *held_by,
            },
            ..Authenticator::clone(&known)
        };
        let of_user = user_target(self.snapshot, known.user);
        self.event(EventType::Authenticate, [Target::from(&used), of_user]);
        self.put(Change::PutAuthenticator(Box::new(used)));
        Ok(())
    }

    /// Gives the user recovery codes; those of before count no longer.
    pub(super) fn set_recovery_codes(
        &mut self,
        user: UserId,
        id: AuthenticatorId,
        codes: &BTreeSet<SecretHash>,
    ) -> Result<(), Refusal> {
        let kind = AuthenticatorKind::RecoveryCodes { unused: codes.clone() };
        let known = self.snapshot.recovery_codes_of(user);
        self.set_authenticator(user, known, id, kind, EventType::FactorActivate)
    }

    /// Burns a recovery code. Sessions that rest on the set go on.
    pub(super) fn use_recovery_code(&mut self, id: AuthenticatorId, code: &SecretHash) -> Result<(), Refusal> {
        let known = self.authenticator(id)?;
        let AuthenticatorKind::RecoveryCodes { unused } = &known.kind else {
            return Err(Refusal::not_found(TargetKind::Authenticator, id));
        };
        let mut unused = unused.clone();
        if !unused.remove(code) {
            return Err(Refusal::CodeUsed);
        }
        let used = Authenticator {
            kind: AuthenticatorKind::RecoveryCodes { unused },
            ..Authenticator::clone(&known)
        };
        let of_user = user_target(self.snapshot, known.user);
        self.event(EventType::Authenticate, [Target::from(&used), of_user]);
        self.put(Change::PutAuthenticator(Box::new(used)));
        Ok(())
    }

    pub(super) fn remove_authenticator(&mut self, id: AuthenticatorId) -> Result<(), Refusal> {
        let known = self.authenticator(id)?;
        let user = self.user(known.user)?;
        self.event(
            EventType::FactorDeactivate,
            [Target::from(&*known), Target::from(&*user)],
        );
        self.put(Change::DeleteAuthenticator(id));
        self.touch_user(&user);
        Ok(())
    }

    pub(super) fn found_organization(&mut self, id: OrganizationId) -> Result<(), Refusal> {
        if self.snapshot.settings().is_some() {
            return Err(Refusal::NotUnique {
                what: "organisation",
                field: "record",
            });
        }
        let settings = Settings {
            organization: id,
            fastpass: Default::default(),
            version: self.snapshot.revision(),
        };
        self.event(EventType::OrganizationCreate, [Target::from(&settings)]);
        self.put(Change::PutSettings(Box::new(settings)));
        Ok(())
    }

    pub(super) fn update_fastpass(&mut self, update: &FastPassUpdate) -> Result<(), Refusal> {
        let known = self.snapshot.settings();
        let mut settings = known
            .map(|known| Settings::clone(known))
            .ok_or_else(|| Refusal::not_found(TargetKind::Organization, "organization"))?;
        let fastpass = &mut settings.fastpass;
        fastpass.enabled = update.enabled.unwrap_or(fastpass.enabled);
        fastpass.key_protection = update.key_protection.unwrap_or(fastpass.key_protection);
        fastpass.user_verification = update.user_verification.unwrap_or(fastpass.user_verification);
        fastpass.number_challenge = update.number_challenge.unwrap_or(fastpass.number_challenge);
        self.event(EventType::SettingsUpdate, [Target::from(&settings)]);
        self.put(Change::PutSettings(Box::new(settings)));
        Ok(())
    }

    /// Gives the user's record a new version because something that hangs on it changes.
    pub(super) fn touch_user(&mut self, user: &User) {
        self.put_unless_there(Change::PutUser(Box::new(user.clone())));
    }

    fn set_authenticator(
        &mut self,
        user: UserId,
        known: Option<Arc<Authenticator>>,
        id: AuthenticatorId,
        kind: AuthenticatorKind,
        event_type: EventType,
    ) -> Result<(), Refusal> {
        let user = self.user(user)?;
        let authenticator = Authenticator {
            id: known.as_ref().map_or(id, |known| known.id),
            user: user.id,
            kind,
            created: known.map_or(self.now, |known| known.created),
            updated: self.now,
            version: self.snapshot.revision(),
        };
        self.event(event_type, [Target::from(&authenticator), Target::from(&*user)]);
        self.put(Change::PutAuthenticator(Box::new(authenticator)));
        self.touch_user(&user);
        Ok(())
    }

    pub(super) fn authenticator(&self, id: AuthenticatorId) -> Result<Arc<Authenticator>, Refusal> {
        self.snapshot
            .authenticator(id)
            .ok_or_else(|| Refusal::not_found(TargetKind::Authenticator, id))
    }
}
