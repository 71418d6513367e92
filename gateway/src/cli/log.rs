//! What happened lately? The newest lines of the System Log, the newest last.

use clap::Args;
use directory::EventType;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::output::{Column, Output};
use super::times::{self, Since};

#[derive(Args)]
pub(super) struct Asked {
    /// Only what is newer: how long ago (24h), or a time (2026-11-23T04:47:00Z)
    #[arg(long, value_parser = Since::read)]
    since: Option<Since>,
    /// Only this type, such as device.lifecycle.deactivate
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<EventType>,
    /// Only lines with this text, such as a name or an id
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// At most so many lines, up to 1000
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

impl Asked {
    /// Shows it.
    pub(super) async fn run(self, client: Client) -> Result<(), CliError> {
        let given = [
            ("limit", Some(self.limit.to_string())),
            ("since", self.since.map(|since| since.moment(times::now()).to_string())),
            (
                "filter",
                self.event_type
                    .map(|event_type| format!("eventType eq {}", json!(event_type))),
            ),
            ("q", self.q),
        ];
        let given: Vec<(&str, String)> = given
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let mut query = vec![("sortOrder", "DESCENDING")];
        query.extend(given.iter().map(|(name, value)| (*name, value.as_str())));
        let mut events = client.page(&["logs"], &query).await?;
        events.reverse();
        if client.output == Output::Text {
            events.iter_mut().for_each(name_targets);
        }
        client.output.list(&COLUMNS, &events);
        Ok(())
    }
}

/// Puts into one value what something was done to, by name where it has one.
fn name_targets(event: &mut Value) {
    let targets = event
        .get("target")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|target| {
            let of = |member| {
                target
                    .get(member)
                    .and_then(Value::as_str)
                    .filter(|text| !text.is_empty())
            };
            let name = of("displayName").or(of("id")).unwrap_or_default();
            Value::from(format!("{} {name}", of("type").unwrap_or_default()))
        });
    let targets = Value::Array(targets.collect());
    if let Some(members) = event.as_object_mut() {
        members.insert("targets".to_owned(), targets);
    }
}

const COLUMNS: [Column; 6] = [
    ("TIME", "/published"),
    ("EVENT", "/eventType"),
    ("OUTCOME", "/outcome/result"),
    ("ACTOR", "/actor/displayName"),
    ("TARGETS", "/targets"),
    ("REASON", "/outcome/reason"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_named_by_name_else_by_id() {
        let mut event = json!({ "target": [
            { "type": "Device", "displayName": "alice-laptop", "id": "dev1" },
            { "type": "User", "displayName": "", "id": "usr1" },
        ] });
        name_targets(&mut event);
        assert_eq!(event["targets"], json!(["Device alice-laptop", "User usr1"]));
    }
}
