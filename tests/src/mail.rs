//! What mail did the gateway send? Read from the demo's outbox, or from a server that speaks SMTP and keeps what it gets.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use certs::{Authority, Material, Purpose, Terms};
use directory::Timestamp;
use tempfile::TempDir;

use crate::demo::Demo;
use crate::process::{Process, free_port, until};

/// A letter as it was sent.
#[derive(Debug, Clone)]
pub struct Mail {
    /// All of it.
    pub raw: String,
}

/// A server that takes mail for a test.
pub struct MailServer {
    process: Process,
    home: TempDir,
    port: u16,
}

/// How a connection to it gets to TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// When it is asked.
    StartTls,
    /// From the first octet on.
    Tls,
    /// It does not.
    Clear,
}

/// The password that the server wants of `latchkey`.
pub const MAIL_PASSWORD: &str = "a password of the mail server";

impl Mail {
    /// The value of a field of its head.
    pub fn field(&self, name: &str) -> Option<String> {
        let head = self.raw.split("\r\n\r\n").next()?.replace("\r\n ", " ");
        let start = format!("{}: ", name.to_ascii_lowercase());
        let mut lines = head.lines();
        lines
            .find(|line| line.to_ascii_lowercase().starts_with(&start))
            .map(|line| line[start.len()..].to_owned())
    }

    /// What it says as plain text.
    pub fn text(&self) -> String {
        let part = self.raw.split("Content-Type: text/plain").nth(1).unwrap_or_default();
        let body = part.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        let body = body.split("\r\n--").next().unwrap_or_default();
        match part
            .split("\r\n\r\n")
            .next()
            .unwrap_or_default()
            .contains("quoted-printable")
        {
            true => unquoted(body),
            false => body.to_owned(),
        }
    }

    /// The code in it.
    ///
    /// # Panics
    /// When there is none.
    pub fn code(&self) -> String {
        let text = self.text();
        let is_code =
            |line: &&str| line.len() == 9 && line.bytes().all(|octet| octet.is_ascii_digit() || octet == b' ');
        let code = text.lines().map(str::trim).find(is_code);
        code.unwrap_or_else(|| panic!("no code in {}", self.raw)).to_owned()
    }

    /// The link in it.
    ///
    /// # Panics
    /// When there is none.
    pub fn link(&self) -> String {
        let text = self.text();
        let link = text.lines().map(str::trim).find(|line| line.starts_with("https://"));
        link.unwrap_or_else(|| panic!("no link in {}", self.raw)).to_owned()
    }
}

fn unquoted(text: &str) -> String {
    let text = text.replace("=\r\n", "");
    let mut parts = text.split('=');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let octet = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        plain.push(char::from(octet.expect("two hexadecimal digits")));
        plain.push_str(&part[2..]);
    }
    plain
}

/// The letters in a folder, oldest first.
fn letters(folder: &Path) -> Vec<Mail> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "eml"));
    files.sort();
    let read = |file: &PathBuf| Mail {
        raw: std::fs::read_to_string(file).unwrap(),
    };
    files.iter().map(read).collect()
}

impl Demo {
    /// The letters to this address in the demo's outbox, oldest first.
    pub fn mails_to(&self, address: &str) -> Vec<Mail> {
        let mut mails = letters(&self.file("outbox"));
        mails.retain(|mail| mail.field("To").is_some_and(|to| to == address));
        mails
    }

    /// The letter of this number to this address, once it is there; the first one is number 0.
    ///
    /// # Panics
    /// When it never is.
    pub fn mail_to(&self, address: &str, number: usize) -> Mail {
        assert!(
            until(PATIENCE, || self.mails_to(address).len() > number),
            "no letter {number} to {address}:\n{}",
            self.process().output()
        );
        self.mails_to(address).remove(number)
    }

    /// A new user with a password, in these groups, who reads mail at `LOGIN@example.com`.
    pub fn user_with_mail(&self, login: &str, password: &str, groups: &[&str]) -> String {
        self.user(login, password, groups);
        let address = format!("{login}@example.com");
        self.command(&["user", "update", login, "--email", &address]);
        address
    }

    /// Lets mail alone sign in, as the shipped policies do not.
    pub fn let_mail_sign_in(&self) {
        let file = self.file("policies/organization.cedar");
        let text = std::fs::read_to_string(file).unwrap();
        let (before, rest) = text
            .split_once("@id(\"session.create.by-mail\")")
            .expect("the rule is there");
        let (_, after) = rest.split_once(";\n").unwrap();
        self.set_policies("organization.cedar", &format!("{before}{after}"));
    }

