//! How is a user asked in the terminal where the agent runs? In lines, a PIN without showing it.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetpgrp, tcsetattr};
use tokio::net::unix::pipe::Receiver;
use zeroize::Zeroizing;

use super::{Decision, Given, Message, Question, Typed};
use crate::secret::Secret;

/// Whether somebody sits there: a job in the background is not to read what is typed for others.
pub(super) fn is_attended() -> bool {
    let (input, shown) = (io::stdin(), io::stderr());
    input.is_terminal()
        && shown.is_terminal()
        && tcgetpgrp(&input).is_ok_and(|foreground| foreground == rustix::process::getpgrp())
}

/// Asks there.
pub(super) async fn ask(question: &Question) -> io::Result<Decision> {
    let (keyboard, screen) = open()?;
    // What was typed before the question is no answer to it.
    tcflush(&keyboard, QueueSelector::IFlush)?;
    let mut text = format!("\n{}\n", question.title());
    for line in question.lines() {
        text += &format!("  {line}\n");
    }
    let mut given = Given::default();
    write!(&screen, "{text}")?;
    if question.number {
        write!(
            &screen,
            "Number in the browser (empty to deny, `not me` if it was not you): "
        )?;
        match line(&keyboard).await? {
            Some(typed) if typed.expose().trim().is_empty() => return Ok(Decision::Denied),
            Some(typed) if is_not_me(typed.expose()) => return Ok(Decision::NotMe),
            Some(typed) => typed.expose().trim().clone_into(&mut given.number),
            None => return Ok(Decision::Dismissed),
        }
    }
    if question.pin {
        let _unseen = Unseen::begin(&screen)?;
        write!(&screen, "PIN (empty to deny): ")?;
        let pin = line(&keyboard).await?;
        writeln!(&screen)?;
        return Ok(match pin {
            Some(pin) if pin.is_empty() => Decision::Denied,
            Some(pin) => Decision::Approved(Given { pin, ..given }),
            None => Decision::Dismissed,
        });
    }
    if question.number {
        return Ok(Decision::Approved(given));
    }
    let not_me = if question.is_elsewhere() { "/not me" } else { "" };
    write!(&screen, "Approve? [y/N{not_me}] ")?;
    Ok(match line(&keyboard).await? {
        Some(answer) if is_yes(answer.expose()) => Decision::Approved(given),
        Some(answer) if question.is_elsewhere() && is_not_me(answer.expose()) => Decision::NotMe,
        Some(_) => Decision::Denied,
        None => Decision::Dismissed,
    })
}

/// Shows there what a service says; without a terminal where errors go.
pub(super) fn show(message: &Message) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{}", message.line())
}

/// Has typed there what a service asks for; nothing typed is a no.
pub(super) async fn input(message: &Message) -> io::Result<Typed> {
    let (keyboard, screen) = open()?;
    tcflush(&keyboard, QueueSelector::IFlush)?;
    let _unseen = message.is_hidden().then(|| Unseen::begin(&screen)).transpose()?;
    write!(&screen, "{} (empty to cancel) ", message.line())?;
    let typed = line(&keyboard).await?;
    if message.is_hidden() {
        writeln!(&screen)?;
    }
    Ok(match typed {
        Some(typed) if typed.is_empty() => Typed::No,
        Some(typed) => Typed::Text(typed),
        None => Typed::Nothing,
    })
}

/// The terminal, for reading as soon as there is something, and for writing.
fn open() -> io::Result<(Receiver, File)> {
    let keyboard = File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open("/dev/tty")?;
    let screen = File::options().write(true).open("/dev/tty")?;
    // It is no pipe, but can be waited for as one.
    Ok((Receiver::from_file_unchecked(keyboard)?, screen))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

fn is_not_me(answer: &str) -> bool {
    ["not me", "not-me"]
        .iter()
        .any(|said| answer.trim().eq_ignore_ascii_case(said))
}

/// A line; nothing where the input ended. Whoever stops waiting takes nothing of what is typed next.
async fn line(keyboard: &Receiver) -> io::Result<Option<Secret>> {
    let mut typed = Zeroizing::new(Vec::with_capacity(LONGEST));
    while typed.len() < LONGEST {
        let mut some = Zeroizing::new([0; 256]);
        keyboard.readable().await?;
        let read = match keyboard.try_read(some.as_mut_slice()) {
            Ok(read) => some.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        if read.is_empty() {
            return Ok(None);
        }
        typed.extend_from_slice(read);
        if let Some(line) = typed.strip_suffix(b"\n") {
            let line = std::str::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData)?;
            return Ok(Some(Secret::new(line.to_owned())));
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// What is typed is not shown as long as this lives.
struct Unseen<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Unseen<'a> {
    fn begin(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut unseen = before.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &unseen)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_yes_is_one() {
        assert!(is_yes("y") && is_yes(" YES "));
        assert!(is_not_me(" Not me ") && is_not_me("not-me") && !is_not_me("me"));
        assert!(!["", "n", "ye", "yes please"].iter().any(|answer| is_yes(answer)));
    }
}
