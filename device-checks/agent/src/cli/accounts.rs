//! Who uses this device? Accounts are added, listed, renewed and removed, here and on the gateway.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::World;
use super::confirm::{can_confirm, confirm};
use super::describe;
use super::enroll;
use super::error::CliError;
use super::output::{Told, moment, table};
use crate::assertion::AccountKey;
use crate::installation::{ConnectError, Installation};
use crate::keys::blocking;
use crate::renew::renew as renew_certificate;
use crate::state::{Account, Writer};

/// What to do with accounts.
#[derive(Subcommand)]
pub(super) enum Task {
    /// Add an account for a further user
    Add(Box<enroll::Who>),
    /// Remove an account, here and on the gateway
    Remove {
        /// Whose
        login: String,
        #[command(flatten)]
        forget: Forget,
    },
    /// List the accounts
    List,
}

/// Which account.
#[derive(Args)]
pub(super) struct Which {
    /// The account, where there are several
    #[arg(long, value_name = "LOGIN")]
    pub(super) account: Option<String>,
}

/// On whose word, and whether the gateway has to agree.
#[derive(Args)]
pub(super) struct Forget {
    /// The file with the PIN, where the account has one
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Forget it here even if the gateway cannot be told
    #[arg(long)]
    forget: bool,
}

/// Does it.
pub(super) async fn perform(world: &World, task: Task) -> Result<(), CliError> {
    match task {
        Task::Add(who) => {
            let writer = world.folder.write()?;
            enroll::add(world, &writer, world.folder.require()?, &who.asking()).await
        }
        Task::Remove { login, forget } => remove(world, &login, &forget).await,
        Task::List => list(world),
    }
}

/// Calls the device something else.
pub(super) async fn rename(world: &World, name: &str) -> Result<(), CliError> {
    let writer = world.folder.write()?;
    let mut installation = world.installation()?;
    let gateway = installation.connect().await?;
    let account = installation.state.accounts.first().cloned();
    let account = account.map_or_else(|| installation.state.account(None).cloned(), Ok)?;
    installation.rename(&gateway, &account, name).await?;
    installation.state.device.name = name.to_owned();
    writer.save(&installation.state)?;
    let told = Told {
        text: format!("This device is called `{name}` now.\n"),
        json: json!({ "device": installation.state.device.id, "name": name }),
    };
    told.show(world.json);
    Ok(())
}

/// Renews certificates: one, or all.
pub(super) async fn renew(world: &World, which: &Which) -> Result<(), CliError> {
    let _writer = world.folder.write()?;
    let installation = world.installation()?;
    installation.connect().await?;
    let accounts = match &which.account {
        Some(login) => vec![installation.state.account(Some(login))?.clone()],
        None => installation.state.accounts.clone(),
    };
    let (mut text, mut json) = (String::new(), Vec::new());
    for account in &accounts {
        let leaf = renew_certificate(&installation, account).await?;
        text += &format!(
            "The certificate of {} is valid until {}.\n",
            account.login, leaf.not_after
        );
        json.push(describe::account(&world.folder, account, None));
    }
    let told = Told {
        text,
        json: Value::from(json),
    };
    told.show(world.json);
    Ok(())
}

/// Removes all accounts, and everything that is kept.
pub(super) async fn unenroll(world: &World, forget: &Forget) -> Result<(), CliError> {
    let writer = world.folder.write()?;
    let mut installation = world.installation()?;
    for account in installation.state.accounts.clone() {
        give_up(&installation, &account, forget).await?;
        drop_account(&writer, &mut installation, &account).await?;
    }
    forget_installation(&writer, &installation).await?;
    let told = Told {
        text: "This device is no longer enrolled.\n".to_owned(),
        json: json!({ "device": installation.state.device.id, "accounts": [] }),
    };
    told.show(world.json);
    Ok(())
}

