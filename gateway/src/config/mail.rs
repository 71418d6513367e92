//! How does mail leave? By a server, over TLS; in a demo by a folder. Nothing is sent in the clear.

use std::path::PathBuf;

use lettre::Address;
use lettre::message::Mailbox;
use rustls::pki_types::ServerName;

use super::check::Checker;
use super::raw::RawMail;
use super::values::{Expected, label, number, one_of};

/// How mail leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    /// Whose name and address it bears.
    pub(crate) from: Mailbox,
    /// Where it goes first.
    pub(crate) way: MailWay,
}

/// Where mail goes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MailWay {
    /// To a server.
    Server(MailServer),
    /// Into a folder; it is made if its parent exists.
    Folder(PathBuf),
}

/// A server that takes mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailServer {
    /// Its name, which its certificate must have.
    pub(crate) name: String,
    /// Its port.
    pub(crate) port: u16,
    /// How the connection gets to TLS.
    pub(crate) tls: MailTls,
    /// Who the gateway says it is.
    pub(crate) login: Option<MailLogin>,
    /// The CA that its certificate must come from; without one those that the system trusts.
    pub(crate) ca_file: Option<PathBuf>,
}

/// How a connection gets to TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailTls {
    /// The server is asked for it (RFC 3207); one that has none gets nothing.
    StartTls,
    /// From its first octet on (RFC 8314).
    Tls,
}

/// Who the gateway says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailLogin {
    /// Its name.
    pub(crate) username: String,
    /// The file with its password.
    pub(crate) password_file: PathBuf,
}

/// Either a server or, in a demo, a folder.
pub(super) fn check_mail(raw: &RawMail, demo: bool, checker: &mut Checker<'_>) -> Option<Mail> {
    match (&raw.server, &raw.folder) {
        (Some(name), None) => check_server_mail(raw, name, checker),
        (None, Some(folder)) => check_folder_mail(raw, folder, demo, checker),
        (Some(_), Some(_)) => {
            checker.refuse(
                "mail.folder",
                "expected either `server` or `folder`, found both".to_owned(),
            );
            None
        }
        (None, None) => {
            checker.refuse("mail", "expected `server`, or `folder` in a demo".to_owned());
            None
        }
    }
}

fn check_server_mail(raw: &RawMail, name: &str, checker: &mut Checker<'_>) -> Option<Mail> {
    let name = checker.value("mail.server", name, server_name);
    let kinds = [("starttls", MailTls::StartTls), ("tls", MailTls::Tls)];
    let tls = checker.value("mail.tls", raw.tls.as_deref().unwrap_or("starttls"), one_of(&kinds));
    let port = checker.optional("mail.port", raw.port.as_deref(), number(1..=u16::MAX));
    let ca_file = raw.ca_file.as_ref();
    let ca_file = ca_file.map_or(Some(None), |file| checker.file("mail.ca_file", file).map(Some));
    let login = check_login(raw, checker);
    let from = match &raw.from {
        Some(from) => checker.value("mail.from", from, mailbox),
        None => {
            checker.refuse("mail", "expected `from` beside `server`".to_owned());
            None
        }
    };
    let tls = tls?;
    let usual = match tls {
        MailTls::StartTls => SUBMISSION,
        MailTls::Tls => SUBMISSIONS,
    };
    Some(Mail {
        from: from?,
        way: MailWay::Server(MailServer {
            name: name?,
            port: port?.unwrap_or(usual),
            tls,
            login: login?,
            ca_file: ca_file?,
        }),
    })
}

fn check_login(raw: &RawMail, checker: &mut Checker<'_>) -> Option<Option<MailLogin>> {
    match (&raw.username, &raw.password_file) {
        (None, None) => Some(None),
        (Some(username), Some(file)) => {
            let username = checker.value("mail.username", username, label);
            let password_file = checker.file("mail.password_file", file);
            Some(Some(MailLogin {
                username: username?,
                password_file: password_file?,
            }))
        }
        (Some(_), None) => {
            checker.refuse("mail.username", "expected `password_file` beside it".to_owned());
            None
        }
        (None, Some(_)) => {
            checker.refuse("mail.password_file", "expected `username` beside it".to_owned());
            None
        }
    }
}

/// What is in the folder signs people in: it is for a demo alone.
fn check_folder_mail(raw: &RawMail, folder: &str, demo: bool, checker: &mut Checker<'_>) -> Option<Mail> {
    let server_keys = [
        ("port", raw.port.is_some()),
        ("tls", raw.tls.is_some()),
        ("username", raw.username.is_some()),
        ("password_file", raw.password_file.is_some()),
        ("ca_file", raw.ca_file.is_some()),
    ];
    let mut fits = true;
    for (key, _) in server_keys.iter().filter(|(_, given)| *given) {
        checker.refuse(
            &format!("mail.{key}"),
            "expected `server` beside it, found `folder`".to_owned(),
        );
        fits = false;
    }
    if !demo {
        checker.refuse(
            "mail.folder",
            "expected `server`: mail in a folder signs people in, and is for a demo alone".to_owned(),
        );
        fits = false;
    }
    let from = checker.value("mail.from", raw.from.as_deref().unwrap_or(DEMO_FROM), mailbox);
    let folder = checker.directory_to_be("mail.folder", folder);
    fits.then_some(())?;
    Some(Mail {
        from: from?,
        way: MailWay::Folder(folder?),
    })
}

fn server_name(text: &str) -> Result<String, Expected> {
    ServerName::try_from(text)
        .map(|_| text.to_owned())
        .map_err(|_| Expected::new("the name of a server, such as smtp.example.com"))
}

fn mailbox(text: &str) -> Result<Mailbox, Expected> {
    let expected = || Expected::new("an address such as Latchkey <latchkey@example.com>");
    let mailbox: Mailbox = text.parse().map_err(|_| expected())?;
    let is_plain = |text: &str| !text.chars().any(char::is_control);
    let plain = is_plain(mailbox.name.as_deref().unwrap_or_default()) && is_address(&mailbox.email);
    plain.then_some(mailbox).ok_or_else(expected)
}

/// Whether every server takes it: printable ASCII.
fn is_address(address: &Address) -> bool {
    AsRef::<str>::as_ref(address)
        .bytes()
        .all(|byte| byte.is_ascii_graphic())
}

const DEMO_FROM: &str = "Latchkey <latchkey@auth.localhost>";

/// RFC 6409.
const SUBMISSION: u16 = 587;

/// RFC 8314.
const SUBMISSIONS: u16 = 465;
