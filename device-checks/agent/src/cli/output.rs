//! How does an answer look? For people aligned and no wider than 80 columns, for scripts as JSON.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use device_checks::wire::Timestamp;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::gateway::printable;

/// An answer in both its forms.
pub(super) struct Told {
    /// For people.
    pub(super) text: String,
    /// For scripts.
    pub(super) json: Value,
}

impl Told {
    /// Shows it.
    pub(super) fn show(&self, json: bool) {
        if json {
            print(&format!("{:#}\n", self.json));
        } else {
            print(&self.text);
        }
    }
}

/// Names and values under each other; a value that is too long goes on below itself.
pub(super) fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + 2;
    let mut text = String::new();
    for (name, value) in pairs {
        let mut name = *name;
        for line in wrapped(&printable(value), WIDTH.saturating_sub(width)) {
            let line = format!("{name:width$}{line}");
            text.push_str(line.trim_end());
            text.push('\n');
            name = "";
        }
    }
    text
}

/// A moment to the second, which is what people read.
pub(super) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('.')
        .map_or_else(|| text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// A table with its headings.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = comfy_table::Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_content_arrangement(comfy_table::ContentArrangement::Dynamic)
        .set_header(headings);
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    let mut text = String::new();
    for line in table.lines() {
        let line = line.trim_end();
        text.push_str(line.strip_prefix(' ').unwrap_or(line));
        text.push('\n');
    }
    text
}

/// A paragraph in lines that fit, each behind this margin.
pub(super) fn paragraph(text: &str, margin: &str) -> String {
    let lines = wrapped(&printable(text), WIDTH.saturating_sub(margin.len()));
    lines.iter().map(|line| format!("{margin}{line}\n")).collect()
}

/// Lines of which none steers the terminal.
pub(super) fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n")
}

/// Writes to standard output. Whoever reads it may stop at any time.
pub(super) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error.
pub(super) fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Shows what is going on, on a terminal; elsewhere nothing is shown.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Begins; on standard error.
    pub(super) fn begin(json: bool) -> Self {
        if json || !io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(Some(bar))
    }

    /// Says what is being done now.
    pub(super) fn say(&self, what: &'static str) {
        if let Some(bar) = &self.0 {
            bar.set_message(what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Lines of at most this width, broken at spaces; a word that is longer stays whole, so that it can be copied.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { continue };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

const WIDTH: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_under_each_other_and_fit_80_columns() {
        let long = "word ".repeat(30);
        let text = pairs(&[("NAME", "x".to_owned()), ("LONGER NAME", long.trim().to_owned())]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "NAME         x");
        assert!(lines[1].starts_with("LONGER NAME  word"));
        assert!(lines[2].starts_with("             word"));
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{text}");
    }

    #[test]
    fn a_path_stays_whole_and_nothing_steers_the_terminal() {
        let path = "/".to_owned() + &"a".repeat(100);
        assert!(pairs(&[("FILE", path.clone())]).contains(&path));
        assert!(!pairs(&[("NAME", "a\u{1b}[31m".to_owned())]).contains('\u{1b}'));
    }

    #[test]
    fn columns_stand_under_their_headings() {
        let rows = [
            vec!["alice".to_owned(), "yes".to_owned()],
            vec!["b".to_owned(), "no".to_owned()],
        ];
        assert_eq!(
            table(&["LOGIN", "MANAGED"], &rows),
            "LOGIN  MANAGED\nalice  yes\nb      no\n"
        );
    }
}
