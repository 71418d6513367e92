//! Is all that the gateway needs as it should be? Looked at from outside, with the gateway running or not; nothing is changed.

mod certificates;
mod clock;
mod database;
mod files;
mod others;
mod ports;
mod upstreams;

use std::path::Path;

use serde::Serialize;

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::load::{load, load_policies};
use crate::logs::Chain;

/// What was found out about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at, in a word.
    pub(crate) check: &'static str,
    /// How it stands.
    pub(crate) status: Status,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// As it should be.
    Ok,
    /// It works, but something is not as it should be, or will not work for long.
    Warn,
    /// It does not work.
    Fail,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            status: Status::Ok,
            found: found.into(),
            advice: None,
        }
    }

    fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            check,
            status: Status::Warn,
            found: found.into(),
            advice: Some(advice.into()),
        }
    }

    fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            status: Status::Fail,
            ..Self::warn(check, found, advice)
        }
    }
}

/// Looks at everything that a configuration names.
pub(crate) async fn examine(file: &Path) -> Vec<Finding> {
    let config = match config::load(file) {
        Ok(config) => config,
        Err(error) => {
            let advice = "correct the lines named; nothing else was looked at";
            return vec![Finding::fail("configuration", Chain(&error).to_string(), advice)];
        }
    };
    let now = Clock::start().now();
    let running = ports::running(&config);
    let mut findings = vec![
        Finding::ok("configuration", format!("{} can be read", file.display())),
        policies(&config),
    ];
    let loaded = load(file, now);
    findings.push(match &loaded {
        Ok(_) => Finding::ok(
            "names",
            "every host has a server certificate, every file that is named is fit",
        ),
        Err(error) => Finding::fail("names", Chain(error).to_string(), "a start would be refused for this"),
    });
    let (database, newest) = database::examine(&config).await;
    findings.push(clock::examine(now, newest).await);
    findings.extend(files::examine(&config));
    findings.extend(database);
    findings.extend(certificates::examine(&config, now));
    findings.extend(ports::examine(&config, running).await);
    findings.push(ports::open_files(running));
    match loaded {
        Ok(loaded) => {
            findings.extend(upstreams::examine(&loaded.setup).await);
            findings.extend(others::mail(&loaded.setup).await);
        }
        Err(_) => findings.push(Finding::warn(
            "upstreams",
            "not tried, since what is needed for it is not fit",
            "mend that first",
        )),
    }
    findings.extend(others::collector(&config).await);
    findings
}

fn policies(config: &Config) -> Finding {
    let folder = config.policies.display();
    match load_policies(&config.policies) {
        Ok(_) => Finding::ok("policies", format!("{folder}: valid")),
        Err(error) => Finding::fail(
            "policies",
            Chain(&error).to_string(),
            format!("`latchkey policy check {folder}` draws what is wrong"),
        ),
    }
}
