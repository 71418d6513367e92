//! What does the real `curl` get?

use std::path::Path;
use std::process::{Command, Output};

use crate::answer::Answer;

/// What curl printed and how it ended.
#[derive(Debug)]
pub struct CurlAnswer {
    /// The last answer; its status is 0 when there was none.
    pub answer: Answer,
    /// curl's exit code.
    pub exit: i32,
    /// What it complained about.
    pub error: String,
}

impl std::ops::Deref for CurlAnswer {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.answer
    }
}

/// Runs curl with these arguments, quietly and with a deadline.
pub fn curl<I, S>(roots: &Path, arguments: I) -> CurlAnswer
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let files = tempfile::tempdir().unwrap();
    let (head, body) = (files.path().join("head"), files.path().join("body"));
    let output = Command::new("curl")
        .args([
            "-q",
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "20",
            "--cacert",
        ])
        .arg(roots)
        .arg("--dump-header")
        .arg(&head)
        .arg("--output")
        .arg(&body)
        .args(arguments)
        .output()
        .expect("curl is installed");
    read(&output, &head, &body)
}

fn read(output: &Output, head: &Path, body: &Path) -> CurlAnswer {
    let heads = std::fs::read(head).unwrap_or_default();
    // Interim answers (100 Continue) come first, each ended by an empty line.
    let heads = String::from_utf8_lossy(&heads).replace("\r\n", "\n");
    let last = heads
        .split("\n\n")
        .filter(|head| !head.trim().is_empty())
        .last()
        .unwrap_or_default();
    let mut answer = Answer::from_head(last);
    answer.body = std::fs::read(body).unwrap_or_default();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    CurlAnswer {
        answer,
        exit: output.status.code().unwrap_or(-1),
        error,
    }
}
