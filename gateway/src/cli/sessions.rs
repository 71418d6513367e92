//! Who is signed in where? Sessions as an admin sees them; ending one ends it in its browser and at every application.

use clap::Subcommand;
use http::Method;
use serde_json::Value;

use super::client::Client;
use super::error::CliError;
use super::output::{Column, Output};

#[derive(Subcommand)]
pub(super) enum SessionCommand {
    /// List sessions
    List {
        /// Only those of this user, by login or id
        #[arg(long, value_name = "LOGIN")]
        user: Option<String>,
    },
    /// Show a session
    Show {
        /// Its id
        session: String,
    },
    /// End a session
    End {
        /// Its id
        session: String,
    },
}

impl SessionCommand {
    /// Does it.
    pub(super) async fn run(self, client: Client) -> Result<(), CliError> {
        match self {
            Self::List { user } => {
                let mut sessions = match &user {
                    Some(user) => client.all(&["users", user, "sessions"], &[]).await?,
                    None => client.all(&["sessions"], &[]).await?,
                };
                if client.output == Output::Text {
                    sessions.iter_mut().for_each(name_methods);
                }
                client.output.list(&LIST, &sessions);
            }
            Self::Show { session } => {
                let session = client.get(&["sessions", &session]).await?;
                client.output.one(&SHOW, &session);
            }
            Self::End { session } => {
                client.send(Method::DELETE, &["sessions", &session], None).await?;
                client.output.done(&format!("session {session}: ended"));
            }
        }
        Ok(())
    }
}

/// Ends all sessions of a user.
pub(super) async fn sign_out(client: &Client, user: &str) -> Result<(), CliError> {
    client.send(Method::DELETE, &["users", user, "sessions"], None).await?;
    client.output.done(&format!("user {user}: signed out everywhere"));
    Ok(())
}

/// Puts into one value by what a session was signed in with.
fn name_methods(session: &mut Value) {
    let factors = session.get("factors").and_then(Value::as_array);
    let methods = factors.into_iter().flatten().filter_map(|factor| factor.get("method"));
    let methods: Vec<Value> = methods.cloned().collect();
    if let Some(members) = session.as_object_mut() {
        members.insert("methods".to_owned(), methods.into());
    }
}

const LIST: [Column; 6] = [
    ("USER", "/login"),
    ("ID", "/id"),
    ("BY", "/methods"),
    ("DEVICE", "/origin/name"),
    ("BROWSER", "/browser"),
    ("LAST USED", "/lastUsed"),
];

const SHOW: [Column; 10] = [
    ("User", "/login"),
    ("Id", "/id"),
    ("Signed in", "/createdAt"),
    ("Last used", "/lastUsed"),
    ("Browser", "/browser"),
    ("Address", "/address"),
    ("Device", "/origin/name"),
    ("Factors", "/factors"),
    ("Generations", "/generations"),
    ("Risk", "/risk"),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_session_is_listed_by_what_it_was_signed_in_with() {
        let mut session = json!({ "factors": [{ "method": "password", "at": "x" }, { "method": "totp" }] });
        name_methods(&mut session);
        assert_eq!(session["methods"], json!(["password", "totp"]));
    }
}
