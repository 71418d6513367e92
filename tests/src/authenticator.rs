//! What does the agent do that runs on one of the demo's laptops, and what does its user say when it asks?

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::agent;
use crate::demo::Demo;
use crate::process::{Process, until};

/// A running agent, and the person in front of it; ended when dropped.
pub struct Authenticator {
    process: Process,
    person: Person,
}

/// What a person says to every question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Yes, with nothing typed.
    Yes,
    /// Yes, with this PIN.
    Pin(&'static str),
    /// Yes, with this number as a browser shows it.
    Number(u8),
    /// Yes, with this PIN and this number.
    PinAndNumber(&'static str, u8),
    /// No.
    No,
    /// No, and it was somebody else.
    NotMe,
    /// Nothing, until something else is said.
    Nothing,
}

/// Alice's PIN on her laptop.
pub const ALICES_PIN: Says = Says::Pin("314159");

/// The program that asks the person, and what it wrote down.
struct Person {
    folder: PathBuf,
}

impl Authenticator {
    /// Starts the agent of a laptop of the demo, such as `alice-laptop`, and waits until it listens.
    pub fn start(demo: &Demo, device: &str, says: Says) -> Self {
        let state = demo.file("agents").join(device);
        Self::of(&state, &demo.scratch().join(format!("{device}-prompt")), says)
    }

    /// The same for any state of the agent; what its user is asked is written down in this folder.
    ///
    /// # Panics
    /// When it does not listen in time.
    pub fn of(state: &Path, folder: &Path, says: Says) -> Self {
        Self::of_in(&[], state, folder, says)
    }

    /// The same with more in its environment.
    ///
    /// # Panics
    /// When it does not listen in time.
    pub fn of_in(environment: &[(&str, OsString)], state: &Path, folder: &Path, says: Says) -> Self {
        let person = Person::create(folder, says);
        let mut command = Command::new(agent::program());
        command.arg("run").arg("--state").arg(state);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.arg("--prompt").arg(person.command());
        let process = Process::start(&mut command);
        let listens = until(PATIENCE, || process.output().contains(LISTENS));
        assert!(listens, "the agent does not listen:\n{}", process.output());
        Self { process, person }
    }

    /// The port on which it listens.
    ///
    /// # Panics
    /// When it does not say.
    pub fn port(&self) -> u16 {
        let output = self.process.output();
        let said = output.lines().rfind(|line| line.contains(LISTENS)).unwrap();
        let port = said.rsplit("port=").next().unwrap();
        port.trim().parse().unwrap_or_else(|_| panic!("no port in {said}"))
    }

    /// Has the person say something else from now on, to a question that is open too.
    pub fn says(&self, says: Says) {
        self.person.says(says);
    }

    /// Every question so far.
    pub fn questions(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.person.questions()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until the person is asked for the time that this counts; the question.
    pub fn question(&self, count: usize) -> Value {
        let asked = until(PATIENCE, || self.questions().len() >= count);
        assert!(asked, "nobody was asked:\n{}", self.process.output());
        self.questions().swap_remove(count - 1)
    }

    /// Waits until it hears of pushes for the time that this counts, to any of its accounts.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn hears_pushes(&self, count: usize) {
        let hears = until(PATIENCE, || self.output().matches(HEARS).count() >= count);
        assert!(hears, "no stream for pushes:\n{}", self.output());
    }

    /// What it wrote to its log.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process.kill();
    }
}

impl Person {
    fn create(folder: &Path, says: Says) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let person = Self {
            folder: folder.to_owned(),
        };
        person.says(says);
        person
    }

    /// Writes the question down, waits for an answer as long as the agent lives, and gives it.
    fn command(&self) -> String {
        let (questions, answer) = (self.questions(), self.answer());
        format!(
            "cat >> '{}'; while ! [ -s '{answer}' ]; do kill -0 $PPID || exit 1; sleep 0.02; done; . '{answer}'",
            questions.display(),
            answer = answer.display(),
        )
    }

    fn says(&self, says: Says) {
        let script = match says {
            Says::Yes => "exit 0\n".to_owned(),
            Says::Pin(pin) => format!("echo {pin}\n"),
            Says::Number(number) => format!("echo {number:02}\n"),
            Says::PinAndNumber(pin, number) => format!("echo {pin}; echo {number:02}\n"),
            Says::No => "exit 1\n".to_owned(),
            Says::NotMe => "echo not-me; exit 1\n".to_owned(),
            Says::Nothing => String::new(),
        };
        // Whoever reads it reads it whole.
        let draft = self.folder.join("draft");
        std::fs::write(&draft, script).unwrap();
        std::fs::rename(draft, self.answer()).unwrap();
    }

    fn questions(&self) -> PathBuf {
        self.folder.join("questions")
    }

    fn answer(&self) -> PathBuf {
        self.folder.join("answer")
    }
}

/// What the agent writes once it can be found.
const LISTENS: &str = "listening on the loopback";

/// What it writes once the gateway can tell it of pushes.
const HEARS: &str = "waiting for pushes";

const PATIENCE: Duration = Duration::from_secs(20);
