//! What reaches a gRPC service behind the gateway, and what comes back? HTTP/2 without TLS, streams both ways, trailers.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_rustls::TlsConnector;

use crate::demo::{Demo, host};
use crate::process::loopback;
use crate::tls::DEADLINE;

/// A service that echoes each piece of what it gets, and ends with the trailers of gRPC.
pub struct Echo {
    port: u16,
    heads: Arc<Mutex<Vec<HeaderMap>>>,
    _runtime: Runtime,
}

impl Echo {
    /// It listens.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(loopback(0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let record = heads.clone();
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let record = record.clone();
                let service = service_fn(move |request| echo(request, record.clone()));
                tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service));
            }
        });
        Self {
            port,
            heads,
            _runtime: runtime,
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", loopback(self.port))
    }

    /// The header fields of every request so far.
    pub fn heads(&self) -> Vec<HeaderMap> {
        self.heads.lock().unwrap().clone()
    }
}

type Pieces = UnsyncBoxBody<Bytes, Infallible>;

/// A body of what comes out of a channel.
fn pieces(receiver: Receiver<Frame<Bytes>>) -> Pieces {
    let frames = stream::unfold(receiver, |mut receiver| async move {
        let frame = receiver.recv().await?;
        Some((Ok(frame), receiver))
    });
    StreamBody::new(frames).boxed_unsync()
}

async fn echo(request: Request<Incoming>, record: Arc<Mutex<Vec<HeaderMap>>>) -> Result<Response<Pieces>, Infallible> {
    record.lock().unwrap().push(request.headers().clone());
    let (sender, receiver) = channel(8);
    tokio::spawn(async move {
        let mut body = request.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(data) = frame.into_data()
                && sender.send(Frame::data(data)).await.is_err()
            {
                return;
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let _ = sender.send(Frame::trailers(trailers)).await;
    });
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response.body(pieces(receiver)).unwrap())
}

/// A call that is under way, both of whose streams are open.
pub struct Call {
    sender: Option<Sender<Frame<Bytes>>>,
    body: Incoming,
    runtime: Runtime,
}

impl Call {
    /// Begins a call at an application; its status if that is not 200.
    pub fn begin(demo: &Demo, device: Option<&str>, app: &str, method: &str) -> Result<Self, u16> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (sender, receiver) = channel(8);
        let uri = demo.url(app, method);
        let request = Request::post(uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(pieces(receiver))
            .unwrap();
        let config = Arc::new(demo.tls(device, &["h2"]));
        let name = ServerName::try_from(host(app)).unwrap();
        let response = runtime.block_on(async {
            let socket = tokio::net::TcpStream::connect(demo.address()).await.unwrap();
            let stream = TlsConnector::from(config).connect(name, socket).await.unwrap();
            let (mut connection, driven) = client::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(driven);
            in_time(connection.send_request(request)).await.unwrap()
        });
        match response.status().as_u16() {
            200 => Ok(Self {
                sender: Some(sender),
                body: response.into_body(),
                runtime,
            }),
            status => Err(status),
        }
    }

    /// Sends a piece and waits for what comes back.
    pub fn exchange(&mut self, piece: &'static str) -> String {
        let (sender, body) = (&self.sender, &mut self.body);
        self.runtime.block_on(async {
            let sender = sender.as_ref().expect("the call is open");
            sender
                .send(Frame::data(Bytes::from_static(piece.as_bytes())))
                .await
                .unwrap();
            let frame = in_time(body.frame()).await.expect("a frame").expect("no error");
            String::from_utf8_lossy(frame.data_ref().expect("data")).into_owned()
        })
    }

    /// Says that nothing follows; the trailers that come back.
    pub fn finish(mut self) -> Option<HeaderMap> {
        self.sender = None;
        let body = &mut self.body;
        self.runtime.block_on(async {
            loop {
                let frame = in_time(body.frame()).await?.ok()?;
                if let Ok(trailers) = frame.into_trailers() {
                    return Some(trailers);
                }
            }
        })
    }

    /// Whether it ends within this time.
    pub fn ends_within(&mut self, bound: Duration) -> bool {
        let body = &mut self.body;
        self.runtime.block_on(async {
            let end = async { while let Some(Ok(_)) = body.frame().await {} };
            tokio::time::timeout(bound, end).await.is_ok()
        })
    }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("in time")
}
