//! What does the gateway do with a configuration that is wrong, at start and while it runs? It is never wider than asked.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use latchkey_tests::cli::{latchkey, program};
use latchkey_tests::demo::{ALICE, BOB, Demo, with_value};
use latchkey_tests::openssl::openssl;
use latchkey_tests::process::{Process, free_port, until};
use latchkey_tests::raw::RawClient;
use latchkey_tests::shared::Shared;

static DEMO: Shared = Shared::new();

/// Each case spoils one line of the demo's own file; the file as it is is the control.
#[test]
fn a_bad_configuration_is_refused_with_file_line_and_what_was_expected() {
    let demo = DEMO.demo();
    let good = std::fs::read_to_string(demo.file("latchkey.yaml")).unwrap();
    let cases = [
        ("an unknown key", "\npolicies:", "\npolices: x\npolicies:", "polices"),
        (
            "a listen address that is none",
            "\nlisten:",
            "\nlisten: nowhere\n#",
            "listen",
        ),
        (
            "a lifetime without a unit",
            "",
            "\nidentity:\n  assertion_lifetime: 5\n",
            "assertion_lifetime",
        ),
        (
            "an application without an upstream",
            "",
            "\n  - name: bare\n    hosts: [bare.localhost]\n",
            "upstream",
        ),
        (
            "an upstream that is no URL",
            "",
            &application("ftp://127.0.0.1:1", "fine.localhost"),
            "http",
        ),
        (
            "a TLS upstream without a name",
            "",
            &application("https://127.0.0.1:1", "fine.localhost"),
            "server_name",
        ),
        (
            "an application on the admin host",
            "",
            &application("http://127.0.0.1:1", "admin.localhost"),
            "admin.localhost",
        ),
        (
            "a wildcard over the auth host (X-21)",
            "",
            &application("http://127.0.0.1:1", "'*.localhost'"),
            "localhost",
        ),
    ];

    assert!(
        check(&demo, &good).0,
        "the control is refused: {}",
        check(&demo, &good).1
    );
    for (what, from, to, word) in cases {
        let text = if from.is_empty() {
            format!("{}\n{to}", good.trim_end())
        } else {
            good.replacen(from, to, 1)
        };
        assert_ne!(text, good, "{what}");
        let (accepted, message) = check(&demo, &text);
        assert!(!accepted, "{what} is accepted");
        assert!(names_a_line(&message), "{what}: no file and line in: {message}");
        assert!(message.contains(word), "{what}: {message}");
    }
}

#[test]
fn a_bad_configuration_keeps_the_gateway_from_starting() {
    let demo = DEMO.demo();
    let good = std::fs::read_to_string(demo.file("latchkey.yaml")).unwrap();
    let file = demo.file("bad.yaml");
    std::fs::write(&file, format!("unheard_of: true\n{good}")).unwrap();

    let (code, output) = run(&file);

    assert!(
        code != Some(0) && output.contains("bad.yaml:1") && output.contains("unheard_of"),
        "{code:?}: {output}"
    );
}

/// cert-ca-missing, cert-crl-foreign: what cannot be read or trusted keeps the gateway from starting, with the cause.
#[test]
fn missing_and_unreadable_material_keeps_the_gateway_from_starting() {
    let demo = DEMO.demo();
    let listen = format!("127.0.0.1:{}", free_port());
    let yaml = with_value(
        &std::fs::read_to_string(demo.file("latchkey.yaml")).unwrap(),
        "listen",
        &listen,
    );
    let authority = crl_of_another_key(&demo);
    let edited = |change: &dyn Fn(&str) -> String| {
        let file = demo.file("edited.yaml");
        std::fs::write(&file, change(&yaml)).unwrap();
        file
    };
    let under_tls = |lines: &str| edited(&|text| text.replacen("\ntls:\n", &format!("\ntls:\n{lines}\n"), 1));
    let missing = "  client_certificate_authorities: [{certificate: nowhere.pem}]";
    std::fs::write(demo.file("empty.pem"), "").unwrap();
    let empty = "  client_certificate_authorities: [{certificate: empty.pem}]";
    let foreign = format!(
        "  client_certificate_authorities: [{{certificate: {}, crl: {}}}]",
        authority.join("ca.pem").display(),
        authority.join("foreign.crl").display()
    );
    let starts: [(&str, PathBuf, &str); 5] = [
        ("a CA file that is missing", under_tls(missing), "nowhere.pem"),
        (
            "a CA file that is empty",
            copy(&under_tls(empty), "empty.yaml"),
            "empty.pem",
        ),
        (
            "a CRL by another key",
            copy(&under_tls(&foreign), "foreign.yaml"),
            "foreign.crl",
        ),
        (
            "policies that are missing",
            copy(
                &edited(&|text| with_value(text, "policies", "no-policies")),
                "policies.yaml",
            ),
            "no-policies",
        ),
        (
            "a key that others can read",
            copy(&with_open_key(&demo, &yaml), "open.yaml"),
            "0600",
        ),
    ];

    // The first file was written over by the later ones: write it again.
    under_tls(missing);
    for (what, file, word) in starts {
        let (code, output) = run(&file);
        assert!(code.is_some_and(|code| code != 0), "{what}: {code:?} {output}");
        assert!(output.contains(word), "{what}: {output}");
    }
}

