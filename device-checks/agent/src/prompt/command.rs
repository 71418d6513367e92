//! What does the user's own program say? It reads the question as JSON and approves by ending well.

use std::io;
use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use zeroize::Zeroizing;

use super::{Decision, Group, Question};
use crate::secret::Secret;

/// Runs it and hears it out.
pub(super) async fn ask(command: &str, question: &Question) -> io::Result<Decision> {
    let mut program = Command::new("sh");
    program.arg("-c").arg(command);
    let mut json = serde_json::to_vec(question)?;
    json.push(b'\n');
    let (ended_well, said) = run(&mut program, &json).await?;
    Ok(if ended_well {
        Decision::Approved(first_line(&said))
    } else {
        Decision::Denied
    })
}

/// Runs a program with this on its standard input: whether it ended well, and what it printed.
pub(super) async fn run(program: &mut Command, input: &[u8]) -> io::Result<(bool, Zeroizing<Vec<u8>>)> {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = Group::of(&child);
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read does not have to.
        let _ = stdin.write_all(input).await;
    }
    let mut said = Zeroizing::new(Vec::with_capacity(MOST));
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MOST as u64).read_to_end(&mut said).await?;
    }
    let ended = child.wait().await?;
    group.ended();
    Ok((ended.success(), said))
}

/// What is before the first line's end; what is no text is no PIN.
pub(super) fn first_line(said: &[u8]) -> Secret {
    let line = said
        .split(|octet| matches!(octet, b'\n' | b'\r'))
        .next()
        .unwrap_or_default();
    Secret::new(std::str::from_utf8(line).unwrap_or_default().to_owned())
}

/// No PIN is as long, nor what is printed with it, nor a user's environment.
const MOST: usize = 64 * 1024;
