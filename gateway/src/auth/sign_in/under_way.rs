//! What was proved in sign-ins that have not become sessions yet? In memory, for minutes, and only after something was proved.

use std::time::Duration;

use directory::{DeviceProof, FactorProof, SecretHash, UserId};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use super::enroll::EnrollmentChallenges;
use super::webauthn::Ceremonies;
use crate::auth::transaction::Codes;

/// Sign-ins that are under way.
pub(crate) struct UnderWay {
    /// The codes on their way to applications.
    pub(crate) codes: Codes,
    /// Agents that wait to enrol.
    pub(crate) enrollments: EnrollmentChallenges,
    /// Security keys that are asked.
    pub(crate) ceremonies: Ceremonies,
    partial: Cache<PartialId, Partial>,
}

/// Names what was proved so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct PartialId(u128);

/// What was proved so far, in one browser.
#[derive(Debug, Clone)]
pub(crate) struct Partial {
    /// By whom.
    pub(crate) user: UserId,
    /// What.
    pub(crate) proofs: Vec<FactorProof>,
    /// The device that is in use, where one proved it.
    pub(crate) device: Option<DeviceProof>,
    browser: SecretHash,
}

impl UnderWay {
    /// None yet.
    pub(crate) fn new() -> Self {
        let cache = Cache::builder()
            .max_capacity(MOST)
            .eviction_policy(EvictionPolicy::lru());
        Self {
            codes: Codes::new(),
            enrollments: EnrollmentChallenges::new(),
            ceremonies: Ceremonies::new(),
            partial: cache.time_to_live(PATIENCE).build(),
        }
    }

    /// Keeps what was proved.
    pub(crate) fn keep(
        &self,
        user: UserId,
        (proofs, device): (Vec<FactorProof>, Option<DeviceProof>),
        browser: SecretHash,
    ) -> PartialId {
        let id = PartialId(rand::random());
        let partial = Partial {
            user,
            proofs,
            device,
            browser,
        };
        self.partial.insert(id, partial);
        id
    }

    /// What was proved, in this browser.
    pub(crate) fn look(&self, id: PartialId, browser: SecretHash) -> Option<Partial> {
        self.partial.get(&id).filter(|partial| partial.browser == browser)
    }

    /// The same, once.
    pub(crate) fn take(&self, id: PartialId, browser: SecretHash) -> Option<Partial> {
        self.look(id, browser)?;
        self.partial.remove(&id)
    }
}

/// How long somebody may take for the next factor.
const PATIENCE: Duration = Duration::from_mins(10);

/// How many may wait; each takes a right password.
const MOST: u64 = 20_000;
