//! Is it the user of this machine? A PAM service of the operating system says so, by a finger, a face or whatever it is set up for.
//!
//! It is asked in a process of its own (see [`helper`]): modules block for as long as they like, and nothing else ends them.

pub mod helper;
mod library;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use device_checks::wire::VerificationMethod;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};
use zeroize::Zeroizing;

use crate::prompt::{Group, Message, Prompt, Typed};
use helper::Event;

/// The name of a PAM service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Service(String);

/// Proof that a PAM service verified the user who runs this process. Only [`verify`] makes one.
#[derive(Debug, Clone)]
pub struct Verified {
    service: Service,
}

/// Says why a user was not verified.
#[derive(Debug, thiserror::Error)]
pub enum PamError {
    /// There is no such service: another one, for whatever has none, is never asked.
    #[error("this machine has no PAM service `{0}` (/etc/pam.d/{0})")]
    NoService(Service),
    /// The account confirms by a PIN.
    #[error("a PIN is asked for, not a PAM service")]
    NotAsked,
    /// It says no, or cannot say.
    #[error("the PAM service `{service}` does not verify you: {why}")]
    Refused {
        /// Which one.
        service: Service,
        /// Why.
        why: String,
    },
    /// The user cancelled it.
    #[error("cancelled: you were not verified")]
    Cancelled,
    /// Nothing came of it in time.
    #[error("the PAM service `{0}` did not verify you in time")]
    Late(Service),
    /// It cannot be asked.
    #[error("cannot ask the PAM service")]
    Start(#[from] std::io::Error),
}

/// Says that a name is none of a PAM service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a PAM service (a-z, 0-9, `.`, `_`, `-`; not `other`), found `{0}`")]
pub struct BadService(String);

/// Has a service verify the user who runs this process. What it says and asks is passed to them, for so long at most.
///
/// # Errors
///
/// It is not there, does not verify them, or not in time; or they cancelled it.
pub async fn verify(service: &Service, login: &str, prompt: &Prompt, patience: Duration) -> Result<Verified, PamError> {
    if !service.is_there() {
        return Err(PamError::NoService(service.clone()));
    }
    let asked = tokio::time::timeout(patience, ask(service, login, prompt, patience)).await;
    asked.unwrap_or_else(|_| Err(PamError::Late(service.clone())))
}

/// Whether this machine has what speaks to PAM services.
///
/// # Errors
///
/// Says why it cannot be used.
pub fn is_usable() -> Result<(), String> {
    library::Library::open().map(drop)
}

impl Service {
    /// The one that is usual for a method; nothing for a PIN, which is the agent's own.
    pub fn usual(method: VerificationMethod) -> Option<Self> {
        match method {
            VerificationMethod::Pin => None,
            VerificationMethod::Fingerprint => Some(Self("latchkey-fingerprint".to_owned())),
            VerificationMethod::Face => Some(Self("latchkey-face".to_owned())),
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether it is set up. libpam would take `other` in its place, which may let anybody in.
    pub fn is_there(&self) -> bool {
        // Where pam_wrapper is loaded, libpam looks for services where that says.
        let wrapped = std::env::var_os("PAM_WRAPPER_SERVICE_DIR");
        let wrapped = wrapped.filter(|_| std::env::var_os("PAM_WRAPPER").is_some());
        let folders = wrapped.as_ref().map(Path::new).into_iter();
        let mut folders = folders.chain(SERVICES.iter().map(Path::new));
        folders.any(|folder| folder.join(&self.0).is_file())
    }
}

impl std::str::FromStr for Service {
    type Err = BadService;

    fn from_str(name: &str) -> Result<Self, BadService> {
        let fits =
            |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || "._-".contains(character);
        let is_one = (1..=64).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('.');
        if is_one && name != "other" {
            Ok(Self(name.to_owned()))
        } else {
            Err(BadService(crate::gateway::printable(name)))
        }
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Service {
    type Error = BadService;

    fn try_from(name: String) -> Result<Self, BadService> {
        name.parse()
    }
}

impl From<Service> for String {
    fn from(service: Service) -> Self {
        service.0
    }
}

impl Verified {
    /// By which service.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// A proof for tests of what takes one.
    #[cfg(test)]
    pub(crate) fn assumed() -> Self {
        Self {
            service: Service("latchkey-test".to_owned()),
        }
    }
}

async fn ask(service: &Service, login: &str, prompt: &Prompt, patience: Duration) -> Result<Verified, PamError> {
    let mut child = Command::new("/proc/self/exe")
        .args([helper::COMMAND, "--service", &service.0, "--within"])
        .arg(patience.as_secs().saturating_add(1).to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = Group::of(&child);
    let (Some(mut answers), Some(events)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into());
    };
    let mut events = BufReader::new(events).lines();
    let mut shown: Option<std::pin::Pin<Box<dyn Future<Output = bool> + Send + '_>>> = None;
    let refused = |why: String| PamError::Refused {
        service: service.clone(),
        why,
    };
    let verified = loop {
        let event = tokio::select! {
            event = events.next_line() => event?,
            cancelled = wait(&mut shown) => {
                shown = None;
                if cancelled {
                    return Err(PamError::Cancelled);
                }
                continue;
            }
        };
        let event = event.ok_or_else(|| refused("it ended without an answer".to_owned()))?;
        match serde_json::from_str(&event).map_err(std::io::Error::from)? {
            Event::Message { text, error } => {
                let message = Message::said(login, text, error);
                shown = Some(Box::pin(async move { prompt.show(&message, patience).await }));
            }
            Event::Input { text, hidden } => {
                // What was shown before makes room.
                shown = None;
                match prompt.input(&Message::asked(login, text, hidden), patience).await {
                    Typed::Text(typed) => answer(&mut answers, typed.expose()).await?,
                    Typed::No | Typed::Nothing => return Err(PamError::Cancelled),
                }
            }
            Event::Verified => {
                break Verified {
                    service: service.clone(),
                };
            }
            Event::Refused { why } => return Err(refused(why)),
        }
    };
    drop(answers);
    child.wait().await?;
    group.ended();
    Ok(verified)
}

/// Waits for what is shown to be cancelled or closed; for ever where nothing is.
async fn wait(shown: &mut Option<std::pin::Pin<Box<dyn Future<Output = bool> + Send + '_>>>) -> bool {
    match shown {
        Some(shown) => shown.await,
        None => std::future::pending().await,
    }
}

async fn answer(answers: &mut ChildStdin, typed: &str) -> Result<(), std::io::Error> {
    let mut line = Zeroizing::new(serde_json::to_string(typed)?);
    line.push('\n');
    answers.write_all(line.as_bytes()).await?;
    answers.flush().await
}

/// Where libpam looks for services.
const SERVICES: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_as_a_file_that_leads_nowhere_else() {
        for name in ["latchkey-fingerprint", "sudo", "a.b_c-1"] {
            assert_eq!(name.parse::<Service>().unwrap().name(), name);
        }
        for name in ["", "other", "../shadow", "a/b", ".hidden", "Sudo", "a b", "\u{1b}[2J"] {
            assert!(name.parse::<Service>().is_err(), "{name:?}");
        }
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_is_not_replaced_by_another() {
        let service: Service = "latchkey-nobody-has-this".parse().unwrap();
        let verified = verify(&service, "alice", &Prompt::Usual, Duration::from_secs(1)).await;
        assert!(matches!(verified, Err(PamError::NoService(_))), "{verified:?}");
    }
}
