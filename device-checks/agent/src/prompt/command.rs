//! What does the user's own program say? It reads the question as JSON and approves by ending well.
//!
//! It prints what is wanted, each on a line of its own: first the PIN, then the number that the browser shows. One that ends
//! otherwise says no; to a push it says that it was not its user by printing `not-me` then.

use std::io;
use std::process::Stdio;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use zeroize::Zeroizing;

use super::{Decision, Given, Group, Message, Question, Typed};
use crate::secret::Secret;

/// Runs it and hears it out.
pub(super) async fn ask(command: &str, question: &Question) -> io::Result<Decision> {
    let (ended_well, said) = tell(command, question).await?;
    Ok(match ended_well {
        true => Decision::Approved(given(question, &said)),
        false if question.is_elsewhere() && text(line(&said, 0)) == NOT_ME => Decision::NotMe,
        false => Decision::Denied,
    })
}

/// Lets it show what a service says: one that does not end well cancels.
pub(super) async fn show(command: &str, message: &Message) -> io::Result<bool> {
    Ok(!tell(command, message).await?.0)
}

/// Lets it ask for what a service wants typed.
pub(super) async fn input(command: &str, message: &Message) -> io::Result<Typed> {
    let (ended_well, said) = tell(command, message).await?;
    Ok(match ended_well {
        true => Typed::Text(first_line(&said)),
        false => Typed::No,
    })
}

async fn tell(command: &str, what: &impl Serialize) -> io::Result<(bool, Zeroizing<Vec<u8>>)> {
    let mut program = Command::new("sh");
    program.arg("-c").arg(command);
    let mut json = serde_json::to_vec(what)?;
    json.push(b'\n');
    run(&mut program, &json).await
}

/// What was typed, line by line.
fn given(question: &Question, said: &[u8]) -> Given {
    let number = usize::from(question.pin);
    Given {
        // Without a PIN the first line is passed on too: what is not wanted is not used.
        pin: match question.pin || !question.number {
            true => first_line(said),
            false => Secret::default(),
        },
        number: match question.number {
            true => text(line(said, number)).to_owned(),
            false => String::new(),
        },
    }
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
    Secret::new(text(line(said, 0)).to_owned())
}

fn line(said: &[u8], number: usize) -> &[u8] {
    let mut lines = said.split(|octet| *octet == b'\n');
    let line = lines.nth(number).unwrap_or_default();
    line.split(|octet| *octet == b'\r').next().unwrap_or_default()
}

fn text(line: &[u8]) -> &str {
    std::str::from_utf8(line).unwrap_or_default()
}

/// What a program prints whose user did not ask for this.
const NOT_ME: &str = "not-me";

/// No PIN is as long, nor what is printed with it, nor a user's environment.
const MOST: usize = 64 * 1024;
