//! Who is asked whether to sign in, and how? A program of the user's, their desktop, a terminal, or nobody.

mod assuan;
mod command;
mod desktop;
mod message;
mod terminal;

use std::time::Duration;

use device_checks::wire::VerificationMethod;
use device_checks::{Challenge, PUSH};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;

use crate::gateway::printable;
use crate::secret::Secret;
use crate::state::Account;

use desktop::Desktop;

pub(crate) use message::Message;

/// What a user is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// `sign-in` for a browser on this machine, `push` for one that may be anywhere.
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
    /// What the gateway calls the networks that the address is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// On whose behalf.
    pub origin: String,
    /// Whether a PIN is wanted.
    pub pin: bool,
    /// What a service of the operating system asks for once this is approved, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<VerificationMethod>,
    /// Whether the number is wanted that the browser shows.
    pub number: bool,
    /// How often it was asked before, for this challenge: so many PINs were wrong.
    pub again: u32,
    /// How many tries there are before the machine's own lock-out, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries_left: Option<u32>,
}

/// What came of a question.
#[derive(Debug)]
pub enum Decision {
    /// Yes; with what was wanted.
    Approved(Given),
    /// No.
    Denied,
    /// No, and somebody else signs in under this name.
    NotMe,
    /// It was closed, or nobody said anything in time.
    Dismissed,
    /// It could not be asked.
    Unavailable,
}

/// What a user typed.
#[derive(Debug, Default)]
pub struct Given {
    /// The PIN; empty where none was wanted.
    pub pin: Secret,
    /// The number that the browser shows; empty where none was wanted.
    pub number: String,
}

/// What came of one thing to type.
#[derive(Debug)]
pub(crate) enum Typed {
    /// This.
    Text(Secret),
    /// It was refused.
    No,
    /// It was closed, or nobody typed anything in time.
    Nothing,
}

/// How a user is asked.
#[derive(Debug)]
pub enum Prompt {
    /// By a program, run by the shell.
    Command(String),
    /// By whatever there is: a desktop, a terminal, or nobody.
    Usual,
    /// In the terminal where the command was typed.
    Terminal,
}

impl Question {
    /// The question that a challenge comes to.
    pub fn about(account: &Account, asked: &Challenge, pin: bool) -> Self {
        let sign_in = asked.sign_in.as_ref();
        Self {
            kind: if asked.method == PUSH { "push" } else { "sign-in" },
            login: account.login.clone(),
            application: sign_in.map(|sign_in| sign_in.application.clone()),
            browser: sign_in.map(|sign_in| sign_in.browser.clone()),
            address: sign_in.map(|sign_in| sign_in.address.clone()),
            place: sign_in.and_then(|sign_in| sign_in.place.clone()),
            origin: asked.origin.clone(),
            pin,
            then: None,
            number: asked.number,
            again: 0,
            tries_left: None,
        }
    }

    /// The same, where a service of the operating system verifies the user in this way next.
    pub fn followed_by(self, method: VerificationMethod) -> Self {
        Self {
            then: Some(method),
            ..self
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
            let place = self.place.as_ref().map(|place| format!(" ({place})"));
            lines.push(format!("From {browser}, at {address}{}.", place.unwrap_or_default()));
        }
        if self.is_elsewhere() {
            lines.push(
                "The browser may be on another device. Approve only if you are signing in there yourself.".to_owned(),
            );
        }
        lines.push(format!("Asked by {}.", self.origin));
        lines.extend(self.then.and_then(|then| match then {
            VerificationMethod::Pin => None,
            VerificationMethod::Fingerprint => Some("Your fingerprint is asked for next.".to_owned()),
            VerificationMethod::Face => Some("Your face is asked for next.".to_owned()),
        }));
        lines.extend(self.complaint());
        lines.iter().map(|line| printable(line)).collect()
    }

    /// Whether the browser may be on another device: then it may be somebody else's.
    fn is_elsewhere(&self) -> bool {
        self.kind == "push"
    }

    fn complaint(&self) -> Option<String> {
        (self.again > 0).then(|| match self.tries_left {
            Some(left) => format!("That PIN was wrong: {left} more before the TPM locks out everybody."),
            None => "That PIN was wrong.".to_owned(),
        })
    }
}

