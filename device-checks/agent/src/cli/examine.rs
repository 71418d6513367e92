//! What is wrong? The findings of the self-test, each with how to mend it.

use serde_json::json;

use super::World;
use super::error::CliError;
use super::output::{Told, paragraph};
use crate::doctor::{self, Verdict};

/// Shows the findings.
pub(super) async fn examine(world: &World) -> Result<(), CliError> {
    let findings = doctor::examine(&world.folder, world.now).await;
    let mut text = String::new();
    for finding in &findings {
        let mark = match finding.verdict {
            Verdict::Good => "ok    ",
            Verdict::Wrong => "WRONG ",
            Verdict::Skipped => "-     ",
        };
        let lines = paragraph(
            &format!("{}: {}", finding.check, finding.says.replace('\n', " ")),
            "      ",
        );
        text += mark;
        text += lines.get(mark.len()..).unwrap_or_default();
        if let Some(mend) = &finding.mend {
            text += &paragraph(&format!("-> {mend}"), "      ");
        }
    }
    let wrong = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Wrong)
        .count();
    let json = json!({ "well": wrong == 0, "findings": findings });
    Told { text, json }.show(world.json);
    if wrong == 0 {
        Ok(())
    } else {
        Err(CliError::Unwell { wrong })
    }
}
