//! What does somebody see who signs in with another device? That it will be asked, then the number to type there.

use askama::Template;

use super::sign_in::leading_to;
use super::{Application, Notice, Page, Policy, Shell};

/// Has other devices asked: `POST /sign-in/push` with `state`; the same for every username.
#[derive(Template)]
#[template(path = "push.html")]
pub(crate) struct PushPage<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Where this leads.
    pub(crate) application: Option<Application<'a>>,
    /// The transaction.
    pub(crate) state: &'a str,
    /// The username as it was typed.
    pub(crate) username: &'a str,
    /// Back to [`super::Identify`].
    pub(crate) change: &'a str,
    /// The other ways, where there are some.
    pub(crate) other: Option<&'a str>,
    /// What did not work before.
    pub(crate) notice: Option<Notice<'a>>,
}

/// Waits for an answer: `POST /sign-in/push/finish` with `state` and `push`.
#[derive(Template)]
#[template(path = "push_wait.html")]
pub(crate) struct PushWait<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Where this leads.
    pub(crate) application: Option<Application<'a>>,
    /// The transaction.
    pub(crate) state: &'a str,
    /// Which push.
    pub(crate) push: &'a str,
    /// The username as it was typed.
    pub(crate) username: &'a str,
    /// Back to [`super::Identify`].
    pub(crate) change: &'a str,
    /// Where it begins anew.
    pub(crate) other: &'a str,
    /// The number to type on the other device, where one has to match.
    pub(crate) number: Option<&'a str>,
    /// Where the script asks whether it goes on.
    pub(crate) status_url: &'a str,
    /// What did not work before.
    pub(crate) notice: Option<Notice<'a>>,
}

impl Page for PushPage<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        leading_to(self.application)
    }
}

impl Page for PushWait<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        leading_to(self.application)
    }
}
