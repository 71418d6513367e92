//! Which policy files are loaded, and what is said about those that are not?

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use policies::{LoadErrors, PolicyFile, PolicySet, Problem, SHIPPED};

#[test]
fn the_shipped_policies_and_the_examples_load_without_a_warning() {
    let mut files: Vec<PolicyFile> = SHIPPED.iter().map(|(name, text)| file(name, text)).collect();
    files.push(file(
        "common-shapes.cedar",
        include_str!("../examples/common-shapes.cedar"),
    ));

    let policies = PolicySet::load(&files).unwrap();

    assert!(policies.warnings().is_empty(), "{:?}", policies.warnings());
    assert!(policies.ids().any(|id| id.as_str() == "payroll.managed"));
}

/// R-06: A set that lacks an @id, repeats one, is not Cedar or does not fit the schema is never loaded; every error is
/// said at once with file, line, column and the offending text.
#[test]
fn every_error_is_said_at_once_with_its_place() {
    let files = [
        file(
            "a.cedar",
            "@id(\"one\")\npermit (principal, action, resource);\n\npermit (principal, action, resource);",
        ),
        file(
            "b.cedar",
            "@id(\"one\") forbid (principal, action, resource == App::\"x\");",
        ),
        file(
            "c.cedar",
            "@id(\"typo\")\npermit (principal, action in Action::\"access\", resource)\nwhen { context.devise };",
        ),
        file("d.cedar", "@id(\"half\")\npermit (principal, action"),
        file(
            "e.cedar",
            "@id(\"word\") permit (principal, action in Action::\"access\", resource is App)\n  when { context has device && context.device.platform == Platform::\"linucks\" };",
        ),
    ];

    let errors = PolicySet::load(&files).unwrap_err();

    let lines: Vec<String> = errors.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 5, "{errors}");
    assert_eq!(
        lines[0],
        "a.cedar:4:1: the policy has no @id: `permit (principal, action, resource);`"
    );
    assert!(lines[1].starts_with("b.cedar:1:1: the @id `one` is taken by the policy at a.cedar:1:1: `@id(\"one\")"));
    assert!(
        lines[2].starts_with("c.cedar:3:8: ") && lines[2].contains("devise"),
        "{}",
        lines[2]
    );
    assert!(lines[3].starts_with("d.cedar:2:26: "), "{}", lines[3]);
    assert!(
        lines[4].starts_with("e.cedar:2:") && lines[4].contains("linucks"),
        "{}",
        lines[4]
    );
}

#[test]
fn an_error_is_drawn_with_the_lines_it_is_about_and_without_colours_where_none_are_wanted() {
    let errors = PolicySet::load(&[file("a.cedar", "permit (principal, action, resource);")]).unwrap_err();

    let plain = errors.render(false);

    assert!(
        plain.contains("the policy has no @id") && plain.contains("a.cedar:1:1"),
        "{plain}"
    );
    assert!(!plain.contains('\u{1b}'), "{plain}");
    assert!(errors.render(true).contains('\u{1b}'));
}

#[test]
fn an_empty_id_is_no_id() {
    let errors = load("@id(\"\") permit (principal, action, resource);").unwrap_err();

    assert_eq!(errors.findings()[0].problem(), &Problem::MissingId);
    assert!(load("@id(\"x\") permit (principal, action, resource);").is_ok());
}

#[test]
fn a_template_needs_an_id_and_applies_to_nobody_until_it_is_linked() {
    let named = load("@id(\"grant\") permit (principal in ?principal, action, resource == ?resource);").unwrap();
    let unnamed = load("permit (principal in ?principal, action, resource == ?resource);").unwrap_err();

    assert_eq!(named.report(&[]).unwrap().templates, 1);
    assert_eq!(named.ids().count(), 0);
    assert_eq!(unnamed.findings()[0].problem(), &Problem::MissingId);
}

#[test]
fn a_policy_that_can_never_apply_is_loaded_with_a_warning() {
    let text = "@id(\"never\") permit (principal, action == Action::\"read\", resource) when { false };";

    let policies = load(text).unwrap();

    assert_eq!(policies.warnings().len(), 1);
    assert!(
        policies.warnings()[0].to_string().starts_with("test.cedar:1:"),
        "{}",
        policies.warnings()[0]
    );
}

#[test]
fn an_annotation_that_nothing_reads_is_warned_of() {
    let misspelt = load("@id(\"x\") @deny_reson(\"No.\") forbid (principal, action, resource);").unwrap();
    let known =
        load("@id(\"x\") @deny_reason(\"No.\") @deny_reason_de(\"Nein.\") forbid (principal, action, resource);");
    let no_language = load("@id(\"x\") @deny_reason_german(\"Nein.\") forbid (principal, action, resource);").unwrap();

    assert!(
        misspelt.warnings()[0]
            .to_string()
            .contains("nothing reads the annotation @deny_reson")
    );
    assert_eq!(no_language.warnings().len(), 1);
    assert!(known.unwrap().warnings().is_empty());
}

#[test]
fn the_version_changes_with_the_content_and_not_with_the_order_of_files() {
    let (one, two) = (
        file("1", "@id(\"a\") permit (principal, action, resource);"),
        file("2", ""),
    );
    let version = |files: &[PolicyFile]| PolicySet::load(files).unwrap().version().clone();

    assert_eq!(
        version(&[one.clone(), two.clone()]),
        version(&[two.clone(), one.clone()])
    );
    assert_ne!(version(&[one.clone(), two]), version(&[one]));
}

#[test]
fn the_report_counts_policies_and_says_why_decisions_are_not_remembered() {
    let policies = load(
        r#"@id("plain") permit (principal, action == Action::"read", resource == App::"wiki");
           @id("risky") forbid (principal, action == Action::"write", resource == App::"wiki") when { context.risk > 60 };"#,
    )
    .unwrap();

    let report = policies.report(&[]).unwrap().to_string();

    assert!(report.starts_with("2 policies, 0 templates, version "), "{report}");
    assert!(
        report.contains("wiki read: 1 policies, decisions are remembered"),
        "{report}"
    );
    assert!(
        report.contains("wiki write: 1 policies, decided each time: reads the risk"),
        "{report}"
    );
}

fn load(text: &str) -> Result<PolicySet, LoadErrors> {
    PolicySet::load(&[file("test.cedar", text)])
}

fn file(name: &str, text: &str) -> PolicyFile {
    PolicyFile {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}
