//! What did the gateway write down about a request, and when?

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::process::until;

/// The decision log of one gateway.
#[derive(Debug, Clone)]
pub struct DecisionLog(PathBuf);

impl DecisionLog {
    /// The log in this file, which need not exist yet.
    pub fn at(file: &Path) -> Self {
        Self(file.to_owned())
    }

    /// Every line written so far.
    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            .collect()
    }

    /// The first line that fits, within the time that the gateway promises and a little for this machine.
    pub fn line(&self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut found = None;
        until(PROMISED + ALLOWANCE, || {
            found = self.lines().into_iter().find(&fits);
            found.is_some()
        });
        found
    }

    /// The line about a path of an application.
    pub fn about(&self, app: &str, path: &str) -> Option<Value> {
        self.line(|line| line["app"] == app && line["path"] == path)
    }
}

/// A line is in the file within this time of the decision.
const PROMISED: Duration = Duration::from_millis(100);
/// What a machine busy with other tests may take longer.
const ALLOWANCE: Duration = Duration::from_millis(400);
