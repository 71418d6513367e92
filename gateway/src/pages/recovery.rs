//! How does a person use recovery codes, and get new ones?

use askama::Template;
use zeroize::Zeroizing;

use super::sign_in::{Application, leading_to};
use super::{Page, Policy, Shell};

/// Asks for a recovery code: `POST /sign-in/recovery` with `state` and `code`.
#[derive(Template)]
#[template(path = "recovery.html")]
pub(crate) struct RecoveryPage<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Where this leads.
    pub(crate) application: Option<Application<'a>>,
    /// The transaction.
    pub(crate) state: &'a str,
    /// The username as it was typed.
    pub(crate) username: &'a str,
    /// Back to the first question.
    pub(crate) change: &'a str,
    /// The other ways, where there are some.
    pub(crate) other: Option<&'a str>,
    /// What was not right.
    pub(crate) error: Option<&'a str>,
    /// How long nothing is taken, in seconds.
    pub(crate) wait: Option<u64>,
}

impl Page for RecoveryPage<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        leading_to(self.application)
    }
}

/// Offers to make recovery codes: `POST /account/recovery-codes` with `state`.
#[derive(Template)]
#[template(path = "account_recovery_codes.html")]
pub(crate) struct MakeRecoveryCodes<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// What the form takes as `state`.
    pub(crate) state: &'a str,
    /// How many codes are left that will no longer count.
    pub(crate) left: usize,
}

/// Shows recovery codes, once.
#[derive(Template)]
#[template(path = "account_recovery_codes_made.html")]
pub(crate) struct RecoveryCodes<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// The codes.
    pub(crate) codes: &'a [Zeroizing<String>],
}

impl Page for MakeRecoveryCodes<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}

impl Page for RecoveryCodes<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}
