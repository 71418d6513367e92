//! How does an answer look in a terminal? As a table that fits it, or as the API's own JSON.

use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::Value;

/// A column of a table: its heading, and where in each thing its value is (RFC 6901).
pub(super) type Column = (&'static str, &'static str);

/// How answers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// As tables and sentences.
    Text,
    /// As the API sent them.
    Json,
}

impl Output {
    /// Shows several things, a row each, by their first column.
    pub(super) fn list(self, columns: &[Column], things: &[Value]) {
        match self {
            Self::Text => print(&rows(columns, &sorted(columns, things))),
            Self::Json => print(&json(&Value::from(things.to_vec()))),
        }
    }

    /// Shows one thing, a row for each of its values.
    pub(super) fn one(self, columns: &[Column], thing: &Value) {
        match self {
            Self::Text => print(&pairs(columns, thing)),
            Self::Json => print(&json(thing)),
        }
    }

    /// Shows a new secret: alone on standard output, for `TOKEN=$(latchkey …)`; what belongs to it on standard error.
    pub(super) fn secret(self, columns: &[Column], thing: &Value) {
        match self {
            Self::Text => {
                complain(&pairs(columns, thing));
                print(&format!(
                    "{}\n",
                    thing.pointer("/token").and_then(Value::as_str).unwrap_or_default()
                ));
            }
            Self::Json => print(&json(thing)),
        }
    }

    /// Says that something was done; in JSON there is nothing to say.
    pub(super) fn done(self, sentence: &str) {
        match self {
            Self::Text => print(&format!("{}\n", printable(sentence))),
            Self::Json => {}
        }
    }
}

/// Writes to standard output. Whoever reads it may stop at any time.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error.
pub(super) fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// The API's own order is that of the ids, which says nothing to people.
fn sorted(columns: &[Column], things: &[Value]) -> Vec<Value> {
    let mut things = things.to_vec();
    if let Some((_, pointer)) = columns.first() {
        things.sort_by_cached_key(|thing| cell(thing.pointer(pointer)));
    }
    things
}

fn rows(columns: &[Column], things: &[Value]) -> String {
    let mut table = table();
    table.set_header(columns.iter().map(|(heading, _)| *heading));
    for thing in things {
        table.add_row(columns.iter().map(|(_, pointer)| cell(thing.pointer(pointer))));
    }
    aligned(&table)
}

fn pairs(columns: &[Column], thing: &Value) -> String {
    let mut table = table();
    for (heading, pointer) in columns {
        table.add_row([(*heading).to_owned(), cell(thing.pointer(pointer))]);
    }
    aligned(&table)
}

fn table() -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// The table without the spaces around its lines.
fn aligned(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        let line = line.trim_end();
        text.push_str(line.strip_prefix(' ').unwrap_or(line));
        text.push('\n');
    }
    text
}

fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A value in a few words.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::Bool(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => printable(without_milliseconds(text).unwrap_or(text)),
        Some(Value::Array(items)) if items.iter().any(Value::is_object) => {
            let lines: Vec<String> = items.iter().map(|item| cell(Some(item))).collect();
            lines.join("\n")
        }
        Some(Value::Array(items)) => joined(items.iter().map(inner)),
        Some(Value::Object(members)) => joined(
            members
                .iter()
                .map(|(name, value)| format!("{}={}", printable(name), inner(value))),
        ),
    }
}

/// A value within another one.
fn inner(value: &Value) -> String {
    match value {
        Value::Object(_) => format!("{{{}}}", cell(Some(value))),
        Value::Array(_) => format!("[{}]", cell(Some(value))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => cell(Some(value)),
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join(", ")
    }
}

/// Whatever would steer a terminal is shown as a sign that something was there.
pub(super) fn printable(text: &str) -> String {
    let shown = |character: char| {
        if character.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            character
        }
    };
    text.chars().map(shown).collect()
}

/// A moment to the second, which is what people read.
fn without_milliseconds(text: &str) -> Option<&str> {
    let seconds = text.strip_suffix('Z')?.split_once('.')?.0;
    (text.len() == "2026-11-23T04:47:00.123Z".len() && text.parse::<directory::Timestamp>().is_ok()).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: [Column; 3] = [("NAME", "/name"), ("STATUS", "/status"), ("USERS", "/users")];

    #[test]
    fn columns_stand_under_their_headings() {
        let things = [
            json!({ "name": "alice-laptop", "status": "ACTIVE", "users": ["alice", "bob"] }),
            json!({ "name": "x", "status": "SUSPENDED", "users": [] }),
        ];
        assert_eq!(
            rows(&COLUMNS, &things),
            "NAME          STATUS     USERS\n\
             alice-laptop  ACTIVE     alice, bob\n\
             x             SUSPENDED  -\n"
        );
    }

    #[test]
    fn rows_stand_in_the_order_of_their_first_column() {
        let things = ["bob", "alice"].map(|name| json!({ "name": name }));
        assert_eq!(
            sorted(&COLUMNS, &things),
            ["alice", "bob"].map(|name| json!({ "name": name }))
        );
    }

    #[test]
    fn one_thing_is_shown_value_by_value() {
        let thing = json!({ "name": "x", "status": null, "users": { "a": true, "b": [1, 2] } });
        assert_eq!(
            pairs(&COLUMNS, &thing),
            "NAME    x\nSTATUS  -\nUSERS   a=yes, b=[1, 2]\n"
        );
    }

    #[test]
    fn things_within_a_thing_have_a_line_each() {
        let thing = json!({ "name": "x", "users": [{ "login": "alice" }, { "login": "bob" }] });
        assert_eq!(
            pairs(&COLUMNS, &thing),
            "NAME    x\nSTATUS  -\nUSERS   login=alice\n        login=bob\n"
        );
    }

    #[test]
    fn nothing_that_was_stored_steers_the_terminal() {
        let thing = json!({ "name": "a\u{1b}[31m\nb", "status": "2026-11-23T04:47:00.123Z" });
        let shown = pairs(&COLUMNS, &thing);
        assert!(
            shown.contains("a\u{fffd}[31m\u{fffd}b") && !shown.contains('\u{1b}'),
            "{shown}"
        );
        assert!(shown.contains("2026-11-23T04:47:00\n"), "{shown}");
    }
}
