//! Does a firewall run? By what nftables, ufw or firewalld say of themselves.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Programs;
use super::linux::value_of;

/// Whether one does. That none does is known only where the kernel's rules can be read.
pub(super) fn runs(root: &Path, programs: &impl Programs) -> Option<bool> {
    // What is left of one that was stopped or removed says nothing.
    let active = |unit: &str| {
        let said = programs.ask("systemctl", &["is-active", unit]);
        said.is_some_and(|said| said.trim() == "active")
    };
    let ufw = fs::read_to_string(root.join("etc/ufw/ufw.conf")).ok();
    let ufw = ufw.and_then(|text| value_of(&text, "ENABLED"));
    let ufw = ufw.is_some_and(|enabled| enabled.eq_ignore_ascii_case("yes"));
    if ufw && active("ufw.service") || active("firewalld.service") {
        return Some(true);
    }
    let rules = programs.ask("nft", &["--json", "list", "ruleset"])?;
    let rules: Value = serde_json::from_str(&rules).ok()?;
    let rules = rules.get("nftables")?.as_array()?;
    Some(
        rules
            .iter()
            .filter(|entry| takes_input(entry))
            .any(|chain| filters(chain, rules)),
    )
}

/// A chain of IP that everything that comes in passes.
fn takes_input(entry: &Value) -> bool {
    let said = |member: &str| entry.get("chain")?.get(member)?.as_str();
    said("hook") == Some("input") && matches!(said("family"), Some("ip" | "ip6" | "inet"))
}

/// Whether a chain drops what nothing lets in: by its policy, or by a rule for all.
fn filters(chain: &Value, rules: &[Value]) -> bool {
    let policy = chain.pointer("/chain/policy").and_then(Value::as_str);
    let same = |rule: &Value| {
        let pairs = [("family", "family"), ("table", "table"), ("chain", "name")];
        pairs.iter().all(|(of_rule, of_chain)| {
            let (named, name) = (
                rule.get("rule").and_then(|rule| rule.get(of_rule)),
                chain.get("chain").and_then(|chain| chain.get(of_chain)),
            );
            named.is_some() && named == name
        })
    };
    policy == Some("drop") || rules.iter().any(|rule| same(rule) && drops_all(rule))
}

fn drops_all(rule: &Value) -> bool {
    let statements = rule.pointer("/rule/expr").and_then(Value::as_array);
    statements.is_some_and(|statements| {
        let is = |statement: &Value, kinds: &[&str]| kinds.iter().any(|kind| statement.get(kind).is_some());
        let drops = statements.iter().any(|statement| is(statement, &["drop", "reject"]));
        drops
            && statements
                .iter()
                .all(|statement| is(statement, &["drop", "reject", "counter", "log"]))
    })
}
