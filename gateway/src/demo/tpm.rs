//! Where does the demo's hardware come from? A software TPM with a root of its own, which attests in this demo alone.

use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use certs::{Authority, Material, Purpose};

use super::material::terms;
use super::{DemoError, files, write};
use crate::private_file;

/// A software TPM that runs as long as the demo.
pub(super) struct SoftwareTpm {
    process: Child,
    port: u16,
}

impl SoftwareTpm {
    /// Makes the TPM the first time, and starts it; nothing where this machine has no swtpm.
    ///
    /// # Errors
    /// If it is there and does not work.
    pub(super) fn start(demo: &Path, near: u16) -> Result<Option<Self>, DemoError> {
        if !is_installed("swtpm") || !is_installed("swtpm_setup") {
            return Ok(None);
        }
        let folder = Folder::of(demo)?;
        if !folder.state.join(MADE).exists() {
            folder.make()?;
        }
        let port = folder.port(near)?;
        Ok(Some(Self {
            process: folder.run(port)?,
            port,
        }))
    }

    /// How tpm2-tss programs reach it: what `latchkey-agent --tcti` takes.
    pub(super) fn tcti(&self) -> String {
        tcti(self.port)
    }
}

impl Drop for SoftwareTpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The root that certifies the TPM's endorsement key, relative to the demo's folder.
pub(super) const ROOT: &str = "tpm/ek-root.pem";

/// The TPM's own files. swtpm wants absolute paths.
struct Folder {
    root: PathBuf,
    state: PathBuf,
}

impl Folder {
    fn of(demo: &Path) -> Result<Self, DemoError> {
        let root = demo.join("tpm");
        let state = root.join("state");
        fs::create_dir_all(&state).map_err(files(format!("cannot make `{}`", state.display())))?;
        let absolute = |path: &Path| {
            path.canonicalize()
                .map_err(files(format!("cannot find `{}`", path.display())))
        };
        Ok(Self {
            root: absolute(&root)?,
            state: absolute(&state)?,
        })
    }

    /// Makes a root, and a TPM whose endorsement key it certifies.
    fn make(&self) -> Result<(), DemoError> {
        let bad = |error: certs::CreateError| DemoError::Material(Box::new(error));
        let root =
            Authority::create("Latchkey demo TPM root", Purpose::Endorsement, Material::Demo, &terms()).map_err(bad)?;
        write(&self.file("ek-root.pem"), &root.certificate_pem)?;
        let key = self.file("ek-root.key");
        let _ = fs::remove_file(&key);
        private_file::write(&key, &root.key_pem).map_err(files(format!("cannot write `{}`", key.display())))?;
        let (folder, state) = (self.root.display(), self.state.display());
        write(
            &self.file("localca.conf"),
            &format!(
                "statedir = {folder}\nsigningkey = {folder}/ek-root.key\nissuercert = {folder}/ek-root.pem\n\
                 certserial = {folder}/certserial\n"
            ),
        )?;
        write(
            &self.file("localca.options"),
            "--platform-manufacturer Latchkey\n--platform-version 1.0\n--platform-model Demo\n",
        )?;
        write(
            &self.file("setup.conf"),
            &format!(
                "create_certs_tool=swtpm_localca\ncreate_certs_tool_config={folder}/localca.conf\n\
                 create_certs_tool_options={folder}/localca.options\nactive_pcr_banks = sha256\n"
            ),
        )?;
        let setup = Command::new("swtpm_setup")
            .args([
                "--tpm2",
                "--create-ek-cert",
                "--lock-nvram",
                "--overwrite",
                "--tpmstate",
            ])
            .arg(&self.state)
            .arg("--config")
            .arg(self.file("setup.conf"))
            .stdin(Stdio::null())
            .output()
            .map_err(files("cannot run swtpm_setup".to_owned()))?;
        if !setup.status.success() {
            let said = String::from_utf8_lossy(&setup.stderr).into_owned();
            return Err(files(format!("swtpm_setup cannot make a TPM in `{state}`"))(
                io::Error::other(said),
            ));
        }
        write(&self.state.join(MADE), "")
    }

    /// The port it had before, for those who remember it, or the first time one that is free with its neighbour.
    fn port(&self, near: u16) -> Result<u16, DemoError> {
        let file = self.file("tcti");
        if let Ok(text) = fs::read_to_string(&file)
            && let Some((_, port)) = text.trim().rsplit_once('=')
            && let Ok(port) = port.parse()
        {
            return Ok(port);
        }
        let free = |port: &u16| is_free(*port) && is_free(port.saturating_add(1));
        let candidates = (0..PORTS).map(|step| FIRST_PORT + ((near % PORTS) + step * 2) % PORTS);
        let none = || files("cannot find a free port for the TPM".to_owned())(io::ErrorKind::AddrInUse.into());
        let port = candidates.into_iter().find(free).ok_or_else(none)?;
        write(&file, &format!("{}\n", tcti(port)))?;
        Ok(port)
    }

    /// Starts it so that it ends with this process, however that ends.
    fn run(&self, port: u16) -> Result<Child, DemoError> {
        let control = port.saturating_add(1);
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "swtpm", "socket", "--tpm2", "--tpmstate"])
            .arg(format!("dir={}", self.state.display()))
            .args(["--flags", "not-need-init,startup-clear", "--server"])
            .arg(format!("type=tcp,port={port},bindaddr=127.0.0.1"))
            .arg("--ctrl")
            .arg(format!("type=tcp,port={control},bindaddr=127.0.0.1"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(files("cannot run swtpm".to_owned()))?;
        let end = Instant::now() + PATIENCE;
        while is_free(control) {
            let ended = process.try_wait().map_err(files("cannot watch swtpm".to_owned()))?;
            if ended.is_some() || Instant::now() > end {
                let _ = process.kill();
                let what = format!("swtpm does not start on the ports {port} and {control}");
                return Err(files(what)(io::ErrorKind::TimedOut.into()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(process)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

fn tcti(port: u16) -> String {
    format!("swtpm:host=127.0.0.1,port={port}")
}

/// Whether a program can be run.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Says something that is not an answer, such as that a part is left out.
pub(super) fn note(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Marks a TPM that was made to its end.
const MADE: &str = ".made";
/// How long swtpm may take to start.
const PATIENCE: Duration = Duration::from_secs(10);
/// Ports below those that the system hands out by itself.
const FIRST_PORT: u16 = 10_000;
const PORTS: u16 = 9_000;
