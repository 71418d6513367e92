//! What does *Your account* show of sessions, and of what happened?

use askama::Template;

use super::{Moment, Notice, Page, Policy, Section, Shell};

/// Where somebody is signed in.
#[derive(Template)]
#[template(path = "account_sessions.html")]
pub(crate) struct SessionsPage<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// What the page's forms take as `state`.
    pub(crate) state: &'a str,
    /// What has just happened.
    pub(crate) notice: Option<Notice<'a>>,
    /// The sessions, the one that looks first.
    pub(crate) sessions: Vec<SessionLine>,
}

/// A session in a list.
pub(crate) struct SessionLine {
    /// Its id.
    pub(crate) id: String,
    /// What the browser called itself.
    pub(crate) browser: String,
    /// From where it began.
    pub(crate) address: String,
    /// When it began.
    pub(crate) since: Moment,
    /// When it was used last.
    pub(crate) seen: Moment,
    /// What was proved for it.
    pub(crate) factors: String,
    /// Whether it is the one that looks.
    pub(crate) here: bool,
}

/// What happened lately.
#[derive(Template)]
#[template(path = "account_activity.html")]
pub(crate) struct ActivityPage<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// The events, the newest first.
    pub(crate) lines: Vec<ActivityLine>,
}

/// Something that happened.
pub(crate) struct ActivityLine {
    /// When.
    pub(crate) at: Moment,
    /// What.
    pub(crate) what: &'static str,
    /// With what: the factor, the device; may be empty.
    pub(crate) detail: String,
    /// By whom, where it was not the user.
    pub(crate) by: Option<&'static str>,
    /// From where.
    pub(crate) address: Option<String>,
    /// Whether it came to nothing.
    pub(crate) failed: bool,
}

impl SessionsPage<'_> {
    const SECTION: Section = Section::Sessions;
}

impl ActivityPage<'_> {
    const SECTION: Section = Section::Activity;
}

impl Page for SessionsPage<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}

impl Page for ActivityPage<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}