async fn remove(world: &World, login: &str, forget: &Forget) -> Result<(), CliError> {
    let writer = world.folder.write()?;
    let mut installation = world.installation()?;
    let account = installation.state.account(Some(login))?.clone();
    let end = give_up(&installation, &account, forget).await?;
    drop_account(&writer, &mut installation, &account).await?;
    let mut text = format!("The account of {login} is removed.\n");
    if end == End::DeviceDeleted {
        // Every account belonged to that device, and so did the instance: none of them will count again.
        for account in installation.state.accounts.clone() {
            drop_account(&writer, &mut installation, &account).await?;
        }
        forget_installation(&writer, &installation).await?;
        text = "The device was deleted on the server: everything of it is removed here. Enrol again.\n".to_owned();
    }
    let left: Vec<&str> = installation
        .state
        .accounts
        .iter()
        .map(|account| account.login.as_str())
        .collect();
    let told = Told {
        text,
        json: json!({ "removed": login, "accounts": left, "deviceDeleted": end == End::DeviceDeleted }),
    };
    told.show(world.json);
    Ok(())
}

fn list(world: &World) -> Result<(), CliError> {
    let state = world.folder.require()?;
    let row = |account: &Account| {
        let leaf = world.folder.leaf(account).ok().flatten();
        vec![
            account.login.clone(),
            account.enrollment.to_string(),
            account
                .verification
                .as_ref()
                .map_or("none", |verification| describe::method(verification.method))
                .to_owned(),
            leaf.map_or_else(|| "gone".to_owned(), |leaf| moment(leaf.not_after)),
        ]
    };
    let rows: Vec<Vec<String>> = state.accounts.iter().map(row).collect();
    let accounts = state
        .accounts
        .iter()
        .map(|account| describe::account(&world.folder, account, None));
    let told = Told {
        text: table(&["LOGIN", "ENROLMENT", "VERIFICATION", "CERTIFICATE UNTIL"], &rows),
        json: accounts.collect(),
    };
    told.show(world.json);
    Ok(())
}

/// How an account ended on the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Removed,
    DeviceDeleted,
}

/// Has the gateway remove an account; one that it does not know any more is removed.
async fn give_up(installation: &Installation, account: &Account, forget: &Forget) -> Result<End, CliError> {
    let removed = async {
        let gateway = installation.connect().await?;
        let (key, _turn) = strongest_key(installation, account, forget).await?;
        installation
            .remove(&gateway, account, &key)
            .await
            .map_err(CliError::from)
    };
    match removed.await {
        Ok(()) => Ok(End::Removed),
        Err(error) => match error.code() {
            Some(DEVICE_DELETED) => Ok(End::DeviceDeleted),
            Some(ACCOUNT_NOT_ACTIVE) => Ok(End::Removed),
            _ if forget.forget => Ok(End::Removed),
            _ => Err(error),
        },
    }
}

/// The key that the gateway's policies are likely to ask for: the user-verification key, where there is one and somebody can
/// confirm; with the turn to try a PIN for as long as it is used.
async fn strongest_key(
    installation: &Installation,
    account: &Account,
    forget: &Forget,
) -> Result<(AccountKey, Option<File>), CliError> {
    let pin_file = forget.pin_file.as_deref();
    if !can_confirm(account, pin_file) || forget.forget && pin_file.is_none() {
        return Ok((AccountKey::possession(&installation.store, account).await?, None));
    }
    let confirmed = confirm(account, pin_file).await?;
    let turn = installation.folder.turn_to_try_a_pin()?;
    let key = AccountKey::verification(&installation.store, account, &confirmed, installation.now()).await?;
    Ok((key, Some(turn)))
}

/// Forgets an account and destroys its keys.
async fn drop_account(writer: &Writer, installation: &mut Installation, account: &Account) -> Result<(), CliError> {
    let (whole, gone) = (installation.clone(), account.clone());
    blocking::<_, ConnectError>(move || whole.destroy(&gone)).await?;
    installation
        .state
        .accounts
        .retain(|other| other.enrollment != account.enrollment);
    Ok(writer.save(&installation.state)?)
}

/// Forgets everything and destroys the instance's key.
async fn forget_installation(writer: &Writer, installation: &Installation) -> Result<(), CliError> {
    let (store, key) = (Arc::clone(&installation.store), installation.state.instance.key.clone());
    blocking(move || store.delete(&key)).await?;
    Ok(writer.forget()?)
}

const DEVICE_DELETED: &str = "E0000153";
const ACCOUNT_NOT_ACTIVE: &str = "E0000154";
