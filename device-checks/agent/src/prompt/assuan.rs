//! How is a pinentry asked? Line by line, in the Assuan protocol: each command is answered by `OK` or `ERR`, what was typed by
//! `D` before that.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::process::Command;
use zeroize::{Zeroize, Zeroizing};

use super::desktop::Sheet;
use super::{Group, Typed};
use crate::secret::Secret;

/// Asks for a PIN or a number.
pub(super) async fn ask(pinentry: &mut Command, sheet: &Sheet, patience: Duration) -> io::Result<Typed> {
    let mut child = pinentry
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = Group::of(&child);
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let decided = talk(stdin, BufReader::new(stdout), sheet, patience).await;
    // It ends when nobody talks to it any more.
    let _ = child.wait().await;
    group.ended();
    decided
}

async fn talk(
    mut to: impl AsyncWrite + Unpin,
    mut from: BufReader<impl AsyncRead + Unpin>,
    sheet: &Sheet,
    patience: Duration,
) -> io::Result<Typed> {
    expect_ok(&mut from).await?;
    let description = [&[sheet.title.clone()][..], &sheet.lines].concat().join("\n");
    let mut commands = vec![
        "SETTITLE Latchkey".to_owned(),
        format!("SETDESC {}", escape(&description)),
        format!("SETPROMPT {}:", escape(&sheet.name)),
        "SETOK Approve".to_owned(),
        "SETCANCEL Deny".to_owned(),
    ];
    commands.extend(
        sheet
            .complaint
            .as_ref()
            .map(|complaint| format!("SETERROR {}", escape(complaint))),
    );
    for command in commands {
        send(&mut to, &command).await?;
        expect_ok(&mut from).await?;
    }
    // Old ones do not know it; the question is ended in time anyway.
    send(&mut to, &format!("SETTIMEOUT {}", patience.as_secs())).await?;
    answer(&mut from).await?;
    send(&mut to, "GETPIN").await?;
    let answered = answer(&mut from).await?;
    let _ = send(&mut to, "BYE").await;
    match answered {
        Answer::Ok(pin) => Ok(Typed::Text(pin)),
        Answer::Error(CANCELED | NOT_CONFIRMED) => Ok(Typed::No),
        Answer::Error(TIMEOUT) => Ok(Typed::Nothing),
        Answer::Error(code) => Err(io::Error::other(format!("pinentry fails with {code}"))),
    }
}

#[derive(Debug)]
enum Answer {
    /// With the data that came before.
    Ok(Secret),
    /// With the code of its kind, without that of its source.
    Error(u32),
}

async fn send(to: &mut (impl AsyncWrite + Unpin), command: &str) -> io::Result<()> {
    to.write_all(format!("{command}\n").as_bytes()).await?;
    to.flush().await
}

async fn expect_ok(from: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<()> {
    match answer(from).await? {
        Answer::Ok(_) => Ok(()),
        Answer::Error(code) => Err(io::Error::other(format!("pinentry fails with {code}"))),
    }
}

/// Reads one answer; status and comments before it are passed over.
async fn answer(from: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<Answer> {
    let mut data = Zeroizing::new(String::new());
    for _ in 0..MOST_LINES {
        let mut line = Zeroizing::new(String::with_capacity(LONGEST));
        if from.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end_matches(['\r', '\n']);
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "OK" => return Ok(Answer::Ok(Secret::new(unescape(&data)?))),
            "ERR" => {
                let code = rest.split(' ').next().and_then(|code| code.parse::<u32>().ok());
                return Ok(Answer::Error(code.unwrap_or_default() & 0xffff));
            }
            "D" => data.push_str(rest),
            _ => {}
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// What would end a line, or begin an escape, is escaped.
fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn unescape(text: &str) -> io::Result<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |octet: u8| char::from(octet).to_digit(16);
                let octet = digit(*high).zip(digit(*low)).map(|(high, low)| high * 16 + low);
                octets.push(
                    octet
                        .and_then(|octet| u8::try_from(octet).ok())
                        .ok_or(io::ErrorKind::InvalidData)?,
                );
                rest = tail;
            }
            _ => {
                octets.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(octets).map_err(|error| {
        error.into_bytes().zeroize();
        io::ErrorKind::InvalidData.into()
    })
}

/// The codes of libgpg-error.
const TIMEOUT: u32 = 62;
const CANCELED: u32 = 99;
const NOT_CONFIRMED: u32 = 114;
const MOST_LINES: u32 = 100;
/// A line of Assuan has at most 1000 octets.
const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::prompt::Question;

    #[tokio::test]
    async fn a_pin_is_asked_for_and_taken_out_of_its_escapes() {
        let (decided, said) = ask("OK\nOK\nOK\nOK\nOK\nOK\nOK\nOK\nS PASSWORD_FROM_CACHE\n# x\nD 24%2568\nOK\n").await;
        assert!(matches!(decided, Ok(Typed::Text(pin)) if pin.expose() == "24%68"));
        assert!(said.contains("SETDESC Sign in to Pay%25roll as alice?%0AAsked by https://a.%0AThat PIN was wrong.\n"));
        assert!(
            said.contains("\nSETERROR That PIN was wrong.\n") && said.ends_with("GETPIN\nBYE\n"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn a_no_is_told_from_a_silence_and_from_a_failure() {
        let ends = async |end: &str| ask(&format!("OK\nOK\nOK\nOK\nOK\nOK\nOK\nOK\n{end}\n")).await.0;
        assert!(matches!(
            ends("ERR 83886179 Operation cancelled <Pinentry>").await,
            Ok(Typed::No)
        ));
        assert!(matches!(
            ends("ERR 83886142 Timeout <Pinentry>").await,
            Ok(Typed::Nothing)
        ));
        assert!(ends("ERR 83918950 Inappropriate ioctl <Pinentry>").await.is_err());
        assert!(ends("D 2468").await.is_err(), "it ended in the middle");
        assert!(matches!(ends("OK").await, Ok(Typed::Text(pin)) if pin.is_empty()));
    }

    #[test]
    fn escapes_that_are_none_are_refused() {
        assert_eq!(unescape("a%0ab%").unwrap(), "a\nb%");
        assert!(unescape("%zz").is_err() && unescape("%ff").is_err());
    }

    /// What a question comes to with a pinentry that says this, and what it was told.
    async fn ask(says: &str) -> (io::Result<Typed>, String) {
        let (mut ours, theirs) = tokio::io::duplex(8192);
        let question = Question {
            kind: "sign-in",
            login: "alice".to_owned(),
            application: Some("Pay%roll".to_owned()),
            browser: None,
            address: None,
            place: None,
            origin: "https://a".to_owned(),
            pin: true,
            then: None,
            number: false,
            again: 1,
            tries_left: None,
        };
        let decided = talk(
            theirs,
            BufReader::new(says.as_bytes()),
            &Sheet::of(&question, "PIN"),
            Duration::from_secs(9),
        )
        .await;
        let mut said = String::new();
        ours.read_to_string(&mut said).await.unwrap();
        (decided, said)
    }
}
