//! How does a person say who they are, and prove it? One page for each step, the same for every username.

use askama::Template;
use serde::Serialize;

use super::texts::{DeviceTexts, Texts};
use super::webauthn::KeySearch;
use super::{Notice, Page, Policy, Shell, script_data};

/// The application that somebody is on the way to.
#[derive(Clone, Copy)]
pub(crate) struct Application<'a> {
    /// Its name, for people.
    pub(crate) name: &'a str,
    /// Its origin, to which signing in leads back.
    pub(crate) origin: &'a str,
}

impl Application<'_> {
    /// What its tile shows.
    pub(super) fn letter(&self) -> String {
        self.name.chars().take(1).flat_map(char::to_uppercase).collect()
    }
}

/// Asks for the username: `POST /sign-in/user` with `state` and `username`.
#[derive(Template)]
#[template(path = "identify.html")]
pub(crate) struct Identify<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Where this leads.
    pub(crate) application: Option<Application<'a>>,
    /// The transaction.
    pub(crate) state: &'a str,
    /// The username that is filled in.
    pub(crate) username: Option<&'a str>,
    /// Why one is here.
    pub(crate) notice: Option<Notice<'a>>,
    /// What was not right about the username.
    pub(crate) error: Option<&'a str>,
    /// Looks for a device meanwhile, without asking anybody anything.
    pub(crate) search: Option<DeviceSearch<'a>>,
    /// Offers the passkeys that the browser knows, beside the username.
    pub(crate) passkeys: Option<KeySearch<'a>>,
}

/// Offers the ways to sign in that could satisfy the application; the same for every username.
#[derive(Template)]
#[template(path = "methods.html")]
pub(crate) struct Methods<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Where this leads.
    pub(crate) application: Option<Application<'a>>,
    /// The username as it was typed.
    pub(crate) username: &'a str,
    /// Back to [`Identify`].
    pub(crate) change: &'a str,
    /// What did not work before.
    pub(crate) notice: Option<Notice<'a>>,
    /// The ways, the first one first.
    pub(crate) offers: Vec<Offer<'a>>,
}

/// A way to sign in.
pub(crate) struct Offer<'a> {
    /// Which: `device`, `password`, `totp`, `email`, `recovery`; others get a plain picture.
    pub(crate) id: &'a str,
    /// What it is called.
    pub(crate) title: &'a str,
    /// What it takes.
    pub(crate) hint: &'a str,
    /// Where it begins.
    pub(crate) href: &'a str,
}

/// Asks for the password: `POST /sign-in/password` with `state`, `username` and `password`.
#[derive(Template)]
#[template(path = "password.html")]
pub(crate) struct PasswordPage<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Where this leads.
    pub(crate) application: Option<Application<'a>>,
    /// The transaction.
    pub(crate) state: &'a str,
    /// The username as it was typed.
    pub(crate) username: &'a str,
    /// Back to [`Identify`].
    pub(crate) change: &'a str,
    /// The other ways, where there are some.
    pub(crate) other: Option<&'a str>,
    /// What was not right.
    pub(crate) error: Option<&'a str>,
    /// How long nothing is taken, in seconds.
    pub(crate) wait: Option<u64>,
}

/// Asks for a code of an authenticator: `POST /sign-in/totp` with `state` and `code`.
#[derive(Template)]
#[template(path = "code.html")]
pub(crate) struct CodePage<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Where this leads.
    pub(crate) application: Option<Application<'a>>,
    /// The transaction.
    pub(crate) state: &'a str,
    /// The username as it was typed.
    pub(crate) username: &'a str,
    /// Back to [`Identify`].
    pub(crate) change: &'a str,
    /// The other ways, where there are some.
    pub(crate) other: Option<&'a str>,
    /// What was not right.
    pub(crate) error: Option<&'a str>,
    /// How long nothing is taken, in seconds.
    pub(crate) wait: Option<u64>,
}

/// Asks the device on which the browser runs.
#[derive(Template)]
#[template(path = "device.html")]
pub(crate) struct DevicePage<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Where this leads.
    pub(crate) application: Option<Application<'a>>,
    /// The username as it was typed, where one was.
    pub(crate) username: Option<&'a str>,
    /// Back to [`Identify`].
    pub(crate) change: &'a str,
    /// The other ways, where there are some.
    pub(crate) other: Option<&'a str>,
    /// How the device is asked.
    pub(crate) search: DeviceSearch<'a>,
}

/// How a page asks the device on which the browser runs.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceSearch<'a> {
    /// The transaction.
    pub(crate) state: &'a str,
    /// The ports on which agents listen, in this order.
    pub(crate) ports: &'a [u16],
    /// How long one port may take to say that an agent is there.
    pub(crate) probe_timeout_ms: u64,
    /// How long the person may take to confirm.
    pub(crate) answer_timeout_ms: u64,
    /// Where the page gets the question.
    pub(crate) challenge_url: &'a str,
    /// Where the page says that it was answered.
    pub(crate) finish_url: &'a str,
    /// Whether nobody is to be asked anything, and failing is not worth a word.
    pub(crate) silent: bool,
    /// Whether the page asks for a PIN or fingerprint: what a second factor takes.
    pub(crate) verify: bool,
    /// The user's login, as it was typed.
    pub(crate) login_hint: Option<&'a str>,
}

impl DeviceSearch<'_> {
    /// What the script is told.
    fn data(&self, texts: &'static Texts) -> String {
        #[derive(Serialize)]
        struct Data<'a> {
            #[serde(flatten)]
            search: &'a DeviceSearch<'a>,
            texts: &'static DeviceTexts,
        }
        script_data(&Data {
            search: self,
            texts: &texts.device,
        })
    }
}

impl Page for Identify<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy {
            ports: self.search.map_or(&[], |search| search.ports),
            ..leading_to(self.application)
        }
    }
}

impl Page for Methods<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        leading_to(self.application)
    }
}

impl Page for PasswordPage<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        leading_to(self.application)
    }
}

impl Page for CodePage<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        leading_to(self.application)
    }
}

impl Page for DevicePage<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy {
            ports: self.search.ports,
            ..leading_to(self.application)
        }
    }
}

pub(super) fn leading_to(application: Option<Application<'_>>) -> Policy<'_> {
    Policy {
        application: application.map(|application| application.origin),
        ..Policy::default()
    }
}
