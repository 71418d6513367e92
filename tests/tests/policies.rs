//! When a policy author saves a file, what changes, and what if the file is wrong?

use std::time::Duration;

use latchkey_tests::cli::latchkey;
use latchkey_tests::demo::{ALICE, BOB, Demo};
use latchkey_tests::process::until;

#[test]
fn an_edited_policy_takes_effect_without_a_restart() {
    let demo = Demo::start();
    assert_eq!(demo.status(BOB, "payroll", "/"), 403);

    demo.edit(
        "policies/payroll.cedar",
        "unless { principal in Group::\"finance\" }",
        "unless { true }",
    );
    demo.edit(
        "policies/payroll.cedar",
        "unless { context has device && context.device.registered &&",
        "unless { true || context has device &&",
    );

    assert!(
        until(BOUND, || demo.status(BOB, "payroll", "/") == 200),
        "the edit has no effect"
    );
    assert_eq!(demo.status(ALICE, "payroll", "/"), 200);
    let versions = |app: &str| demo.decisions().about(app, "/").unwrap()["policy_version"].clone();
    assert!(versions("payroll").is_string());
}

/// at reload the last good set is kept, and log and metrics say so.
#[test]
fn a_broken_policy_keeps_the_last_good_set_and_says_so() {
    let demo = Demo::start();
    let broken = [
        ("a typo", "principal in Group::", "principal inn Group::"),
        (
            "an unknown attribute",
            "context.device.registered",
            "context.device.registred",
        ),
        ("a repeated id", "@id(\"wiki.registered\")", "@id(\"payroll.managed\")"),
        ("a missing id", "@id(\"wiki.registered\")\n", ""),
    ];
    let original = std::fs::read_to_string(demo.file("policies/wiki.cedar")).unwrap();
    let stale = || demo.metric("latchkey_policies_stale").unwrap_or(0.0);

    for (what, from, to) in broken {
        let said = demo.process().output().matches("wiki.cedar").count();
        demo.edit("policies/wiki.cedar", from, to);
        let noticed = until(BOUND, || demo.process().output().matches("wiki.cedar").count() > said);
        assert!(noticed, "{what}: nothing is said");
        assert!(until(BOUND, || stale() == 1.0), "{what}: no metric shows it");
        assert_eq!(
            (demo.status(BOB, "wiki", "/"), demo.status(BOB, "payroll", "/")),
            (200, 403),
            "{what}"
        );
        assert_eq!(demo.status(BOB, "wiki", "/admin/x"), 403, "{what}");
        std::fs::write(demo.file("policies/wiki.cedar"), &original).unwrap();
        assert!(
            until(BOUND, || stale() == 0.0),
            "{what}: the metric still shows it after it was mended"
        );
    }

    demo.edit(
        "policies/wiki.cedar",
        "unless { principal in Group::\"employees\" }",
        "unless { false }",
    );
    assert!(
        until(BOUND, || demo.status(BOB, "wiki", "/") == 403),
        "a good file no longer counts"
    );
}

/// at start the gateway refuses, with file, line, column and the offending text. Control: the shipped set.
#[test]
fn a_broken_policy_set_is_never_started_with() {
    let mut demo = Demo::start();
    let policies = demo.file("policies");
    let check = || latchkey(["policy".as_ref(), "check".as_ref(), policies.as_os_str()]);
    assert!(check().success, "{:?}", check());
    demo.edit(
        "policies/wiki.cedar",
        "context.device.registered",
        "context.device.registred",
    );

    let checked = check();
    demo.kill();
    let started = latchkey([
        "run".as_ref(),
        "--config".as_ref(),
        demo.file("latchkey.yaml").as_os_str(),
    ]);

    for output in [checked, started] {
        let text = format!("{}{}", output.stdout, output.stderr);
        assert!(!output.success, "{text}");
        assert!(text.contains("registred") && names_line_and_column(&text), "{text}");
    }
}

/// Whether something like `wiki.cedar:17:5` is in the text.
fn names_line_and_column(text: &str) -> bool {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).count();
    text.match_indices("wiki.cedar:").any(|(at, file)| {
        let rest = &text[at + file.len()..];
        let line = digits(rest);
        line > 0 && rest[line..].starts_with(':') && digits(&rest[line + 1..]) > 0
    })
}

const BOUND: Duration = Duration::from_secs(10);
