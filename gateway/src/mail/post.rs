//! By what does mail leave? A server that is spoken to over TLS alone, or a folder.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters, TlsVersion};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use zeroize::Zeroizing;

use crate::config::{Mail, MailServer, MailTls, MailWay};
use crate::private_file::{self, PrivateFileError};

/// By what mail leaves.
pub(crate) struct Post {
    /// Whose name and address it bears.
    pub(crate) from: Mailbox,
    way: Way,
}

enum Way {
    Server(Box<AsyncSmtpTransport<Tokio1Executor>>),
    Folder(PathBuf),
}

/// Says why no mail can leave as the configuration has it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    /// The password cannot be read.
    #[error("mail.password_file")]
    Password(#[source] PrivateFileError),
    /// The CA cannot be used.
    #[error("mail.ca_file: expected CA certificates in PEM in `{}`", file.display())]
    Authority {
        /// The file.
        file: PathBuf,
        /// Why, if more is known.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// TLS cannot be set up.
    #[error("mail: TLS to the server cannot be set up")]
    Tls(#[source] lettre::transport::smtp::Error),
    /// The folder cannot be made.
    #[error("mail.folder: cannot make `{}`", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Says why a letter did not leave.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undelivered {
    /// The server did not take it.
    #[error("the mail server")]
    Server(#[from] lettre::transport::smtp::Error),
    /// It cannot be written into the folder.
    #[error("the folder of mail")]
    Folder(#[from] io::Error),
}

impl Post {
    /// Opens the way that the configuration names; `hello` is what the gateway calls itself at the server.
    ///
    /// # Errors
    /// If a file that it names cannot be used.
    pub(crate) fn open(mail: &Mail, hello: &str) -> Result<Self, PostError> {
        let way = match &mail.way {
            MailWay::Server(server) => Way::Server(Box::new(connect(server, hello)?)),
            MailWay::Folder(folder) => {
                make_private(folder).map_err(|source| PostError::Folder {
                    folder: folder.clone(),
                    source,
                })?;
                Way::Folder(folder.clone())
            }
        };
        Ok(Self {
            from: mail.from.clone(),
            way,
        })
    }

    /// Hands over a letter, once; `name` is what it is called in a folder.
    ///
    /// # Errors
    /// If it is not taken.
    pub(crate) async fn hand_over(&self, letter: Message, name: &str) -> Result<(), Undelivered> {
        match &self.way {
            Way::Server(server) => {
                server.send(letter).await?;
            }
            Way::Folder(folder) => {
                let text = Zeroizing::new(String::from_utf8_lossy(&letter.formatted()).into_owned());
                private_file::write(&folder.join(format!("{name}.eml")), &text)?;
            }
        }
        Ok(())
    }
}

impl Post {
    /// Whether a letter would be taken, as far as that can be known without one: the server is reached, proves who it is, and
    /// takes the password.
    ///
    /// # Errors
    /// If the server cannot be reached, or refuses.
    pub(crate) async fn try_out(&self) -> Result<bool, Undelivered> {
        match &self.way {
            Way::Server(server) => Ok(server.test_connection().await?),
            Way::Folder(folder) => Ok(folder.is_dir()),
        }
    }
}

impl Undelivered {
    /// Whether trying again can help.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Server(error) => !error.is_permanent() && !error.is_tls() && !error.is_client(),
            Self::Folder(_) => false,
        }
    }
}

/// Makes what it takes to speak to the server; no connection is opened yet.
fn connect(server: &MailServer, hello: &str) -> Result<AsyncSmtpTransport<Tokio1Executor>, PostError> {
    let mut tls = TlsParameters::builder(server.name.clone()).set_min_tls_version(TlsVersion::Tlsv12);
    if let Some(file) = &server.ca_file {
        // Its CA alone: what the system trusts counts no longer.
        tls = tls
            .certificate_store(CertificateStore::None)
            .add_root_certificate(read_authority(file)?);
    }
    let tls = tls.build_rustls().map_err(PostError::Tls)?;
    let tls = match server.tls {
        MailTls::StartTls => Tls::Required(tls),
        MailTls::Tls => Tls::Wrapper(tls),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.name.clone())
        .port(server.port)
        .tls(tls)
        .hello_name(ClientId::Domain(hello.to_owned()))
        .timeout(Some(EACH_STEP));
    if let Some(login) = &server.login {
        let password = Zeroizing::new(private_file::read(&login.password_file).map_err(PostError::Password)?);
        let password = password.trim_end_matches(['\r', '\n']).to_owned();
        builder = builder.credentials(Credentials::new(login.username.clone(), password));
    }
    Ok(builder.build())
}

fn read_authority(file: &Path) -> Result<Certificate, PostError> {
    let refused = |source| PostError::Authority {
        file: file.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(file).map_err(|error| refused(Some(error.into())))?;
    let known = certs::read_certificates(&text).map_err(|error| refused(Some(error.into())))?;
    if known.is_empty() {
        return Err(refused(None));
    }
    Certificate::from_pem(text.as_bytes()).map_err(|error| refused(Some(error.into())))
}

/// A folder that its owner alone can look into.
fn make_private(folder: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// How long the server may take for each of its answers.
const EACH_STEP: Duration = Duration::from_secs(10);
