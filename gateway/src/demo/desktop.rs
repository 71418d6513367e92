//! How does a device with keys in hardware come into the demo? As any other: its agent enrols it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::tpm::note;
use crate::clock::Clock;
use crate::factors::totp::TotpSecret;
use crate::private_file;

/// The demo's desktop, and what enrolling it takes.
pub(super) struct Desktop {
    /// The demo's folder.
    pub(super) folder: PathBuf,
    /// The gateway's port.
    pub(super) port: u16,
    /// Where its TPM is.
    pub(super) tcti: String,
}

/// Its name, and whose it is.
pub(super) const NAME: &str = "carol-desktop";
const USER: &str = "carol";

impl Desktop {
    /// Where its agent keeps its state.
    pub(super) fn state(&self) -> PathBuf {
        self.folder.join("agents").join(NAME)
    }

    /// Enrols it through its agent, unless it is enrolled; says on standard error why not.
    pub(super) fn enroll(&self) -> bool {
        if self.state().join("agent.json").exists() {
            return true;
        }
        let Some(agent) = agent() else {
            note("latchkey-agent is not built beside latchkey: the desktop with keys in hardware is left out.\n");
            return false;
        };
        match self.run(&agent) {
            Ok(()) => true,
            Err(why) => {
                note(&format!("{NAME} could not be enrolled, and is left out: {why}\n"));
                false
            }
        }
    }

    fn run(&self, agent: &Path) -> Result<(), String> {
        let secret = |ending: &str| self.folder.join("users").join(format!("{USER}.{ending}"));
        let totp = private_file::read(&secret("totp")).map_err(|error| error.to_string())?;
        let secret_of_user = TotpSecret::from_base32(totp.trim()).map_err(|error| error.to_string())?;
        let code = secret_of_user
            .code(Clock::start().now())
            .ok_or("there is no code for this time")?;
        let enrolled = Command::new(agent)
            .arg("enroll")
            .arg("--gateway")
            .arg(format!("https://auth.localhost:{}", self.port))
            .arg("--ca")
            .arg(self.folder.join("ca.pem"))
            .args(["--user", USER, "--password-file"])
            .arg(secret("password"))
            .args(["--totp", &code, "--name", NAME, "--pin-file"])
            .arg(secret("pin"))
            .args(["--keys", "tpm", "--tcti", &self.tcti, "--state"])
            .arg(self.state())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if enrolled.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&enrolled.stderr).trim().to_owned())
        }
    }
}

/// The agent's program, beside this one.
pub(super) fn agent() -> Option<PathBuf> {
    let agent = std::env::current_exe().ok()?.with_file_name("latchkey-agent");
    agent.is_file().then_some(agent)
}
