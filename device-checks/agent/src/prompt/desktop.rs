//! How is a user asked on their desktop? By a notification with two buttons, and for what they type by the program that they trust with a PIN.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::command::{first_line, run};
use super::{Decision, Given, Message, Question, Typed, assuan};

/// What somebody is asked to type.
#[derive(Debug, Clone)]
pub(super) struct Sheet {
    /// What it is called.
    pub(super) name: String,
    /// What it is for, in a line.
    pub(super) title: String,
    /// What else is said.
    pub(super) lines: Vec<String>,
    /// What went wrong before.
    pub(super) complaint: Option<String>,
}

impl Sheet {
    pub(super) fn of(question: &Question, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: question.title(),
            lines: question.lines(),
            complaint: question.complaint(),
        }
    }
}

/// A desktop that somebody looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Desktop {
    /// The variables that lead to it.
    environment: Vec<(String, String)>,
    notify: PathBuf,
}

impl Desktop {
    /// The one there is: of this process, or else of the user's session, which may have begun after it.
    pub(super) async fn find() -> Option<Self> {
        let notify = on_path("notify-send")?;
        let own = VARIABLES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
        let environment: Vec<_> = own.collect();
        let environment = if leads_to_one(&environment) {
            environment
        } else {
            of_the_session().await
        };
        leads_to_one(&environment).then_some(Self { environment, notify })
    }

    /// Asks there.
    pub(super) async fn ask(&self, question: &Question, patience: Duration) -> io::Result<Decision> {
        let mut given = Given::default();
        // Where somebody else may sign in, the first question is whether it is this person at all.
        if question.is_elsewhere() || !question.pin {
            match self.ask_approval(question, patience).await? {
                Decision::Approved(_) => {}
                refused => return Ok(refused),
            }
        }
        if question.number {
            match self
                .ask_typed(&Sheet::of(question, "Number in the browser"), patience)
                .await?
            {
                Typed::Text(number) => number.expose().trim().clone_into(&mut given.number),
                refused => return Ok(refused.into()),
            }
        }
        if question.pin {
            match self.ask_typed(&Sheet::of(question, "PIN"), patience).await? {
                Typed::Text(pin) => given.pin = pin,
                refused => return Ok(refused.into()),
            }
        }
        Ok(Decision::Approved(given))
    }

    async fn ask_approval(&self, question: &Question, patience: Duration) -> io::Result<Decision> {
        let mut program = self.program(&self.notify);
        program
            .args(["--app-name=Latchkey", "--icon=dialog-password", "--urgency=critical"])
            .args(["--wait", "--action=approve=Approve", "--action=deny=Deny"])
            .args(question.is_elsewhere().then_some("--action=not-me=It was not me"))
            .arg(format!("--expire-time={}", patience.as_millis()))
            .args(["--", &question.title(), &escape(&question.lines().join("\n"))]);
        let (ended_well, said) = run(&mut program, &[]).await?;
        match said.trim_ascii() {
            b"approve" if ended_well => Ok(Decision::Approved(Given::default())),
            b"deny" if ended_well => Ok(Decision::Denied),
            b"not-me" if ended_well => Ok(Decision::NotMe),
            _ if ended_well => Ok(Decision::Dismissed),
            _ => Err(io::Error::other("no desktop takes a notification")),
        }
    }

    /// Shows what a service says; whether the user cancels.
    pub(super) async fn show(&self, message: &Message, patience: Duration) -> io::Result<bool> {
        let mut program = self.program(&self.notify);
        program
            .args(["--app-name=Latchkey", "--icon=dialog-password", "--urgency=critical"])
            .args(["--wait", "--action=cancel=Cancel"])
            .arg(format!("--expire-time={}", patience.as_millis()))
            .args(["--", &message.title(), &escape(&message.line())]);
        let (_, said) = run(&mut program, &[]).await?;
        Ok(said.trim_ascii() == b"cancel")
    }

    /// Has typed what a service asks for.
    pub(super) async fn input(&self, message: &Message, patience: Duration) -> io::Result<Typed> {
        let line = message.line();
        let sheet = Sheet {
            name: line.trim_end_matches([':', ' ']).to_owned(),
            title: message.title(),
            lines: Vec::new(),
            complaint: None,
        };
        self.ask_typed(&sheet, patience).await
    }

    async fn ask_typed(&self, sheet: &Sheet, patience: Duration) -> io::Result<Typed> {
        let pinentry = match on_path("pinentry") {
            Some(pinentry) => assuan::ask(&mut self.program(&pinentry), sheet, patience).await,
            None => Err(io::ErrorKind::NotFound.into()),
        };
        let failure = match pinentry {
            Ok(typed) => return Ok(typed),
            Err(error) => error,
        };
        let Some(zenity) = on_path("zenity") else {
            return Err(failure);
        };
        let mut program = self.program(&zenity);
        let title = [&[format!("{}: {}", sheet.name, sheet.title)][..], &sheet.lines]
            .concat()
            .join(" ");
        program
            .args(["--password", "--title", &title])
            .arg(format!("--timeout={}", patience.as_secs()));
        let (ended_well, said) = run(&mut program, &[]).await?;
        Ok(if ended_well {
            Typed::Text(first_line(&said))
        } else {
            Typed::No
        })
    }

    fn program(&self, path: &Path) -> Command {
        let mut program = Command::new(path);
        program.envs(self.environment.iter().cloned()).stderr(Stdio::null());
        program
    }
}

fn leads_to_one(environment: &[(String, String)]) -> bool {
    let leads = |(name, value): &(String, String)| DISPLAYS.contains(&name.as_str()) && !value.is_empty();
    environment.iter().any(leads)
}

/// What the user's service manager was told by their desktop.
async fn of_the_session() -> Vec<(String, String)> {
    let mut program = Command::new("systemctl");
    program.args(["--user", "show-environment"]).stderr(Stdio::null());
    match tokio::time::timeout(PATIENCE, run(&mut program, &[])).await {
        Ok(Ok((true, shown))) => variables(&String::from_utf8_lossy(&shown)),
        _ => Vec::new(),
    }
}

/// Those variables that matter; one that has to be quoted is none of them.
fn variables(shown: &str) -> Vec<(String, String)> {
    let pairs = shown.lines().filter_map(|line| line.split_once('='));
    let matters = |(name, value): &(&str, &str)| VARIABLES.contains(name) && !value.starts_with('$');
    pairs
        .filter(matters)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Bodies of notifications are markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const PATIENCE: Duration = Duration::from_secs(2);
const DISPLAYS: [&str; 2] = ["DISPLAY", "WAYLAND_DISPLAY"];
const VARIABLES: [&str; 5] = [
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_CURRENT_DESKTOP",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sessions_desktop_is_read_from_its_environment() {
        let shown = "HOME=/home/a\nDISPLAY=:0\nXAUTHORITY=$'/run/a b'\nWAYLAND_DISPLAY=wayland-0\n";
        let found = variables(shown);
        assert_eq!(
            found,
            [("DISPLAY", ":0"), ("WAYLAND_DISPLAY", "wayland-0")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert!(leads_to_one(&found));
        assert!(!leads_to_one(&variables("HOME=/home/a\nDISPLAY=\n")));
    }

    #[test]
    fn a_name_is_no_markup() {
        assert_eq!(escape("<b>&"), "&lt;b&gt;&amp;");
    }
}
