//! What does the organisation ask of FastPass? One record; the organisation's id never changes.

use serde::{Deserialize, Serialize};

use crate::{OrganizationId, Revision};

/// The organisation, and what it asks of FastPass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Which organisation this is; devices pin it.
    pub organization: OrganizationId,
    /// What it asks of FastPass.
    pub fastpass: FastPassSettings,
    /// The revision in which the record last changed.
    pub version: Revision,
}

/// What the organisation asks of FastPass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FastPassSettings {
    /// Whether devices can sign in with it, and enrol for it.
    pub enabled: bool,
    /// Where keys have to live.
    pub key_protection: KeyProtection,
    /// Whether a user-verification key has to be enrolled.
    pub user_verification: UserVerification,
    /// When a push asks for a number to match.
    pub number_challenge: NumberChallenge,
}

impl Default for FastPassSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            key_protection: KeyProtection::Any,
            user_verification: UserVerification::Preferred,
            number_challenge: NumberChallenge::Always,
        }
    }
}

/// Where keys have to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyProtection {
    /// Anywhere.
    Any,
    /// In hardware, and that is proved.
    Hardware,
}

/// Whether a user-verification key has to be enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserVerification {
    /// Where the user chooses so.
    Preferred,
    /// Always.
    Required,
}

/// When a push asks for a number to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum NumberChallenge {
    Always,
    HighRiskOnly,
    Never,
}

crate::words::serde_words!(KeyProtection, "a key protection", { Any = "ANY", Hardware = "HARDWARE" });

crate::words::serde_words!(UserVerification, "a user verification", {
    Preferred = "PREFERRED",
    Required = "REQUIRED",
});

crate::words::serde_words!(NumberChallenge, "a number challenge", {
    Always = "ALWAYS",
    HighRiskOnly = "HIGH_RISK_ONLY",
    Never = "NEVER",
});
