//! What did the user not say yet? Asked for on a terminal; elsewhere the flag that is missing is named.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use super::error::CliError;
use crate::private_file::{self, FileError};
use crate::secret::Secret;

/// Whether there is somebody to ask.
pub(super) fn attended() -> bool {
    io::stdin().is_terminal()
}

/// What was said, or else what is answered now; a default where nothing is.
pub(super) fn text(
    said: Option<String>,
    question: &str,
    flag: &'static str,
    usual: Option<String>,
) -> Result<String, CliError> {
    if let Some(said) = said {
        return Ok(said);
    }
    if !attended() {
        return usual.ok_or(CliError::Missing { flag });
    }
    let hint = usual.as_ref().map_or_else(String::new, |usual| format!(" [{usual}]"));
    let mut out = io::stderr().lock();
    write!(out, "{question}{hint}: ")
        .and_then(|()| out.flush())
        .map_err(CliError::Prompt)?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(CliError::Prompt)?;
    match (line.trim(), usual) {
        ("", Some(usual)) => Ok(usual),
        ("", None) => Err(CliError::Missing { flag }),
        (answer, _) => Ok(answer.to_owned()),
    }
}

/// The secret in a file, or else what is typed now, unseen.
pub(super) fn secret(file: Option<&Path>, question: &str, flag: &'static str) -> Result<Secret, CliError> {
    match file {
        Some(file) => read(file),
        None => ask(question, flag),
    }
}

/// A new PIN, typed twice; nothing where the user wants none.
pub(super) fn new_pin(file: Option<&Path>, needed: bool) -> Result<Option<Secret>, CliError> {
    if let Some(file) = file {
        return read(file).map(Some);
    }
    if !attended() {
        return Ok(None);
    }
    let question = if needed { "New PIN" } else { "New PIN (empty for none)" };
    loop {
        let first = ask(question, PIN_FLAG)?;
        if first.is_empty() && !needed {
            return Ok(None);
        }
        if ask("The same PIN again", PIN_FLAG)?.expose() == first.expose() {
            return Ok(Some(first));
        }
        super::output::complain("They differ.\n");
    }
}

/// The first line of a file that is its owner's alone.
pub(super) fn read(file: &Path) -> Result<Secret, CliError> {
    let octets = private_file::read(file)?.ok_or_else(|| FileError::Unusable {
        file: file.to_owned(),
        source: io::ErrorKind::NotFound.into(),
    })?;
    let unreadable = |_| FileError::Unusable {
        file: file.to_owned(),
        source: io::ErrorKind::InvalidData.into(),
    };
    let text = std::str::from_utf8(&octets).map_err(unreadable)?;
    Ok(Secret::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn ask(question: &str, flag: &'static str) -> Result<Secret, CliError> {
    if !attended() {
        return Err(CliError::Missing { flag });
    }
    let answer = rpassword::prompt_password(format!("{question}: ")).map_err(CliError::Prompt)?;
    Ok(Secret::new(answer))
}

/// By which flag a PIN is given.
pub(super) const PIN_FLAG: &str = "--pin-file FILE";
