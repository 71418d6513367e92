//! What is a key in a TPM worth, and who can pretend to have one? The real agent, a software TPM, the real curl.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_tests::agent::Agent;
use latchkey_tests::curl::curl;
use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::device::{Device, Key};
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;
use latchkey_tests::tpm::SoftwareTpm;
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

const PASSWORD: &str = "correct horse battery";
const PIN: &str = "271828";

/// The demo's second act: its own desktop's keys are in its TPM, the vault lets it in, and says why it does not let a
/// software key in; everything that shows the TPM says that its root is one for tests.
#[test]
fn the_demos_desktop_opens_the_vault_and_a_software_key_does_not() {
    let demo = Demo::with_tpm();
    let state = demo.file("agents/carol-desktop");
    let url = demo.url("vault", "/");
    let asserted = latchkey_tests::agent::run(
        ["assert", "--method", "GET", "--url", &url, "--state"]
            .iter()
            .map(std::ffi::OsString::from)
            .chain([state.clone().into_os_string()]),
    );
    let field = asserted.stdout.trim();

    let opened = demo.curl(NOBODY, &url, &["-H", field]);

    assert_eq!(opened.status, 200, "{}: {}", asserted.stderr, opened.text());
    assert_eq!(opened.json()["headers"]["x-latchkey-user"], "carol");
    let refused = demo.curl(latchkey_tests::demo::ALICE, &url, &[]);
    assert_eq!((refused.status, refused.code().as_str()), (403, "policy-denied"));
    assert!(refused.text().contains("proved to live in the device's hardware"));
    let shown = demo.device(&demo.device_id("carol-desktop").into());
    assert_eq!(
        (&shown["attestation"]["rootClass"], &shown["secureHardware"]),
        (&"test".into(), &true.into())
    );
    let said = latchkey_tests::agent::run(
        ["status", "--state"]
            .iter()
            .map(Into::into)
            .chain([state.into_os_string()]),
    );
    assert!(said.stdout.contains("TEST HARDWARE"), "{}", said.stdout);
    let secrets = [
        "users/alice.password",
        "users/carol.password",
        "users/carol.totp",
        "tpm/ek-root.pem",
    ];
    assert!(secrets.iter().all(|name| demo.file(name).exists()));
}

/// E-11, S-08, S-09: hardware only where keys are proved to live in it; that a machine has some is another matter.
#[test]
fn keys_are_in_hardware_only_where_that_is_proved() {
    let (demo, tpm) = with_root();
    let (in_tpm, beside_tpm, without) = (Agent::new(), Agent::new(), Agent::new());
    for user in ["e11a", "e11b", "e11c"] {
        demo.user(user, PASSWORD, &["employees"]);
    }

    let hardware = enroll(&demo, &in_tpm, "e11a", &tpm, "tpm", &[]);
    let software = enroll(&demo, &beside_tpm, "e11b", &tpm, "software", &[]);
    let nothing = enroll(&demo, &without, "e11c", &tpm, "software", &["--no-attestation"]);

    assert_eq!(in_tpm.get(&demo, "vault", "/", &[]).status, 200);
    assert_eq!(in_tpm.get(&demo, "wiki", "/", &[]).status, 200);
    for agent in [&beside_tpm, &without] {
        assert_eq!(agent.get(&demo, "vault", "/", &[]).code(), "policy-denied");
        assert_eq!(agent.get(&demo, "wiki", "/", &[]).status, 200, "control");
    }
    let facts = |device: &Value| {
        let shown = demo.device(device);
        let accounts = shown["enrollments"].as_array().unwrap().clone();
        let protections: Vec<String> = accounts
            .iter()
            .map(|one| one["keyProtection"].as_str().unwrap().to_owned())
            .collect();
        (
            shown["secureHardwarePresent"] == true,
            shown["secureHardware"] == true,
            protections,
        )
    };
    // The machine with the TPM is one device, whoever enrols on it.
    assert_eq!(hardware, software);
    let (present, attested, mut protections) = facts(&hardware);
    protections.sort();
    assert_eq!(
        (present, attested, protections),
        (true, true, vec!["HARDWARE".to_owned(), "SOFTWARE".to_owned()])
    );
    assert_eq!(facts(&nothing), (false, false, vec!["SOFTWARE".to_owned()]));
}

