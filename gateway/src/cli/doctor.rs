//! How do the findings look? A line each that fits a terminal of 80 columns, and what to do beneath it.

use std::path::Path;

use super::error::CliError;
use super::output::{print, printable};
use crate::doctor::{Finding, Status, examine};

/// Looks at everything that the configuration names, and says how it stands.
///
/// # Errors
/// If anything fails; warnings are none.
pub(super) fn run(config: &Path, json: bool) -> Result<(), CliError> {
    let setup = |what: &'static str, source: Box<dyn std::error::Error + Send + Sync>| CliError::Setup { what, source };
    // The process's default: what connects to upstreams asks for it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().map_err(|error| setup("a runtime", error.into()))?;
    let findings = runtime.block_on(examine(config));
    match json {
        true => {
            let text = serde_json::to_string_pretty(&findings).map_err(|error| setup("the findings", error.into()))?;
            print(&format!("{text}\n"));
        }
        false => findings.iter().for_each(|finding| print(&lines(finding))),
    }
    let failed = findings.iter().filter(|finding| finding.status == Status::Fail).count();
    match failed {
        0 => Ok(()),
        failed => Err(CliError::Unwell {
            failed,
            all: findings.len(),
        }),
    }
}

fn lines(finding: &Finding) -> String {
    let mark = match finding.status {
        Status::Ok => "ok",
        Status::Warn => "warn",
        Status::Fail => "FAIL",
    };
    let head = format!("{mark:<STATUS$}{:<CHECK$}", finding.check);
    let margin = " ".repeat(STATUS + CHECK);
    let advice = finding.advice.iter().map(|advice| format!("-> {advice}"));
    let text: Vec<String> = std::iter::once(finding.found.clone())
        .chain(advice)
        .flat_map(|text| wrapped(&text, WIDTH - STATUS - CHECK))
        .collect();
    let mut shown = String::new();
    for (index, line) in text.iter().enumerate() {
        let before = if index == 0 { &head } else { &margin };
        shown.push_str(&format!("{before}{line}\n"));
    }
    shown
}

/// Lines of so many characters; a word that is longer has as many lines as it takes.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let letters: Vec<char> = printable(word).chars().collect();
        for (index, part) in letters.chunks(width).enumerate() {
            let part: String = part.iter().collect();
            let line = lines.last_mut();
            match line {
                Some(line) if index == 0 && line.is_empty() => line.push_str(&part),
                Some(line) if index == 0 && line.chars().count() + 1 + part.chars().count() <= width => {
                    line.push(' ');
                    line.push_str(&part);
                }
                _ => lines.push(part),
            }
        }
    }
    lines
}

const WIDTH: usize = 80;
const STATUS: usize = 6;
const CHECK: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_fits_whatever_was_found() {
        let finding = Finding {
            check: "revocation list",
            status: Status::Fail,
            found: format!(
                "{} is over\u{1b}[31m since long ago, and {}",
                "/long".repeat(30),
                "word ".repeat(40)
            ),
            advice: Some("fetch a new one".to_owned()),
        };

        let shown = lines(&finding);

        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
        assert!(shown.starts_with("FAIL  revocation list  /long"), "{shown}");
        assert!(
            shown.ends_with("\n                       -> fetch a new one\n"),
            "{shown}"
        );
        assert!(!shown.contains('\u{1b}'));
    }
}
