//! When a policy author saves a file, what changes, and what if the file is wrong?

use std::time::{Duration, Instant};

use latchkey_tests::cli::latchkey;
use latchkey_tests::demo::{ALICE, BOB, Demo};
use latchkey_tests::process::until;
use latchkey_tests::websocket::End;

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

/// The first half ends where a statement does: it is fit, and wider. Control: a whole new file.
#[test]
fn a_policy_file_is_never_in_force_half_written() {
    let demo = Demo::start();
    let file = demo.file("policies/wiki.cedar");
    let whole = std::fs::read_to_string(&file).unwrap();
    let (half, _) = whole.split_at(whole.find("@id(\"wiki.admin-pages\")").unwrap());
    let mut client = demo.raw(BOB, "wiki");
    let mut opens = |watched| {
        until(watched, || {
            client.get("wiki.localhost", "/admin/x").map(|answer| answer.status) != Some(403)
        })
    };
    assert!(!opens(Duration::ZERO));

    for round in 0..ROUNDS {
        let begun = Instant::now();
        std::fs::write(&file, half).unwrap();
        let opened = opens(BETWEEN_PIECES);
        std::fs::write(&file, format!("{whole}\n// {round}\n")).unwrap();
        // What a busy machine stretches beyond the settling is no half-written file but one that was left so.
        let shorter = begun.elapsed() < SETTLING;
        let opened = opened || opens(AFTERWARDS);
        assert!(!(opened && shorter), "half a file was in force in round {round}");
    }

    demo.edit("policies/wiki.cedar", "Group::\"admins\"", "Group::\"employees\"");
    assert!(
        until(BOUND, || demo.status(BOB, "wiki", "/admin/x") == 200),
        "a whole file has no effect"
    );
}

/// by the age of an MDM's report in place of a factor's; the control's report is renewed in time.
#[test]
fn a_websocket_ends_when_a_fact_grows_older_than_its_rule_allows() {
    let demo = Demo::start();
    demo.edit("policies/wiki.cedar", "@id(\"wiki.admin-pages\")", FRESH_REPORT);
    let taken_over = until(BOUND, || demo.websocket(BOB, "wiki", None).err() == Some(403));
    assert!(taken_over, "a device without a report may connect");
    let report = |device: &str| drop(demo.command(&["device", "report", device, "--managed"]));
    report("alice-laptop");
    report("bob-laptop");
    let mut aging = demo.websocket(ALICE, "wiki", None).unwrap();
    let mut renewed = demo.websocket(BOB, "wiki", None).unwrap();
    assert_eq!(aging.end_within(Duration::from_secs(2)).0, End::Open);

    report("bob-laptop");

    assert_eq!(aging.end_within(BOUND).0, End::Closed(1008));
    assert_eq!(renewed.echo("still here"), Ok("still here".to_owned()));
    assert_eq!(demo.websocket(ALICE, "wiki", None).err(), Some(403));
    assert_eq!(demo.status(ALICE, "wiki", "/"), 200);
    assert_eq!(renewed.end_within(BOUND).0, End::Closed(1008));
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

const FRESH_REPORT: &str = "@id(\"wiki.fresh-report\")\n\
    forbid (principal is User, action == Action::\"connect\", resource == App::\"wiki\")\n\
    unless { context.age has mdm && context.age.mdm < 5 };\n\n@id(\"wiki.admin-pages\")";

/// A file that has not changed for so long may be taken over.
const SETTLING: Duration = Duration::from_millis(250);
const BETWEEN_PIECES: Duration = Duration::from_millis(150);
/// Long enough to see what was taken over, had it been.
const AFTERWARDS: Duration = Duration::from_millis(350);
/// Each would be caught by chance only.
const ROUNDS: usize = 8;
const BOUND: Duration = Duration::from_secs(10);
