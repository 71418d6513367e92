//! Does `latchkey doctor` find what is wrong, and nothing where all is well? Each fault is made for real.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use latchkey_tests::cli::{self, CliOutput};
use latchkey_tests::collector::Collector;
use latchkey_tests::demo::Demo;
use latchkey_tests::mail::{MailServer, Speaks};
use latchkey_tests::upstream::Upstream;
use serde_json::Value;

#[test]
fn all_is_well_with_a_gateway_that_runs() {
    let application = Upstream::friendly();
    let demo = Demo::in_front_of(&application);

    let shown = doctor(&demo, &[]);
    let findings = findings(&demo);

    assert!(shown.success, "{shown:?}");
    assert!(
        shown.stdout.lines().all(|line| line.chars().count() <= 80),
        "{}",
        shown.stdout
    );
    assert_eq!(with(&findings, "fail"), Vec::<String>::new());
    for check in CHECKS {
        assert!(
            findings.iter().any(|finding| finding["check"] == check),
            "{check}: {findings:?}"
        );
    }
    assert!(shown.stdout.contains("the running gateway listens"), "{}", shown.stdout);
    let token = demo.admin_token();
    assert!(!shown.stdout.contains(&token));
}

#[test]
fn all_is_well_with_one_that_does_not_run_and_nothing_is_changed() {
    let (demo, _application) = stopped();
    let before = listing(&demo.directory());

    let shown = doctor(&demo, &[]);

    assert!(shown.success, "{shown:?}");
    assert!(shown.stdout.contains(": free"), "{}", shown.stdout);
    assert_eq!(listing(&demo.directory()), before);
}

#[test]
fn a_configuration_that_cannot_be_read_is_all_that_is_said() {
    let (demo, _application) = stopped();
    demo.edit("latchkey.yaml", "listen:", "lissten:");

    let findings = findings(&demo);

    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0]["status"], "fail");
    assert!(findings[0]["found"].as_str().unwrap().contains("lissten"));
    assert!(!doctor(&demo, &[]).success);
}

#[test]
fn keys_and_data_that_are_open_to_others_are_found() {
    let (demo, _application) = stopped();
    let key = demo.file("data/assertion.key");
    let data = demo.file("data");
    let owned = std::fs::metadata(&key).unwrap().uid();

    set_mode(&key, 0o644);
    let open_key = with(&findings(&demo), "fail");
    set_mode(&key, 0o600);
    set_mode(&data, 0o777);
    let open_data = with(&findings(&demo), "fail");
    set_mode(&data, 0o700);

    assert!(
        has(&open_key, "keys", "assertion.key is open to others (mode 0644)"),
        "{open_key:?}"
    );
    assert!(
        has(&open_data, "data", "others may write there (mode 0777)"),
        "{open_data:?}"
    );
    // Only root can give a file away.
    if owned == 0 {
        std::os::unix::fs::chown(&key, Some(12_345), None).unwrap();
        let foreign = with(&findings(&demo), "fail");
        assert!(has(&foreign, "keys", "belongs to user 12345"), "{foreign:?}");
        std::os::unix::fs::chown(&key, Some(owned), None).unwrap();
    }
    assert_eq!(with(&findings(&demo), "fail"), Vec::<String>::new());
}

#[test]
fn policies_that_are_not_fit_are_found() {
    let (demo, _application) = stopped();
    std::fs::write(
        demo.file("policies/slip.cedar"),
        "permit (principal, action, resource) when { 1 };",
    )
    .unwrap();

    let failed = with(&findings(&demo), "fail");

    assert!(failed.len() == 1 && failed[0].starts_with("policies"), "{failed:?}");
}

#[test]
fn servers_that_do_not_answer_or_are_somebody_else_are_found() {
    let application = Upstream::friendly();
    let demo = Demo::in_front_of(&application);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let own = demo.address();
    let as_it_was = std::fs::read_to_string(demo.file("latchkey.yaml")).unwrap();
    let in_place = |upstream: &str| {
        let text = as_it_was.replacen(&format!("url: {}", application.url()), upstream, 1);
        assert_ne!(text, as_it_was);
        std::fs::write(demo.file("latchkey.yaml"), text).unwrap();
        with(&findings(&demo), "fail")
    };
    let secured = |name: &str| format!("url: https://{own}\n      server_name: {name}\n      ca: ca.pem");

    let unreachable = in_place(&format!("url: http://{nobody}"));
    let unknown = in_place("url: http://nowhere.invalid:80");
    let wrong_name = in_place(&secured("wiki.example.com"));
    let right_name = in_place(&secured("auth.localhost"));
    let unwell = in_place(&format!(
        "url: {}\n      health_check: {{path: /teapot}}",
        refusing().url()
    ));
    let well = in_place(&format!("url: {}\n      health_check: {{path: /}}", application.url()));

    assert!(has(&unreachable, "upstreams", "cannot be reached"), "{unreachable:?}");
    assert!(has(&unknown, "upstreams", "does not resolve"), "{unknown:?}");
    assert!(
        has(&wrong_name, "upstreams", "cannot be spoken to over TLS"),
        "{wrong_name:?}"
    );
    assert_eq!(right_name, Vec::<String>::new());
    assert!(
        has(&unwell, "upstreams", "does not answer its health check"),
        "{unwell:?}"
    );
    assert_eq!(well, Vec::<String>::new());
}

