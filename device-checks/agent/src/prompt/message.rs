//! What does a service of the operating system tell the user while it verifies them, and what does it ask?

use std::time::Duration;

use serde::Serialize;

use super::{Desktop, Prompt, Typed, command, terminal};
use crate::gateway::printable;

/// What a service says or asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    /// `message`, or `input` where something is to be typed.
    kind: &'static str,
    /// Who is verified.
    login: String,
    /// In its words.
    text: String,
    /// Whether it says what went wrong.
    error: bool,
    /// Whether what is typed is not to be seen.
    hidden: bool,
}

impl Message {
    /// Something that it says.
    pub(crate) fn said(login: &str, text: String, error: bool) -> Self {
        Self {
            kind: "message",
            login: login.to_owned(),
            text,
            error,
            hidden: false,
        }
    }

    /// Something that it asks.
    pub(crate) fn asked(login: &str, text: String, hidden: bool) -> Self {
        Self {
            kind: "input",
            ..Self::said(login, text, false)
        }
        .hide(hidden)
    }

    fn hide(self, hidden: bool) -> Self {
        Self { hidden, ..self }
    }

    /// In a line that steers no terminal.
    pub(super) fn line(&self) -> String {
        printable(self.text.trim())
    }

    /// Whom it is about.
    pub(super) fn title(&self) -> String {
        printable(&format!("Confirm that it is you, {}", self.login))
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.hidden
    }
}

impl Prompt {
    /// Shows what a service says, until it is closed or this is dropped; whether the user cancelled it. Nobody has to see it.
    pub(crate) async fn show(&self, message: &Message, patience: Duration) -> bool {
        let shown = match self {
            Self::Command(program) => command::show(program, message).await,
            Self::Usual => match Desktop::find().await {
                Some(desktop) => desktop.show(message, patience).await,
                None => terminal::show(message).map(|()| false),
            },
            Self::Terminal => terminal::show(message).map(|()| false),
        };
        shown.unwrap_or_else(|error| {
            tracing::warn!(%error, "what a PAM service says cannot be shown");
            false
        })
    }

    /// Has the user type what a service asks for.
    pub(crate) async fn input(&self, message: &Message, patience: Duration) -> Typed {
        let typed = match self {
            Self::Command(program) => command::input(program, message).await,
            Self::Usual => match Desktop::find().await {
                Some(desktop) => desktop.input(message, patience).await,
                None if terminal::is_attended() => terminal::input(message).await,
                None => Ok(Typed::Nothing),
            },
            Self::Terminal if terminal::is_attended() => terminal::input(message).await,
            Self::Terminal => Ok(Typed::Nothing),
        };
        typed.unwrap_or_else(|error| {
            tracing::warn!(%error, "what a PAM service asks for cannot be asked");
            Typed::Nothing
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_program_shows_what_a_service_says_and_cancels_by_how_it_ends() {
        let message = Message::said("alice", "Place your finger on the reader".to_owned(), false);
        for (program, cancelled) in [
            ("grep -q '\"kind\":\"message\".*Place your finger'", false),
            ("true", false),
            ("exit 1", true),
        ] {
            let prompt = Prompt::Command(program.to_owned());
            assert_eq!(prompt.show(&message, PATIENCE).await, cancelled, "{program}");
        }
    }

    #[tokio::test]
    async fn a_program_types_what_a_service_asks_for() {
        let message = Message::asked("alice", "Password: ".to_owned(), true);
        let typed = async |program: &str| Prompt::Command(program.to_owned()).input(&message, PATIENCE).await;
        let secret = typed("grep -q '\"kind\":\"input\".*\"hidden\":true' && echo secret").await;
        assert!(matches!(secret, Typed::Text(secret) if secret.expose() == "secret"));
        assert!(matches!(typed("echo secret; exit 1").await, Typed::No));
    }
}
