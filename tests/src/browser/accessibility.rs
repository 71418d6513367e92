//! What keeps people from using a page who do not see, hear or point as others do? axe-core looks for it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Browser;

impl Browser {
    /// The faults of the page that axe-core calls serious or critical, each with where it is.
    pub fn accessibility_faults(&self) -> Vec<String> {
        self.evaluate(&library());
        let found = self.evaluate("axe.run(document, { resultTypes: ['violations'], preload: false })");
        let violations = found["violations"].as_array().expect("axe-core's findings");
        let grave = violations
            .iter()
            .filter(|violation| GRAVE.iter().any(|impact| violation["impact"] == *impact));
        grave.map(describe).collect()
    }

    /// Evaluates an expression on the page past its CSP, and waits for what it promises.
    fn evaluate(&self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.cdp("Runtime.evaluate", &parameters);
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{thrown}");
        answer["result"]["value"].clone()
    }
}

fn describe(violation: &Value) -> String {
    let text = |name: &str| violation[name].as_str().unwrap_or_default();
    let nodes = violation["nodes"].as_array().into_iter().flatten();
    let places: Vec<String> = nodes.map(|node| node["target"].to_string()).collect();
    let (impact, rule, help) = (text("impact"), text("id"), text("help"));
    format!("{impact}: {help} ({rule}) at {}", places.join(", "))
}

/// axe-core's script, which `scripts/install test` fetched.
fn library() -> String {
    let file = target().join("axe-core/axe.min.js");
    let script = std::fs::read_to_string(&file);
    // The script's own value is a function that cannot be returned.
    let script = script.unwrap_or_else(|error| panic!("{}: {error}: run scripts/fetch-axe first", file.display()));
    format!("{script}\n;0")
}

/// Where everything built is.
pub(crate) fn target() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

const GRAVE: &[&str] = &["serious", "critical"];
