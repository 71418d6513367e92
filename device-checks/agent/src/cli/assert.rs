//! How does a script prove this device in one request, and how does a user report it now?

use std::path::PathBuf;

use clap::Args;
use device_checks::wire::{ASSERTION_FIELD, VerificationMethod};
use serde_json::json;

use super::World;
use super::confirm::confirm;
use super::describe;
use super::error::CliError;
use super::output::{Told, pairs};
use crate::assertion::{self, AccountKey, Request};
use crate::keys::Confirmed;
use crate::report::{self, Reported};
use crate::state::Account;

/// For which request, by which key.
#[derive(Args)]
pub(super) struct Asked {
    /// The request's method
    #[arg(long, default_value = "GET")]
    method: http::Method,
    /// The request's URL; its query does not matter
    #[arg(long)]
    url: String,
    /// The account, where there are several
    #[arg(long, value_name = "LOGIN")]
    account: Option<String>,
    /// Sign with the user-verification key, once you confirmed
    #[arg(long)]
    verify_user: bool,
    /// The file with the PIN
    #[arg(long, value_name = "FILE", requires = "verify_user")]
    pin_file: Option<PathBuf>,
}

/// For which account.
#[derive(Args)]
pub(super) struct Report {
    /// The account; all of them where none is named
    #[arg(long, value_name = "LOGIN")]
    account: Option<String>,
    /// Confirm, for a gateway that wants the user verified
    #[arg(long)]
    verify_user: bool,
    /// The file with the PIN, for the same
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

/// Prints one header field.
pub(super) async fn assert(world: &World, asked: &Asked) -> Result<(), CliError> {
    let installation = world.installation()?;
    let account = installation.state.account(asked.account.as_deref())?;
    let request = Request::new(asked.method.clone(), &asked.url)?;
    // A TPM looks at the PIN only when the key signs: the turn lasts to the end.
    let mut _turn = None;
    let key = if asked.verify_user {
        let confirmed = confirm(account, asked.pin_file.as_deref()).await?;
        _turn = Some(world.folder.turn_to_try_a_pin()?);
        AccountKey::verification(&installation.store, account, &confirmed, installation.now()).await?
    } else {
        AccountKey::possession(&installation.store, account).await?
    };
    let gateway = installation.connect().await?;
    let assertion = assertion::assert(&gateway, account, &key, &request, installation.now()).await?;
    let told = Told {
        text: format!("Device-Assertion: {assertion}\n"),
        json: json!({ "field": ASSERTION_FIELD, "value": assertion, "url": request.url }),
    };
    told.show(world.json);
    Ok(())
}

/// Asks to be asked, and answers.
pub(super) async fn report(world: &World, asked: &Report) -> Result<(), CliError> {
    let installation = world.installation()?;
    let accounts = match &asked.account {
        Some(login) => vec![installation.state.account(Some(login))?.clone()],
        None => installation.state.accounts.clone(),
    };
    let gateway = installation.connect().await?;
    let collector = installation.collector().await;
    let (mut text, mut json) = (String::new(), Vec::new());
    let mut confirmed = Vec::new();
    for account in &accounts {
        confirmed.push(confirmed_for(account, asked).await?);
    }
    let pins = confirmed.iter().any(Option::is_some);
    let _turn = pins.then(|| world.folder.turn_to_try_a_pin()).transpose()?;
    for (account, confirmed) in accounts.iter().zip(&confirmed) {
        let Reported {
            signals,
            management,
            managed,
            outcome,
        } = report::report(&installation, &gateway, account, &collector, confirmed.as_ref()).await?;
        let mut lines = vec![
            ("ACCOUNT", account.login.clone()),
            ("MANAGED", if managed { "yes" } else { "no" }.to_owned()),
            (
                "CERTIFICATE",
                management.as_ref().map_or_else(
                    || "of management: none was asked for, or none is there".to_owned(),
                    |file| format!("of management: {}", file.display()),
                ),
            ),
            ("REPORTED", String::new()),
        ];
        let said = describe::signals(&signals);
        lines.extend(said.into_iter().filter_map(|(name, value)| Some((name, value?))));
        text += &pairs(&lines);
        json.push(json!({
            "account": account.login,
            "managed": managed,
            "management": management,
            "outcome": outcome,
            "signals": signals,
        }));
    }
    let told = Told {
        text,
        json: json.into(),
    };
    told.show(world.json);
    Ok(())
}

/// What the user of an account shows for a report: a PIN in a file where they have one, or else what they were told to.
async fn confirmed_for(account: &Account, asked: &Report) -> Result<Option<Confirmed>, CliError> {
    let method = account.verification.as_ref().map(|verification| verification.method);
    let pin_file = asked.pin_file.as_deref();
    if asked.verify_user || pin_file.is_some() && method == Some(VerificationMethod::Pin) {
        return confirm(account, pin_file).await.map(Some);
    }
    Ok(None)
}
