//! How does a client of the gateway set up TLS: which roots, which certificate, which protocol?

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// A certificate chain and its key, as files: what a device holds.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The chain in PEM, leaf first.
    pub certificate: std::path::PathBuf,
    /// The key in PEM.
    pub key: std::path::PathBuf,
}

impl Identity {
    /// The pair `NAME.pem` and `NAME.key` in this directory.
    pub fn named(directory: &Path, name: &str) -> Self {
        Self {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
        }
    }
}

/// TLS 1.3 trusting one root file, with or without a client certificate, never resuming.
pub fn client_config(roots: &Path, identity: Option<&Identity>, alpn: &[&str]) -> ClientConfig {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(roots).unwrap() {
        store.add(root.unwrap()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(store);
    let mut config = match identity {
        Some(identity) => builder.with_client_auth_cert(chain(identity), key(identity)).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// The same with a certificate and a key that do not belong together, as a thief of the certificate alone would try.
pub fn forged_client_config(roots: &Path, identity: &Identity) -> ClientConfig {
    let mut config = client_config(roots, None, &["http/1.1"]);
    let key = rustls::crypto::ring::sign::any_supported_type(&key(identity)).unwrap();
    let forged = rustls::sign::CertifiedKey::new(chain(identity), key);
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(forged));
    config
}

/// A TLS connection over a blocking socket.
pub type Connection = rustls::StreamOwned<ClientConnection, std::net::TcpStream>;

/// Connects and finishes the handshake; with TLS 1.3 a refused client certificate shows only at the first read.
///
/// # Errors
/// What TCP or TLS said.
pub fn connect(address: SocketAddr, server_name: &str, config: ClientConfig) -> std::io::Result<Connection> {
    connect_from(None, address, server_name, config)
}

/// The same from an address of this machine.
///
/// # Errors
/// What TCP or TLS said.
pub fn connect_from(
    source: Option<IpAddr>,
    address: SocketAddr,
    server_name: &str,
    config: ClientConfig,
) -> std::io::Result<Connection> {
    let socket = match source {
        Some(source) => socket_from(source, address)?,
        None => std::net::TcpStream::connect(address)?,
    };
    connect_over(socket, server_name, config)
}

/// The same over a connection that is there already.
///
/// # Errors
/// What TCP or TLS said.
pub fn connect_over(
    mut socket: std::net::TcpStream,
    server_name: &str,
    config: ClientConfig,
) -> std::io::Result<Connection> {
    let name = ServerName::try_from(server_name.to_owned()).unwrap();
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.set_write_timeout(Some(DEADLINE))?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    Ok(Connection::new(session, socket))
}

/// A TCP connection from an address of this machine.
///
/// # Errors
/// What TCP said.
pub fn socket_from(source: IpAddr, address: SocketAddr) -> std::io::Result<std::net::TcpStream> {
    // The standard library binds no socket before it connects.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let connected = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(source, 0))?;
        socket.connect(address).await
    });
    let socket = connected?.into_std()?;
    socket.set_nonblocking(false)?;
    Ok(socket)
}

fn chain(identity: &Identity) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(&identity.certificate)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn key(identity: &Identity) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(&identity.key).unwrap()
}

/// How long any test waits for any answer.
pub const DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);
