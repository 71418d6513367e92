//! What is kept of an enrolment until it is known what became of it?

use device_checks::wire::{AttemptId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::Verification;
use crate::keys::StoredKey;

/// An enrolment that was asked for and not answered yet: its keys are kept until it is known what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its nonce.
    pub nonce: String,
    /// For whom.
    pub user: UserId,
    /// Their login.
    pub login: String,
    /// The key that signs without asking.
    pub possession: StoredKey,
    /// The key that signs after the user was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// From when on the gateway enrols it no more.
    pub until: Timestamp,
}
