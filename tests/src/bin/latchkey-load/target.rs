//! What is asked, where and as whom?

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use latchkey_tests::tls::{self, Identity};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Arguments, Mode};

/// What is asked, where, as whom.
pub(crate) struct Target {
    address: SocketAddr,
    name: ServerName<'static>,
    connector: TlsConnector,
    /// Host and port, as in an URL.
    pub(crate) authority: String,
    /// What is asked for.
    pub(crate) path: String,
    /// The cookie that every request brings.
    pub(crate) cookie: Option<String>,
}

/// The targets of a run, one for each client certificate.
pub(crate) struct Targets {
    all: Vec<Arc<Target>>,
    turn: AtomicUsize,
}

impl Targets {
    /// Reads the certificates.
    pub(crate) fn of(arguments: &Arguments) -> Self {
        Self {
            all: Target::of(arguments).into_iter().map(Arc::new).collect(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Each in its turn.
    pub(crate) fn next(&self) -> Arc<Target> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        Arc::clone(&self.all[turn % self.all.len()])
    }
}

impl Target {
    fn of(arguments: &Arguments) -> Vec<Self> {
        let one = arguments.certificate.clone().zip(arguments.key.clone());
        let one = one.map(|(certificate, key)| Identity { certificate, key });
        let identities: Vec<Option<Identity>> = match &arguments.identities {
            Some(folder) => identities(folder).into_iter().map(Some).collect(),
            None => vec![one],
        };
        let with = |identity: Option<Identity>| Self::with(arguments, identity.as_ref());
        identities.into_iter().map(with).collect()
    }

    fn with(arguments: &Arguments, identity: Option<&Identity>) -> Self {
        let protocol = match arguments.mode {
            Mode::Http2 => "h2",
            Mode::KeepAlive | Mode::NewConnection | Mode::Websocket => "http/1.1",
        };
        let config = tls::client_config(&arguments.roots, identity, &[protocol]);
        Self {
            address: arguments.address,
            name: ServerName::try_from(arguments.host.clone()).expect("a host name"),
            connector: TlsConnector::from(Arc::new(config)),
            authority: format!("{}:{}", arguments.host, arguments.address.port()),
            path: arguments.path.clone(),
            cookie: arguments.cookie.clone(),
        }
    }

    /// A TLS connection; one without a linger leaves nothing behind in TIME_WAIT, which thousands a second would fill.
    ///
    /// # Errors
    /// What TCP or TLS said.
    pub(crate) async fn connect(&self, linger: bool) -> Result<TlsStream<TcpStream>, String> {
        let connected = async {
            let socket = TcpStream::connect(self.address).await?;
            socket.set_nodelay(true)?;
            if !linger {
                socket.set_zero_linger()?;
            }
            self.connector.connect(self.name.clone(), socket).await
        };
        connected.await.map_err(|error| format!("connecting: {error}"))
    }

    /// The head of a GET request of HTTP/1.1 with these further lines.
    pub(crate) fn head(&self, lines: &str) -> Vec<u8> {
        let cookie = self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}\r\n"));
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\n{}{lines}\r\n",
            self.path,
            self.authority,
            cookie.unwrap_or_default()
        )
        .into_bytes()
    }
}

/// The pairs in a folder, by name.
fn identities(folder: &Path) -> Vec<Identity> {
    let entries = std::fs::read_dir(folder).expect("a folder of certificates");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let mut names: Vec<String> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "key"))
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no keys in {}", folder.display());
    names.iter().map(|name| Identity::named(folder, name)).collect()
}