/// E-13 (its control): where keys have to live in hardware, those in the TPM are taken, and software is refused by name.
#[test]
fn where_hardware_is_required_a_tpm_is_enough() {
    let (demo, tpm) = with_root();
    demo.user("e13", PASSWORD, &["employees"]);
    assert_eq!(demo.fastpass(&json!({ "keyProtection": "HARDWARE" })).status, 200);
    let agent = Agent::new();

    let refused = agent.enroll(
        &demo,
        "e13",
        PASSWORD,
        &["--name", "e13", "--keys", "software", "--no-pin", "--no-attestation"],
    );
    assert!(!refused.success && refused.stderr.contains("hardware"), "{refused:?}");
    enroll(&demo, &agent, "e13", &tpm, "tpm", &[]);
}

/// D-17: the same machine after its disk was wiped is the same device with its history, and a new one once it was deleted.
#[test]
fn a_wiped_machine_is_recognised_until_it_is_deleted() {
    let (demo, tpm) = with_root();
    demo.user("wiped", PASSWORD, &["employees"]);
    let (first, second, third) = (Agent::new(), Agent::new(), Agent::new());
    let device = enroll(&demo, &first, "wiped", &tpm, "tpm", &[]);

    let again = enroll(&demo, &second, "wiped", &tpm, "tpm", &[]);

    assert_eq!(again, device);
    let statuses: Vec<Value> = demo.device(&device)["enrollments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["status"].clone())
        .collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == "ACTIVE").count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(first.get(&demo, "wiki", "/", &[]).code(), "enrollment-ended");
    demo.command(&["device", "deactivate", device.as_str().unwrap()]);
    demo.command(&["device", "delete", device.as_str().unwrap()]);
    let new = enroll(&demo, &third, "wiped", &tpm, "tpm", &[]);
    assert_ne!(new, device);
    assert_eq!(third.get(&demo, "vault", "/", &[]).status, 200);
}

/// X-12: a machine that was shut out enrols again neither as itself nor behind software keys, until an admin lets it; other
/// attested hardware does without.
#[test]
fn a_machine_that_was_shut_out_comes_back_by_an_admin_alone() {
    let (demo, tpm) = with_root();
    demo.user("x12", PASSWORD, &["employees"]);
    let first = Agent::new();
    let device = enroll(&demo, &first, "x12", &tpm, "tpm", &[]);
    demo.command(&["device", "deactivate", device.as_str().unwrap()]);
    let tcti = tpm.tcti();
    let try_again = |agent: &Agent, more: &[&str]| {
        agent.enroll(
            &demo,
            "x12",
            PASSWORD,
            &[&["--name", "again", "--no-pin"], more].concat(),
        )
    };

    let same = try_again(&Agent::new(), &["--keys", "tpm", "--tcti", &tcti]);
    let software = try_again(&Agent::new(), &["--keys", "software", "--tcti", &tcti]);
    let hidden = try_again(&Agent::new(), &["--keys", "software", "--no-attestation"]);
    assert!(!same.success && same.stderr.contains("E0000152"), "{same:?}");
    assert!(
        !software.success && software.stderr.contains("E0000152"),
        "{software:?}"
    );
    assert!(!hidden.success && hidden.stderr.contains("shut out"), "{hidden:?}");
    assert_eq!(demo.device(&device)["status"], "DEACTIVATED");

    let released = Agent::new();
    let token = released.file("token", &demo.enrollment_token("x12"));
    let (ca, gateway) = (demo.file("ca.pem").display().to_string(), demo.url("auth", ""));
    released.command(&[
        "enroll",
        "--gateway",
        &gateway,
        "--ca",
        &ca,
        "--token-file",
        &token.display().to_string(),
        "--name",
        "released",
        "--keys",
        "software",
        "--no-attestation",
        "--no-pin",
    ]);
    let other = SoftwareTpm::start();
    trust(&demo, &other, "other");
    let elsewhere = Agent::new();
    enroll(&demo, &elsewhere, "x12", &other, "tpm", &[]);
}

