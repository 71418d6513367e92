//! How does a person sign in by mail? They ask for a letter, then bring its code or open its link.

use askama::Template;

use super::sign_in::{Application, leading_to};
use super::{Page, Policy, Shell};

/// Offers to send a letter: `POST /sign-in/email/send` with `state`. Looking at it sends nothing.
#[derive(Template)]
#[template(path = "email_start.html")]
pub(crate) struct EmailStart<'a> {
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
    /// How long nothing is sent, in seconds.
    pub(crate) wait: Option<u64>,
}

/// Asks for the code in the letter: `POST /sign-in/email` with `state` and `code`. It says nothing of whether one was sent.
#[derive(Template)]
#[template(path = "email_code.html")]
pub(crate) struct EmailCode<'a> {
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
    /// Back to [`EmailStart`].
    pub(crate) again: &'a str,
    /// The other ways, where there are some.
    pub(crate) other: Option<&'a str>,
    /// What was not right.
    pub(crate) error: Option<&'a str>,
    /// How long nothing is taken, in seconds.
    pub(crate) wait: Option<u64>,
}

/// What the link in the letter opens: `POST /sign-in/email/link` with `token`. Looking at it uses nothing up.
#[derive(Template)]
#[template(path = "email_link.html")]
pub(crate) struct EmailLink<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Where this leads.
    pub(crate) application: Option<Application<'a>>,
    /// The link's token.
    pub(crate) token: &'a str,
    /// Who is signed in by it.
    pub(crate) username: &'a str,
}

/// What the link opens in any other browser, or later.
#[derive(Template)]
#[template(path = "email_elsewhere.html")]
pub(crate) struct EmailElsewhere<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
}

impl Page for EmailStart<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        leading_to(self.application)
    }
}

impl Page for EmailCode<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        leading_to(self.application)
    }
}

impl Page for EmailLink<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        leading_to(self.application)
    }
}

impl Page for EmailElsewhere<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}
