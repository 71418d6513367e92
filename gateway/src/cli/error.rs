//! Why was a command not carried out? Said in one line, with what helps.

use std::io;
use std::path::PathBuf;

use policies::cases::BadCases;

use crate::config::ConfigErrors;
use crate::demo::DemoError;
use crate::load::LoadFailure;
use crate::run::StartError;
use crate::store::SubmitError;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// It was asked wrongly; says how to ask.
    #[error("{0}")]
    Usage(String),
    /// The demo cannot be shown.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The gateway does not start, or its data cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The configuration is not as expected.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The configuration or what it names is not fit.
    #[error(transparent)]
    Load(#[from] LoadFailure),
    /// Policies are not fit to decide; drawn already.
    #[error("problems in the policies: {count}")]
    Policies {
        /// How many things are wrong.
        count: usize,
    },
    /// The policies do not decide as the cases expect.
    #[error("{failed} of {all} cases failed")]
    CasesFailed {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
    },
    /// The gateway needs something that is not as it should be.
    #[error("{failed} of {all} checks failed")]
    Unwell {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
    },
    /// A file of cases cannot be used.
    #[error("`{}`", file.display())]
    Cases {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: BadCases,
    },
    /// Policies cannot be reported on.
    #[error("reporting on the policies: {0}")]
    Report(String),
    /// A file cannot be read.
    #[error("cannot read `{}`", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process lacks what it needs.
    #[error("cannot set up {what}")]
    Setup {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody answers.
    #[error("cannot reach {url} (is the gateway running, and is its CA the one you trust?)")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is no answer of the admin API.
    #[error("{url} answered {status}, but not as an admin API does")]
    NotTheApi {
        /// Where.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The admin API says no.
    #[error("{summary} ({code}){}", hint(*.status))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The API's code.
        code: String,
        /// What the API says.
        summary: String,
    },
    /// Nothing has this name.
    #[error("there is no {what} `{name}`")]
    NoneNamed {
        /// What was looked for.
        what: &'static str,
        /// By which name.
        name: String,
    },
    /// Several have this name.
    #[error("`{name}` names more than one {what}: say which by id, one of {}", ids.join(", "))]
    SeveralNamed {
        /// What was looked for.
        what: &'static str,
        /// By which name.
        name: String,
        /// Which ones there are.
        ids: Vec<String>,
    },
    /// The directory itself refuses.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

impl CliError {
    /// What the process ends with.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Demo(_)
            | Self::Start(_)
            | Self::Config(_)
            | Self::Load(_)
            | Self::Policies { .. }
            | Self::CasesFailed { .. }
            | Self::Unwell { .. }
            | Self::Cases { .. }
            | Self::Report(_)
            | Self::File { .. }
            | Self::Write { .. }
            | Self::Setup { .. }
            | Self::Unreachable { .. }
            | Self::NotTheApi { .. }
            | Self::Refused { .. }
            | Self::NoneNamed { .. }
            | Self::SeveralNamed { .. }
            | Self::Submit(_) => 1,
        }
    }
}

/// What helps against an answer, where the answer itself does not say.
const fn hint(status: u16) -> &'static str {
    match status {
        401 => ": the token is unknown, over or revoked, or not meant for this network; make another one",
        403 => ": use a token that may, or ask who manages tokens",
        500.. => ": see the gateway's own log",
        _ => "",
    }
}
