//! How do the demo's devices get their agents? As any other: each enrols itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::tpm::note;
use crate::clock::Clock;
use crate::factors::totp::TotpSecret;
use crate::private_file;

/// An installation of the agent on one of the demo's devices.
pub(super) struct Installation {
    name: &'static str,
    user: &'static str,
    by: By,
}

/// How an agent enrols.
enum By {
    /// With password and code, its keys in this TPM.
    Password {
        /// Where the TPM is.
        tcti: String,
    },
    /// With a token for the device that there is already, its keys in files.
    Token,
}

impl Installation {
    /// carol's desktop, whose keys are in a TPM.
    pub(super) fn desktop(tcti: String) -> Self {
        Self {
            name: "carol-desktop",
            user: "carol",
            by: By::Password { tcti },
        }
    }

    /// The laptops that the demo made.
    pub(super) fn laptops() -> [Self; 2] {
        [("alice-laptop", "alice"), ("bob-laptop", "bob")].map(|(name, user)| Self {
            name,
            user,
            by: By::Token,
        })
    }

    /// Where the agent keeps its state.
    pub(super) fn state(&self, folder: &Path) -> PathBuf {
        folder.join("agents").join(self.name)
    }

    /// Enrols it, unless it is enrolled; says on standard error why not.
    pub(super) fn enroll(&self, folder: &Path, port: u16) -> bool {
        if self.state(folder).join("agent.json").exists() {
            return true;
        }
        let Some(agent) = agent() else {
            note(&format!(
                "latchkey-agent is not built beside latchkey: {} goes without it.\n",
                self.name
            ));
            return false;
        };
        match self.run(&agent, folder, port) {
            Ok(()) => true,
            Err(why) => {
                note(&format!(
                    "{} could not be enrolled, and is left out: {why}\n",
                    self.name
                ));
                false
            }
        }
    }

    fn run(&self, agent: &Path, folder: &Path, port: u16) -> Result<(), String> {
        let secret = |ending: &str| folder.join("users").join(format!("{}.{ending}", self.user));
        let mut command = Command::new(agent);
        command
            .arg("enroll")
            .arg("--gateway")
            .arg(format!("https://auth.localhost:{port}"))
            .arg("--ca")
            .arg(folder.join("ca.pem"))
            .args(["--name", self.name, "--pin-file"])
            .arg(secret("pin"))
            .arg("--state")
            .arg(self.state(folder));
        match &self.by {
            By::Password { tcti } => {
                let totp = private_file::read(&secret("totp")).map_err(|error| error.to_string())?;
                let totp = TotpSecret::from_base32(totp.trim()).map_err(|error| error.to_string())?;
                let code = totp
                    .code(Clock::start().now())
                    .ok_or("there is no code for this time")?;
                command
                    .args(["--user", self.user, "--password-file"])
                    .arg(secret("password"))
                    .args(["--totp", &code, "--keys", "tpm", "--tcti", tcti]);
            }
            By::Token => {
                command
                    .arg("--token-file")
                    .arg(token_file(folder, self.name))
                    .args(["--keys", "software"]);
            }
        }
        let enrolled = command
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

/// Where the token is with which a laptop's agent enrols.
pub(super) fn token_file(folder: &Path, device: &str) -> PathBuf {
    folder.join("agents").join(format!("{device}.token"))
}

/// The agent's program, beside this one.
pub(super) fn agent() -> Option<PathBuf> {
    let agent = std::env::current_exe().ok()?.with_file_name("latchkey-agent");
    agent.is_file().then_some(agent)
}
