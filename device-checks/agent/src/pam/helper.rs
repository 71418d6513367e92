//! What does the process do that speaks to PAM? It passes on what the service says and asks, in lines of JSON, and ends.
//!
//! Its standard streams are put aside before any module is loaded: nothing that one prints is an answer of this process.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::ExitCode;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stdin, dup2_stdout};
use serde::{Deserialize, Serialize};

use super::Service;
use super::library::{Conversation, Library};
use crate::secret::Secret;

/// The command of the agent that this is; the agent runs it itself.
pub const COMMAND: &str = "verify-by-pam";

/// What the process says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// The service says something.
    Message { text: String, error: bool },
    /// It asks for something, which is answered by a line with a JSON string.
    Input { text: String, hidden: bool },
    /// It verified the user.
    Verified,
    /// It did not.
    Refused { why: String },
}

/// Has the service verify the user who runs this, within so many seconds; says what came of it.
pub fn run(service: &Service, within: u32) -> ExitCode {
    let Ok(mut talk) = Talk::begin() else {
        return ExitCode::FAILURE;
    };
    let verified = Library::open().and_then(|library| library.verify(service.name(), within, &mut talk));
    let said = talk.say(&match verified {
        Ok(()) => Event::Verified,
        Err(why) => Event::Refused { why },
    });
    if said.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The lines to and from the agent.
struct Talk {
    from: BufReader<File>,
    to: File,
}

impl Talk {
    fn begin() -> std::io::Result<Self> {
        let from = fcntl_dupfd_cloexec(std::io::stdin(), FIRST_FREE)?;
        let to = fcntl_dupfd_cloexec(std::io::stdout(), FIRST_FREE)?;
        dup2_stdin(File::open("/dev/null")?)?;
        dup2_stdout(File::options().write(true).open("/dev/null")?)?;
        Ok(Self {
            from: BufReader::new(File::from(from)),
            to: File::from(to),
        })
    }

    fn say(&mut self, event: &Event) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.to.write_all(&line)
    }
}

impl Conversation for Talk {
    fn message(&mut self, text: String, error: bool) -> Option<()> {
        self.say(&Event::Message { text, error }).ok()
    }

    fn input(&mut self, text: String, hidden: bool) -> Option<Secret> {
        self.say(&Event::Input { text, hidden }).ok()?;
        let mut line = zeroize::Zeroizing::new(String::new());
        self.from.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok().map(Secret::new)
    }
}

/// Above the standard streams.
const FIRST_FREE: i32 = 3;
