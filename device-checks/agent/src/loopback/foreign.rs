//! What if a page of another origin hands on a true challenge? Nothing is signed for it but the word to the gateway that this
//! happened, and where.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use device_checks::loopback::ChallengeRequest;
use device_checks::{KeyType, Outcome};

use super::authenticator::{Authenticator, Unanswered, choose};
use crate::challenge::VerifiedChallenge;
use crate::cli::error::chain;
use crate::report::{self, Facts, Said};

impl Authenticator {
    /// Tells the gateway that this origin tried, if it tried with a challenge of now that is right but for that.
    pub(super) async fn report_foreign(self: Arc<Self>, origin: String, body: Bytes) {
        if let Err(error) = self.tell(&origin, &body).await {
            tracing::debug!(origin, %error, "what a page of another origin tried was not reported");
        }
    }

    async fn tell(&self, origin: &str, body: &[u8]) -> Result<(), Unanswered> {
        let known = self.known()?;
        let pinned = &known.installation.state.gateway;
        let ChallengeRequest { challenge_request } = serde_json::from_slice(body).map_err(|_| Unanswered::NotOne)?;
        let challenge = VerifiedChallenge::check(&challenge_request, pinned, &pinned.issuer, self.now())?;
        let asked = challenge.asked();
        let account = choose(&known.installation.state, asked)?;
        if !self.may_warn() {
            return Ok(());
        }
        tracing::warn!(
            origin,
            "a page of another origin asked for a sign-in: refused, and told to the gateway"
        );
        let failed = |error: &(dyn std::error::Error + 'static)| Unanswered::Failed(chain(error));
        let key = known.possession(account).await.map_err(|error| failed(&error))?;
        let said = Said {
            key_type: KeyType::ProofOfPossession,
            amr: key.amr.clone(),
            origin: origin.to_owned(),
            outcome: Outcome::ForeignOrigin,
        };
        let claims = said.about(account, asked, &Facts::default(), self.now());
        let answer = report::sign(key.key, claims).await.map_err(|error| failed(&error))?;
        self.deliver(&known, asked, answer).await
    }

    /// At most one in a while: pages cannot have the gateway flooded.
    fn may_warn(&self) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let may = warned.is_none_or(|at| at.elapsed() >= INTERVAL);
        if may {
            *warned = Some(Instant::now());
        }
        may
    }
}

const INTERVAL: Duration = Duration::from_secs(1);