#[test]
fn certificates_that_end_soon_warn_and_those_that_are_over_fail() {
    let (demo, _application) = stopped();
    let lasting = |days: i64| {
        replace_server_certificate(&demo, days);
        findings(&demo)
    };

    let soon = lasting(10);
    let over = lasting(-1);
    let control = lasting(200);

    let warned = with(&soon, "warn");
    assert!(has(&warned, "certificates", "9 days"), "{warned:?}");
    assert_eq!(with(&soon, "fail"), Vec::<String>::new());
    assert!(has(&with(&over, "fail"), "certificates", "over since"), "{over:?}");
    assert!(!has(&with(&control, "warn"), "certificates", ""), "{control:?}");
}

#[test]
fn a_broken_database_and_a_clock_behind_its_records_are_found() {
    let (demo, _application) = stopped();
    let file = demo.file("data/directory.sqlite");
    let by_python = |statement: &str| {
        let program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.close()";
        let status = Command::new("python3")
            .args(["-c", program])
            .arg(&file)
            .arg(statement)
            .status();
        assert!(status.unwrap().success());
    };

    by_python("UPDATE system_log SET published = published + 864000000; PRAGMA wal_checkpoint(TRUNCATE);");
    let behind = with(&findings(&demo), "fail");
    by_python("UPDATE system_log SET published = published - 864000000; PRAGMA wal_checkpoint(TRUNCATE);");
    let control = with(&findings(&demo), "fail");
    let mut bytes = std::fs::read(&file).unwrap();
    let end = bytes.len();
    bytes[4096..end.min(40_960)].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let broken = with(&findings(&demo), "fail");

    assert!(has(&behind, "clock", "before the newest record"), "{behind:?}");
    assert_eq!(control, Vec::<String>::new());
    assert!(has(&broken, "database", "directory.sqlite"), "{broken:?}");
}

#[test]
fn a_port_that_somebody_else_has_is_found() {
    let (demo, _application) = stopped();
    let taken = TcpListener::bind(demo.address()).unwrap();

    let failed = with(&findings(&demo), "fail");
    drop(taken);

    assert!(
        has(&failed, "ports", &format!("listen {}", demo.address())),
        "{failed:?}"
    );
    assert_eq!(with(&findings(&demo), "fail"), Vec::<String>::new());
}

#[test]
fn a_limit_of_open_files_that_is_too_low_warns() {
    let (demo, _application) = stopped();
    let under = |limit: &str| {
        let script = format!("ulimit -S -n {limit} && exec \"$0\" doctor --json --config \"$1\"");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script])
            .arg(cli::program())
            .arg(demo.file("latchkey.yaml"));
        let output = command.output().unwrap();
        let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        with(&found, "warn")
    };

    assert!(has(&under("1024"), "limits", "1024 files"));
    assert!(!has(&under("4096"), "limits", ""));
}

#[test]
fn a_mail_server_that_would_take_no_letter_is_found() {
    let (demo, _application) = stopped();
    let server = MailServer::start(Speaks::Tls);
    let by = |lines: &str| {
        demo.set_mail(lines);
        findings(&demo)
    };
    let good = server.configuration("tls");
    let wrong = demo.scratch().join("wrong-password");
    std::fs::write(&wrong, "guessed").unwrap();
    set_mode(&wrong, 0o600);
    let password = server.file("password").display().to_string();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();

    let well = by(&good);
    let refused = by(&good.replace(&password, &wrong.display().to_string()));
    let strange = by(&good.replace(
        &server.file("ca.pem").display().to_string(),
        &demo.file("ca.pem").display().to_string(),
    ));
    let away = by(&good.replace(&format!("port: {}", server.port()), &format!("port: {nobody}")));

    assert!(has(&with(&well, "ok"), "mail", "takes letters"), "{well:?}");
    for (what, findings) in [("535", refused), ("certificate", strange), ("refused", away)] {
        let failed = with(&findings, "fail");
        assert!(failed.len() == 1 && has(&failed, "mail", what), "{what}: {failed:?}");
        assert!(!failed[0].contains("guessed"), "{failed:?}");
    }
    assert_eq!(server.mails().len(), 0, "it got nothing");
}

