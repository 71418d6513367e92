//! What would a command change, and what would the System Log say of it? Or why is it refused?

mod accounts;
mod authenticators;
mod certificates;
mod devices;
mod enroll;
mod groups;
mod management;
mod refusal;
mod releases;
mod reports;
mod targets;
mod tokens;
mod users;
mod validate;
mod webauthn;

use crate::{
    Actor, Change, Command, Event, EventType, Factor, Outcome, Severity, Snapshot, Target, Timestamp, TransactionId,
};

pub use refusal::{Refusal, Refused};

/// Everything a command entails: stored all together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The new state of each record concerned, each once.
    pub changes: Vec<Change>,
    /// What the System Log says of it; the command's own event comes first.
    pub events: Vec<Event>,
}

impl Snapshot {
    /// Says what a command would change in this directory; nothing changes yet.
    ///
    /// # Errors
    ///
    /// Refuses what is not possible, with the one failure event that the System Log gets instead.
    pub fn plan(
        &self,
        command: &Command,
        actor: &Actor,
        transaction: TransactionId,
        now: Timestamp,
    ) -> Result<Plan, Refused> {
        let mut draft = Draft {
            snapshot: self,
            actor,
            transaction,
            now,
            changes: Vec::new(),
            events: Vec::new(),
        };
        match draft.plan(command) {
            Ok(()) => Ok(draft.finish()),
            Err(reason) => Err(draft.refuse(command, reason)),
        }
    }
}

/// A plan in the making.
struct Draft<'a> {
    snapshot: &'a Snapshot,
    actor: &'a Actor,
    transaction: TransactionId,
    now: Timestamp,
    changes: Vec<Change>,
    events: Vec<Event>,
}