/// X-22: when a root goes or a machine is denied, hardware facts go at once, and come back with it; others keep theirs.
#[test]
fn attested_hardware_lasts_as_long_as_its_root() {
    let (demo, tpm) = with_root();
    let other = SoftwareTpm::start();
    trust(&demo, &other, "other");
    for user in ["x22a", "x22b"] {
        demo.user(user, PASSWORD, &["employees"]);
    }
    let (first, second) = (Agent::new(), Agent::new());
    let device = enroll(&demo, &first, "x22a", &tpm, "tpm", &[]);
    enroll(&demo, &second, "x22b", &other, "tpm", &[]);
    let vault = |agent: &Agent| agent.get(&demo, "vault", "/", &[]).status;
    assert_eq!((vault(&first), vault(&second)), (200, 200));

    let root = format!("certificate: {}", tpm.root().display());
    let stranger = format!("certificate: {}", SoftwareTpm::start_root(demo.scratch()).display());
    demo.edit("latchkey.yaml", &root, &stranger);
    reload(&demo);
    assert!(until(PATIENCE, || vault(&first) == 403));
    assert_eq!(vault(&second), 200, "control");
    assert_eq!(demo.device(&device)["secureHardware"], false);

    demo.edit("latchkey.yaml", &stranger, &root);
    reload(&demo);
    assert!(until(PATIENCE, || vault(&first) == 200));
    let machine = demo.device(&device)["attestation"]["hardware"]
        .as_str()
        .unwrap()
        .to_owned();
    demo.configure("attestation", &format!("  denied: [{machine}]"));
    reload(&demo);
    assert!(until(PATIENCE, || vault(&first) == 403));
    assert_eq!(
        (vault(&second), first.get(&demo, "wiki", "/", &[]).status),
        (200, 200),
        "control"
    );
}

/// X-18: the demo's own TPM root, and any root for tests, is refused by a configuration that is not a demo's.
#[test]
fn a_test_root_is_refused_in_earnest() {
    let demo = Demo::with_tpm();
    let check = || demo.check_configuration();
    assert!(check().success, "control: in the demo itself it is taken");

    demo.set("demo", "false");
    let as_test = check();
    demo.edit("latchkey.yaml", "class: test", "class: hardware");
    let as_hardware = check();

    assert!(
        !as_test.success && as_test.stderr.contains("a root made for tests attests in a demo alone"),
        "{as_test:?}"
    );
    assert!(
        !as_hardware.success && as_hardware.stderr.contains("was made by the demo"),
        "{as_hardware:?}"
    );
}

/// P-22: an agent's files on another machine sign nothing there. Control: on their own.
#[test]
fn copied_files_sign_nothing_on_another_machine() {
    let (demo, tpm) = with_root();
    demo.user("p22", PASSWORD, &["employees"]);
    let agent = Agent::new();
    enroll(&demo, &agent, "p22", &tpm, "tpm", &[]);
    let thief = SoftwareTpm::start();
    let copy = Agent::new();
    std::fs::create_dir(copy.state()).unwrap();
    for file in std::fs::read_dir(agent.state()).unwrap() {
        let file = file.unwrap().path();
        let text = std::fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&text).replace(&tpm.tcti(), &thief.tcti());
        std::fs::write(copy.state().join(file.file_name().unwrap()), text).unwrap();
    }
    private(&copy.state());

    let url = demo.url("vault", "/");
    let stolen = copy.run(&["assert", "--method", "GET", "--url", &url]);

    assert!(!stolen.success, "{stolen:?}");
    assert!(!stolen.stdout.contains("Device-Assertion"));
    assert_eq!(agent.get(&demo, "vault", "/", &[]).status, 200, "control");
}

/// X-14: a PIN that the TPM enforces is verification by hardware; a wrong PIN signs nothing and locks nobody out.
#[test]
fn a_pin_that_the_tpm_enforces_verifies_the_user() {
    let (demo, tpm) = with_root();
    demo.user("x14", PASSWORD, &["employees"]);
    let agent = Agent::new();
    enroll(&demo, &agent, "x14", &tpm, "tpm", &[]);
    let rule = "@id(\"wiki.open\") permit (principal, action in Action::\"access\", resource == App::\"wiki\");\n\
                @id(\"wiki.verified\") @deny_reason(\"PIN.\") forbid (principal, action in Action::\"access\", resource == App::\"wiki\")\n\
                unless { context has proof && context.proof.userVerified };\n";
    std::fs::write(demo.file("policies/wiki.cedar"), rule).unwrap();
    let pin = agent.file("pin", PIN).display().to_string();
    let verified = || agent.get(&demo, "wiki", "/", &["--verify-user", "--pin-file", &pin]);

    assert!(
        until(PATIENCE, || agent.get(&demo, "wiki", "/", &[]).status == 403),
        "possession alone"
    );
    assert_eq!(verified().status, 200, "{}", verified().text());

    let new = agent.file("new-pin", "314159").display().to_string();
    agent.command(&["pin", "change", "--pin-file", &pin, "--new-pin-file", &new]);
    let url = demo.url("wiki", "/");
    let asked = [
        "assert",
        "--method",
        "GET",
        "--url",
        &url,
        "--verify-user",
        "--pin-file",
    ];
    let refused = agent.run(&[&asked[..], &[&pin]].concat());
    assert!(
        !refused.success && refused.stdout.is_empty(),
        "the PIN of before: {refused:?}"
    );
    assert_eq!(
        agent
            .get(&demo, "wiki", "/", &["--verify-user", "--pin-file", &new])
            .status,
        200,
        "control: the right PIN, after a wrong one"
    );
}

