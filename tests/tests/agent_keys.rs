//! Where do an agent's keys live, and who can use them? The real agent, TPM, PKCS#11 token and curl.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use latchkey_tests::agent::{Agent, PASSWORD, PIN};
use latchkey_tests::curl::curl;
use latchkey_tests::demo::Demo;
use latchkey_tests::device::Key;
use latchkey_tests::process::until;
use latchkey_tests::shared::Shared;
use latchkey_tests::tpm::{SoftwareTpm, with_root};
use serde_json::{Value, json};

static DEMO: Shared = Shared::new();

/// P-22: an agent's files on another machine sign nothing there. Control: on their own.
#[test]
fn copied_files_sign_nothing_on_another_machine() {
    let (demo, tpm) = with_root();
    demo.user("p22", PASSWORD, &["employees"]);
    let agent = Agent::new();
    agent.enroll_with(&demo, "p22", &tpm, "tpm", &[]);
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
    agent.enroll_with(&demo, "x14", &tpm, "tpm", &[]);
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
    let device = agent.enroll_with(&demo, "x05", &tpm, "tpm", &[]);
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

/// Lets only their owner read the files of a state.
fn private(state: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(state, std::fs::Permissions::from_mode(0o700)).unwrap();
    for file in std::fs::read_dir(state).unwrap() {
        std::fs::set_permissions(file.unwrap().path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// D-12: an account with a PIN is given up with it, and by nobody without it.
#[test]
fn an_account_with_a_pin_is_removed_with_the_pin() {
    let demo = DEMO.demo();
    demo.user("leaver", PASSWORD, &["employees"]);
    let agent = Agent::new();
    let pin = agent.file("pin", PIN).display().to_string();
    let arguments = [
        "--name",
        "leaver-desk",
        "--keys",
        "software",
        "--no-attestation",
        "--pin-file",
        &pin,
    ];
    assert!(agent.enroll(&demo, "leaver", PASSWORD, &arguments).success);

    let refused = agent.run(&["unenroll"]);
    assert!(!refused.success && refused.stderr.contains("E0000006"), "{refused:?}");
    assert_eq!(agent.get(&demo, "wiki", "/", &[]).status, 200, "nothing was removed");

    agent.command(&["unenroll", "--pin-file", &pin]);
    let left = demo.admin("GET", "/api/v1/users/leaver/devices", None).json();
    assert_eq!(left, json!([]));
    assert!(!agent.run(&["status"]).success);
}

/// A short-lived certificate is renewed in time by the running agent, for the same key, and what it reports is taken.
#[test]
fn the_running_agent_keeps_a_short_lived_certificate_fresh() {
    let demo = Demo::start();
    demo.set("certificate_lifetime", "1h");
    demo.reload();
    demo.user("running", PASSWORD, &["employees"]);
    let agent = Agent::new();
    let arguments = [
        "--name",
        "running-desk",
        "--keys",
        "software",
        "--no-pin",
        "--no-attestation",
    ];
    assert!(agent.enroll(&demo, "running", PASSWORD, &arguments).success);
    let device = demo.device_id("running-desk").into();
    let first = demo.device(&device);
    let serial = |agent: &Agent| std::fs::read(agent.state().join("running.pem")).unwrap();
    let hourly = serial(&agent);

    let idle = agent.spawn(&["run"]);
    assert!(
        until(PATIENCE, || idle.output().contains("reported")),
        "{}",
        idle.output()
    );
    assert_eq!(serial(&agent), hourly, "control: two thirds of its life are not over");
    drop(idle);
    demo.set("certificate_lifetime", "30s");
    demo.reload();
    agent.command(&["renew"]);
    let brief = serial(&agent);
    let service = agent.spawn(&["run"]);
    let renewed = || service.output().contains("renewed the certificate");
    assert!(until(PATIENCE, renewed), "{}", service.output());

    assert_ne!(serial(&agent), brief);
    let now = demo.device(&device);
    assert_eq!(now["enrollments"][0]["key"], first["enrollments"][0]["key"]);
    assert_ne!(now["reported"]["at"], first["reported"]["at"]);
    assert_eq!(agent.get(&demo, "wiki", "/", &[]).status, 200);
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

const PATIENCE: Duration = Duration::from_secs(15);