impl Draft<'_> {
    fn plan(&mut self, command: &Command) -> Result<(), Refusal> {
        match command {
            Command::CreateUser(new) => self.create_user(new),
            Command::UpdateUser { user, update } => self.update_user(*user, update),
            Command::ActivateUser(user) => self.activate_user(*user),
            Command::DeactivateUser(user) => self.deactivate_user(*user),
            Command::SuspendUser(user) => self.suspend_user(*user),
            Command::UnsuspendUser(user) => self.unsuspend_user(*user),
            Command::DeleteUser(user) => self.delete_user(*user),
            Command::CreateGroup(new) => self.create_group(new),
            Command::UpdateGroup { group, update } => self.update_group(*group, update),
            Command::DeleteGroup(group) => self.delete_group(*group),
            Command::AddMember { group, user } => self.add_member(*group, *user),
            Command::RemoveMember { group, user } => self.remove_member(*group, *user),
            Command::AddSubgroup { group, subgroup } => self.add_subgroup(*group, *subgroup),
            Command::RemoveSubgroup { group, subgroup } => self.remove_subgroup(*group, *subgroup),
            Command::UpdateDevice { device, update } => self.update_device(*device, update),
            Command::SuspendDevice(device) => self.suspend_device(*device),
            Command::UnsuspendDevice(device) => self.unsuspend_device(*device),
            Command::DeactivateDevice(device) => self.deactivate_device(*device),
            Command::ActivateDevice(device) => self.activate_device(*device),
            Command::DeleteDevice(device) => self.delete_device(*device),
            Command::CreateEnrollmentToken(new) => self.create_enrollment_token(new),
            Command::Enroll(enroll) => self.enroll(enroll),
            Command::EndEnrollment(enrollment) => self.end_account(*enrollment),
            Command::RenewCertificate(renew) => self.renew_certificate(renew),
            Command::TakeAnswer(answer) => self.take_answer(answer),
            Command::SetPassword { user, id, hash } => self.set_password(*user, *id, hash),
            Command::RehashPassword {
                authenticator,
                before,
                hash,
            } => self.rehash_password(*authenticator, before, hash),
            Command::SetTotp { user, id, secret } => self.set_totp(*user, *id, secret),
            Command::SetDeviceTotp { enrollment, id, secret } => self.set_device_totp(*enrollment, *id, secret),
            Command::UseTotp { authenticator, step } => self.use_totp(*authenticator, *step),
            Command::AddWebauthn(new) => self.add_webauthn(new),
            Command::UseWebauthn(used) => self.use_webauthn(used),
            Command::RenameWebauthn { authenticator, name } => self.rename_webauthn(*authenticator, name),
            Command::SetRecoveryCodes { user, id, codes } => self.set_recovery_codes(*user, *id, codes),
            Command::UseRecoveryCode { authenticator, code } => self.use_recovery_code(*authenticator, code),
            Command::RemoveAuthenticator(authenticator) => self.remove_authenticator(*authenticator),
            Command::GiveUpAuthenticator(authenticator) => self.give_up_authenticator(*authenticator),
            Command::GiveUpEnrollment(enrollment) => self.give_up_enrollment(*enrollment),
            Command::ReleaseUser { user, ends } => self.release_user(*user, *ends),
            Command::UseRelease(user) => self.use_release(*user),
            Command::RecordFailure(failure) => Err(Refusal::NotAuthenticated {
                factor: failure.factor,
                reason: failure.reason,
            }),
            Command::ReportSuspicion(_) => Err(Refusal::NotAuthenticated {
                factor: Factor::Push,
                reason: "the user says that it was somebody else",
            }),
            Command::FoundOrganization(id) => self.found_organization(*id),
            Command::UpdateFastPass(update) => self.update_fastpass(update),
            Command::IssueManagement { device, certificate } => self.issue_management(*device, certificate),
            Command::RevokeManagement(fingerprint) => self.revoke_management(fingerprint),
            Command::RevokeCertificate { fingerprint, reason } => self.revoke_certificate(fingerprint, *reason),
            Command::HoldCertificate(fingerprint) => self.hold_certificate(fingerprint),
            Command::ReleaseCertificate(fingerprint) => self.release_certificate(fingerprint),
            Command::ReportDevice(report) => self.report_device(report),
            Command::WithdrawReport { device, source } => self.withdraw_report(*device, source),
            Command::CreateApiToken(new) => self.create_api_token(new),
            Command::RevokeApiToken(token) => self.revoke_api_token(*token),
        }
    }

    /// Events are numbered in the order they are in now.
    fn finish(mut self) -> Plan {
        for (number, event) in self.events.iter_mut().enumerate() {
            event.id = format!("{}-{number}", self.transaction);
        }
        Plan {
            changes: self.changes,
            events: self.events,
        }
    }

    fn refuse(mut self, command: &Command, reason: Refusal) -> Refused {
        self.events.clear();
        let targets = targets::of_command(self.snapshot, command);
        let outcome = Outcome::Failure {
            reason: reason.to_string(),
        };
        let mut event = self.make_event(command.event_type(), Severity::Warn, outcome, targets);
        if let Command::RecordFailure(failure) = command {
            let factor = ("factor".to_owned(), failure.factor.to_string());
            let origin = failure.origin.clone().map(|origin| ("origin".to_owned(), origin));
            event.details.extend([factor].into_iter().chain(origin));
        }
        Refused {
            reason,
            event: Box::new(event),
        }
    }

    /// Adds a change, in the place of an earlier one of the same record.
    fn put(&mut self, change: Change) {
        let key = change.key();
        match self.changes.iter_mut().find(|known| known.key() == key) {
            Some(known) => *known = change,
            None => self.changes.push(change),
        }
    }

    /// Adds a change unless the record changes anyway.
    fn put_unless_there(&mut self, change: Change) {
        let key = change.key();
        if self.changes.iter().all(|known| known.key() != key) {
            self.changes.push(change);
        }
    }

    fn event(&mut self, event_type: EventType, targets: impl IntoIterator<Item = Target>) {
        let event = self.success(event_type, targets);
        self.events.push(event);
    }

    fn success(&self, event_type: EventType, targets: impl IntoIterator<Item = Target>) -> Event {
        self.make_event(
            event_type,
            Severity::Info,
            Outcome::Success,
            targets.into_iter().collect(),
        )
    }

    fn make_event(&self, event_type: EventType, severity: Severity, outcome: Outcome, targets: Vec<Target>) -> Event {
        Event {
            id: format!("{}-{}", self.transaction, self.events.len()),
            published: self.now,
            event_type,
            severity,
            outcome,
            actor: self.actor.clone(),
            targets,
            transaction: self.transaction,
            details: Default::default(),
        }
    }
}
