//! What do commands about tokens change?

use super::{Draft, Refusal, validate};
use crate::{
    ApiToken, ApiTokenId, Change, DeviceState, EnrollmentToken, EventType, IllegalTransition, NewApiToken,
    NewEnrollmentToken, Target, TargetKind, UserStatus,
};

impl Draft<'_> {
    pub(super) fn create_enrollment_token(&mut self, new: &NewEnrollmentToken) -> Result<(), Refusal> {
        let user = self.user(new.user)?;
        if user.status != UserStatus::Active {
            return Err(Refusal::UserNotActive);
        }
        if let Some(device) = new.device
            && self.device(device)?.state != DeviceState::Active
        {
            return Err(Refusal::DeviceNotActive);
        }
        validate::check(new.ends > self.now, "ends", "a time to come")?;
        if self.snapshot.enrollment_token(new.id).is_some()
            || self.snapshot.enrollment_token_by_secret(&new.secret).is_some()
        {
            return Err(Refusal::NotUnique {
                what: "enrolment token",
                field: "id or secret",
            });
        }
        let token = EnrollmentToken {
            id: new.id,
            secret: new.secret,
            user: new.user,
            device: new.device,
            origin: new.origin,
            factors: new.factors.clone(),
            proofs: new.proofs.clone(),
            session: new.session,
            bound_to: new.bound_to,
            created: self.now,
            ends: new.ends,
            used: None,
            version: self.snapshot.revision(),
        };
        self.event(
            EventType::EnrollmentTokenCreate,
            [Target::from(&token), Target::from(&*user)],
        );
        self.changes.push(Change::PutEnrollmentToken(Box::new(token)));
        Ok(())
    }

    pub(super) fn create_api_token(&mut self, new: &NewApiToken) -> Result<(), Refusal> {
        validate::name("name", &new.name)?;
        validate::check(!new.scopes.is_empty(), "scopes", "at least one scope")?;
        validate::check(new.ends > self.now, "ends", "a time to come")?;
        if self.snapshot.api_token(new.id).is_some() || self.snapshot.api_token_by_secret(&new.secret).is_some() {
            return Err(Refusal::NotUnique {
                what: "API token",
                field: "id or secret",
            });
        }
        let token = ApiToken {
            id: new.id,
            name: new.name.clone(),
            secret: new.secret,
            scopes: new.scopes.clone(),
            networks: new.networks.clone(),
            created: self.now,
            ends: new.ends,
            revoked: None,
            demo: new.demo,
            version: self.snapshot.revision(),
        };
        self.event(EventType::ApiTokenCreate, [Target::from(&token)]);
        self.changes.push(Change::PutApiToken(Box::new(token)));
        Ok(())
    }

    pub(super) fn revoke_api_token(&mut self, id: ApiTokenId) -> Result<(), Refusal> {
        let known = self
            .snapshot
            .api_token(id)
            .ok_or_else(|| Refusal::not_found(TargetKind::ApiToken, id))?;
        if known.revoked.is_some() {
            return Err(IllegalTransition {
                what: "an API token",
                from: "revoked",
                to: "revoked",
            }
            .into());
        }
        let token = ApiToken {
            revoked: Some(self.now),
            ..ApiToken::clone(known)
        };
        self.event(EventType::ApiTokenRevoke, [Target::from(&token)]);
        self.changes.push(Change::PutApiToken(Box::new(token)));
        Ok(())
    }
}