#[test]
fn a_collector_that_takes_nothing_is_found() {
    let (demo, _application) = stopped();
    let collector = Collector::start();
    let teapot = refusing();
    let at = |url: &str| {
        demo.configure("telemetry", &format!("  otlp:\n    endpoint: {url}"));
        let found = findings(&demo);
        demo.edit(
            "latchkey.yaml",
            &format!("\ntelemetry:\n  otlp:\n    endpoint: {url}\n"),
            "\n",
        );
        found
    };
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();

    let well = at(&collector.url());
    let refused = at(&teapot.url());
    let away = at(&format!("http://{nobody}"));

    assert!(has(&with(&well, "ok"), "telemetry", "takes traces"), "{well:?}");
    assert!(has(&with(&refused, "warn"), "telemetry", "418"), "{refused:?}");
    assert!(has(&with(&away, "warn"), "telemetry", "refused"), "{away:?}");
    assert_eq!(collector.spans().len(), 0, "nothing but an empty message");
    assert_eq!(collector.received().len(), 1);
}

/// A demo that does not run, in front of an application that does.
fn stopped() -> (Demo, Upstream) {
    let application = Upstream::friendly();
    let mut demo = Demo::in_front_of(&application);
    demo.process().signal("TERM");
    demo.wait(Duration::from_secs(20));
    (demo, application)
}

fn refusing() -> Upstream {
    let refusal =
        || latchkey_tests::upstream::Reply::Send(b"HTTP/1.1 418 I am a teapot\r\nContent-Length: 0\r\n\r\n".to_vec());
    Upstream::start(move |_| refusal())
}

fn doctor(demo: &Demo, arguments: &[&str]) -> CliOutput {
    let file = demo.file("latchkey.yaml");
    let all = ["doctor", "--config"]
        .iter()
        .map(std::ffi::OsStr::new)
        .chain([file.as_os_str()]);
    cli::latchkey(all.chain(arguments.iter().map(std::ffi::OsStr::new)))
}

fn findings(demo: &Demo) -> Vec<Value> {
    let output = doctor(demo, &["--json"]);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// What has this status, as `CHECK: FOUND`.
fn with(findings: &[Value], status: &str) -> Vec<String> {
    let of_status = findings.iter().filter(|finding| finding["status"] == status);
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    of_status
        .map(|finding| format!("{}: {}", text(finding, "check"), text(finding, "found")))
        .collect()
}

fn has(found: &[String], check: &str, what: &str) -> bool {
    let prefix = format!("{check}: ");
    found
        .iter()
        .any(|line| line.starts_with(&prefix) && line.contains(what))
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Every file below, with its size and when it was changed.
fn listing(folder: &Path) -> BTreeMap<String, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let facts = std::fs::metadata(&path).unwrap();
        if facts.is_dir() {
            found.extend(listing(&path));
        }
        // SQLite's index of its own log, made anew by whoever opens the database.
        if path.extension().is_some_and(|extension| extension == "sqlite-shm") {
            continue;
        }
        found.insert(path.display().to_string(), (facts.len(), facts.modified().unwrap()));
    }
    found
}

/// One that covers the demo's hosts, and ends in so many days.
fn replace_server_certificate(demo: &Demo, days: i64) {
    let text = std::fs::read_to_string(demo.file("latchkey.yaml")).unwrap();
    let configuration: Value = serde_yaml::from_str(&text).unwrap();
    let files = &configuration["tls"]["server_certificates"][0];
    let key = rcgen::KeyPair::generate().unwrap();
    let names = ["auth", "admin", "device", "news", "wiki", "payroll", "vault"].map(|name| format!("{name}.localhost"));
    let mut parameters = rcgen::CertificateParams::new(names).unwrap();
    let now = SystemTime::now();
    let day = Duration::from_secs(86_400);
    let ends = match u32::try_from(days) {
        Ok(days) => now + day * days,
        Err(_) => now - day,
    };
    parameters.not_before = (now - day * 30).into();
    parameters.not_after = ends.into();
    let certificate = parameters.self_signed(&key).unwrap();
    std::fs::write(demo.file(files["certificate"].as_str().unwrap()), certificate.pem()).unwrap();
    std::fs::write(demo.file(files["key"].as_str().unwrap()), key.serialize_pem()).unwrap();
}

const CHECKS: [&str; 11] = [
    "configuration",
    "policies",
    "names",
    "clock",
    "keys",
    "data",
    "decision log",
    "database",
    "certificates",
    "ports",
    "upstreams",
];
