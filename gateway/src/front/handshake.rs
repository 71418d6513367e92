//! How does a TCP connection become one that Pingora serves? By a handshake of bounded number and time.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use device_checks::{BadCertificate, LeafCertificate};
use http::HeaderValue;
use pingora::apps::ServerApp;
use pingora::http::ResponseHeader;
use pingora::protocols::l4::stream::Stream as TcpStream;
use pingora::protocols::{GetSocketDigest, Stream};
use pingora::server::ShutdownWatch;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use tracing::debug;

use super::connection::{Connection, GivenUp};
use super::farewell;
use super::gathered::Gathered;
use super::let_go::LetGo;
use super::limits::{ConnectionLimits, HandshakeLimits};
use super::patience::Heads;
use super::proxy_protocol;
use super::rest::Octets;
use super::stream::{Cut, FrontStream};
use super::trust::Trust;
use crate::config::Limits;
use crate::forward_auth::Standing;

/// Stands before the proxy on every TCP connection and terminates TLS.
pub(crate) struct Front<Inner> {
    /// Server certificates and trust anchors; swapped while running.
    pub(crate) trust: Arc<ArcSwap<Trust>>,
    /// What serves the connection after the handshake.
    pub(crate) inner: Arc<Inner>,
    /// How many handshakes may be under way.
    pub(crate) handshakes: HandshakeLimits,
    /// How long one may take.
    pub(crate) timeout: Duration,
    /// How many connections may be open.
    pub(crate) connections: ConnectionLimits,
    /// What a client is then held to.
    pub(crate) limits: Arc<Limits>,
    /// Numbers the connections.
    pub(crate) next_id: AtomicU64,
}

