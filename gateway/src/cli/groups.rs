//! What can be done with groups? They are named by name or id.

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::names::{self, id};
use super::output::Column;

#[derive(Subcommand)]
pub(super) enum GroupCommand {
    /// List groups
    List,
    /// Create a group
    Create {
        /// What policies and applications call it
        name: String,
        /// For people to read
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Delete a group
    Delete {
        /// Name or id
        group: String,
    },
    /// Add a user
    Add {
        /// Name or id
        group: String,
        /// Login or id
        user: String,
    },
    /// Remove a user
    Remove {
        /// Name or id
        group: String,
        /// Login or id
        user: String,
    },
}

impl GroupCommand {
    /// Does it.
    pub(super) async fn run(self, client: Client) -> Result<(), CliError> {
        match self {
            Self::List => client.output.list(&COLUMNS, &client.all(&["groups"], &[]).await?),
            Self::Create { name, description } => {
                let body = json!({ "profile": { "name": name, "description": description } });
                client
                    .output
                    .one(&COLUMNS, &client.send(Method::POST, &["groups"], Some(&body)).await?);
            }
            Self::Delete { group } => {
                let found = names::group(&client, &group).await?;
                client.send(Method::DELETE, &["groups", id(&found, "id")], None).await?;
                client.output.done(&format!("group {group}: deleted"));
            }
            Self::Add { group, user } => {
                let found = names::group(&client, &group).await?;
                client
                    .send(Method::PUT, &["groups", id(&found, "id"), "users", &user], None)
                    .await?;
                client.output.done(&format!("group {group}: {user} added"));
            }
            Self::Remove { group, user } => {
                let found = names::group(&client, &group).await?;
                client
                    .send(Method::DELETE, &["groups", id(&found, "id"), "users", &user], None)
                    .await?;
                client.output.done(&format!("group {group}: {user} removed"));
            }
        }
        Ok(())
    }
}

const COLUMNS: [Column; 5] = [
    ("NAME", "/profile/name"),
    ("ID", "/id"),
    ("MEMBERS", "/members"),
    ("IN", "/parents"),
    ("DESCRIPTION", "/profile/description"),
];
