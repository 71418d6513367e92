//! What can be done with users? They are named by login or id.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::error::CliError;
use super::factors::{self, NewPassword};
use super::names::{self, id};
use super::output::Column;
use super::sessions;
use super::times;

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// List users
    List {
        /// Only those whose login, address or name begins so
        #[arg(long, value_name = "TEXT")]
        q: Option<String>,
    },
    /// Show a user
    Show {
        /// Login or id
        user: String,
    },
    /// Create a user, active at once
    Create {
        /// What the person types and applications see
        login: String,
        #[command(flatten)]
        profile: Profile,
    },
    /// Change what is given, leave the rest
    Update {
        /// Login or id
        user: String,
        /// A new login
        #[arg(long)]
        login: Option<String>,
        #[command(flatten)]
        profile: Profile,
    },
    /// Take a deactivated user back
    Activate {
        /// Login or id
        user: String,
    },
    /// Shut a user out for good
    Deactivate {
        /// Login or id
        user: String,
    },
    /// Shut a user out for a while
    Suspend {
        /// Login or id
        user: String,
    },
    /// Let a suspended user back in
    Unsuspend {
        /// Login or id
        user: String,
    },
    /// Delete a deactivated user
    Delete {
        /// Login or id
        user: String,
    },
    /// Let a user who can prove nothing strong any more set up one factor, once
    Release {
        /// Login or id
        user: String,
        /// How long, such as 8h; a day otherwise, 7 days at most
        #[arg(long, value_parser = times::duration)]
        lifetime: Option<Duration>,
    },
    /// End all sessions of a user
    SignOut {
        /// Login or id
        user: String,
    },
    /// Set a user's password
    Password(NewPassword),
    /// Give a user a TOTP secret for an authenticator app, or another one
    Totp {
        /// Login or id
        user: String,
    },
    /// List what a user can prove who they are with
    Factors {
        /// Login or id
        user: String,
    },
    /// Take a factor away from a user
    RemoveFactor {
        /// Login or id
        user: String,
        /// The factor's id
        factor: String,
    },
    /// Make a token with which one device can enrol for a user, once
    EnrollmentToken {
        /// Login or id
        user: String,
        /// A device that is known already, by name or id
        #[arg(long)]
        device: Option<String>,
        /// How long it can be used, such as 15m; otherwise as the gateway is configured
        #[arg(long, value_parser = times::duration)]
        lifetime: Option<Duration>,
    },
}

#[derive(Args)]
pub(super) struct Profile {
    /// Where the person reads mail
    #[arg(long)]
    email: Option<String>,
    /// Given name
    #[arg(long)]
    first_name: Option<String>,
    /// Family name
    #[arg(long)]
    last_name: Option<String>,
    /// What policies tell apart, such as employee or contractor
    #[arg(long = "type", value_name = "TYPE")]
    user_type: Option<String>,
    /// What policies read by name, KEY=VALUE, as often as needed; replaces all tags
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
}

impl UserCommand {
    /// Does it.
    pub(super) async fn run(self, client: Client) -> Result<(), CliError> {
        match self {
            Self::List { q } => {
                let query: Vec<_> = q.as_deref().map(|q| ("q", q)).into_iter().collect();
                client.output.list(&LIST, &client.all(&["users"], &query).await?);
                Ok(())
            }
            Self::Show { user } => show(&client, &client.get(&["users", &user]).await?),
            Self::Create { login, profile } => {
                let body = profile.body(Some(login));
                show(&client, &client.send(Method::POST, &["users"], Some(&body)).await?)
            }
            Self::Update { user, login, profile } => {
                let body = profile.body(login);
                show(
                    &client,
                    &client.send(Method::POST, &["users", &user], Some(&body)).await?,
                )
            }
            Self::Activate { user } => lifecycle(&client, &user, "activate", "activated").await,
            Self::Deactivate { user } => lifecycle(&client, &user, "deactivate", "deactivated").await,
            Self::Suspend { user } => lifecycle(&client, &user, "suspend", "suspended").await,
            Self::Unsuspend { user } => lifecycle(&client, &user, "unsuspend", "let back in").await,
            Self::Delete { user } => {
                client.send(Method::DELETE, &["users", &user], None).await?;
                client.output.done(&format!("user {user}: deleted"));
                Ok(())
            }
            Self::Release { user, lifetime } => release(&client, &user, lifetime).await,
            Self::SignOut { user } => sessions::sign_out(&client, &user).await,
            Self::Password(new) => factors::set_password(&client, &new).await,
            Self::Totp { user } => factors::give_totp(&client, &user).await,
            Self::Factors { user } => factors::list(&client, &user).await,
            Self::RemoveFactor { user, factor } => factors::remove(&client, &user, &factor).await,
            Self::EnrollmentToken { user, device, lifetime } => {
                enrollment_token(&client, &user, device.as_deref(), lifetime).await
            }
        }
    }
}