/// X-05, and curl with a key that is in a TPM: it opens the vault by mTLS, and renews for its own key alone.
#[test]
fn curl_uses_the_key_in_the_tpm_and_renews_for_no_other() {
    let (demo, tpm) = with_root();
    demo.user("x05", PASSWORD, &["employees"]);
    let agent = Agent::new();
    let device = enroll(&demo, &agent, "x05", &tpm, "tpm", &[]);
    let (certificate, key) = (agent.state().join("x05.pem"), agent.state().join("x05.key"));
    let openssl = agent.state().join("openssl-tpm2.cnf");
    let curl = |arguments: &[&str]| with_resource_manager(&tpm, &openssl, &demo, &certificate, &key, arguments);
    assert!(
        std::fs::read_to_string(&key)
            .unwrap()
            .contains("BEGIN TSS2 PRIVATE KEY")
    );

    let opened = curl(&[&demo.url("vault", "/")]);
    assert!(opened.contains("\"x-latchkey-user\":\"x05\""), "{opened}");

    let before = demo.device(&device);
    let body = json!({ "certificateRequest": Key::new().request(&[]) }).to_string();
    let renew = demo.url("device", "/agent/v1/certificates/renew");
    let refused = curl(&["--data-binary", &body, &renew]);
    assert!(
        refused.contains("E0000001") && refused.contains("a new key is a new enrolment"),
        "{refused}"
    );
    assert_eq!(demo.device(&device), before);

    agent.command(&["renew"]);
    assert_eq!(demo.device(&device)["certificates"], 2, "control: the same key");
}

/// curl with a key in a PKCS#11 token opens what asks for no attested hardware.
#[test]
fn curl_uses_the_key_in_the_pkcs11_token() {
    let demo = DEMO.demo();
    demo.user("token", PASSWORD, &["employees"]);
    let agent = Agent::new();
    let token = Token::new(&agent);
    let module = token.module.display().to_string();
    let pin = agent.file("token-pin", Token::PIN).display().to_string();

    let enrolled = agent.enroll_in(
        &token.environment(),
        &demo,
        "token",
        PASSWORD,
        &[
            "--name",
            "token-laptop",
            "--keys",
            "pkcs11",
            "--pkcs11-module",
            &module,
            "--pkcs11-token",
            "latchkey",
            "--pkcs11-pin-file",
            &pin,
            "--no-pin",
        ],
    );
    assert!(enrolled.success, "{enrolled:?}");

    let status = agent.run_in(&token.environment(), &["status", "--json"]).json();
    let uri = find(&status, "pkcs11:").expect("a PKCS#11 URI");
    let certificate = agent.state().join("token.pem").display().to_string();
    let answer = token.curl(&demo, &certificate, &uri, &demo.url("wiki", "/"));
    assert!(answer.contains("\"x-latchkey-user\":\"token\""), "{answer}");
    let shown = demo.device(&demo.device_id("token-laptop").into());
    assert_eq!(shown["enrollments"][0]["keyStore"], "pkcs11");
    assert_eq!(
        shown["enrollments"][0]["keyProtection"], "SOFTWARE",
        "a token claims no attested hardware"
    );
}

