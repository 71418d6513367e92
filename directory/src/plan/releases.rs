//! What does a user give up, and what does an administrator release them to set up?

use super::{Draft, Refusal, validate};
use crate::{
    AuthenticatorId, Change, EnrollmentId, EventType, Release, Target, TargetKind, Timestamp, User, UserId, UserStatus,
    WayIn,
};

impl Draft<'_> {
    /// The user's own wish: nobody shuts themselves out.
    pub(super) fn give_up_authenticator(&mut self, id: AuthenticatorId) -> Result<(), Refusal> {
        let known = self
            .snapshot
            .authenticator(id)
            .ok_or_else(|| Refusal::not_found(TargetKind::Authenticator, id))?;
        self.leaves_a_way_in(known.user, WayIn::Authenticator(id))?;
        self.remove_authenticator(id)
    }

    /// The same for the account on a device.
    pub(super) fn give_up_enrollment(&mut self, id: EnrollmentId) -> Result<(), Refusal> {
        let known = self
            .snapshot
            .enrollment(id)
            .ok_or_else(|| Refusal::not_found(TargetKind::Enrollment, id))?;
        self.leaves_a_way_in(known.user, WayIn::Enrollment(id))?;
        self.end_account(id)
    }

    /// Lets the user set up one factor until then, whatever they can prove.
    pub(super) fn release_user(&mut self, id: UserId, ends: Timestamp) -> Result<(), Refusal> {
        let user = self.user(id)?;
        if user.status != UserStatus::Active {
            return Err(Refusal::UserNotActive);
        }
        validate::check(ends > self.now, "ends", "a time to come")?;
        let released = User {
            release: Some(Release { ends }),
            ..User::clone(&user)
        };
        self.event(EventType::ReleaseCreate, [Target::from(&released)]);
        if let Some(event) = self.events.last_mut() {
            event.details.insert("ends".to_owned(), ends.to_string());
        }
        self.put(Change::PutUser(Box::new(released)));
        Ok(())
    }

    /// Uses the release up: of two who come with it the second is refused.
    pub(super) fn use_release(&mut self, id: UserId) -> Result<(), Refusal> {
        let user = self.user(id)?;
        user.released(self.now).ok_or(Refusal::NotReleased)?;
        let used = User {
            release: None,
            ..User::clone(&user)
        };
        self.event(EventType::ReleaseUse, [Target::from(&used)]);
        self.put(Change::PutUser(Box::new(used)));
        Ok(())
    }

    /// What is no way in can always go; of the ways in one has to stay.
    fn leaves_a_way_in(&self, user: UserId, given_up: WayIn) -> Result<(), Refusal> {
        let mut ways = self.snapshot.ways_in(user);
        let is_way_in = self.snapshot.ways_in(user).any(|way| way == given_up);
        match !is_way_in || ways.any(|way| way != given_up) {
            true => Ok(()),
            false => Err(Refusal::LastFactor),
        }
    }
}
