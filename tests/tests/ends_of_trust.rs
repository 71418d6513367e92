//! What else ends trust besides the device's lifecycle, on connections that are open? Each beside what must go on.

use std::time::Duration;

use latchkey_tests::demo::{ALICE, BOB, Demo, NOBODY};
use latchkey_tests::device::{now, rfc3339};
use latchkey_tests::openssl::openssl;
use latchkey_tests::process::until;
use latchkey_tests::websocket::{End, Socket};
use serde_json::json;

#[test]
fn a_suspended_user_is_out_everywhere_and_others_are_not() {
    let demo = Demo::start();
    let (mut alices, mut bobs) = (open(&demo, ALICE, "payroll"), open(&demo, BOB, "wiki"));

    demo.command(&["user", "suspend", "alice"]);

    assert_eq!(alices.end_within(BOUND).0, End::Closed(1008));
    let refused = demo.curl(ALICE, &demo.url("wiki", "/"), &[]);
    assert_eq!((refused.status, refused.code().as_str()), (403, "user-inactive"));
    assert!(lives(&mut bobs));
    demo.command(&["user", "unsuspend", "alice"]);
    assert_eq!(demo.status(ALICE, "wiki", "/"), 200);
}

#[test]
fn leaving_a_group_ends_what_only_the_group_allowed() {
    let demo = Demo::start();
    let (mut payroll, mut wiki) = (open(&demo, ALICE, "payroll"), open(&demo, ALICE, "wiki"));

    demo.command(&["group", "remove", "finance", "alice"]);

    assert_eq!(payroll.end_within(BOUND).0, End::Closed(1008));
    assert_eq!(demo.status(ALICE, "payroll", "/"), 403);
    assert!(lives(&mut wiki));
    demo.command(&["group", "add", "finance", "alice"]);
    assert_eq!(demo.status(ALICE, "payroll", "/"), 200);
}

/// R-11 has more; here: the report is withdrawn, or reaches its end on an open connection.
#[test]
fn a_device_is_managed_no_longer_than_its_report_lasts() {
    let demo = Demo::start();
    let (mut payroll, mut wiki) = (open(&demo, ALICE, "payroll"), open(&demo, ALICE, "wiki"));

    demo.command(&["device", "withdraw", "alice-laptop"]);

    assert_eq!(payroll.end_within(BOUND).0, End::Closed(1008));
    assert_eq!(demo.curl(ALICE, &demo.url("payroll", "/"), &[]).status, 403);
    assert!(lives(&mut wiki));

    demo.command(&["device", "report", "alice-laptop", "--managed", "--ends-in", "3s"]);
    let mut again = open(&demo, ALICE, "payroll");
    assert_eq!(again.end_within(BOUND + Duration::from_secs(3)).0, End::Closed(1008));
    assert_eq!(demo.status(ALICE, "payroll", "/"), 403);
    assert!(lives(&mut wiki));
}

/// without a report for a day the device leaves the level that asks for one of today, on an open connection too.
/// Control: a fresh report.
#[test]
fn a_device_leaves_its_assurance_level_when_its_report_is_a_day_old() {
    let demo = Demo::start();
    let rule = "@id(\"wiki.open\") permit (principal, action in Action::\"access\", resource == App::\"wiki\")\n\
                when { context has device && context.device in Assurance::\"standard\" };\n";
    std::fs::write(demo.file("policies/wiki.cedar"), rule).unwrap();
    let path = format!("/api/v1/devices/{}/reports/demo-mdm", demo.device_id("alice-laptop"));
    let report = |age: i64| {
        let posture = json!({ "diskEncrypted": true, "screenLock": true });
        let (at, ends) = (rfc3339(now() - age), rfc3339(now() + 86_400));
        let body = json!({ "managed": true, "posture": posture, "at": at, "ends": ends }).to_string();
        let said = demo.admin("PUT", &path, Some(&body));
        assert_eq!(said.status, 200, "{}", said.text());
    };

    report(86_400 - 6);
    assert!(
        until(BOUND, || demo.status(ALICE, "wiki", "/") == 200),
        "a report of today"
    );
    let mut socket = open(&demo, ALICE, "wiki");
    assert_eq!(socket.end_within(BOUND + Duration::from_secs(6)).0, End::Closed(1008));
    assert_eq!(demo.status(ALICE, "wiki", "/"), 403, "a report of yesterday");

    report(0);
    assert_eq!(demo.status(ALICE, "wiki", "/"), 200, "control");
}

