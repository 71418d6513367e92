//! The agent as a user runs it: its command line, in a folder of its own, without a terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// An installation.
pub(crate) struct Agent {
    folder: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// What it printed, where it was done.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }
}

impl Agent {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file for its owner alone.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let file = self.folder.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file.display().to_string()
    }

    /// Runs a command, with these words and the state.
    pub(crate) fn run(&self, words: &[&str]) -> Said {
        self.run_with(words, |_| {})
    }

    /// The same, with this change to how it is run.
    pub(crate) fn run_with(&self, words: &[&str], change: impl FnOnce(&mut Command)) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey-agent"));
        command
            .args(words)
            .arg("--state")
            .arg(self.state())
            .stdin(Stdio::null())
            .env_remove("XDG_CURRENT_DESKTOP");
        change(&mut command);
        let done = command.output().unwrap();
        Said {
            code: done.status.code().unwrap_or(-1),
            out: String::from_utf8(done.stdout).unwrap(),
            err: String::from_utf8(done.stderr).unwrap(),
        }
    }

    /// Begins a command that goes on; it is read from its standard error.
    pub(crate) fn spawn(&self, words: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_latchkey-agent"))
            .args(words)
            .arg("--state")
            .arg(self.state())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Enrols alice with software keys, with these words besides.
    pub(crate) fn enroll(&self, url: &str, authority: &str, more: &[&str]) -> Said {
        self.enroll_with(url, authority, more, |_| {})
    }

    /// The same, with this change to how it is run.
    pub(crate) fn enroll_with(
        &self,
        url: &str,
        authority: &str,
        more: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Said {
        let authority = self.file("ca.pem", authority);
        let password = self.file("password", "correct horse\n");
        let words = [
            "enroll",
            "--gateway",
            url,
            "--ca",
            &authority,
            "--user",
            "alice",
            "--password-file",
            &password,
            "--name",
            "laptop",
            "--json",
        ];
        // Where more says so itself, the last one counts not: say it once.
        let keys: &[&str] = if more.contains(&"--keys") {
            &[]
        } else {
            &["--keys", "software"]
        };
        self.run_with(&[&words[..], keys, more].concat(), change)
    }
}

/// Every file below a folder.
pub(crate) fn walk(folder: &Path) -> impl Iterator<Item = fs::DirEntry> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry);
            }
        }
    }
    files.into_iter()
}
