//! What stands behind every front, on core 1: nginx as the application and as who answers 204, and a few services of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use latchkey_tests::process::{Process, free_port};

use crate::fronts::{Master, listens, on_core};

/// Certificates, and what answers behind the fronts.
pub(crate) struct Site {
    directory: PathBuf,
    fingerprint: String,
    upstream: u16,
    auth: u16,
    websocket: u16,
    ext_authz: u16,
    _nginx: Master,
    _services: Process,
}

impl Site {
    /// Makes certificates and starts all of it.
    pub(crate) fn start(directory: &Path, services: &Path) -> Self {
        let directory = directory.join("site");
        fs::create_dir_all(directory.join("answers")).expect("a directory");
        for (name, size) in [("10k", 10), ("1000k", 1000)] {
            let answer = "k".repeat(size * 1024);
            fs::write(directory.join("answers").join(name), answer).expect("an answer");
        }
        certificates(&directory);
        let fingerprint = fs::read_to_string(directory.join("client.sha1")).expect("a fingerprint");
        let (upstream, auth, websocket, ext_authz) = (free_port(), free_port(), free_port(), free_port());
        let back = include_str!("../../../bench/back.conf")
            .replace("{DIRECTORY}", &directory.display().to_string())
            .replace("{UPSTREAM}", &upstream.to_string())
            .replace("{AUTH}", &auth.to_string())
            .replace("{KILOBYTE}", &"k".repeat(1024));
        let file = directory.join("back.conf");
        fs::write(&file, back).expect("a configuration file");
        let nginx = Master::start("1", &file);
        let mut command = on_core("1", services);
        command.args([
            "--websocket",
            &websocket.to_string(),
            "--ext-authz",
            &ext_authz.to_string(),
        ]);
        let mut services = Process::start(&mut command);
        services.wait_for_line("ready", Duration::from_secs(5));
        for port in [upstream, auth] {
            assert!(listens(port), "nginx does not listen behind the fronts");
        }
        Self {
            directory,
            fingerprint,
            upstream,
            auth,
            websocket,
            ext_authz,
            _nginx: nginx,
            _services: services,
        }
    }

    /// Where certificates, configurations and logs are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The URL of the application.
    pub(crate) fn application(&self) -> String {
        format!("http://127.0.0.1:{}", self.upstream)
    }

    /// The URL of the WebSocket that sends messages back.
    pub(crate) fn websocket(&self) -> String {
        format!("http://127.0.0.1:{}", self.websocket)
    }

    /// A configuration of a front with everything in its place.
    pub(crate) fn filled(&self, template: &str, name: &str, port: u16) -> String {
        template
            .replace("{DIRECTORY}", &self.directory.display().to_string())
            .replace("{NAME}", name)
            .replace("{PORT}", &port.to_string())
            .replace("{UPSTREAM}", &self.upstream.to_string())
            .replace("{AUTH}", &self.auth.to_string())
            .replace("{WEBSOCKET}", &self.websocket.to_string())
            .replace("{EXT_AUTHZ}", &self.ext_authz.to_string())
            .replace("{SHA1}", &self.fingerprint)
            .replace("{SHA1_LOWER}", &self.fingerprint.to_ascii_lowercase())
    }
}

/// A CA, a server certificate and a client certificate, P-256 each, issued directly by the CA, as in the demo.
fn certificates(directory: &Path) {
    let script = include_str!("../../../bench/certificates.sh");
    let output = Command::new("sh")
        .args(["-eu", "-c", script])
        .current_dir(directory)
        .output();
    let output = output.expect("a shell");
    assert!(
        output.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