/// D-15: a certificate on hold comes back; a revoked one does not.
#[test]
fn a_certificate_is_held_released_and_revoked_on_an_open_connection() {
    let demo = Demo::start();
    let fingerprint = fingerprint(&demo, "alice-laptop");
    let certificate = |verb: &str| demo.command(&["cert", verb, &fingerprint]);
    let (mut first, mut bobs) = (open(&demo, ALICE, "wiki"), open(&demo, BOB, "wiki"));

    certificate("hold");
    assert_eq!(first.end_within(BOUND).0, End::Closed(1008));
    assert_eq!(
        demo.curl(ALICE, &demo.url("wiki", "/"), &[]).code(),
        "certificate-revoked"
    );
    certificate("release");
    let mut second = open(&demo, ALICE, "wiki");
    certificate("revoke");

    assert_eq!(second.end_within(BOUND).0, End::Closed(1008));
    assert_eq!(
        demo.curl(ALICE, &demo.url("wiki", "/"), &[]).code(),
        "certificate-revoked"
    );
    assert!(!demo.latchkey(&["cert", "release", &fingerprint]).success);
    assert!(lives(&mut bobs));
}

#[test]
fn a_certificate_that_ends_on_an_open_connection_gives_nothing_any_more() {
    let demo = Demo::start();
    demo.set("certificate_lifetime", "5s");
    demo.process().signal("HUP");
    // The reload is over when a new certificate is short-lived.
    let mut number = 0;
    let reloaded = until(Duration::from_secs(10), || {
        number += 1;
        demo.enroll("bob", &format!("brief-{number}"));
        !lives_a_minute(&demo, &format!("brief-{number}"))
    });
    assert!(reloaded, "certificates still live long");
    let device = format!("brief-{number}");
    let mut kept = demo.raw(Some(&device), "wiki");
    let (mut brief, mut long) = (open(&demo, Some(&device), "wiki"), open(&demo, BOB, "wiki"));
    assert_eq!(kept.get("wiki.localhost", "/").map(|answer| answer.status), Some(200));

    let (end, _) = brief.end_within(Duration::from_secs(12));

    assert_eq!(end, End::Closed(1008));
    let after = kept
        .get("wiki.localhost", "/")
        .map(|answer| (answer.status, answer.code()));
    assert!(after.is_none_or(|after| after == (403, "certificate-expired".to_owned())));
    assert_ne!(demo.status(Some(&device), "wiki", "/"), 200);
    assert!(lives(&mut long));
    assert_eq!(demo.status(NOBODY, "wiki", "/"), 401);
}

fn open(demo: &Demo, device: Option<&str>, app: &str) -> Socket {
    demo.websocket(device, app, None)
        .unwrap_or_else(|status| panic!("{device:?} at {app}: {status}"))
}

fn lives(socket: &mut Socket) -> bool {
    socket.echo("still here").is_ok_and(|answer| answer == "still here")
}

/// SHA-256 of the leaf in lower-case hex, as the gateway names certificates.
fn fingerprint(demo: &Demo, device: &str) -> String {
    let file = demo.identity(device).certificate.display().to_string();
    let text = openssl(["x509", "-noout", "-fingerprint", "-sha256", "-in", &file], "").text;
    text.trim()
        .rsplit('=')
        .next()
        .unwrap()
        .replace(':', "")
        .to_ascii_lowercase()
}

fn lives_a_minute(demo: &Demo, device: &str) -> bool {
    let file = demo.identity(device).certificate.display().to_string();
    openssl(["x509", "-noout", "-checkend", "60", "-in", &file], "").success
}

const BOUND: Duration = Duration::from_secs(2);