/// Forged and borrowed evidence: a bare client with somebody's real certificates stops where a TPM has to answer, and
/// nothing is made. Control: the agent with that very TPM.
#[test]
fn borrowed_evidence_enrols_nothing() {
    let (demo, tpm) = with_root();
    demo.user("forger", PASSWORD, &["employees"]);
    let evidence = tpm.evidence();
    let device = Device::default();
    let begin = |statement: Value| {
        let token = device.token(&demo, "forger", PASSWORD);
        let mut beginning = device.beginning("forged");
        beginning["keyStore"] = "tpm".into();
        beginning["statement"] = statement;
        (device.begin(&demo, &token, &beginning), token)
    };

    let (begun, token) = begin(evidence.clone());
    assert_eq!(begun.status, 200, "the certificates are real: {}", begun.text());
    let begun = begun.json();
    assert!(begun["credential"].is_object());
    let skipped = device.finish(&demo, &token, &device.ending(&demo, &begun));
    assert_eq!(skipped.status, 400, "without activation");
    let (begun, token) = begin(evidence.clone());
    let guess = json!({ "attempt": begun.json()["attempt"], "secret": URL_SAFE_NO_PAD.encode([7; 32]) });
    assert_eq!(
        device
            .step(&demo, "/agent/v1/enrollments/activate", Some(&token), &guess)
            .status,
        400
    );
    assert_eq!(
        device
            .step(&demo, "/agent/v1/enrollments/activate", Some(&token), &guess)
            .status,
        404,
        "the attempt is over"
    );

    let stranger = SoftwareTpm::start();
    let mut foreign = evidence.clone();
    foreign["attStmt"]["x5c"] = stranger.evidence()["attStmt"]["x5c"].clone();
    let mut swapped = stranger.evidence();
    swapped["attStmt"]["x5c"] = evidence["attStmt"]["x5c"].clone();
    let mut cut = evidence.clone();
    cut["attStmt"]["ek"] = "AAAA".into();
    for (what, bad) in [
        ("another TPM's certificate", foreign),
        ("another TPM's keys", swapped),
        ("a TPM of an unknown maker", stranger.evidence()),
        ("a key cut short", cut),
        (
            "no certificate",
            json!({ "fmt": "tpm", "attStmt": { "ver": "2.0", "x5c": [], "ek": "", "ak": "" } }),
        ),
    ] {
        let (refused, _) = begin(bad);
        assert_eq!(
            (refused.status, &refused.json()["errorCode"]),
            (400, &"E0000001".into()),
            "{what}: {}",
            refused.text()
        );
    }
    assert_eq!(
        demo.admin("GET", "/api/v1/users/forger/devices", None).json(),
        json!([])
    );
    enroll(&demo, &Agent::new(), "forger", &tpm, "tpm", &[]);
}

/// A demo that trusts a TPM's maker for tests.
fn with_root() -> (Demo, SoftwareTpm) {
    let (demo, tpm) = (Demo::start(), SoftwareTpm::start());
    trust(&demo, &tpm, "first");
    (demo, tpm)
}

/// Has the demo trust a TPM's maker, and waits until it does.
fn trust(demo: &Demo, tpm: &SoftwareTpm, name: &str) {
    let line = format!("    - {{certificate: {}, class: test}} # {name}", tpm.root().display());
    let text = std::fs::read_to_string(demo.file("latchkey.yaml")).unwrap();
    match text.contains("\nattestation:\n") {
        true => demo.edit("latchkey.yaml", "  roots:\n", &format!("  roots:\n{line}\n")),
        false => demo.configure("attestation", &format!("  roots:\n{line}")),
    }
    reload(demo);
}

fn reload(demo: &Demo) {
    let before = demo.metric("latchkey_reloads_total").unwrap_or_default();
    demo.process().signal("HUP");
    let taken = || demo.metric("latchkey_reloads_total").unwrap_or_default() > before;
    assert!(until(PATIENCE, taken), "{}", demo.process().output());
}

/// Enrols through the agent, with a PIN; the device's id.
fn enroll(demo: &Demo, agent: &Agent, user: &str, tpm: &SoftwareTpm, keys: &str, more: &[&str]) -> Value {
    let pin = agent.file("pin", PIN).display().to_string();
    let name = format!("{user}-desktop");
    let tcti = tpm.tcti();
    let mut arguments = vec!["--name", &name, "--keys", keys, "--pin-file", &pin];
    if !more.contains(&"--no-attestation") {
        arguments.extend(["--tcti", &tcti]);
    }
    arguments.extend(more);
    let enrolled = agent.enroll(demo, user, PASSWORD, &arguments);
    assert!(enrolled.success, "{enrolled:?}");
    let devices = demo.admin("GET", &format!("/api/v1/users/{user}/devices"), None).json();
    let devices = devices.as_array().unwrap();
    devices.last().unwrap()["device"]["id"].clone()
}

