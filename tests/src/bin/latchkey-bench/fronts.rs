//! What is measured: something that answers on a port and burns CPU time; and the gateway as one of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use latchkey_tests::process::{Process, free_port, loopback};
use latchkey_tests::tls::Identity;

/// A TLS front on core 0.
pub(crate) trait Front {
    /// What the tables call it.
    fn name(&self) -> &'static str;

    /// Its port on the loopback address.
    fn port(&self) -> u16;
    /// The roots of its server certificate.
    fn roots(&self) -> &Path;
    /// A client certificate it lets in.
    fn identity(&self) -> &Identity;
    /// The process whose CPU time, with its children's, is counted.
    fn process(&self) -> u32;
}

/// `latchkey demo` on core 0.
pub(crate) struct Latchkey {
    process: Process,
    port: u16,
    directory: PathBuf,
    roots: PathBuf,
    identity: Identity,
}

impl Latchkey {
    /// Starts a demo of its own in `directory/latchkey`, in front of an upstream or of its built-in applications.
    pub(crate) fn start(program: &Path, directory: &Path, upstream: Option<String>) -> Self {
        let (port, directory) = (free_port(), directory.join("latchkey"));
        let mut command = on_core("0", program);
        command
            .arg("demo")
            .arg("--without-tpm")
            .arg("--dir")
            .arg(&directory)
            .arg("--port")
            .arg(port.to_string());
        if let Some(url) = upstream {
            command.arg("--upstream").arg(url);
        }
        let mut process = Process::start(&mut command);
        process.wait_for_line("ready", Duration::from_secs(30));
        let roots = directory.join("ca.pem");
        let identity = Identity::named(&directory.join("devices"), "alice-laptop");
        Self {
            process,
            port,
            directory,
            roots,
            identity,
        }
    }

    /// The demo's directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Front for Latchkey {
    fn name(&self) -> &'static str {
        "Latchkey"
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn roots(&self) -> &Path {
        &self.roots
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn process(&self) -> u32 {
        self.process.id()
    }
}

/// A command that runs on one core only.
pub(crate) fn on_core(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

/// The address of a front, as the load generator takes it.
pub(crate) fn address(front: &dyn Front) -> String {
    loopback(front.port()).to_string()
}
