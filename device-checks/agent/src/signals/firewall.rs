//! Does a firewall run? By what nftables, ufw or firewalld say of themselves.

use std::fs;
use std::path::Path;

use super::Programs;
use super::linux::value_of;

/// Whether one does. That none does is known only where the kernel's rules can be read.
pub(super) fn runs(root: &Path, programs: &impl Programs) -> Option<bool> {
    let ufw = fs::read_to_string(root.join("etc/ufw/ufw.conf")).ok();
    let ufw = ufw.and_then(|text| value_of(&text, "ENABLED"));
    if ufw.is_some_and(|enabled| enabled.eq_ignore_ascii_case("yes")) || root.join("run/firewalld.pid").exists() {
        return Some(true);
    }
    let rules = programs.ask("nft", &["--json", "list", "ruleset"])?;
    let rules: serde_json::Value = serde_json::from_str(&rules).ok()?;
    Some(rules.get("nftables")?.as_array()?.iter().any(filters_input))
}

/// A chain that what comes in passes, and that drops what nothing lets in.
fn filters_input(entry: &serde_json::Value) -> bool {
    let said = |pointer: &str| entry.pointer(pointer).and_then(serde_json::Value::as_str);
    said("/chain/hook") == Some("input") && said("/chain/policy") == Some("drop")
        || said("/rule/chain").is_some_and(|chain| chain.eq_ignore_ascii_case("input")) && drops(entry)
}

fn drops(entry: &serde_json::Value) -> bool {
    let statements = entry.pointer("/rule/expr").and_then(serde_json::Value::as_array);
    statements.is_some_and(|statements| {
        let verdict =
            |statement: &serde_json::Value| statement.get("drop").is_some() || statement.get("reject").is_some();
        statements.iter().any(verdict)
    })
}
