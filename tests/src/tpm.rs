//! Where do tests get a TPM? A software one with an endorsement key certified by a root of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::demo::Demo;
use crate::openssl::openssl;
use crate::process::{Process, free_port, loopback, until};

/// A running software TPM; gone when dropped.
pub struct SoftwareTpm {
    process: Process,
    home: TempDir,
    port: u16,
}

impl SoftwareTpm {
    /// Makes a TPM and starts it.
    ///
    /// # Panics
    /// When swtpm is not installed, or does not work: tests of hardware are not left out in silence.
    pub fn start() -> Self {
        let home = tempfile::Builder::new().prefix("latchkey-tpm-").tempdir().unwrap();
        make(home.path());
        let port = port_with_neighbour();
        let process = run(home.path(), port);
        Self { process, home, port }
    }

    /// How the agent reaches it.
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// The root that certified its endorsement key, PEM.
    pub fn root(&self) -> PathBuf {
        self.home.path().join("root.pem")
    }

    /// A root that certified no TPM at all, in this folder.
    pub fn start_root(folder: &Path) -> PathBuf {
        let home = folder.join("stranger");
        std::fs::create_dir_all(&home).unwrap();
        make_root(&home);
        home.join("root.pem")
    }

    /// What anybody who can talk to the TPM can show of it: its certificate, and the public halves of two keys.
    ///
    /// # Panics
    /// When tpm2-tools are not installed.
    pub fn evidence(&self) -> Value {
        let home = self.home.path();
        let tools = |script: &str| {
            let output = Command::new("sh")
                .args(["-ec", script])
                .current_dir(home)
                .env("TPM2TOOLS_TCTI", self.tcti())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        tools("tpm2_flushcontext -t; tpm2_createek -Q -c ek.ctx -G rsa -u ek.pub");
        tools("tpm2_flushcontext -t; tpm2_createak -Q -C ek.ctx -c ak.ctx -G ecc -g sha256 -s ecdsa -u ak.pub");
        tools("tpm2_flushcontext -t; tpm2_flushcontext -s; tpm2_nvread -Q 0x1c00002 -o ek.der");
        let octets = |name: &str| std::fs::read(home.join(name)).unwrap();
        // A TPM2B_PUBLIC: two octets of length, then the TPMT_PUBLIC.
        let public = |name: &str| URL_SAFE_NO_PAD.encode(&octets(name)[2..]);
        json!({
            "fmt": "tpm",
            "attStmt": {
                "ver": "2.0",
                "x5c": [URL_SAFE_NO_PAD.encode(octets("ek.der"))],
                "ek": public("ek.pub"),
                "ak": public("ak.pub"),
            },
        })
    }

    /// The process, for those who end it early.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn make_root(home: &Path) {
    let file = |name: &str| home.join(name).display().to_string();
    let made = openssl(
        [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "3650",
            "-subj",
            "/CN=Test TPM maker",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout",
            &file("root.key"),
            "-out",
            &file("root.pem"),
        ],
        "",
    );
    assert!(made.success, "{}", made.text);
}

fn make(home: &Path) {
    make_root(home);
    std::fs::create_dir(home.join("state")).unwrap();
    let home_text = home.display();
    let write = |name: &str, text: String| std::fs::write(home.join(name), text).unwrap();
    write(
        "localca.conf",
        format!(
            "statedir = {home_text}\nsigningkey = {home_text}/root.key\nissuercert = {home_text}/root.pem\n\
             certserial = {home_text}/serial\n"
        ),
    );
    write(
        "localca.options",
        "--platform-manufacturer Test\n--platform-version 1.0\n--platform-model Test\n".to_owned(),
    );
    write(
        "setup.conf",
        format!(
            "create_certs_tool=swtpm_localca\ncreate_certs_tool_config={home_text}/localca.conf\n\
             create_certs_tool_options={home_text}/localca.options\nactive_pcr_banks = sha256\n"
        ),
    );
    let setup = Command::new("swtpm_setup")
        .args([
            "--tpm2",
            "--create-ek-cert",
            "--lock-nvram",
            "--overwrite",
            "--tpmstate",
        ])
        .arg(home.join("state"))
        .arg("--config")
        .arg(home.join("setup.conf"))
        .stdin(Stdio::null())
        .output()
        .expect("swtpm-tools is installed: scripts/install test");
    assert!(setup.status.success(), "{}", String::from_utf8_lossy(&setup.stderr));
}

fn port_with_neighbour() -> u16 {
    // Both are asked for, so that no other test is given the second.
    loop {
        let (port, next) = (free_port(), free_port());
        if next == port + 1 {
            return port;
        }
    }
}

fn run(home: &Path, port: u16) -> Process {
    let process = Process::start(
        Command::new("swtpm")
            .args([
                "socket",
                "--tpm2",
                "--flags",
                "not-need-init,startup-clear",
                "--tpmstate",
            ])
            .arg(format!("dir={}", home.join("state").display()))
            .arg("--server")
            .arg(format!("type=tcp,port={port},bindaddr=127.0.0.1"))
            .arg("--ctrl")
            .arg(format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1)),
    );
    let listens = || std::net::TcpListener::bind(loopback(port + 1)).is_err();
    assert!(until(Duration::from_secs(10), listens), "swtpm does not start");
    process
}

impl Demo {
    /// Has the demo trust a TPM's maker, and waits until it does.
    pub fn trust(&self, tpm: &SoftwareTpm, name: &str) {
        let line = format!("    - {{certificate: {}, class: test}} # {name}", tpm.root().display());
        let text = std::fs::read_to_string(self.file("latchkey.yaml")).unwrap();
        match text.contains("\nattestation:\n") {
            true => self.edit("latchkey.yaml", "  roots:\n", &format!("  roots:\n{line}\n")),
            false => self.configure("attestation", &format!("  roots:\n{line}")),
        }
        self.reload();
    }
}

/// A demo that trusts a TPM's maker for tests.
pub fn with_root() -> (Demo, SoftwareTpm) {
    let (demo, tpm) = (Demo::start(), SoftwareTpm::start());
    demo.trust(&tpm, "first");
    (demo, tpm)
}
