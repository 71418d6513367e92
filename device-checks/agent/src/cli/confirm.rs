//! How does a user confirm, and how do they want to? By a PIN of the agent's, or by a PAM service of the operating system.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use device_checks::wire::{FastPass, VerificationMethod};

use super::error::CliError;
use super::prompt::{self, attended};
use crate::assertion::AssertError;
use crate::enrollment::Chosen;
use crate::keys::Confirmed;
use crate::pam::{self, Service, Verified};
use crate::prompt::Prompt;
use crate::state::Account;

/// What there is to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Method {
    /// A PIN, which a TPM enforces where the keys are in one
    Pin,
    /// Nothing: no user-verification key is made
    None,
    /// A finger, which a PAM service looks at; on the software's word
    Fingerprint,
    /// A face, which a PAM service looks at; on the software's word
    Face,
}

/// What it takes to choose.
#[derive(Args)]
pub(super) struct How {
    /// The file with the PIN of a user-verification key
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// The PAM service that looks at the finger or face [default: latchkey-fingerprint, latchkey-face]
    #[arg(long, value_name = "NAME")]
    pam_service: Option<Service>,
}

impl Method {
    /// How the protocol calls it; nothing for none.
    fn method(self) -> Option<VerificationMethod> {
        match self {
            Self::Pin => Some(VerificationMethod::Pin),
            Self::None => None,
            Self::Fingerprint => Some(VerificationMethod::Fingerprint),
            Self::Face => Some(VerificationMethod::Face),
        }
    }
}

impl How {
    /// What the user chose, or chooses now; a service verifies them at once.
    pub(super) async fn choose(
        &self,
        said: Option<Method>,
        fastpass: FastPass,
        scripted: bool,
        login: &str,
    ) -> Result<Option<Chosen>, CliError> {
        self.refuse_what_does_not_fit(said)?;
        if !fastpass.enabled {
            return Ok(None);
        }
        let asks = attended() && !scripted;
        let said = match said.or_else(|| self.pin_file.is_some().then_some(Method::Pin)) {
            None if asks => ask(fastpass)?,
            said => said,
        };
        // Where a PIN is all that there is, none is chosen by typing none.
        let chosen = said.or_else(|| asks.then_some(Method::Pin));
        let Some(method) = chosen.and_then(Method::method) else {
            return Ok(None);
        };
        let needed = fastpass.user_verification_required || said.is_some();
        let confirmed = match method {
            VerificationMethod::Pin if self.pin_file.is_none() && !attended() => {
                return Err(CliError::Missing { flag: prompt::PIN_FLAG });
            }
            VerificationMethod::Pin => prompt::new_pin(self.pin_file.as_deref(), needed)?.map(Confirmed::Pin),
            VerificationMethod::Fingerprint | VerificationMethod::Face => {
                let service = self.pam_service.clone().or_else(|| Service::usual(method));
                let service = service.ok_or(CliError::Missing { flag: SERVICE_FLAG })?;
                Some(Confirmed::Checked(verify(&service, login).await?))
            }
        };
        Ok(confirmed.map(|confirmed| Chosen { method, confirmed }))
    }

    fn refuse_what_does_not_fit(&self, said: Option<Method>) -> Result<(), CliError> {
        let by_service = matches!(said, Some(Method::Fingerprint | Method::Face));
        let unfit = if self.pam_service.is_some() && !by_service {
            SERVICE_FLAG
        } else if self.pin_file.is_some() && !matches!(said, None | Some(Method::Pin)) {
            "--pin-file"
        } else {
            return Ok(());
        };
        Err(CliError::Usage(format!(
            "{unfit} does not go with what is chosen to confirm with"
        )))
    }
}

/// Asks, where there is more to choose from than a PIN or none.
fn ask(fastpass: FastPass) -> Result<Option<Method>, CliError> {
    let is_there = |method: &Method| {
        method
            .method()
            .and_then(Service::usual)
            .is_some_and(|service| service.is_there())
    };
    let mut choices: Vec<Method> = [Method::Fingerprint, Method::Face]
        .into_iter()
        .filter(is_there)
        .collect();
    if choices.is_empty() {
        return Ok(None);
    }
    choices.push(Method::Pin);
    if !fastpass.user_verification_required {
        choices.push(Method::None);
    }
    let name = |method: &Method| method.to_possible_value().map(|value| value.get_name().to_owned());
    let names: Vec<String> = choices.iter().filter_map(name).collect();
    loop {
        let question = format!("Confirm sign-ins with ({})", names.join(", "));
        let answer = prompt::text(None, &question, "--verify HOW", names.first().cloned())?;
        if let Some(index) = names.iter().position(|name| *name == answer.trim()) {
            return Ok(choices.get(index).copied());
        }
    }
}

/// Has the user of an account confirm, in its way.
pub(super) async fn confirm(account: &Account, pin_file: Option<&Path>) -> Result<Confirmed, CliError> {
    let verification = account.verification.as_ref();
    let verification = verification.ok_or_else(|| AssertError::NoVerification(account.login.clone()))?;
    match verification.method {
        VerificationMethod::Pin => {
            let title = format!("PIN of {}", account.login);
            Ok(Confirmed::Pin(prompt::secret(pin_file, &title, prompt::PIN_FLAG)?))
        }
        VerificationMethod::Fingerprint | VerificationMethod::Face if pin_file.is_some() => {
            Err(AssertError::OtherWay(account.login.clone()).into())
        }
        VerificationMethod::Fingerprint | VerificationMethod::Face => {
            let service = verification.service().map_err(AssertError::from)?;
            Ok(Confirmed::Checked(verify(&service, &account.login).await?))
        }
    }
}

/// Whether the user of an account can be asked to confirm here.
pub(super) fn can_confirm(account: &Account, pin_file: Option<&Path>) -> bool {
    match account.verification.as_ref().map(|verification| verification.method) {
        None => false,
        Some(VerificationMethod::Pin) => pin_file.is_some() || attended(),
        Some(VerificationMethod::Fingerprint | VerificationMethod::Face) => true,
    }
}

async fn verify(service: &Service, login: &str) -> Result<Verified, CliError> {
    Ok(pam::verify(service, login, &Prompt::Terminal, PATIENCE).await?)
}

const SERVICE_FLAG: &str = "--pam-service";
/// How long somebody has to put a finger down.
const PATIENCE: Duration = Duration::from_secs(60);
