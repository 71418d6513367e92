//! What do commands about security keys and passkeys change?

use super::targets::user_target;
use super::{Draft, Refusal, validate};
use crate::{
    Authenticator, AuthenticatorId, AuthenticatorKind, Change, EventType, NewWebauthn, Target, TargetKind, WebauthnKey,
    WebauthnUse,
};

impl Draft<'_> {
    /// Gives the user one more security key or passkey.
    pub(super) fn add_webauthn(&mut self, new: &NewWebauthn) -> Result<(), Refusal> {
        let user = self.user(new.user)?;
        validate::name("name", &new.key.name)?;
        if self.snapshot.webauthn_by_credential(&new.key.credential).is_some() {
            return Err(Refusal::CredentialKnown);
        }
        if self.snapshot.webauthn_of(user.id).count() >= MOST_OF_A_USER {
            return Err(Refusal::TooManyCredentials);
        }
        let authenticator = Authenticator {
            id: new.id,
            user: user.id,
            kind: AuthenticatorKind::Webauthn(Box::new(new.key.clone())),
            created: self.now,
            updated: self.now,
            version: self.snapshot.revision(),
        };
        self.named_event(EventType::FactorActivate, &authenticator, &new.key.name);
        self.put(Change::PutAuthenticator(Box::new(authenticator)));
        self.touch_user(&user);
        Ok(())
    }

    /// Keeps what the key says of itself when it is used. The session that rests on it says who signed in.
    pub(super) fn use_webauthn(&mut self, used: &WebauthnUse) -> Result<(), Refusal> {
        let (known, key) = self.webauthn(used.authenticator)?;
        if !key.can_count(used.counter) {
            return Err(Refusal::CounterWentBack);
        }
        let key = WebauthnKey {
            counter: used.counter,
            backed_up: used.backed_up,
            verifies: key.verifies || used.verified,
            last_used: Some(self.now),
            ..key
        };
        self.keep_webauthn(known, key);
        Ok(())
    }

    /// Calls the key something else. What rests on it goes on.
    pub(super) fn rename_webauthn(&mut self, id: AuthenticatorId, name: &str) -> Result<(), Refusal> {
        let (known, key) = self.webauthn(id)?;
        validate::name("name", name)?;
        self.named_event(EventType::FactorUpdate, &known, name);
        let key = WebauthnKey {
            name: name.to_owned(),
            ..key
        };
        self.keep_webauthn(known, key);
        Ok(())
    }

    fn webauthn(&self, id: AuthenticatorId) -> Result<(Authenticator, WebauthnKey), Refusal> {
        let known = self.authenticator(id)?;
        match &known.kind {
            AuthenticatorKind::Webauthn(key) => Ok((Authenticator::clone(&known), WebauthnKey::clone(key))),
            AuthenticatorKind::Password { .. }
            | AuthenticatorKind::Totp { .. }
            | AuthenticatorKind::RecoveryCodes { .. } => Err(Refusal::not_found(TargetKind::Authenticator, id)),
        }
    }

    fn keep_webauthn(&mut self, known: Authenticator, key: WebauthnKey) {
        let kept = Authenticator {
            kind: AuthenticatorKind::Webauthn(Box::new(key)),
            ..known
        };
        self.put(Change::PutAuthenticator(Box::new(kept)));
    }

    fn named_event(&mut self, event_type: EventType, authenticator: &Authenticator, name: &str) {
        let of_user = user_target(self.snapshot, authenticator.user);
        self.event(event_type, [Target::from(authenticator), of_user]);
        if let Some(event) = self.events.last_mut() {
            let factor = ("factor".to_owned(), authenticator.kind.as_str().to_owned());
            event.details.extend([factor, ("name".to_owned(), name.to_owned())]);
        }
    }
}

/// How many security keys and passkeys one user has.
const MOST_OF_A_USER: usize = 32;
