//! What may one call do? Read and change what its token's scopes cover; there is no other road to the directory from here.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use directory::{Command, Event, EventQuery, Protected, Scope, SessionCommand};
use http::request::Parts;
use policies::PolicySet;
use zeroize::Zeroizing;

use super::Admin;
use super::shape::View;
use crate::api_error::ApiError;
use crate::factors::password::Password;
use crate::sessions::SessionTable;
use crate::setup::Setup;
use crate::sign_in::hash_password;
use crate::world::World;

/// One authenticated call.
pub(super) struct Call {
    world: Arc<World>,
    admin: Arc<Admin>,
}

impl FromRequestParts<Arc<World>> for Call {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, ApiError> {
        let admin = parts.extensions.get::<Arc<Admin>>().ok_or(ApiError::InvalidToken)?;
        Ok(Self {
            world: world.clone(),
            admin: admin.clone(),
        })
    }
}

impl Call {
    /// Who calls.
    pub(super) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The configuration.
    pub(super) fn setup(&self) -> Arc<Setup> {
        self.world.setup.load_full()
    }

    /// The policies.
    pub(super) fn policies(&self) -> Arc<PolicySet> {
        self.world.decider.load().policies().clone()
    }

    /// Hashes a password that somebody chose.
    ///
    /// # Errors
    ///
    /// It is too short or too long, or too many wait to be hashed.
    pub(super) async fn hash(&self, password: Zeroizing<String>) -> Result<Protected, ApiError> {
        let password = Password::chosen(password).map_err(|bad| ApiError::invalid("password", bad))?;
        hash_password(&self.world, password).await
    }

    /// The present moment.
    pub(super) fn now(&self) -> directory::Timestamp {
        self.world.clock.now()
    }

    /// The directory, if the token's scopes have this one.
    ///
    /// # Errors
    ///
    /// The token lacks the scope.
    pub(super) fn read(&self, scope: Scope) -> Result<View, ApiError> {
        self.demand(scope)?;
        Ok(self.view(self.world.directory.snapshot()))
    }

    /// Carries out a command, if the token may, and gives the directory with what it changed.
    ///
    /// # Errors
    ///
    /// The token lacks the scope, the directory refuses, or the store fails.
    pub(super) async fn submit(&self, command: Command) -> Result<View, ApiError> {
        self.demand(scope_of(&command))?;
        let accepted = self
            .world
            .directory
            .submit(command, self.admin.actor(), Vec::new())
            .await?;
        Ok(self.view(accepted.snapshot))
    }

    /// The sessions; whoever asks has read the directory by their scope before.
    pub(super) fn sessions(&self) -> &SessionTable {
        self.world.directory.sessions()
    }

    /// Ends sessions, if the token may: they are their users' to manage.
    ///
    /// # Errors
    ///
    /// The token lacks the scope, the directory refuses, or the store fails.
    pub(super) async fn submit_session(&self, command: SessionCommand) -> Result<(), ApiError> {
        self.demand(Scope::UsersManage)?;
        self.world.directory.submit_session(command, self.admin.actor()).await?;
        Ok(())
    }

    /// Reads the System Log, if the token may.
    ///
    /// # Errors
    ///
    /// The token lacks the scope, the query names an unknown event, or the store fails.
    pub(super) async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, ApiError> {
        self.demand(Scope::LogsRead)?;
        Ok(self.world.directory.events(query).await?)
    }

    fn demand(&self, scope: Scope) -> Result<(), ApiError> {
        if self.admin.may(scope) {
            Ok(())
        } else {
            Err(ApiError::lacks(scope))
        }
    }

    fn view(&self, snapshot: Arc<directory::Snapshot>) -> View {
        View {
            snapshot,
            now: self.now(),
            trust: self.world.setup.load().trust.clone(),
        }
    }
}

/// What a token must have been made for to give a command. An enrolment token acts for its user, so it is theirs to manage.
const fn scope_of(command: &Command) -> Scope {
    match command {
        Command::CreateUser(_)
        | Command::UpdateUser { .. }
        | Command::ActivateUser(_)
        | Command::DeactivateUser(_)
        | Command::SuspendUser(_)
        | Command::UnsuspendUser(_)
        | Command::DeleteUser(_)
        | Command::CreateEnrollmentToken(_)
        | Command::SetPassword { .. }
        | Command::RehashPassword { .. }
        | Command::SetTotp { .. }
        | Command::SetDeviceTotp { .. }
        | Command::UseTotp { .. }
        | Command::AddWebauthn(_)
        | Command::UseWebauthn(_)
        | Command::RenameWebauthn { .. }
        | Command::SetRecoveryCodes { .. }
        | Command::UseRecoveryCode { .. }
        | Command::RemoveAuthenticator(_)
        | Command::GiveUpAuthenticator(_)
        | Command::GiveUpEnrollment(_)
        | Command::ReleaseUser { .. }
        | Command::UseRelease(_)
        | Command::RecordFailure(_)
        | Command::ReportSuspicion(_) => Scope::UsersManage,
        Command::CreateGroup(_)
        | Command::UpdateGroup { .. }
        | Command::DeleteGroup(_)
        | Command::AddMember { .. }
        | Command::RemoveMember { .. }
        | Command::AddSubgroup { .. }
        | Command::RemoveSubgroup { .. } => Scope::GroupsManage,
        Command::UpdateDevice { .. }
        | Command::SuspendDevice(_)
        | Command::UnsuspendDevice(_)
        | Command::DeactivateDevice(_)
        | Command::ActivateDevice(_)
        | Command::DeleteDevice(_)
        | Command::Enroll(_)
        | Command::EndEnrollment(_)
        | Command::TakeAnswer(_) => Scope::DevicesManage,
        Command::RevokeCertificate { .. }
        | Command::HoldCertificate(_)
        | Command::ReleaseCertificate(_)
        | Command::RenewCertificate(_)
        | Command::IssueManagement { .. }
        | Command::RevokeManagement(_) => Scope::CertificatesManage,
        Command::FoundOrganization(_) | Command::UpdateFastPass(_) => Scope::SettingsManage,
        Command::ReportDevice(_) | Command::WithdrawReport { .. } => Scope::ReportsManage,
        Command::CreateApiToken(_) | Command::RevokeApiToken(_) => Scope::TokensManage,
    }
}
