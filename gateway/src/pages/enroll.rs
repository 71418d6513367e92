//! How does somebody add the device at which they sit? A page that names each step, and one that says how to begin.

use askama::Template;
use serde::Serialize;

use super::texts::{EnrollTexts, Texts};
use super::{Page, Policy, Shell, script_data};

/// Adds the device whose agent opened this page.
#[derive(Template)]
#[template(path = "enroll_device.html")]
pub(crate) struct EnrollDevice<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// Who is signed in.
    pub(crate) user: &'a str,
    /// Signs in anew, as somebody else.
    pub(crate) another_account: &'a str,
    /// What the device might be called.
    pub(crate) name: &'a str,
    /// How the page finds the waiting agent.
    pub(crate) search: EnrollSearch<'a>,
}

/// Says how to begin, to somebody whose browser was not opened by an agent.
#[derive(Template)]
#[template(path = "enroll_start.html")]
pub(crate) struct EnrollStart<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// The auth host's origin.
    pub(crate) gateway: &'a str,
}

/// How a page finds the agent that waits to enrol.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnrollSearch<'a> {
    /// The transaction.
    pub(crate) state: &'a str,
    /// The thumbprint of the key of the instance that opened the browser.
    pub(crate) key: &'a str,
    /// The ports on which agents listen, in this order.
    pub(crate) ports: &'a [u16],
    /// How long one port may take to say that an agent is there.
    pub(crate) probe_timeout_ms: u64,
    /// How long the agent may take in all, the person's part included.
    pub(crate) answer_timeout_ms: u64,
    /// Where the page gets the question.
    pub(crate) challenge_url: &'a str,
    /// Where the page gets the token for the answer.
    pub(crate) token_url: &'a str,
    /// Where the page leads in the end; `?enrolled=` and the device's name are added.
    pub(crate) done_url: &'a str,
}

impl EnrollSearch<'_> {
    /// What the script is told.
    fn data(&self, texts: &'static Texts) -> String {
        #[derive(Serialize)]
        struct Data<'a> {
            #[serde(flatten)]
            search: &'a EnrollSearch<'a>,
            texts: &'static EnrollTexts,
        }
        script_data(&Data {
            search: self,
            texts: &texts.enroll,
        })
    }
}

impl Page for EnrollDevice<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy {
            ports: self.search.ports,
            ..Policy::default()
        }
    }
}

impl Page for EnrollStart<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy::default()
    }
}
