//! What can be done with tokens of the admin API? The first one is made beside the gateway, before it runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use directory::{Actor, ActorKind, ApiTokenId, BadWord, Command, NewApiToken, Scope};
use http::Method;
use ipnet::IpNet;
use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::output::{Column, Output};
use super::place::Place;
use super::times;
use crate::admin::Secret;
use crate::clock::Clock;
use crate::config;
use crate::run::{lock_data, open_directory};

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// List tokens, without their secrets
    List,
    /// Make a token; its secret is shown this once
    Create(Create),
    /// End a token
    Revoke {
        /// The token's id
        token: String,
    },
}

#[derive(Args)]
pub(super) struct Create {
    /// What people call it
    name: String,
    /// What it may do, such as devices.read, as often as needed; all for everything
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<Scopes>,
    /// A network from which it may be used, such as 10.0.0.0/8, as often as needed; otherwise from anywhere
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<IpNet>,
    /// How long it works, up to a year
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = times::duration)]
    lifetime: Duration,
    /// The configuration of a gateway that is not running: makes the first token right in its database
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dir", "url"])]
    config: Option<PathBuf>,
}

/// One scope, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scopes(BTreeSet<Scope>);

impl FromStr for Scopes {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        match text {
            "all" => Ok(Self(Scope::ALL.iter().copied().collect())),
            one => Ok(Self(BTreeSet::from([one.parse()?]))),
        }
    }
}

impl TokenCommand {
    /// Does it.
    pub(super) fn run(self, place: Place) -> Result<(), CliError> {
        match self {
            Self::Create(create) => match create.config.clone() {
                Some(file) => create.beside(&file, place.output()),
                None => place.with(|client| create.over(client)),
            },
            Self::List => place.with(async |client: Client| {
                client.output.list(&LIST, &client.all(&["api-tokens"], &[]).await?);
                Ok(())
            }),
            Self::Revoke { token } => place.with(async move |client: Client| {
                client.send(Method::DELETE, &["api-tokens", &token], None).await?;
                client.output.done(&format!("token {token}: revoked"));
                Ok(())
            }),
        }
    }
}

impl Create {
    fn scopes(&self) -> BTreeSet<Scope> {
        self.scopes.iter().flat_map(|scopes| scopes.0.iter().copied()).collect()
    }

    /// By the admin API of a running gateway.
    async fn over(self, client: Client) -> Result<(), CliError> {
        let body = json!({
            "name": self.name,
            "scopes": self.scopes(),
            "networks": self.networks,
            "ends": times::now().plus(self.lifetime).to_string(),
        });
        client.output.secret(
            &CREATED,
            &client.send(Method::POST, &["api-tokens"], Some(&body)).await?,
        );
        Ok(())
    }

    /// In the database of a gateway that is not running.
    fn beside(self, file: &Path, output: Output) -> Result<(), CliError> {
        if self.lifetime > YEAR {
            return Err(CliError::Usage("--lifetime: expected at most 366d".to_owned()));
        }
        let config = config::load(file)?;
        let clock = Arc::new(Clock::start());
        let _lock = lock_data(&config)?;
        let directory = open_directory(&config, &clock)?;
        let secret = Secret::api(rand::random());
        let new = NewApiToken {
            id: ApiTokenId::from_random(rand::random()),
            name: self.name.clone(),
            secret: secret.hash(),
            scopes: self.scopes(),
            networks: self.networks.clone(),
            ends: clock.now().plus(self.lifetime),
            demo: false,
        };
        let shown = json!({
            "id": new.id,
            "name": new.name,
            "scopes": new.scopes,
            "networks": new.networks,
            "ends": new.ends.to_string(),
            "token": secret.reveal(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| CliError::Setup {
            what: "a runtime",
            source: source.into(),
        })?;
        runtime.block_on(directory.submit(Command::CreateApiToken(new), operator(), Vec::new()))?;
        output.secret(&CREATED, &shown);
        Ok(())
    }
}

/// Whoever has a shell beside the database.
fn operator() -> Actor {
    Actor {
        kind: ActorKind::System,
        id: "command-line".to_owned(),
        display_name: "latchkey token create".to_owned(),
        address: None,
    }
}

const YEAR: Duration = Duration::from_secs(366 * 86_400);

const LIST: [Column; 6] = [
    ("NAME", "/name"),
    ("ID", "/id"),
    ("STATUS", "/status"),
    ("SCOPES", "/scopes"),
    ("NETWORKS", "/networks"),
    ("ENDS", "/ends"),
];

const CREATED: [Column; 5] = [
    ("Id", "/id"),
    ("Name", "/name"),
    ("Scopes", "/scopes"),
    ("Networks", "/networks"),
    ("Ends", "/ends"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_one_or_all() {
        assert_eq!("devices.read".parse(), Ok(Scopes(BTreeSet::from([Scope::DevicesRead]))));
        assert_eq!("all".parse::<Scopes>().unwrap().0.len(), Scope::ALL.len());
        assert!("devices".parse::<Scopes>().is_err());
    }
}
