//! What does the real `openssl` see and make?

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

/// How an openssl command ended.
#[derive(Debug)]
pub struct OpensslOutput {
    /// Whether it called itself successful.
    pub success: bool,
    /// What it printed, on both streams.
    pub text: String,
}

/// Runs `openssl` with these arguments and this input; `s_client` gets twenty seconds.
pub fn openssl<I, S>(arguments: I, input: &str) -> OpensslOutput
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut child = Command::new("timeout")
        .args(["20", "openssl"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    // A program that ended early does not read its input; what it printed says why.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    OpensslOutput {
        success: output.status.success(),
        text,
    }
}
