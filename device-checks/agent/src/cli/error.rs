//! Why was a command not carried out? Said with what helps, and with an exit code.

use std::error::Error;
use std::io;

use serde_json::{Value, json};

use crate::assertion::AssertError;
use crate::enrollment::EnrollError;
use crate::gateway::{AskError, Refusal};
use crate::installation::ConnectError;
use crate::keys::KeyError;
use crate::pam::PamError;
use crate::pin::NotPinned;
use crate::private_file::FileError;
use crate::renew::RenewError;
use crate::report::ReportError;
use crate::state::StateError;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// It was asked wrongly; says how to ask.
    #[error("{0}")]
    Usage(String),
    /// Something was not said, and there is nobody to ask.
    #[error("{flag} is missing, and there is no terminal to ask on")]
    Missing {
        /// The flag.
        flag: &'static str,
    },
    /// The terminal does not work.
    #[error("cannot ask on the terminal")]
    Prompt(#[source] io::Error),
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The gateway gives no answer that helps.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The gateway is not the one that was pinned.
    #[error(transparent)]
    NotPinned(#[from] NotPinned),
    /// The gateway cannot be worked with.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The device was not enrolled.
    #[error(transparent)]
    Enroll(#[from] EnrollError),
    /// There is no assertion.
    #[error(transparent)]
    Assert(#[from] AssertError),
    /// The certificate was not renewed.
    #[error(transparent)]
    Renew(#[from] RenewError),
    /// Nothing was reported.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The user was not verified.
    #[error(transparent)]
    Pam(#[from] PamError),
    /// The gateway wants a further factor.
    #[error("{message}: give the six digits of your TOTP authenticator with --totp")]
    FactorNeeded {
        /// Why, as the gateway says.
        message: String,
    },
    /// No page would find this agent.
    #[error(
        "every port on which pages look for an agent is taken ({}): end what listens there",
        listed(ports)
    )]
    NoPort {
        /// The ports.
        ports: Vec<u16>,
    },
    /// The user did not come back from the browser.
    #[error("nobody finished in the browser within 10 minutes: nothing was enrolled")]
    Late,
    /// The user ended it.
    #[error("ended: nothing was enrolled")]
    Interrupted,
    /// The self-test found something; shown already.
    #[error("wrong: {wrong}")]
    Unwell {
        /// How many things are.
        wrong: usize,
    },
    /// The process lacks what it needs.
    #[error("cannot start")]
    Start(#[source] io::Error),
}

impl CliError {
    /// What the process ends with.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Missing { .. } => 2,
            Self::Prompt(_)
            | Self::File(_)
            | Self::State(_)
            | Self::Key(_)
            | Self::Ask(_)
            | Self::NotPinned(_)
            | Self::Connect(_)
            | Self::Enroll(_)
            | Self::Assert(_)
            | Self::Renew(_)
            | Self::Report(_)
            | Self::Pam(_)
            | Self::FactorNeeded { .. }
            | Self::NoPort { .. }
            | Self::Late
            | Self::Interrupted
            | Self::Unwell { .. }
            | Self::Start(_) => 1,
        }
    }

    /// Whether the gateway may have enrolled keys nevertheless.
    pub(super) fn leaves_open(&self) -> bool {
        matches!(self, Self::Enroll(error) if error.leaves_open())
    }

    /// What a script is told.
    pub(super) fn json(&self) -> Value {
        let mut told = json!({ "error": chain(self) });
        if let (Some(refusal), Some(members)) = (self.refusal(), told.as_object_mut()) {
            members.insert("error".to_owned(), json!(refusal.summary));
            members.insert("code".to_owned(), json!(refusal.code));
            members.insert("causes".to_owned(), json!(refusal.causes));
            members.insert("status".to_owned(), json!(refusal.status));
            members.insert("retryAfter".to_owned(), json!(refusal.retry_after));
            members.insert("advice".to_owned(), json!(refusal.advice()));
        }
        told
    }

    /// The code of the gateway's no, where that is what it is.
    pub(super) fn code(&self) -> Option<&str> {
        self.refusal().map(|refusal| refusal.code.as_str())
    }

    /// The gateway's no, wherever in the error it is.
    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Ask(error)
            | Self::Enroll(EnrollError::Ask(error))
            | Self::Assert(AssertError::Ask(error))
            | Self::Renew(RenewError::Ask(error))
            | Self::Report(ReportError::Ask(error)) => error.refusal(),
            Self::Connect(error) | Self::Report(ReportError::Connect(error)) => error.refusal(),
            Self::Usage(_)
            | Self::Missing { .. }
            | Self::Prompt(_)
            | Self::File(_)
            | Self::State(_)
            | Self::Key(_)
            | Self::NotPinned(_)
            | Self::Enroll(_)
            | Self::Assert(_)
            | Self::Renew(_)
            | Self::Report(_)
            | Self::Pam(_)
            | Self::FactorNeeded { .. }
            | Self::NoPort { .. }
            | Self::Late
            | Self::Interrupted
            | Self::Unwell { .. }
            | Self::Start(_) => None,
        }
    }
}

fn listed(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

/// An error with everything that caused it.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_told_the_gateways_code_and_what_helps() {
        let refusal = Refusal {
            status: 429,
            code: "E0000047".to_owned(),
            summary: "API call exceeded rate limit".to_owned(),
            causes: vec!["too many tries".to_owned()],
            retry_after: Some(30),
        };
        let error = CliError::Enroll(EnrollError::Ask(AskError::Refused(refusal)));
        assert_eq!(
            error.json(),
            json!({
                "error": "API call exceeded rate limit",
                "code": "E0000047",
                "causes": ["too many tries"],
                "status": 429,
                "retryAfter": 30,
                "advice": "too many tries: try again in 30 s",
            })
        );
        assert_eq!(error.exit_code(), 1);
        let missing = CliError::Missing { flag: "--user" };
        assert_eq!(
            missing.json(),
            json!({ "error": "--user is missing, and there is no terminal to ask on" })
        );
        assert_eq!(missing.exit_code(), 2);
    }
}
