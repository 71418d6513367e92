//! Who is asked whether to sign in, and how? A program of the user's, their desktop, a terminal, or nobody.

mod assuan;
mod command;
mod desktop;
mod terminal;

use std::time::Duration;

use device_checks::Challenge;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;

use crate::gateway::printable;
use crate::secret::Secret;
use crate::state::Account;

use desktop::Desktop;

/// What a user is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    kind: &'static str,
    /// As whom.
    pub login: String,
    /// To what; absent where the device alone is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// From which browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// From which address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// On whose behalf.
    pub origin: String,
    /// Whether a PIN is wanted.
    pub pin: bool,
    /// How often it was asked before, for this challenge: so many PINs were wrong.
    pub again: u32,
    /// How many tries there are before the machine's own lock-out, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries_left: Option<u32>,
}

/// What came of a question.
#[derive(Debug)]
pub enum Decision {
    /// Yes; with the PIN, where one was wanted.
    Approved(Secret),
    /// No.
    Denied,
    /// It was closed, or nobody said anything in time.
    Dismissed,
    /// It could not be asked.
    Unavailable,
}

/// How a user is asked.
#[derive(Debug)]
pub enum Prompt {
    /// By a program, run by the shell.
    Command(String),
    /// By whatever there is: a desktop, a terminal, or nobody.
    Usual,
}

impl Question {
    /// The question that a challenge comes to.
    pub fn about(account: &Account, asked: &Challenge, pin: bool) -> Self {
        let sign_in = asked.sign_in.as_ref();
        Self {
            kind: "sign-in",
            login: account.login.clone(),
            application: sign_in.map(|sign_in| sign_in.application.clone()),
            browser: sign_in.map(|sign_in| sign_in.browser.clone()),
            address: sign_in.map(|sign_in| sign_in.address.clone()),
            origin: asked.origin.clone(),
            pin,
            again: 0,
            tries_left: None,
        }
    }

    /// In a line.
    fn title(&self) -> String {
        let application = self.application.as_deref().unwrap_or("your organisation");
        printable(&format!("Sign in to {application} as {}?", self.login))
    }

    /// Who asks, and what went before.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let (Some(browser), Some(address)) = (&self.browser, &self.address) {
            lines.push(format!("From {browser}, at {address}."));
        }
        lines.push(format!("Asked by {}.", self.origin));
        lines.extend(self.complaint());
        lines.iter().map(|line| printable(line)).collect()
    }

    fn complaint(&self) -> Option<String> {
        (self.again > 0).then(|| match self.tries_left {
            Some(left) => format!("That PIN was wrong: {left} more before the TPM locks out everybody."),
            None => "That PIN was wrong.".to_owned(),
        })
    }
}

impl Prompt {
    /// Whether there is somebody to ask.
    pub async fn is_attended(&self) -> bool {
        match self {
            Self::Command(_) => true,
            Self::Usual => Desktop::find().await.is_some() || terminal::is_attended(),
        }
    }

    /// Asks, for so long at most.
    pub async fn ask(&self, question: &Question, patience: Duration) -> Decision {
        let asked = tokio::time::timeout(patience, self.ask_on(question, patience)).await;
        asked.unwrap_or(Decision::Dismissed)
    }

    async fn ask_on(&self, question: &Question, patience: Duration) -> Decision {
        let decided = match self {
            Self::Command(command) => command::ask(command, question).await,
            Self::Usual => match Desktop::find().await {
                Some(desktop) => desktop.ask(question, patience).await,
                None if terminal::is_attended() => terminal::ask(question).await,
                None => return Decision::Unavailable,
            },
        };
        decided.unwrap_or_else(|error| {
            tracing::warn!(%error, "the user cannot be asked");
            Decision::Unavailable
        })
    }
}

/// A program and all it started, which end with this unless it ended before.
struct Group(Option<Pid>);

impl Group {
    /// Those of a child that was started as the first of a group.
    fn of(child: &tokio::process::Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// It ended by itself.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_says_who_asks_for_what_and_steers_no_terminal() {
        let question = question();
        assert_eq!(question.title(), "Sign in to Payroll\u{fffd}[2J as alice?");
        assert_eq!(
            question.lines(),
            [
                "From Firefox on Linux, at 192.0.2.7.",
                "Asked by https://auth.example.com."
            ]
        );
        let again = Question {
            again: 1,
            tries_left: Some(2),
            ..question
        };
        assert!(again.lines().iter().any(|line| line.contains("2 more")));
    }

    #[test]
    fn programs_are_told_everything_as_json() {
        let json = serde_json::to_value(question()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "kind": "sign-in",
                "login": "alice",
                "application": "Payroll\u{1b}[2J",
                "browser": "Firefox on Linux",
                "address": "192.0.2.7",
                "origin": "https://auth.example.com",
                "pin": true,
                "again": 0,
            })
        );
    }

    #[tokio::test]
    async fn a_program_answers_by_how_it_ends_and_a_pin_by_what_it_prints() {
        for (command, expected) in [
            ("printf '2468\\nmore'", Some("2468")),
            ("true", Some("")),
            ("grep -q '\"login\":\"alice\"'", Some("")),
            ("grep -q mallory", None),
            ("echo 2468; exit 1", None),
        ] {
            let decided = ask(command, Duration::from_secs(60)).await;
            match (decided, expected) {
                (Decision::Approved(pin), Some(expected)) => assert_eq!(pin.expose(), expected, "{command}"),
                (Decision::Denied, None) => {}
                (decided, _) => panic!("{command}: {decided:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_program_that_does_not_answer_in_time_is_not_waited_for() {
        let decided = ask("sleep 1000", Duration::from_millis(10)).await;
        assert!(matches!(decided, Decision::Dismissed), "{decided:?}");
    }

    /// What was started is ended with it, whatever it started itself.
    #[tokio::test]
    async fn a_question_that_nobody_waits_for_is_ended_whole() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let command = format!("sleep 1000 > {} & wait", pipe.display());
        let asking = tokio::spawn(async move { ask(&command, Duration::from_secs(1000)).await });
        // It opens once there is a writer, and ends once there is none.
        let opened = tokio::task::spawn_blocking(|| std::fs::File::open(pipe).unwrap());
        let mut opened = opened.await.unwrap();

        asking.abort();

        let mut read = Vec::new();
        let ended = tokio::task::spawn_blocking(move || std::io::Read::read_to_end(&mut opened, &mut read).unwrap());
        assert_eq!(ended.await.unwrap(), 0);
    }

    async fn ask(command: &str, patience: Duration) -> Decision {
        Prompt::Command(command.to_owned()).ask(&question(), patience).await
    }

    fn question() -> Question {
        Question {
            kind: "sign-in",
            login: "alice".to_owned(),
            application: Some("Payroll\u{1b}[2J".to_owned()),
            browser: Some("Firefox on Linux".to_owned()),
            address: Some("192.0.2.7".to_owned()),
            origin: "https://auth.example.com".to_owned(),
            pin: true,
            again: 0,
            tries_left: None,
        }
    }
}
