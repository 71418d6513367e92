//! What do commands about users change?

use std::sync::Arc;

use super::{Draft, Refusal, validate};
use crate::{
    Change, EventType, IllegalTransition, NewUser, RevocationReason, Target, TargetKind, Timestamp, User, UserId,
    UserStatus, UserUpdate,
};

impl<'a> Draft<'a> {
    pub(super) fn create_user(&mut self, new: &NewUser) -> Result<(), Refusal> {
        let user = User {
            id: new.id,
            login: new.login.clone(),
            email: new.email.clone(),
            first_name: new.first_name.clone(),
            last_name: new.last_name.clone(),
            user_type: new.user_type.clone(),
            status: UserStatus::Active,
            groups: Default::default(),
            tags: new.tags.clone(),
            release: None,
            created: self.now,
            updated: self.now,
            version: self.snapshot.revision(),
        };
        if self.snapshot.user(new.id).is_some() {
            return Err(Refusal::NotUnique {
                what: "user",
                field: "id",
            });
        }
        self.put_user(user, EventType::UserCreate)
    }

    pub(super) fn update_user(&mut self, id: UserId, update: &UserUpdate) -> Result<(), Refusal> {
        let old = User::clone(&*self.user(id)?);
        let update = update.clone();
        let user = User {
            login: update.login.unwrap_or(old.login),
            email: update.email.unwrap_or(old.email),
            first_name: update.first_name.unwrap_or(old.first_name),
            last_name: update.last_name.unwrap_or(old.last_name),
            user_type: update.user_type.unwrap_or(old.user_type),
            tags: update.tags.unwrap_or(old.tags),
            updated: self.now,
            ..old
        };
        self.put_user(user, EventType::UserUpdate)
    }

    pub(super) fn activate_user(&mut self, id: UserId) -> Result<(), Refusal> {
        self.change_status(id, EventType::UserActivate, |status, _| status.activate())
    }

    pub(super) fn deactivate_user(&mut self, id: UserId) -> Result<(), Refusal> {
        self.change_status(id, EventType::UserDeactivate, UserStatus::deactivate)
    }

    pub(super) fn suspend_user(&mut self, id: UserId) -> Result<(), Refusal> {
        self.change_status(id, EventType::UserSuspend, UserStatus::suspend)
    }

    pub(super) fn unsuspend_user(&mut self, id: UserId) -> Result<(), Refusal> {
        self.change_status(id, EventType::UserUnsuspend, |status, _| status.unsuspend())
    }

    /// The user's enrolments end for good and their certificates are revoked; the devices stay.
    pub(super) fn delete_user(&mut self, id: UserId) -> Result<(), Refusal> {
        let snapshot = self.snapshot;
        let user = self.user(id)?;
        user.status.delete()?;

        self.changes.push(Change::DeleteUser(id));
        self.event(EventType::UserDelete, [Target::from(&*user)]);
        for token in snapshot.enrollment_tokens_of_user(id) {
            self.changes.push(Change::DeleteEnrollmentToken(token.id));
        }
        for authenticator in snapshot.authenticators_of_user(id) {
            self.changes.push(Change::DeleteAuthenticator(authenticator.id));
        }
        let mut devices = Vec::new();
        for enrollment in snapshot.enrollments_of_user(id) {
            if self.end_enrollment(&enrollment) && !devices.contains(&enrollment.device) {
                devices.push(enrollment.device);
            }
        }
        for device in devices.iter().filter_map(|device| snapshot.device(*device)) {
            self.touch_device(&device);
            self.event(
                EventType::DeviceUserRemove,
                [Target::from(&*device), Target::from(&*user)],
            );
            for certificate in snapshot.certificates_of_device(device.id) {
                let enrollment = snapshot.enrollment(certificate.enrollment);
                if enrollment.is_some_and(|enrollment| enrollment.user == id) {
                    self.end_certificate(&certificate, RevocationReason::CessationOfOperation);
                }
            }
        }
        Ok(())
    }

    /// Finds a user, or says that there is none.
    pub(super) fn user(&self, id: UserId) -> Result<Arc<User>, Refusal> {
        self.snapshot
            .user(id)
            .ok_or_else(|| Refusal::not_found(TargetKind::User, id))
    }

    fn change_status(
        &mut self,
        id: UserId,
        event_type: EventType,
        transition: impl FnOnce(UserStatus, Timestamp) -> Result<UserStatus, IllegalTransition>,
    ) -> Result<(), Refusal> {
        let mut user = User::clone(&*self.user(id)?);
        user.status = transition(user.status, self.now)?;
        user.updated = self.now;
        self.event(event_type, [Target::from(&user)]);
        self.changes.push(Change::PutUser(Box::new(user)));
        Ok(())
    }

    fn put_user(&mut self, user: User, event_type: EventType) -> Result<(), Refusal> {
        validate::login("login", &user.login)?;
        validate::email("email", &user.email)?;
        validate::note("firstName", &user.first_name)?;
        validate::note("lastName", &user.last_name)?;
        validate::name("userType", &user.user_type)?;
        validate::user_tags("tags", &user.tags)?;
        if self
            .snapshot
            .user_by_login(&user.login)
            .is_some_and(|known| known.id != user.id)
        {
            return Err(Refusal::NotUnique {
                what: "user",
                field: "login",
            });
        }
        self.event(event_type, [Target::from(&user)]);
        self.changes.push(Change::PutUser(Box::new(user)));
        Ok(())
    }
}