#[test]
fn a_database_that_is_none_keeps_the_gateway_from_starting() {
    let mut demo = Demo::start();
    demo.kill();
    let database = files_below(&demo.directory())
        .into_iter()
        .find(|file| std::fs::read(file).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0")))
        .expect("a database");
    for file in files_below(database.parent().unwrap()) {
        if file.to_string_lossy().starts_with(&*database.to_string_lossy()) {
            std::fs::write(file, "this is no database, only text that stands in its place").unwrap();
        }
    }

    let (code, output) = run(&demo.file("latchkey.yaml"));

    assert!(code.is_some_and(|code| code != 0), "{code:?} {output}");
    assert!(
        output.contains(database.file_name().unwrap().to_str().unwrap()),
        "{output}"
    );
}

#[test]
fn a_reload_takes_a_good_file_and_keeps_the_last_good_one_otherwise() {
    let demo = Demo::start();
    let file = demo.file("latchkey.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    let marked = good.replacen(
        "  - name: wiki\n",
        "  - name: wiki\n    response_headers: {set: {X-Marked: yes}}\n",
        1,
    );
    assert_ne!(marked, good, "no wiki in {good}");
    let mark = || {
        demo.curl(ALICE, &demo.url("wiki", "/"), &[])
            .header("x-marked")
            .map(str::to_owned)
    };
    assert_eq!(mark(), None);

    std::fs::write(&file, &marked).unwrap();
    assert!(until(BOUND, || mark().is_some()), "the file's change goes unnoticed");

    std::fs::write(&file, good.replacen("\nlisten:", "\nlisten_on:", 1)).unwrap();
    demo.process().signal("HUP");
    let said = until(BOUND, || demo.process().output().contains("listen_on"));
    assert!(
        said && names_a_line(&demo.process().output()),
        "{}",
        demo.process().output()
    );
    assert_eq!(mark().as_deref(), Some("yes"), "the last good configuration is gone");
    assert_eq!(demo.status(BOB, "payroll", "/"), 403);

    std::fs::write(&file, &good).unwrap();
    demo.process().signal("HUP");
    assert!(until(BOUND, || mark().is_none()), "the gateway never recovers");
}

/// demo material in a production configuration; and the demo beyond loopback. Control: the demo as it is, which runs.
#[test]
fn demo_material_stays_in_the_demo_and_the_demo_on_loopback() {
    // One of its own: other tests write into the shared one's configuration.
    let demo = Demo::start();
    let yaml = std::fs::read_to_string(demo.file("latchkey.yaml")).unwrap();
    assert!(yaml.contains("\ndemo: true"), "{yaml}");
    let (production, open) = (demo.file("production.yaml"), demo.file("open.yaml"));
    std::fs::write(&production, yaml.replacen("\ndemo: true", "\ndemo: false", 1)).unwrap();
    std::fs::write(&open, with_value(&yaml, "listen", "0.0.0.0:1")).unwrap();

    let (as_production, said_production) = run(&production);
    let (beyond, said_beyond) = run(&open);

    assert!(
        as_production.is_some_and(|code| code != 0) && said_production.contains("demo"),
        "{said_production}"
    );
    assert!(
        beyond.is_some_and(|code| code != 0) && said_beyond.contains("loopback"),
        "{said_beyond}"
    );
}

/// also host-sni-mismatch: the name in the handshake and the one in the request must be the same.
#[test]
fn a_connection_for_one_host_answers_for_no_other() {
    let demo = DEMO.demo();
    let ask = |server_name: &str, host: &str| {
        let config = demo.tls(ALICE, &["http/1.1"]);
        let mut client = RawClient::connect(demo.address(), server_name, config).unwrap();
        client.get(host, "/").map(|answer| answer.status)
    };

    assert_eq!(ask("wiki.localhost", "wiki.localhost"), Some(200));
    assert_eq!(ask("payroll.localhost", "payroll.localhost"), Some(200));
    for (server_name, host) in [
        ("wiki.localhost", "payroll.localhost"),
        ("wiki.localhost", "admin.localhost"),
        ("admin.localhost", "wiki.localhost"),
    ] {
        assert_eq!(ask(server_name, host), Some(421), "{server_name} asked for {host}");
    }
}

fn application(url: &str, host: &str) -> String {
    format!("  - name: added\n    hosts: [{host}]\n    upstream:\n      url: {url}\n")
}

/// Whether `latchkey config check` takes this text, as a file of the demo, and what it says.
fn check(demo: &Demo, text: &str) -> (bool, String) {
    let file = demo.file("checked.yaml");
    std::fs::write(&file, text).unwrap();
    let output = latchkey(["config".as_ref(), "check".as_ref(), file.as_os_str()]);
    (output.success, output.stdout + &output.stderr)
}

/// Whether something like `latchkey.yaml:12` is in the text.
fn names_a_line(text: &str) -> bool {
    text.match_indices(".yaml:")
        .any(|(at, ending)| text[at + ending.len()..].starts_with(|c: char| c.is_ascii_digit()))
}

/// How `latchkey run` ends that is expected to refuse, and what it says.
fn run(file: &Path) -> (Option<i32>, String) {
    let mut process = Process::start(Command::new(program()).arg("run").arg("--config").arg(file));
    let code = process.wait(Duration::from_secs(20));
    // The last lines may still be on their way through the pipe.
    until(Duration::from_millis(500), || !process.output().is_empty());
    (code, process.output())
}

fn copy(file: &Path, name: &str) -> PathBuf {
    let to = file.with_file_name(name);
    std::fs::copy(file, &to).unwrap();
    to
}

/// A configuration whose first key file is a copy that everybody may read.
fn with_open_key(demo: &Demo, yaml: &str) -> PathBuf {
    let line = yaml
        .lines()
        .find(|line| line.trim_start().starts_with("key:"))
        .expect("a key");
    let name = line.split_once(':').unwrap().1.trim();
    let open = demo.scratch().join("open.key");
    std::fs::copy(demo.directory().join(name), &open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let file = demo.file("open-key.yaml");
    std::fs::write(
        &file,
        yaml.replacen(line, &line.replace(name, open.to_str().unwrap()), 1),
    )
    .unwrap();
    file
}

/// A directory with `ca.pem` and a CRL in its name that another key signed.
fn crl_of_another_key(demo: &Demo) -> PathBuf {
    let directory = demo.scratch().join("authority");
    std::fs::create_dir_all(&directory).unwrap();
    let script = "for name in ca other; do \
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.pem -days 7 \
          -subj '/CN=one name' -addext keyUsage=critical,keyCertSign,cRLSign; done; \
        touch index; echo 01 >number; \
        printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\ncrlnumber=number\\ndefault_md=sha256\\ndefault_crl_days=7\\n' >ca.conf; \
        openssl ca -gencrl -config ca.conf -cert other.pem -keyfile other.key -out foreign.crl";
    let output = Command::new("sh")
        .args(["-eu", "-c", script])
        .current_dir(&directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let crl = openssl(
        [
            "crl",
            "-noout",
            "-issuer",
            "-in",
            directory.join("foreign.crl").to_str().unwrap(),
        ],
        "",
    );
    assert!(crl.text.contains("one name"), "{}", crl.text);
    directory
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] })
        .collect()
}

const BOUND: Duration = Duration::from_secs(10);
