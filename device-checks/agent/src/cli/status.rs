//! How does this device stand? What is here, and what the gateway says of it, if it can be asked.

use device_checks::wire::{EnrollmentStatus, KeyProtection, Signal};
use serde_json::{Value, json};

use super::World;
use super::describe;
use super::error::{CliError, chain};
use super::output::{Told, moment, pairs};
use crate::gateway::{Gateway, Refusal};
use crate::installation::{ConnectError, Installation};
use crate::state::{Account, renew_at};

/// Shows it.
pub(super) async fn show(world: &World) -> Result<(), CliError> {
    let installation = world.installation()?;
    let gateway = installation.connect().await;
    let collector = installation.collector().await;
    let signals = tokio::task::spawn_blocking(move || collector.collect(&Signal::ALL)).await;
    let signals = signals.unwrap_or_default();
    let state = &installation.state;
    let mut text = pairs(&[
        ("DEVICE", format!("{} ({})", state.device.name, state.device.id)),
        ("GATEWAY", reachability(&state.gateway.issuer, &gateway)),
        ("ORGANISATION", state.gateway.organization.to_string()),
        ("KEYS", describe::store(&state.keys)),
        ("STATE", world.folder.path().display().to_string()),
    ]);
    let mut accounts = Vec::new();
    for account in &state.accounts {
        let standing = match &gateway {
            Ok(gateway) => Some(installation.status(gateway, account).await),
            Err(_) => None,
        };
        text += "\n";
        text += &account_lines(&installation, account, standing.as_ref());
        accounts.push(account_json(&installation, account, standing.as_ref()));
    }
    text += "\nWould report, where asked for:\n";
    let unknown = || "not known, not said".to_owned();
    let said = describe::signals(&signals).map(|(name, value)| (name, value.unwrap_or_else(unknown)));
    text += &pairs(&said);
    let json = json!({
        "device": state.device.id,
        "name": state.device.name,
        "instance": state.instance.id,
        "organization": state.gateway.organization,
        "issuer": state.gateway.issuer,
        "deviceOrigin": state.gateway.device_origin,
        "reachable": gateway.is_ok(),
        "keys": state.keys.keys,
        "tcti": state.keys.tcti,
        "state": world.folder.path(),
        "accounts": accounts,
        "signals": signals,
    });
    Told { text, json }.show(world.json);
    Ok(())
}

fn reachability(issuer: &str, gateway: &Result<Gateway, ConnectError>) -> String {
    match gateway {
        Ok(_) => issuer.to_owned(),
        Err(error) => format!("{issuer} (offline: {})", chain(error)),
    }
}

type Standing = Result<EnrollmentStatus, ConnectError>;

fn account_lines(installation: &Installation, account: &Account, standing: Option<&Standing>) -> String {
    let folder = &installation.folder;
    let certificate = match folder.leaf(account) {
        Ok(Some(leaf)) => format!(
            "until {}, renewed from {} on",
            moment(leaf.not_after),
            moment(renew_at(&leaf))
        ),
        Ok(None) => "GONE".to_owned(),
        Err(error) => chain(&error),
    };
    let mut lines = vec![
        ("ACCOUNT", format!("{} ({})", account.login, account.enrollment)),
        ("  key", describe::key(&account.possession)),
        ("  verification", describe::verification(account)),
        ("  certificate", certificate),
        ("  file", folder.certificate(account).display().to_string()),
    ];
    match installation.store.shared(&account.possession) {
        Ok(Some(crate::keys::Shared::File(_))) => lines.push(("  key file", folder.key(account).display().to_string())),
        Ok(Some(crate::keys::Shared::Uri(uri))) => lines.push(("  key URI", uri)),
        Ok(None) | Err(_) => {}
    }
    match standing {
        Some(Ok(status)) => lines.extend([
            ("  status", status.status.clone()),
            (
                "  protection",
                describe::protection(status.key_protection, status.root_class),
            ),
            ("  secure hardware", yes_no(status.secure_hardware)),
            ("  managed", yes_no(status.managed)),
            (
                "  reported",
                status.reported.clone().unwrap_or_else(|| "never".to_owned()),
            ),
        ]),
        Some(Err(error)) => {
            let refusal = error.refusal();
            lines.push(("  status", refusal.map_or_else(|| chain(error), Refusal::line)));
            lines.extend(refusal.and_then(Refusal::advice).map(|advice| ("  what helps", advice)));
        }
        None => lines.extend([
            ("  status", "not known: the gateway could not be asked".to_owned()),
            (
                "  protection",
                describe::protection(account.key_protection, account.root_class),
            ),
        ]),
    }
    pairs(&lines)
}

fn account_json(installation: &Installation, account: &Account, standing: Option<&Standing>) -> Value {
    let mut json = describe::account(&installation.folder, account, Some(&*installation.store));
    let hardware = account.key_protection == KeyProtection::Hardware;
    if let Value::Object(members) = &mut json {
        members.insert("hardware".to_owned(), json!(hardware));
        match standing {
            Some(Ok(status)) => members.insert("gateway".to_owned(), json!(status)),
            Some(Err(error)) => {
                let error = json!({ "error": chain(error), "code": error.refusal().map(|refusal| &refusal.code) });
                members.insert("gateway".to_owned(), error)
            }
            None => members.insert("gateway".to_owned(), Value::Null),
        };
    }
    json
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}
