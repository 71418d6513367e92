//! What did a browser send, with which fields and bodies?

use serde_json::{Value, json};

use super::Browser;

/// A request of one of a browser's pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its method.
    pub method: String,
    /// Where it went.
    pub url: String,
    /// Its body, if it had one that is text.
    pub body: String,
}

impl Browser {
    /// What its pages sent since the last time, in a browser that was set up to record that.
    pub fn sent(&self) -> Vec<Sent> {
        let lines = self.driver.post("se/log", &json!({ "type": "performance" }));
        let lines = lines.unwrap_or_else(|error| panic!("what was sent is not recorded: {error}"));
        lines.as_array().unwrap().iter().filter_map(Sent::read).collect()
    }
}

impl Sent {
    fn read(line: &Value) -> Option<Self> {
        let event: Value = serde_json::from_str(line["message"].as_str()?).ok()?;
        let event = &event["message"];
        if event["method"] != "Network.requestWillBeSent" {
            return None;
        }
        let request = &event["params"]["request"];
        let field = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        Some(Self {
            method: field("method"),
            url: field("url"),
            body: field("postData"),
        })
    }
}