    /// Has mail leave by this server, for which these lines of the configuration stand.
    pub fn mail_by(&self, lines: &str) {
        self.set_mail(lines);
        self.reload();
    }

    /// The same for a gateway that does not run.
    pub fn set_mail(&self, lines: &str) {
        let file = self.file("latchkey.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        let (before, rest) = text.split_once("\nmail:\n").expect("the demo has mail");
        let after: Vec<&str> = rest.lines().skip_while(|line| line.starts_with(' ')).collect();
        std::fs::write(file, format!("{before}\nmail:\n{lines}\n{}\n", after.join("\n"))).unwrap();
    }
}

impl MailServer {
    /// Starts one with a certificate of a CA of its own.
    pub fn start(speaks: Speaks) -> Self {
        let home = tempfile::Builder::new().prefix("latchkey-mail-").tempdir().unwrap();
        std::fs::create_dir(home.path().join("mails")).unwrap();
        make_certificates(home.path());
        write_private(&home.path().join("password"), MAIL_PASSWORD);
        let port = free_port();
        let kind = match speaks {
            Speaks::StartTls => "starttls",
            Speaks::Tls => "tls",
            Speaks::Clear => "clear",
        };
        let mut command = Command::new(python());
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/mail/receive.py"))
            .arg(port.to_string())
            .arg(home.path().join("mails"))
            .arg(kind)
            .arg(home.path().join("server.pem"))
            .arg(home.path().join("server.key"))
            .args(["latchkey", MAIL_PASSWORD]);
        let mut process = Process::start(&mut command);
        process.wait_for_line("ready", PATIENCE);
        Self { process, home, port }
    }

    /// The lines of a configuration by which mail leaves through it.
    pub fn configuration(&self, tls: &str) -> String {
        format!(
            "  server: localhost\n  port: {}\n  tls: {tls}\n  username: latchkey\n  password_file: {}\n  ca_file: {}\n  \
             from: Latchkey <latchkey@example.com>",
            self.port,
            self.file("password").display(),
            self.file("ca.pem").display()
        )
    }

    /// Where it listens on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A file of it: `ca.pem`, `password`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What it took.
    pub fn mails(&self) -> Vec<Mail> {
        letters(&self.file("mails"))
    }

    /// The first letter that it takes.
    ///
    /// # Panics
    /// When there never is one.
    pub fn first(&self) -> Mail {
        assert!(
            until(PATIENCE, || !self.mails().is_empty()),
            "{}",
            self.process.output()
        );
        self.mails().remove(0)
    }

    /// What it saw: connections, and who signed in.
    pub fn saw(&self) -> String {
        self.process.output()
    }
}

/// A CA and a certificate for `localhost`.
fn make_certificates(home: &Path) {
    let made = Authority::create("Mail CA of a test", Purpose::Server, Material::Production, &terms(1)).unwrap();
    let authority = Authority::load(&made.certificate_pem, &made.key_pem).unwrap();
    let server = authority.issue_server(&["localhost"], &terms(2)).unwrap();
    std::fs::write(home.join("ca.pem"), &made.certificate_pem).unwrap();
    std::fs::write(home.join("server.pem"), &server.chain_pem).unwrap();
    write_private(&home.join("server.key"), &server.key_pem);
}

fn terms(number: u8) -> Terms {
    Terms {
        now: Timestamp::from_secs(crate::device::now()),
        lifetime: Duration::from_hours(24),
        random: std::array::from_fn(|_| number),
    }
}

fn write_private(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A Python that has `aiosmtpd`: the first one on the path, or the system's own, for which Debian has the package.
fn python() -> &'static str {
    let has = |python: &&str| {
        let tried = Command::new(python).args(["-c", "import aiosmtpd"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(has)
        .expect("aiosmtpd: run scripts/install test")
}

const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_read_for_its_code_and_its_link() {
        let mail = Mail {
            raw: "To: a@example.com\r\nSubject: Sign\r\n in\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\
                  Content-Transfer-Encoding: quoted-printable\r\n\r\nCode:\r\n\r\n    1234 5678\r\n\r\n    \
                  https://a/?token=3Dx=\r\ny\r\n--x--"
                .to_owned(),
        };

        assert_eq!(mail.field("subject").as_deref(), Some("Sign in"));
        assert_eq!(mail.code(), "1234 5678");
        assert_eq!(mail.link(), "https://a/?token=xy");
    }
}
