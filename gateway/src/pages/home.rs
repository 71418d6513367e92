//! What does the auth host show to somebody who is signed in, and to somebody who has just signed out?

use askama::Template;
use directory::Platform;

use super::{Moment, Notice, Page, Policy, Section, Shell};

/// Who is signed in, with which devices and sessions.
#[derive(Template)]
#[template(path = "home.html")]
pub(crate) struct Home<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// What `POST /sign-out` and `POST /sign-out-everywhere` take as `state`.
    pub(crate) state: &'a str,
    /// The user's name or login.
    pub(crate) user: &'a str,
    /// When they signed in.
    pub(crate) since: Moment,
    /// What has just happened.
    pub(crate) notice: Option<Notice<'a>>,
    /// The devices that are enrolled for the user.
    pub(crate) devices: Vec<DeviceLine<'a>>,
    /// How many sessions the user has, this one included.
    pub(crate) sessions: usize,
}

/// A device in a list.
pub(crate) struct DeviceLine<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its platform.
    pub(crate) platform: Platform,
    /// Whether the company manages it; else it is registered only.
    pub(crate) managed: bool,
    /// Whether it may be used; else an administrator shut it out.
    pub(crate) active: bool,
    /// Whether this session was made by it.
    pub(crate) current: bool,
    /// Whether it has just been added.
    pub(crate) added: bool,
    /// When it last proved itself.
    pub(crate) last_proof: Option<Moment>,
}

impl Home<'_> {
    const SECTION: Section = Section::Overview;
}

impl DeviceLine<'_> {
    pub(super) fn platform_name(&self) -> &'static str {
        match self.platform {
            Platform::Macos => "macOS",
            Platform::Windows => "Windows",
            Platform::Linux => "Linux",
            Platform::Chromeos => "ChromeOS",
            Platform::Ios => "iOS",
            Platform::Android => "Android",
        }
    }

    pub(super) fn is_phone(&self) -> bool {
        matches!(self.platform, Platform::Ios | Platform::Android)
    }
}

/// Says that the session is over.
#[derive(Template)]
#[template(path = "signed_out.html")]
pub(crate) struct SignedOut<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Whether all the user's sessions are over, elsewhere too.
    pub(crate) everywhere: bool,
    /// Where to sign in again.
    pub(crate) sign_in: &'a str,
}

impl Page for Home<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}

impl Page for SignedOut<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}
