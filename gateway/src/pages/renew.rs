//! How does a page of an application renew the device's proof without losing its place? Through a frame without content.

use askama::Template;
use serde::Serialize;

use super::{Page, Policy, Shell, script_data};

/// Takes a question from the one application that may frame it, asks the agent, and says how that went.
#[derive(Template)]
#[template(path = "renew_frame.html")]
pub(crate) struct RenewFrame<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// The origin of the application: one of the configured ones, never as it came.
    pub(crate) application: &'a str,
    /// The ports on which agents listen, in this order.
    pub(crate) ports: &'a [u16],
    /// How long one port may take to say that an agent is there.
    pub(crate) probe_timeout_ms: u64,
    /// How long the agent may take; nobody is asked.
    pub(crate) answer_timeout_ms: u64,
}

impl RenewFrame<'_> {
    /// What the script is told.
    fn data(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Data<'a> {
            application: &'a str,
            ports: &'a [u16],
            probe_timeout_ms: u64,
            answer_timeout_ms: u64,
        }
        script_data(&Data {
            application: self.application,
            ports: self.ports,
            probe_timeout_ms: self.probe_timeout_ms,
            answer_timeout_ms: self.answer_timeout_ms,
        })
    }
}

impl Page for RenewFrame<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy {
            ports: self.ports,
            framed_by: Some(self.application),
            ..Policy::default()
        }
    }
}