/// Says why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("a limit was reached: {0:?}")]
    TooMany(LetGo),
    #[error("the handshake took too long")]
    TooLong,
    #[error("the connection has no peer address")]
    NoPeer,
    #[error("reading what the load balancer says")]
    Balancer(#[from] proxy_protocol::BadHeader),
    #[error("reading the client hello")]
    ClientHello(#[source] std::io::Error),
    #[error("finishing the handshake")]
    Finish(#[source] std::io::Error),
    #[error("reading the client certificate")]
    Certificate(#[source] BadCertificate),
    #[error("building the connection's digest")]
    Digest(#[source] Box<pingora::Error>),
}

impl<Inner> Front<Inner> {
    async fn handshake(&self, tcp: Box<TcpStream>, peer: IpAddr) -> Result<FrontStream, HandshakeError> {
        let opened = self.connections.enter(peer).map_err(HandshakeError::TooMany)?;
        let place = self.handshakes.enter(peer).await;
        let _place = place.ok_or(HandshakeError::TooMany(LetGo::SourceHandshakes))?;
        let started = client_hello(Gathered::new(tcp)).await?;
        let server_name = started
            .client_hello()
            .server_name()
            .map(|name| name.to_ascii_lowercase().into_boxed_str());
        let trust = self.trust.load_full();
        let config = trust.server_config(server_name.as_deref());
        let tls = finished(started, config).await?;
        let connection = Connection {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            peer,
            peer_text: HeaderValue::try_from(peer.to_string()).map_err(|_| HandshakeError::NoPeer)?,
            forwarded: OnceLock::new(),
            certificate: leaf_of(&tls)?,
            chain: match trust.asks_proxies(server_name.as_deref()) {
                true => chain_of(&tls),
                false => Vec::new(),
            },
            server_name,
            proxy: Standing::default(),
            cut: Cut::default(),
            _opened: Some(opened),
            heads: Heads::default(),
            octets: Octets::default(),
            given_up: GivenUp::default(),
        };
        let head = ResponseHeader::build(200, Some(0)).map_err(HandshakeError::Digest)?;
        Ok(FrontStream::new(tls, Arc::new(connection), head, &self.limits))
    }

    async fn bounded_handshake(&self, mut tcp: Box<TcpStream>) -> Result<FrontStream, HandshakeError> {
        let peer = peer_of(&tcp).ok_or(HandshakeError::NoPeer)?;
        let handshake = async {
            let is_balancer = self.trust.load().is_balancer(peer);
            let client = match is_balancer {
                true => proxy_protocol::read(&mut tcp)
                    .await?
                    .map_or(peer, |client| client.to_canonical()),
                false => peer,
            };
            self.handshake(tcp, client).await
        };
        let handshake = tokio::time::timeout(self.timeout, handshake);
        handshake.await.unwrap_or(Err(HandshakeError::TooLong))
    }
}

/// Reads the ClientHello, or tells the client what is wrong with it.
async fn client_hello(tcp: Tcp) -> Result<StartHandshake<Tcp>, HandshakeError> {
    let mut acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp);
    match (&mut acceptor).await {
        Ok(started) => Ok(started),
        Err(error) => {
            if let Some(tcp) = acceptor.take_io() {
                farewell::bid(tcp, farewell::OF_A_HANDSHAKE).await;
            }
            Err(HandshakeError::ClientHello(error))
        }
    }
}

/// Goes through the rest of the handshake, or tells the client what was wrong with it.
async fn finished(started: StartHandshake<Tcp>, config: Arc<ServerConfig>) -> Result<TlsStream<Tcp>, HandshakeError> {
    match started.into_stream(config).into_fallible().await {
        Ok(tls) => Ok(tls),
        Err((error, tcp)) => {
            farewell::bid(tcp, farewell::OF_A_HANDSHAKE).await;
            Err(HandshakeError::Finish(error))
        }
    }
}

/// The connection beneath TLS.
type Tcp = Gathered<Box<TcpStream>>;

/// Counts and logs how a handshake went.
fn noted(outcome: Result<FrontStream, HandshakeError>) -> Option<FrontStream> {
    let word = match &outcome {
        Ok(_) => "ok",
        Err(HandshakeError::TooMany(limit)) => {
            limit.note();
            "limited"
        }
        Err(HandshakeError::TooLong) => "timeout",
        Err(_) => "failed",
    };
    metrics::counter!("latchkey_handshakes_total", "outcome" => word).increment(1);
    outcome
        .inspect_err(|error| debug!(error = %crate::logs::Chain(error), "handshake refused"))
        .ok()
}

#[async_trait]
impl<Inner> ServerApp for Front<Inner>
where
    Inner: ServerApp + Send + Sync + 'static,
{
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let tcp = stream.into_any().downcast::<TcpStream>().ok()?;
        let stream = noted(self.bounded_handshake(tcp).await)?;
        let (inner, shutdown) = (self.inner.clone(), shutdown.clone());
        let mut stream = Box::new(stream);
        // In a task of its own: this one stays as large as the handshake made it.
        tokio::spawn(async move {
            if !stream.is_http2() {
                stream = stream.rest(UNTIL_FIRST, &shutdown, FIRST).await?;
            }
            inner.process_new(stream, &shutdown).await
        });
        None
    }

    async fn cleanup(&self) {
        // Wakes idle kept-alive connections at shutdown.
        self.inner.cleanup().await;
    }
}

/// How long a client may say nothing after its handshake.
const UNTIL_FIRST: Duration = Duration::from_secs(60);

/// How long a client that has just connected may say nothing once the gateway stops: it means to ask something.
const FIRST: Duration = Duration::from_secs(1);

fn peer_of(tcp: &TcpStream) -> Option<IpAddr> {
    let address = tcp.get_socket_digest()?.peer_addr()?.as_inet()?.ip();
    Some(address.to_canonical())
}

/// All certificates that the client showed, leaf first.
fn chain_of<S>(tls: &TlsStream<S>) -> Vec<CertificateDer<'static>> {
    let chain = tls.get_ref().1.peer_certificates().unwrap_or_default();
    chain.iter().map(|der| der.clone().into_owned()).collect()
}

fn leaf_of<S>(tls: &TlsStream<S>) -> Result<Option<LeafCertificate>, HandshakeError> {
    let leaf = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    leaf.map(|leaf| LeafCertificate::parse(leaf.as_ref()))
        .transpose()
        .map_err(HandshakeError::Certificate)
}