impl Profile {
    fn body(self, login: Option<String>) -> Value {
        let given = [
            ("login", login),
            ("email", self.email),
            ("firstName", self.first_name),
            ("lastName", self.last_name),
            ("userType", self.user_type),
        ];
        let profile: Map<String, Value> = given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
            .collect();
        if self.tags.is_empty() {
            return json!({ "profile": profile });
        }
        let mut tags: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (key, value) in self.tags {
            tags.entry(key).or_default().insert(value);
        }
        json!({ "profile": profile, "tags": tags })
    }
}

/// Reads `KEY=VALUE`.
pub(super) fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| "expected KEY=VALUE".to_owned())?;
    Ok((key.to_owned(), value.to_owned()))
}

async fn lifecycle(client: &Client, user: &str, verb: &str, done: &str) -> Result<(), CliError> {
    client
        .send(Method::POST, &["users", user, "lifecycle", verb], None)
        .await?;
    client.output.done(&format!("user {user}: {done}"));
    Ok(())
}

async fn release(client: &Client, user: &str, lifetime: Option<Duration>) -> Result<(), CliError> {
    let body = lifetime.map_or_else(|| json!({}), |lifetime| json!({ "lifetime": lifetime.as_secs() }));
    let path = ["users", user, "lifecycle", "release"];
    let released = client.send(Method::POST, &path, Some(&body)).await?;
    client.output.one(&RELEASE, &released);
    Ok(())
}

async fn enrollment_token(
    client: &Client,
    user: &str,
    device: Option<&str>,
    lifetime: Option<Duration>,
) -> Result<(), CliError> {
    let mut body = Map::new();
    if let Some(device) = device {
        let device = names::device(client, device).await?;
        body.insert("device".to_owned(), id(&device, "id").into());
    }
    if let Some(lifetime) = lifetime {
        body.insert("lifetime".to_owned(), lifetime.as_secs().into());
    }
    let token = client
        .send(
            Method::POST,
            &["users", user, "enrollment-tokens"],
            Some(&Value::Object(body)),
        )
        .await?;
    client.output.secret(&TOKEN, &token);
    Ok(())
}

fn show(client: &Client, user: &Value) -> Result<(), CliError> {
    client.output.one(&SHOW, user);
    Ok(())
}

const LIST: [Column; 5] = [
    ("LOGIN", "/profile/login"),
    ("ID", "/id"),
    ("STATUS", "/status"),
    ("TYPE", "/profile/userType"),
    ("GROUPS", "/groups"),
];

const RELEASE: [Column; 2] = [("User", "/user"), ("Can set up one factor until", "/ends")];

const SHOW: [Column; 11] = [
    ("Login", "/profile/login"),
    ("Id", "/id"),
    ("Status", "/status"),
    ("E-mail", "/profile/email"),
    ("Given name", "/profile/firstName"),
    ("Family name", "/profile/lastName"),
    ("Type", "/profile/userType"),
    ("Groups", "/groups"),
    ("Tags", "/tags"),
    ("Released until", "/releaseEnds"),
    ("Updated", "/lastUpdated"),
];

const TOKEN: [Column; 3] = [("User", "/user"), ("Device", "/device"), ("Ends", "/ends")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_given_is_sent() {
        let profile = Profile {
            email: Some("a@example.com".to_owned()),
            first_name: None,
            last_name: None,
            user_type: None,
            tags: vec![tag("team=red").unwrap(), tag("team=blue").unwrap()],
        };
        let body = profile.body(None);
        assert_eq!(
            body,
            json!({ "profile": { "email": "a@example.com" }, "tags": { "team": ["blue", "red"] } })
        );
        assert!(tag("team").is_err());
    }
}
