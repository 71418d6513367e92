//! What became of an enrolment whose answer did not come? The keys that it was for are kept, and the gateway is asked by them.

use std::sync::Arc;
use std::time::Duration;

use device_checks::wire::{Begun, RECOVER_PATH, Recover};

use super::{Applicant, Done, EnrollError, Made, request_by};
use crate::gateway::Ask;
use crate::keys::blocking;
use crate::receipt::{Attempt, VerifiedEnrollment};
use crate::state::Pending;

impl Applicant {
    /// Asks what became of an enrolment whose answer did not come.
    ///
    /// # Errors
    ///
    /// The gateway says no, or the answer is not believed.
    pub async fn recover(&self, pending: &Pending) -> Result<Done, EnrollError> {
        let (store, possession) = (Arc::clone(&self.store), pending.possession.clone());
        let request = blocking::<_, EnrollError>(move || request_by(&*store.open(&possession, None)?));
        let recover = Recover {
            attempt: pending.attempt,
            nonce: pending.nonce.clone(),
            instance_key: self.instance_key.public,
            certificate_request: request.await?.1,
        };
        let ask = self.proved(Ask::post(RECOVER_PATH, &recover), None).await?;
        let attempt = Attempt {
            id: pending.attempt,
            nonce: &pending.nonce,
            user: pending.user,
            instance_key: &self.instance_key.public,
            possession: &pending.possession.public,
        };
        let enrolled = self.gateway.ask(ask).await?;
        Ok(Done {
            enrollment: VerifiedEnrollment::check(enrolled, &self.pinned, attempt, (self.now)())?,
            login: pending.login.clone(),
            possession: pending.possession.clone(),
            verification: pending.verification.clone(),
            activated: None,
            notes: Vec::new(),
        })
    }

    /// What is kept of an attempt before its last step.
    pub(super) fn pending(&self, begun: &Begun, made: &Made) -> Pending {
        Pending {
            attempt: begun.attempt,
            nonce: begun.nonce.clone(),
            user: begun.user,
            login: begun.login.clone(),
            possession: made.possession.clone(),
            verification: made.verification.clone(),
            until: (self.now)().plus(Duration::from_secs(begun.expires_in).saturating_add(LEEWAY)),
        }
    }
}

/// How far the gateway's clock may be behind.
const LEEWAY: Duration = Duration::from_secs(60);
