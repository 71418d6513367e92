//! How does a person use a security key or passkey, and add one?

use askama::Template;
use serde::Serialize;

use super::sign_in::{Application, leading_to};
use super::texts::{Texts, WebauthnTexts};
use super::{Page, Policy, Shell, script_data};

/// Asks for a security key or passkey.
#[derive(Template)]
#[template(path = "webauthn.html")]
pub(crate) struct KeyPage<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Where this leads.
    pub(crate) application: Option<Application<'a>>,
    /// The username as it was typed, where one was.
    pub(crate) username: Option<&'a str>,
    /// Back to the username.
    pub(crate) change: &'a str,
    /// The other ways, where there are some.
    pub(crate) other: Option<&'a str>,
    /// How the key is asked.
    pub(crate) search: KeySearch<'a>,
}

/// Adds a security key or passkey.
#[derive(Template)]
#[template(path = "webauthn_add.html")]
pub(crate) struct AddKey<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Who is signed in.
    pub(crate) user: &'a str,
    /// Back to what one signs in with.
    pub(crate) back: &'a str,
    /// Where it leads in the end.
    pub(crate) done: &'a str,
    /// How the key is asked.
    pub(crate) search: KeySearch<'a>,
}

/// How a page asks a security key or passkey.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeySearch<'a> {
    /// The transaction.
    pub(crate) state: &'a str,
    /// Where the page gets the question.
    pub(crate) options_url: &'a str,
    /// Where it brings the answer.
    pub(crate) finish_url: &'a str,
    /// Whether the browser only offers passkeys beside the username, and failing is not worth a word.
    pub(crate) quiet: bool,
}

impl KeySearch<'_> {
    /// What the script is told.
    pub(super) fn data(&self, texts: &'static Texts) -> String {
        #[derive(Serialize)]
        struct Data<'a> {
            #[serde(flatten)]
            search: &'a KeySearch<'a>,
            texts: &'static WebauthnTexts,
        }
        script_data(&Data {
            search: self,
            texts: &texts.webauthn,
        })
    }
}

impl Page for KeyPage<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        leading_to(self.application)
    }
}

impl Page for AddKey<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}
