//! What does one step of a sign-in know of those before? Sealed in the page, bound to the browser, over after a while.

use std::time::Duration;

use directory::{KeyThumbprint, SecretHash, Timestamp};
use serde::{Deserialize, Serialize};

use super::under_way::PartialId;
use crate::auth::manage::AccountPage;
use crate::auth::transaction::Transaction;
use crate::sealed::{BadSeal, Purpose, Seal};

/// What a sign-in is for, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Where it leads.
    pub(crate) goal: Goal,
    /// The hash of the browser's cookie.
    pub(super) browser: SecretHash,
    /// The username as it was typed.
    pub(crate) username: Option<String>,
    /// What was proved so far, where that is not enough for a session to begin.
    pub(crate) partial: Option<PartialId>,
    /// Whether an authenticator answered the browser, as far as one was looked for: the browser's word.
    pub(crate) installed: Option<bool>,
    /// Whether whoever is signed in makes way for somebody else.
    #[serde(default)]
    pub(crate) another: bool,
    pub(super) begun: Timestamp,
}

/// Where a sign-in leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// Back to an application.
    Application(Transaction),
    /// To one's own page on the auth host.
    Home,
    /// To adding a device: whose agent has this key, where it opened the browser.
    Device(Option<KeyThumbprint>),
    /// To a page of one's own account, as well proved as it takes.
    Account(AccountPage),
}

impl State {
    /// The first step, in this browser.
    pub(crate) fn new(goal: Goal, browser: SecretHash, now: Timestamp) -> Self {
        Self {
            goal,
            browser,
            username: None,
            partial: None,
            installed: None,
            another: false,
            begun: now,
        }
    }

    /// For a page to carry.
    pub(crate) fn seal(&self, seal: &Seal) -> String {
        seal.seal(Purpose::SignIn, self).unwrap_or_default()
    }

    /// What a page carried.
    ///
    /// # Errors
    /// If it was not sealed here, is over, or was begun in another browser.
    pub(crate) fn open(seal: &Seal, sealed: &str, browser: SecretHash, now: Timestamp) -> Result<Self, BadSeal> {
        let state: Self = seal.open(Purpose::SignIn, sealed)?;
        let over = state.begun.plus(PATIENCE) <= now;
        if over || state.browser != browser {
            return Err(BadSeal);
        }
        Ok(state)
    }

    /// The application it leads to, if it does.
    pub(crate) fn transaction(&self) -> Option<&Transaction> {
        match &self.goal {
            Goal::Application(transaction) => Some(transaction),
            Goal::Home | Goal::Device(_) | Goal::Account(_) => None,
        }
    }
}

/// How long a page can be left open.
const PATIENCE: Duration = Duration::from_mins(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_goes_on_in_its_browser_for_a_while() {
        let (seal, now) = (Seal::new(&[1; 32]), Timestamp::from_secs(1_795_000_000));
        let (own, other) = (SecretHash::of("own"), SecretHash::of("other"));
        let state = State::new(Goal::Home, own, now);
        let sealed = state.seal(&seal);

        assert_eq!(State::open(&seal, &sealed, own, now), Ok(state));
        assert_eq!(State::open(&seal, &sealed, other, now), Err(BadSeal));
        assert_eq!(State::open(&seal, &sealed, own, now.plus(PATIENCE)), Err(BadSeal));
    }
}
