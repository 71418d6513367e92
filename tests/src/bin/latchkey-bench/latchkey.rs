//! The gateway that is measured: the demo's directory and policies, run on core 0.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use latchkey_tests::process::{Process, free_port};
use latchkey_tests::tls::Identity;

use crate::fronts::on_core;

/// A gateway on core 0.
pub(crate) struct Latchkey {
    process: Process,
    port: u16,
    directory: PathBuf,
    roots: PathBuf,
    identity: Identity,
}

impl Latchkey {
    /// Starts a demo of its own in `directory/NAME` with its built-in applications.
    pub(crate) fn demo(program: &Path, directory: &Path, name: &str) -> Self {
        Self::start(program, &directory.join(name), None)
    }

    /// Makes a demo's directory, then runs the gateway on it in front of this upstream; [`PUBLIC`] is open to everybody.
    pub(crate) fn in_front_of(upstream: &str, program: &Path, directory: &Path, name: &str) -> Self {
        let mut latchkey = Self::start(program, &directory.join(name), Some(upstream));
        latchkey.process.kill();
        let file = latchkey.directory.join("latchkey.yaml");
        let text = fs::read_to_string(&file).expect("the demo's configuration");
        let wiki = "  - name: wiki\n";
        assert!(text.contains(wiki), "the demo has a wiki: {text}");
        let open = format!("{wiki}    public_paths: [\"{PUBLIC}\"]\n");
        fs::write(&file, text.replacen(wiki, &open, 1)).expect("the configuration is written");
        let mut command = on_core("0", program);
        latchkey.process = ready(command.arg("run").arg("--config").arg(&file));
        latchkey
    }

    fn start(program: &Path, directory: &Path, upstream: Option<&str>) -> Self {
        let port = free_port();
        let mut command = on_core("0", program);
        command
            .args(["demo", "--without-tpm", "--without-agents", "--dir"])
            .arg(directory)
            .args(["--port", &port.to_string()]);
        if let Some(url) = upstream {
            command.args(["--upstream", url]);
        }
        Self {
            process: ready(&mut command),
            port,
            directory: directory.to_owned(),
            roots: directory.join("ca.pem"),
            identity: Identity::named(&directory.join("devices"), "alice-laptop"),
        }
    }

    /// The demo's directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its port on the loopback address.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The roots of its server certificate.
    pub(crate) fn roots(&self) -> &Path {
        &self.roots
    }

    /// The client certificate of alice's laptop.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The running program.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }
}

fn ready(command: &mut std::process::Command) -> Process {
    let mut process = Process::start(command);
    process.wait_for_line("ready", Duration::from_secs(30));
    process
}

/// The path of the application that needs no decision.
pub(crate) const PUBLIC: &str = "/public";