/// Lets only their owner read the files of a state.
fn private(state: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(state, std::fs::Permissions::from_mode(0o700)).unwrap();
    for file in std::fs::read_dir(state).unwrap() {
        std::fs::set_permissions(file.unwrap().path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// curl by mTLS with a key in the TPM, behind a resource manager: the TLS library wants more room than a bare TPM has.
fn with_resource_manager(
    tpm: &SoftwareTpm,
    openssl: &Path,
    demo: &Demo,
    certificate: &Path,
    key: &Path,
    arguments: &[&str],
) -> String {
    let script = r#"tpm2-abrmd --allow-root --session --tcti="$TCTI" 2>/dev/null & manager=$!
        trap 'kill $manager' EXIT
        tries=0
        until TPM2TOOLS_TCTI=tabrmd:bus_type=session tpm2_getcap properties-fixed >/dev/null 2>&1; do
            tries=$((tries + 1)); [ $tries -lt 100 ] || exit 1
        done
        TPM2OPENSSL_TCTI=tabrmd:bus_type=session OPENSSL_CONF="$OPENSSL" curl -q -sS --max-time 20 --noproxy '*' "$@""#;
    let output = Command::new("dbus-run-session")
        .args(["--", "sh", "-c", script, "sh", "--cacert"])
        .arg(demo.file("ca.pem"))
        .arg("--cert")
        .arg(certificate)
        .arg("--key")
        .arg(key)
        .args(arguments)
        .env("TCTI", tpm.tcti())
        .env("OPENSSL", openssl)
        .output()
        .expect("dbus and tpm2-abrmd are installed: scripts/install test");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// The first text in a JSON value that begins so.
fn find(value: &Value, beginning: &str) -> Option<String> {
    match value {
        Value::String(text) => text.starts_with(beginning).then(|| text.clone()),
        Value::Array(items) => items.iter().find_map(|item| find(item, beginning)),
        Value::Object(members) => members.values().find_map(|member| find(member, beginning)),
        _ => None,
    }
}

/// A PKCS#11 token of softhsm2's, in a folder of its own.
struct Token {
    module: std::path::PathBuf,
    configuration: std::path::PathBuf,
}

impl Token {
    const PIN: &'static str = "8642";

    fn new(agent: &Agent) -> Self {
        let tokens = agent.state().with_file_name("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let configuration = agent.file(
            "softhsm2.conf",
            &format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()),
        );
        let made = Command::new("softhsm2-util")
            .args([
                "--init-token",
                "--free",
                "--label",
                "latchkey",
                "--pin",
                Self::PIN,
                "--so-pin",
                "97531",
            ])
            .env("SOFTHSM2_CONF", &configuration)
            .output()
            .expect("softhsm2 is installed: scripts/install test");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let places = [
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        ];
        let module = places
            .iter()
            .map(Path::new)
            .find(|path| path.exists())
            .expect("softhsm2's module");
        Self {
            module: module.to_owned(),
            configuration,
        }
    }

    fn environment(&self) -> [(&'static str, std::ffi::OsString); 1] {
        [("SOFTHSM2_CONF", self.configuration.clone().into_os_string())]
    }

    fn curl(&self, demo: &Demo, certificate: &str, uri: &str, url: &str) -> String {
        let output = Command::new("curl")
            .args([
                "-q",
                "-sS",
                "--max-time",
                "20",
                "--noproxy",
                "*",
                "--engine",
                "pkcs11",
                "--key-type",
                "ENG",
                "--cert",
            ])
            .args([certificate, "--key", uri, "--cacert"])
            .arg(demo.file("ca.pem"))
            .arg(url)
            .envs(self.environment())
            .env("PKCS11_MODULE_PATH", &self.module)
            .output()
            .unwrap();
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    }
}

#[test]
fn a_certificate_in_a_file_still_works_beside_all_that() {
    let demo = DEMO.demo();
    let alice = demo.identity("alice-laptop");
    let arguments: [std::path::PathBuf; 5] = [
        "--cert".into(),
        alice.certificate,
        "--key".into(),
        alice.key,
        demo.url("wiki", "/").into(),
    ];
    assert_eq!(curl(&demo.file("ca.pem"), arguments).status, 200);
}

const PATIENCE: Duration = Duration::from_secs(15);
