//! How does a user change the PIN? With the old one.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use device_checks::wire::VerificationMethod;
use serde_json::json;

use super::World;
use super::error::CliError;
use super::output::Told;
use super::prompt;
use crate::assertion::AssertError;
use crate::keys::{KeyError, Unlock, Verify, blocking};

/// What to do with a PIN.
#[derive(Subcommand)]
pub(super) enum Task {
    /// Change it
    Change(Change),
}

/// Which PIN, and to what.
#[derive(Args)]
pub(super) struct Change {
    /// The account, where there are several
    #[arg(long, value_name = "LOGIN")]
    account: Option<String>,
    /// The file with the present PIN
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// The file with the new PIN
    #[arg(long, value_name = "FILE")]
    new_pin_file: Option<PathBuf>,
}

/// Does it.
pub(super) async fn perform(world: &World, task: Task) -> Result<(), CliError> {
    let Task::Change(asked) = task;
    let writer = world.folder.write()?;
    let mut installation = world.installation()?;
    let account = installation.state.account(asked.account.as_deref())?.clone();
    let verification = account.verification.clone();
    let verification = verification.ok_or_else(|| AssertError::NoVerification(account.login.clone()))?;
    if verification.method != VerificationMethod::Pin {
        return Err(AssertError::OtherWay(account.login).into());
    }
    let old = prompt::secret(asked.pin_file.as_deref(), "Present PIN", prompt::PIN_FLAG)?;
    let new = prompt::new_pin(asked.new_pin_file.as_deref(), true)?;
    let new = new.ok_or(CliError::Missing {
        flag: "--new-pin-file FILE",
    })?;
    let _turn = world.folder.turn_to_try_a_pin()?;
    let (store, now) = (Arc::clone(&installation.store), installation.now());
    let changed = blocking::<_, KeyError>(move || {
        let by = Verify::Pin(&old);
        store.change(&verification.key, Unlock { by, now }, &new)
    });
    let changed = changed.await?;
    let accounts = installation.state.accounts.iter_mut();
    for verification in accounts
        .filter(|other| other.enrollment == account.enrollment)
        .filter_map(|account| account.verification.as_mut())
    {
        verification.key = changed.clone();
    }
    writer.save(&installation.state)?;
    let told = Told {
        text: format!("The PIN of {} is changed.\n", account.login),
        json: json!({ "account": account.login, "changed": true }),
    };
    told.show(world.json);
    Ok(())
}
