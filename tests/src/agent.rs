//! What does the real `latchkey-agent` do for a user of a demo?

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{CliOutput, beside};
use crate::curl::CurlAnswer;
use crate::demo::{Demo, NOBODY};
use crate::process::Process;
use crate::tpm::SoftwareTpm;

/// The password of users that tests make.
pub const PASSWORD: &str = "correct horse battery";
/// The PIN of their devices.
pub const PIN: &str = "271828";

/// An installation of the agent with a state of its own.
pub struct Agent {
    home: TempDir,
}

impl Agent {
    /// One that has enrolled nowhere.
    pub fn new() -> Self {
        Self {
            home: tempfile::Builder::new().prefix("latchkey-agent-").tempdir().unwrap(),
        }
    }

    /// Where it keeps its state.
    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// A file of the test's own beside it, for its owner alone.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.home.path().join(name);
        std::fs::write(&file, text).unwrap();
        let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, own).unwrap();
        file
    }

    /// Runs a command of the agent on this state.
    pub fn run(&self, arguments: &[&str]) -> CliOutput {
        self.run_in(&[], arguments)
    }

    /// The same, with more in its environment.
    pub fn run_in(&self, environment: &[(&str, OsString)], arguments: &[&str]) -> CliOutput {
        let state = self.state();
        let all = arguments
            .iter()
            .map(OsString::from)
            .chain(["--state".into(), state.into_os_string()]);
        run_in(environment, all)
    }

    /// The same, which must succeed.
    pub fn command(&self, arguments: &[&str]) -> CliOutput {
        let output = self.run(arguments);
        assert!(output.success, "latchkey-agent {arguments:?}: {output:?}");
        output
    }

    /// The same, for its JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.command(&[arguments, &["--json"]].concat()).json()
    }

    /// Enrols for a user with this password, as these further arguments say.
    pub fn enroll(&self, demo: &Demo, user: &str, password: &str, more: &[&str]) -> CliOutput {
        self.enroll_in(&[], demo, user, password, more)
    }

    /// The same, with more in its environment.
    pub fn enroll_in(
        &self,
        environment: &[(&str, OsString)],
        demo: &Demo,
        user: &str,
        password: &str,
        more: &[&str],
    ) -> CliOutput {
        let password = self.file("password", password);
        let gateway = demo.url("auth", "");
        let (password, ca) = (
            password.display().to_string(),
            demo.file("ca.pem").display().to_string(),
        );
        let fixed = [
            "enroll",
            "--gateway",
            &gateway,
            "--ca",
            &ca,
            "--user",
            user,
            "--password-file",
            &password,
        ];
        self.run_in(environment, &[&fixed, more].concat())
    }

    /// Enrols with a PIN, this TPM and keys in this place; the device's id.
    pub fn enroll_with(&self, demo: &Demo, user: &str, tpm: &SoftwareTpm, keys: &str, more: &[&str]) -> Value {
        let pin = self.file("pin", PIN).display().to_string();
        let (name, tcti) = (format!("{user}-desktop"), tpm.tcti());
        let mut arguments = vec!["--name", &name, "--keys", keys, "--pin-file", &pin];
        if !more.contains(&"--no-attestation") {
            arguments.extend(["--tcti", &tcti]);
        }
        arguments.extend(more);
        let enrolled = self.enroll(demo, user, PASSWORD, &arguments);
        assert!(enrolled.success, "{enrolled:?}");
        let devices = demo.admin("GET", &format!("/api/v1/users/{user}/devices"), None).json();
        let devices = devices.as_array().unwrap();
        devices.last().unwrap()["device"]["id"].clone()
    }

    /// Starts a command that goes on, such as `run`.
    pub fn spawn(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(program());
        command.args(arguments).arg("--state").arg(self.state());
        Process::start(&mut command)
    }

    /// The header field with which curl asks for this URL.
    pub fn assertion(&self, method: &str, url: &str, more: &[&str]) -> String {
        let output = self.command(&[&["assert", "--method", method, "--url", url], more].concat());
        output.stdout.trim().to_owned()
    }

    /// Asks for a page with an assertion of its own.
    pub fn get(&self, demo: &Demo, app: &str, path: &str, more: &[&str]) -> CurlAnswer {
        let url = demo.url(app, path);
        let field = self.assertion("GET", &url, more);
        demo.curl(NOBODY, &url, &["-H", &field])
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs `latchkey-agent` with these arguments to its end.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> CliOutput {
    run_in(&[], arguments)
}

fn run_in(environment: &[(&str, OsString)], arguments: impl IntoIterator<Item = OsString>) -> CliOutput {
    let output = Command::new(program())
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    CliOutput {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The agent under test: `LATCHKEY_AGENT_BIN`, or `latchkey-agent` in the build directory of this test.
pub fn program() -> PathBuf {
    let program = std::env::var_os("LATCHKEY_AGENT_BIN").map_or_else(|| beside("latchkey-agent"), PathBuf::from);
    assert!(
        program.exists(),
        "{} does not exist: run `cargo build -p latchkey-agent --features tpm` first",
        program.display()
    );
    program
}
