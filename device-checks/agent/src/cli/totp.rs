//! Which code does this device show now? Its own, or one of a secret in a file (RFC 6238: SHA-1, six digits, 30 seconds).

use std::path::PathBuf;

use clap::Args;
use device_checks::wire::GivenTotp;
use serde_json::json;
use totp_rs::{Builder, Secret};

use super::World;
use super::confirm::confirm;
use super::error::CliError;
use super::output::Told;
use super::prompt;
use crate::assertion::AccountKey;
use crate::keys::{blocking, codes};

/// Which code.
#[derive(Args)]
pub(super) struct Asked {
    /// The account, where there are several
    #[arg(long, value_name = "LOGIN")]
    account: Option<String>,
    /// Have the gateway take this device's codes from now on
    #[arg(long, conflicts_with = "secret_file")]
    set_up: bool,
    /// The file with the PIN, for --set-up
    #[arg(long, value_name = "FILE", requires = "set_up")]
    pin_file: Option<PathBuf>,
    /// Take the secret from this file, in base32
    #[arg(long, value_name = "FILE", conflicts_with = "account")]
    secret_file: Option<PathBuf>,
}

/// Prints the code of this moment, or sets codes up.
pub(super) async fn perform(world: &World, asked: &Asked) -> Result<(), CliError> {
    if asked.set_up {
        return set_up(world, asked).await;
    }
    let secret = match &asked.secret_file {
        Some(file) => prompt::read(file)?,
        None => own_secret(world, asked).await?,
    };
    let code = code(secret.expose(), (world.now)().secs())
        .ok_or_else(|| CliError::Usage("expected a secret of 16 octets or more in base32".to_owned()))?;
    let told = Told {
        text: format!("{code}\n"),
        json: json!({ "code": code }),
    };
    told.show(world.json);
    Ok(())
}

async fn own_secret(world: &World, asked: &Asked) -> Result<crate::secret::Secret, CliError> {
    let installation = world.installation()?;
    let account = installation.state.account(asked.account.as_deref())?.clone();
    let (folder, enrollment) = (installation.folder.keys(), account.enrollment);
    let known = blocking(move || codes::read(&folder, enrollment)).await?;
    known.ok_or_else(|| CliError::Usage(format!("{} has no codes yet: run this with --set-up", account.login)))
}

/// Asks the gateway for a secret, by the account's strongest key, and keeps it.
async fn set_up(world: &World, asked: &Asked) -> Result<(), CliError> {
    let _writer = world.folder.write()?;
    let installation = world.installation()?;
    let account = installation.state.account(asked.account.as_deref())?.clone();
    let gateway = installation.connect().await?;
    let _turn;
    let key = match account.verification {
        None => AccountKey::possession(&installation.store, &account).await?,
        Some(_) => {
            let confirmed = confirm(&account, asked.pin_file.as_deref()).await?;
            _turn = installation.folder.turn_to_try_a_pin()?;
            AccountKey::verification(&installation.store, &account, &confirmed, installation.now()).await?
        }
    };
    let GivenTotp { secret } = installation.ask_for_codes(&gateway, &account, &key).await?;
    let secret = crate::secret::Secret::new(secret);
    let (folder, enrollment) = (installation.folder.keys(), account.enrollment);
    blocking(move || codes::keep(&folder, enrollment, &secret)).await?;
    let told = Told {
        text: format!(
            "This device shows codes for {} now: run latchkey-agent totp.\n",
            account.login
        ),
        json: json!({ "account": account.login, "codes": true }),
    };
    told.show(world.json);
    Ok(())
}

fn code(secret: &str, at: i64) -> Option<String> {
    let letters: String = secret
        .chars()
        .filter(|character| !character.is_whitespace() && *character != '=')
        .collect();
    let secret = Secret::try_from_base32(letters.to_uppercase()).ok()?;
    let totp = Builder::new().with_secret(secret).build().ok()?;
    Some(totp.generate(u64::try_from(at).ok()?).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, with the last six of its eight digits.
        let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        for (at, expected) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(code(secret, at).as_deref(), Some(expected));
        }
        assert_eq!(
            code("gezd gnbv gy3t qojq gezd gnbv gy3t qojq", 59).as_deref(),
            Some("287082")
        );
        assert_eq!(code("not base32!", 59), None);
        assert_eq!(code("GEZDGNBV", 59), None, "too short");
    }
}
