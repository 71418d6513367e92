//! Which code would a TOTP authenticator show now? For scripts (RFC 6238: SHA-1, six digits, 30 seconds).

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use totp_rs::{Builder, Secret};

use super::World;
use super::error::CliError;
use super::output::Told;
use super::prompt;

/// Which secret.
#[derive(Args)]
pub(super) struct Asked {
    /// The file with the secret, in base32
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
}

/// Prints the code of this moment.
pub(super) fn print_code(world: &World, asked: &Asked) -> Result<(), CliError> {
    let secret = prompt::read(&asked.secret_file)?;
    let code = code(secret.expose(), (world.now)().secs())
        .ok_or_else(|| CliError::Usage("--secret-file: expected a secret of 16 octets or more in base32".to_owned()))?;
    let told = Told {
        text: format!("{code}\n"),
        json: json!({ "code": code }),
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
