//! What do users prove who they are with? Passwords and codes: set, handed out once, taken away, never read back.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use http::Method;
use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::output::Column;

/// Whose password, and which.
#[derive(Args)]
pub(super) struct NewPassword {
    /// Login or id
    user: String,
    /// The file that has it, in its first line; without one a random password is made and shown once
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Sets a user's password.
pub(super) async fn set_password(client: &Client, new: &NewPassword) -> Result<(), CliError> {
    let password = match &new.password_file {
        Some(file) => first_line(file)?,
        None => URL_SAFE_NO_PAD.encode(rand::random::<[u8; 18]>()),
    };
    let body = json!({ "password": password });
    client
        .send(Method::PUT, &["users", &new.user, "password"], Some(&body))
        .await?;
    match new.password_file {
        Some(_) => client.output.done(&format!("user {}: password set", new.user)),
        None => client
            .output
            .secret(&PASSWORD, &json!({ "user": new.user, "token": password })),
    }
    Ok(())
}

/// Gives a user a TOTP secret.
pub(super) async fn give_totp(client: &Client, user: &str) -> Result<(), CliError> {
    let body = json!({ "factorType": "token:software:totp" });
    let mut factor = client
        .send(Method::POST, &["users", user, "factors"], Some(&body))
        .await?;
    if let Some(members) = factor.as_object_mut() {
        // The secret stands alone on standard output, as tokens do.
        let secret = members.get("secret").cloned().unwrap_or_default();
        members.insert("user".to_owned(), user.into());
        members.insert("token".to_owned(), secret);
    }
    client.output.secret(&TOTP, &factor);
    Ok(())
}

/// Lists a user's factors.
pub(super) async fn list(client: &Client, user: &str) -> Result<(), CliError> {
    client
        .output
        .list(&LIST, &client.all(&["users", user, "factors"], &[]).await?);
    Ok(())
}

/// Takes a factor away.
pub(super) async fn remove(client: &Client, user: &str, factor: &str) -> Result<(), CliError> {
    client
        .send(Method::DELETE, &["users", user, "factors", factor], None)
        .await?;
    client.output.done(&format!("user {user}: factor {factor} removed"));
    Ok(())
}

fn first_line(file: &Path) -> Result<String, CliError> {
    let text = std::fs::read_to_string(file).map_err(|source| CliError::File {
        file: file.to_owned(),
        source,
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

const PASSWORD: [Column; 1] = [("User", "/user")];

const TOTP: [Column; 2] = [("User", "/user"), ("For an app", "/otpauth")];

const LIST: [Column; 5] = [
    ("TYPE", "/factorType"),
    ("ID", "/id"),
    ("STATUS", "/status"),
    ("DEVICE", "/profile/name"),
    ("CREATED", "/created"),
];
