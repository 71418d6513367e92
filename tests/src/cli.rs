//! What does the `latchkey` program itself say on the command line?

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a `latchkey` command ended.
#[derive(Debug)]
pub struct CliOutput {
    /// Whether it called itself successful.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl CliOutput {
    /// The standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// Runs `latchkey` with these arguments to its end.
pub fn latchkey<I, S>(arguments: I) -> CliOutput
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    run(&program(), arguments)
}

/// Runs this program with these arguments to its end.
pub(crate) fn run<I, S>(program: &Path, arguments: I) -> CliOutput
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let output = Command::new(program).args(arguments).output().unwrap();
    CliOutput {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A program in the build directory that this test was built into.
pub(crate) fn beside(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join(name)
}

/// The gateway under test: `LATCHKEY_BIN`, or `latchkey` in the build directory that this test was built into.
pub fn program() -> PathBuf {
    let program = std::env::var_os("LATCHKEY_BIN").map_or_else(|| beside("latchkey"), PathBuf::from);
    assert!(
        program.exists(),
        "{} does not exist: run `cargo build -p latchkey` first",
        program.display()
    );
    program
}
