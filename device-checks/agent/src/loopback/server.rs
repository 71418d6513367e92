//! How is the loopback served? On one port of 127.0.0.1, few connections at once, none for long without asking something.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use device_checks::loopback::CHALLENGE_PATH;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::caller;
use super::checks::{Asking, asking, is_json, is_own_name};
use super::reply::{Reply, preflight, refused};

/// What is served to the pages that may ask.
pub trait Pages: Send + Sync + 'static {
    /// The origin of those pages; nothing where there is none at this moment.
    fn issuer(&self) -> Option<String>;

    /// Answers one of them.
    fn answer(&self, call: Call) -> impl Future<Output = Reply> + Send;

    /// Hears that a page of another origin handed on what may be a challenge; whatever comes of it, that page is refused.
    fn warn(self: Arc<Self>, origin: String, body: Bytes);
}

/// What a page asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// The body; JSON where there is one.
    pub body: Bytes,
}

/// Listens on the first of these ports that is free; nothing where none is.
pub async fn bind(ports: &[u16]) -> Option<(TcpListener, u16)> {
    for port in ports.iter().copied().filter(|port| *port != 0) {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return Some((listener, port));
        }
    }
    None
}

/// Serves until it is dropped, and every connection with it.
pub async fn serve<P: Pages>(listener: TcpListener, pages: Arc<P>) {
    let (own, strangers) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Semaphore::new(STRANGERS)));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (pages, own, strangers) = (Arc::clone(&pages), Arc::clone(&own), Arc::clone(&strangers));
                    connections.spawn(connection(stream, pages, own, strangers));
                }
                // Out of descriptors, most likely: they come back.
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Whose connection it is, is asked once: it stays theirs.
async fn connection<P: Pages>(stream: TcpStream, pages: Arc<P>, own: Arc<Semaphore>, strangers: Arc<Semaphore>) {
    let (Ok(SocketAddr::V4(peer)), Ok(SocketAddr::V4(here))) = (stream.peer_addr(), stream.local_addr()) else {
        return;
    };
    let known = tokio::task::spawn_blocking(move || caller::is_own_user(peer, here)).await;
    let is_own = known.unwrap_or_default();
    // Strangers cannot keep this user's own browser out.
    let places = if is_own { own } else { strangers };
    let Ok(_place) = places.try_acquire() else {
        return;
    };
    if is_own {
        answer_all(stream, &pages, here).await;
    } else {
        let _ = tokio::time::timeout(PATIENCE, turn_away(stream)).await;
    }
}

async fn answer_all<P: Pages>(stream: TcpStream, pages: &Arc<P>, here: SocketAddrV4) {
    let service = service_fn(|request| {
        let pages = Arc::clone(pages);
        async move { Ok::<_, Infallible>(respond(request, &pages, here).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_headers(MOST_FIELDS)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // What goes wrong in a connection concerns the other end alone.
    let _ = connection.await;
}

/// The same for whoever is not this user, whatever they ask: an agent is here, and not theirs.
async fn turn_away(mut stream: TcpStream) -> io::Result<()> {
    // Some programs do not hear what is said before they asked.
    stream.readable().await?;
    stream.write_all(NOT_YOURS).await?;
    stream.shutdown().await?;
    // Closing on what was not read would take the answer back.
    tokio::io::copy(&mut stream.take(LONGEST_BODY as u64), &mut tokio::io::sink()).await?;
    Ok(())
}

async fn respond<P: Pages>(request: Request<Incoming>, pages: &Arc<P>, here: SocketAddrV4) -> Response<Full<Bytes>> {
    let Some(issuer) = pages.issuer() else {
        return refused();
    };
    if !is_own_name(request.uri(), request.headers(), here.port()) {
        return refused();
    }
    match asking(request.headers(), &issuer) {
        Asking::Pinned => page(request, &**pages, &issuer).await,
        Asking::Foreign(origin) => {
            if request.method() == Method::POST
                && request.uri().path() == CHALLENGE_PATH
                && let Some(body) = read(request.into_body()).await
            {
                Arc::clone(pages).warn(origin, body);
            }
            refused()
        }
        Asking::Unknown => refused(),
    }
}

async fn page<P: Pages>(request: Request<Incoming>, pages: &P, issuer: &str) -> Response<Full<Bytes>> {
    if request.method() == Method::OPTIONS {
        return preflight(request.headers(), issuer);
    }
    let reply = if request.method() == Method::POST && !is_json(request.headers()) {
        Reply::empty(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    } else {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        match read(body).await {
            Some(body) => {
                let method = head.method;
                pages.answer(Call { method, path, body }).await
            }
            None => Reply::empty(StatusCode::PAYLOAD_TOO_LARGE),
        }
    };
    reply.readable_by(issuer)
}

/// A body that is no longer than any of this protocol, and comes at once.
async fn read(body: Incoming) -> Option<Bytes> {
    let whole = tokio::time::timeout(PATIENCE, Limited::new(body, LONGEST_BODY).collect()).await;
    Some(whole.ok()?.ok()?.to_bytes())
}

const NOT_YOURS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const AT_ONCE: usize = 32;
const STRANGERS: usize = 8;
/// For a request to be whole, and for the next one to begin.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_BODY: usize = 64 * 1024;
/// The least that hyper takes is 8 KiB.
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_FIELDS: usize = 64;
