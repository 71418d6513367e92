//! A software TPM with a CA of its own, on ports of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use device_checks::wire::{Credential, Octets};
use sha2::{Digest, Sha256};

/// A TPM 2.0 in software; it ends with the value.
pub(crate) struct Swtpm {
    folder: tempfile::TempDir,
    port: u16,
}

impl Swtpm {
    /// Makes one with an endorsement key certificate and starts it.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        configure(folder.path());
        let made = Command::new("swtpm_setup")
            .args([
                "--tpm2",
                "--create-ek-cert",
                "--lock-nvram",
                "--overwrite",
                "--tpmstate",
            ])
            .arg(folder.path().join("state"))
            .arg("--config")
            .arg(folder.path().join("setup.conf"))
            .output()
            .expect("swtpm_setup is missing: apt-get install swtpm swtpm-tools");
        let said = String::from_utf8_lossy(&made.stdout).into_owned() + &String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "swtpm_setup: {said}");
        // Somebody else may take a free port before it is used.
        for _ in 0..20 {
            let port = two_free_ports();
            if run(folder.path(), port) {
                return Self { folder, port };
            }
        }
        panic!("swtpm does not start on any port");
    }

    /// How it is reached.
    pub(crate) fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// The certificate of the CA that issued its endorsement key's certificate, and of the one above it.
    pub(crate) fn authorities(&self) -> [PathBuf; 2] {
        ["issuercert.pem", "swtpm-localca-rootca-cert.pem"].map(|name| self.folder.path().join("ca").join(name))
    }

    /// A place for files.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.folder.path().join("pid")).unwrap_or_default();
        let _ = Command::new("kill").arg(pid.trim()).status();
    }
}

/// Wraps a secret as tpm2-tools do (TPM2_MakeCredential), on the side that has no TPM.
pub(crate) fn make_credential(endorsement: &Octets, attesting: &Octets, secret: &[u8]) -> Credential {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let length = u16::try_from(endorsement.0.len()).unwrap().to_be_bytes();
    fs::write(at("ek.pub"), [&length[..], &endorsement.0].concat()).unwrap();
    fs::write(at("secret"), secret).unwrap();
    let name = [&[0, 0x0b][..], &Sha256::digest(&attesting.0)].concat();
    let name: String = name.iter().map(|octet| format!("{octet:02x}")).collect();
    let made = Command::new("tpm2_makecredential")
        .args(["--tcti", "none", "--encryption-key"])
        .arg(at("ek.pub"))
        .arg("--secret")
        .arg(at("secret"))
        .args(["--name", &name, "--credential-blob"])
        .arg(at("blob"))
        .output()
        .expect("tpm2-tools are missing: apt-get install tpm2-tools");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made = fs::read(at("blob")).unwrap();
    // A header of eight octets, then a TPM2B_ID_OBJECT and a TPM2B_ENCRYPTED_SECRET.
    let (blob, rest) = sized(&made[8..]);
    let (secret, _) = sized(rest);
    Credential {
        blob: Octets(blob.to_vec()),
        secret: Octets(secret.to_vec()),
    }
}

fn configure(folder: &Path) {
    for name in ["state", "ca"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    let at = |name: &str| folder.join(name).display().to_string();
    let setup = format!(
        "create_certs_tool=/usr/bin/swtpm_localca\ncreate_certs_tool_config={}\ncreate_certs_tool_options={}\n\
         active_pcr_banks=sha256\n",
        at("localca.conf"),
        at("localca.options")
    );
    fs::write(folder.join("setup.conf"), setup).unwrap();
    let authority = format!(
        "statedir = {0}\nsigningkey = {0}/signkey.pem\nissuercert = {0}/issuercert.pem\ncertserial = {0}/certserial\n",
        at("ca")
    );
    fs::write(folder.join("localca.conf"), authority).unwrap();
    let options = "--platform-manufacturer Test\n--platform-version 1.0\n--platform-model Test\n";
    fs::write(folder.join("localca.options"), options).unwrap();
}

fn run(folder: &Path, port: u16) -> bool {
    let status = Command::new("swtpm")
        .args([
            "socket",
            "--tpm2",
            "--flags",
            "not-need-init,startup-clear",
            "--daemon",
            "--tpmstate",
        ])
        .arg(format!("dir={}", folder.join("state").display()))
        .arg("--ctrl")
        .arg(format!("type=tcp,port={}", port + 1))
        .arg("--server")
        .arg(format!("type=tcp,port={port}"))
        .arg("--pid")
        .arg(format!("file={}", folder.join("pid").display()))
        .status();
    status.expect("swtpm is missing: apt-get install swtpm").success()
}

/// The control channel is looked for at the next port.
fn two_free_ports() -> u16 {
    loop {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind((Ipv4Addr::LOCALHOST, port + 1)).is_ok() {
            return port;
        }
    }
}

/// What is behind a length of two octets, and what follows it.
pub(crate) fn sized(octets: &[u8]) -> (&[u8], &[u8]) {
    let length = usize::from(u16::from_be_bytes([octets[0], octets[1]]));
    octets[2..].split_at(length)
}
