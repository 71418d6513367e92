//! What is wrong with the configuration? Each problem with its line, its key and what was expected there.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigErrors {
    /// The file itself could not be read.
    #[error("{}: cannot read the configuration file", file.display())]
    Unreadable {
        /// The file that was asked for.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file was read, and these things in it are wrong. Shown one a line: `FILE:LINE: KEY: MESSAGE`.
    #[error("{}", lines(file, problems))]
    Refused {
        /// The file that was read.
        file: PathBuf,
        /// All that is wrong with it, by line.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// The key, such as `applications[1].upstream.url`; empty for the file as a whole.
    pub(crate) key: String,
    /// What was expected, and what was found.
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.key, self.message)
        }
    }
}

fn lines(file: &std::path::Path, problems: &[Problem]) -> String {
    let line = |problem: &Problem| format!("{}:{}: {problem}", file.display(), problem.line);
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}
