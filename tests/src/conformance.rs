//! How do other people's programs speak TLS and WebSocket, well and badly? Python's, which `scripts/install test` put in place.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::process::{Process, free_port, loopback};
use crate::tls::{DEADLINE, Identity};

/// A client of tlslite-ng that does handshakes which go wrong in one way each (`conformance/handshakes.py`); ended when dropped.
pub struct Handshakes {
    child: Child,
    asked: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Handshakes {
    /// One that asks for this host, and has this certificate; `other` has a key of another device.
    pub fn start(address: SocketAddr, host: &str, identity: &Identity, other: &Identity) -> Self {
        let mut child = Command::new(program("python"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/handshakes.py"))
            .arg(address.ip().to_string())
            .arg(address.port().to_string())
            .arg(host)
            .args([&identity.certificate, &identity.key, &other.key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            asked: child.stdin.take().unwrap(),
            said: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// How the server ended this case: `alert NAME`, `closed`, `silent` or `answered STATUS`.
    ///
    /// # Panics
    /// When there is no such case.
    pub fn end_of(&mut self, case: &str) -> String {
        writeln!(self.asked, "{case}").unwrap();
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        let said = line.trim_end().strip_prefix(case).map(str::trim_start);
        said.unwrap_or_else(|| panic!("{case}: the client said {line:?}"))
            .to_owned()
    }
}

impl Drop for Handshakes {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What sslyze finds in a server that is measured by Mozilla's profile of this name (`modern`, `intermediate`).
///
/// # Panics
/// When sslyze cannot be run.
pub fn sslyze(address: SocketAddr, host: &str, roots: &Path, profile: &str) -> String {
    let output = Command::new(program("sslyze"))
        .args(["--mozilla_config", profile, "--sni", host, "--certinfo_ca_file"])
        .arg(roots)
        .arg(address.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, found) = said
        .split_once("COMPLIANCE AGAINST TLS CONFIGURATION")
        .unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    found.to_owned()
}

/// A server of the Python library `websockets` (`conformance/websocket_server.py`); ended when dropped.
pub struct WebSocketServer {
    _process: Process,
    port: u16,
}

impl WebSocketServer {
    /// Starts one, and waits until it listens.
    pub fn start() -> Self {
        let port = free_port();
        let mut command = Command::new(program("python"));
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/websocket_server.py"));
        let mut process = Process::start(command.arg(port.to_string()));
        process.wait_for_line("listens", DEADLINE);
        Self {
            _process: process,
            port,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }
}

fn program(name: &str) -> PathBuf {
    let program = crate::browser::target().join("conformance/bin").join(name);
    assert!(program.exists(), "no {}: run scripts/install test", program.display());
    program
}
