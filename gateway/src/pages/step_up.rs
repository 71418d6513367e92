//! What does somebody see who is signed in, but not well enough? What the application asks for, and what would do.

use askama::Template;

use super::sign_in::{Application, Offer};
use super::{Page, PageReason, Policy, Shell};

/// Says what the application asks for beyond how one is signed in, and offers what would do.
#[derive(Template)]
#[template(path = "step_up.html")]
pub(crate) struct StepUp<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// The application.
    pub(crate) application: Application<'a>,
    /// Who is signed in.
    pub(crate) user: &'a str,
    /// What the policies say.
    pub(crate) reasons: &'a [PageReason<'a>],
    /// What would do.
    pub(crate) offers: Vec<Offer<'a>>,
    /// Signs in anew, as somebody else.
    pub(crate) another_account: &'a str,
}

/// Says why nothing that the user has opens the application.
#[derive(Template)]
#[template(path = "nothing_helps.html")]
pub(crate) struct NothingHelps<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// The application.
    pub(crate) application: Application<'a>,
    /// Who is signed in.
    pub(crate) user: &'a str,
    /// What the policies say, and what to do.
    pub(crate) reasons: &'a [PageReason<'a>],
    /// Asks the application again, once something has changed.
    pub(crate) again: &'a str,
    /// Signs in anew, as somebody else.
    pub(crate) another_account: &'a str,
    /// What `POST /sign-out` takes as `state`.
    pub(crate) state: &'a str,
}

/// Says that a page was left open for too long, or was used already.
#[derive(Template)]
#[template(path = "expired.html")]
pub(crate) struct Expired<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Where to begin anew.
    pub(crate) start: &'a str,
}

impl Page for StepUp<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy {
            application: Some(self.application.origin),
            ..Policy::default()
        }
    }
}

impl Page for NothingHelps<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}

impl Page for Expired<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}
