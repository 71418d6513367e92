//! How does a script prove this device in one request, and how does a user report it now?

use std::path::PathBuf;

use clap::Args;
use device_checks::wire::ASSERTION_FIELD;
use serde_json::json;

use super::World;
use super::describe;
use super::error::CliError;
use super::output::{Told, pairs};
use super::prompt;
use crate::assertion::{self, AccountKey, Request};
use crate::report::{self, Reported};
use crate::secret::Secret;

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
    /// Sign with the user-verification key, after its PIN
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
    /// The file with the PIN, for a gateway that wants the user verified
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
        let pin = prompt::secret(asked.pin_file.as_deref(), "PIN", prompt::PIN_FLAG)?;
        _turn = Some(world.folder.turn_to_try_a_pin()?);
        AccountKey::verification(&installation.store, account, &pin, installation.now()).await?
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
    let pin = asked.pin_file.as_deref().map(prompt::read).transpose()?;
    let _turn = pin.as_ref().map(|_| world.folder.turn_to_try_a_pin()).transpose()?;
    let accounts = match &asked.account {
        Some(login) => vec![installation.state.account(Some(login))?.clone()],
        None => installation.state.accounts.clone(),
    };
    let gateway = installation.connect().await?;
    let collector = installation.collector().await;
    let (mut text, mut json) = (String::new(), Vec::new());
    for account in &accounts {
        let pin: Option<&Secret> = pin.as_ref().filter(|_| account.verification.is_some());
        let Reported {
            signals,
            management,
            managed,
            outcome,
        } = report::report(&installation, &gateway, account, &collector, pin).await?;
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
