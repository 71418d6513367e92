//! Why is my device not found? A page that tries the way to the agent and says what blocks it.

use askama::Template;
use serde::Serialize;

use super::texts::DeviceTestTexts;
use super::{Page, Policy, Shell, script_data};

/// Tests the way from the browser to the agent.
#[derive(Template)]
#[template(path = "device_test.html")]
pub(crate) struct DeviceTest<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// The ports on which agents listen, in this order.
    pub(crate) ports: &'a [u16],
    /// How long one port may take to say that an agent is there.
    pub(crate) probe_timeout_ms: u64,
}

impl DeviceTest<'_> {
    /// What the script is told.
    fn data(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Data<'a> {
            ports: &'a [u16],
            probe_timeout_ms: u64,
            texts: &'static DeviceTestTexts,
        }
        script_data(&Data {
            ports: self.ports,
            probe_timeout_ms: self.probe_timeout_ms,
            texts: &self.shell.texts.device_test,
        })
    }
}

impl Page for DeviceTest<'_> {
    fn shell(&self) -> &Shell<'_> {
        &self.shell
    }

    fn policy(&self) -> Policy<'_> {
        Policy {
            ports: self.ports,
            ..Policy::default()
        }
    }
}