impl From<Typed> for Decision {
    /// Nothing that was typed is more than a yes.
    fn from(typed: Typed) -> Self {
        match typed {
            Typed::Text(_) => Self::Approved(Given::default()),
            Typed::No => Self::Denied,
            Typed::Nothing => Self::Dismissed,
        }
    }
}

impl Prompt {
    /// Whether there is somebody to ask.
    pub async fn is_attended(&self) -> bool {
        match self {
            Self::Command(_) => true,
            Self::Usual => Desktop::find().await.is_some() || terminal::is_attended(),
            Self::Terminal => terminal::is_attended(),
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
            Self::Terminal if terminal::is_attended() => terminal::ask(question).await,
            Self::Terminal => return Decision::Unavailable,
        };
        decided.unwrap_or_else(|error| {
            tracing::warn!(%error, "the user cannot be asked");
            Decision::Unavailable
        })
    }
}

/// A program and all it started, which end with this unless it ended before.
pub(crate) struct Group(Option<Pid>);

impl Group {
    /// Those of a child that was started as the first of a group.
    pub(crate) fn of(child: &tokio::process::Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// It ended by itself.
    pub(crate) fn ended(mut self) {
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
                "number": false,
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
                (Decision::Approved(given), Some(expected)) => assert_eq!(given.pin.expose(), expected, "{command}"),
                (Decision::Denied, None) => {}
                (decided, _) => panic!("{command}: {decided:?}"),
            }
        }
    }

    /// To a push: the number on a line of its own, after the PIN where one is wanted; and a no that says more than no.
    #[tokio::test]
    async fn a_program_types_the_number_and_can_say_that_it_was_somebody_else() {
        for (pin, command, expected) in [
            (false, "echo 42", Some(("", "42"))),
            (true, "printf '2468\n42\n'", Some(("2468", "42"))),
            (true, "echo 2468", Some(("2468", ""))),
            (false, "echo not-me", Some(("", "not-me"))),
        ] {
            let push = Question { pin, ..push() };
            let decided = Prompt::Command(command.to_owned())
                .ask(&push, Duration::from_secs(60))
                .await;
            match (decided, expected) {
                (Decision::Approved(given), Some((pin, number))) => {
                    assert_eq!((given.pin.expose(), given.number.as_str()), (pin, number), "{command}");
                }
                (decided, _) => panic!("{command}: {decided:?}"),
            }
        }
        let says_no = async |command: &str| {
            let prompt = Prompt::Command(command.to_owned());
            prompt.ask(&push(), Duration::from_secs(60)).await
        };
        assert!(matches!(says_no("echo not-me; exit 1").await, Decision::NotMe));
        assert!(matches!(says_no("echo 42; exit 1").await, Decision::Denied));
        assert!(matches!(
            ask("echo not-me; exit 1", Duration::from_secs(60)).await,
            Decision::Denied
        ));
    }

    #[test]
    fn a_push_says_that_the_browser_may_be_elsewhere() {
        let json = serde_json::to_value(push()).unwrap();
        assert_eq!(
            (&json["kind"], &json["number"], &json["place"]),
            (&"push".into(), &true.into(), &"office".into())
        );
        let lines = push().lines();
        assert_eq!(
            lines.first().map(String::as_str),
            Some("From Firefox on Linux, at 192.0.2.7 (office).")
        );
        assert!(lines.iter().any(|line| line.contains("another device")));
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

    fn push() -> Question {
        Question {
            kind: "push",
            place: Some("office".to_owned()),
            pin: false,
            number: true,
            ..question()
        }
    }

    fn question() -> Question {
        Question {
            kind: "sign-in",
            login: "alice".to_owned(),
            application: Some("Payroll\u{1b}[2J".to_owned()),
            browser: Some("Firefox on Linux".to_owned()),
            address: Some("192.0.2.7".to_owned()),
            place: None,
            origin: "https://auth.example.com".to_owned(),
            pin: true,
            then: None,
            number: false,
            again: 0,
            tries_left: None,
        }
    }
}
