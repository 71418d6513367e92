//! What does the organisation ask of FastPass?

use clap::{Args, Subcommand};
use directory::{KeyProtection, NumberChallenge, UserVerification};
use http::Method;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::error::CliError;
use super::output::Column;

#[derive(Subcommand)]
pub(super) enum FastPassCommand {
    /// Show the settings
    Show,
    /// Change what is given, leave the rest
    Set(Given),
}

/// What to change.
#[derive(Args)]
pub(super) struct Given {
    /// Whether devices sign in with it; it cannot be disabled while a policy looks at devices
    #[arg(long, value_name = "BOOL")]
    enabled: Option<bool>,
    /// Where keys have to live: ANY or HARDWARE
    #[arg(long, value_parser = upper::<KeyProtection>)]
    key_protection: Option<KeyProtection>,
    /// Whether a PIN or the like has to be chosen: PREFERRED or REQUIRED
    #[arg(long, value_parser = upper::<UserVerification>)]
    user_verification: Option<UserVerification>,
    /// When a push asks for a number to match: ALWAYS, HIGH_RISK_ONLY or NEVER
    #[arg(long, value_parser = upper::<NumberChallenge>)]
    number_challenge: Option<NumberChallenge>,
}

impl FastPassCommand {
    /// Does it.
    pub(super) async fn run(self, client: Client) -> Result<(), CliError> {
        let settings = match self {
            Self::Show => client.get(&PATH).await?,
            Self::Set(given) => client.send(Method::POST, &PATH, Some(&given.body())).await?,
        };
        client.output.one(&SHOW, &settings);
        Ok(())
    }
}

impl Given {
    fn body(&self) -> Value {
        let given = [
            ("enabled", self.enabled.map(|value| json!(value))),
            ("keyProtection", self.key_protection.map(|value| json!(value))),
            ("userVerification", self.user_verification.map(|value| json!(value))),
            ("numberChallenge", self.number_challenge.map(|value| json!(value))),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(given.collect::<Map<_, _>>())
    }
}

/// Reads a word in upper or lower case, with dashes for underscores.
fn upper<T: std::str::FromStr>(text: &str) -> Result<T, T::Err> {
    text.to_uppercase().replace('-', "_").parse()
}

const PATH: [&str; 2] = ["settings", "fastpass"];

const SHOW: [Column; 4] = [
    ("Enabled", "/enabled"),
    ("Key protection", "/keyProtection"),
    ("User verification", "/userVerification"),
    ("Number challenge", "/numberChallenge"),
];
