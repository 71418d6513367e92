//! What can be done on this machine alone? Run the gateway, and check what it would run with.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use policies::{PolicySet, cases};

use super::error::CliError;
use super::output::{complain, print};
use super::times;
use crate::load::{load, load_policies, read_policies};
use crate::run::{outlive_signals, prepare};

/// Runs the gateway until it is told to stop.
pub(super) fn run(config: &Path) -> Result<(), CliError> {
    outlive_signals().map_err(|source| CliError::Setup {
        what: "signals",
        source: source.into(),
    })?;
    Ok(prepare(config)?.serve_upgradable(|| print("ready\n"))?)
}

/// Reads everything that a start would.
pub(super) fn check_config(file: &Path) -> Result<(), CliError> {
    let loaded = load(file, times::now())?;
    load_policies(&loaded.setup.config.policies)?;
    print(&format!(
        "{}: ok, applications: {}\n",
        file.display(),
        loaded.setup.config.applications().len()
    ));
    Ok(())
}

/// Validates policies and says how they decide.
pub(super) fn check_policies(dir: &Path) -> Result<(), CliError> {
    let report = read_set(dir)?
        .report(&[])
        .map_err(|error| CliError::Report(error.to_string()))?;
    print(&report.to_string());
    Ok(())
}

/// Decides cases and compares with what their author expects.
pub(super) fn test_policies(dir: &Path, file: &Path) -> Result<(), CliError> {
    let policies = Arc::new(read_set(dir)?);
    let json = std::fs::read_to_string(file).map_err(|source| CliError::File {
        file: file.to_owned(),
        source,
    })?;
    let outcomes = cases::run(&policies, &json).map_err(|source| CliError::Cases {
        file: file.to_owned(),
        source,
    })?;
    for outcome in &outcomes {
        print(&format!("{outcome}\n"));
    }
    let (all, failed) = (
        outcomes.len(),
        outcomes.iter().filter(|outcome| !outcome.passed()).count(),
    );
    if failed > 0 {
        Err(CliError::CasesFailed { failed, all })
    } else {
        Ok(())
    }
}

/// Reads the policies; what is wrong with them is drawn with the lines it is about.
fn read_set(dir: &Path) -> Result<PolicySet, CliError> {
    let files = read_policies(dir)?;
    PolicySet::load(&files).map_err(|errors| {
        complain(&errors.render(std::io::stderr().is_terminal()));
        CliError::Policies {
            count: errors.findings().len(),
        }
    })
}
