//! What is kept of a security key or passkey? Enough to verify with it, to tell a copy, and for its user to know it again.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{AuthenticatorId, Fingerprint, Timestamp, UserId};

/// A WebAuthn credential: a security key, or a passkey on a phone or computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct WebauthnKey {
    /// What its user calls it.
    pub name: String,
    /// How it is found; no two of the organisation are the same.
    pub credential: CredentialId,
    /// The public key, as whoever verifies with it writes it.
    pub public_key: String,
    /// How often it signed, as it says itself; 0 where it does not count.
    pub counter: u32,
    /// Whether it may be copied to other devices of its user; it never changes.
    pub backup_eligible: bool,
    /// Whether it was, when it was last used.
    pub backed_up: bool,
    /// The model, where it says one, in hexadecimal with dashes: its own word unless it is attested.
    #[serde(default)]
    pub model: Option<String>,
    /// The root that vouched for the hardware of this model when the key was registered, where one did.
    #[serde(default)]
    pub attested_by: Option<Fingerprint>,
    /// Whether it finds its user by itself, without their username, as the browser said.
    #[serde(default)]
    pub discoverable: bool,
    /// Whether it has ever verified its user, with PIN or biometric.
    #[serde(default)]
    pub verifies: bool,
    /// How browsers reach it: a hint for them, and nothing else.
    #[serde(default)]
    pub transports: BTreeSet<String>,
    /// When it was last used, to within some minutes where it does not count.
    #[serde(default)]
    pub last_used: Option<Timestamp>,
}

/// Names a WebAuthn credential: up to 1023 octets that its authenticator chose.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CredentialId(Vec<u8>);

/// Says why octets or a text name no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a credential's id: 1 to 1023 octets in base64url without padding")]
pub struct BadCredentialId;

/// A user gets a WebAuthn credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWebauthn {
    /// A new id.
    pub id: AuthenticatorId,
    /// Whose it is.
    pub user: UserId,
    /// What is kept of it.
    pub key: WebauthnKey,
}

/// A WebAuthn credential was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebauthnUse {
    /// Which one.
    pub authenticator: AuthenticatorId,
    /// What it says it has counted.
    pub counter: u32,
    /// Whether it says that it is backed up.
    pub backed_up: bool,
    /// Whether it verified its user.
    pub verified: bool,
}

impl WebauthnKey {
    /// Whether this count can follow on the last one: it goes up, or neither counts. Else somebody may have a copy.
    pub fn can_count(&self, counter: u32) -> bool {
        counter > self.counter || (counter == 0 && self.counter == 0)
    }
}

impl CredentialId {
    /// Takes what an authenticator says.
    ///
    /// # Errors
    ///
    /// Refuses none and too many octets.
    pub fn from_octets(octets: Vec<u8>) -> Result<Self, BadCredentialId> {
        match octets.len() {
            1..=MOST_OCTETS => Ok(Self(octets)),
            _ => Err(BadCredentialId),
        }
    }

    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for CredentialId {
    type Err = BadCredentialId;

    fn from_str(text: &str) -> Result<Self, BadCredentialId> {
        let octets = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCredentialId)?;
        Self::from_octets(octets)
    }
}

impl TryFrom<String> for CredentialId {
    type Error = BadCredentialId;

    fn try_from(text: String) -> Result<Self, BadCredentialId> {
        text.parse()
    }
}

impl From<CredentialId> for String {
    fn from(id: CredentialId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl fmt::Debug for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const MOST_OCTETS: usize = 1023;
