//! What does an HTTP/2 client get that keeps several streams on one connection?

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use crate::answer::Answer;
use crate::tls::DEADLINE;

/// One HTTP/2 connection.
pub struct H2Client {
    sender: SendRequest<Empty<Bytes>>,
    authority: String,
    // Drives the connection in the background; after the sender, so that it is dropped last.
    runtime: Arc<Runtime>,
}

/// An answer whose body is still arriving.
pub struct OpenStream {
    body: Incoming,
    // Keeps the connection beside the stream; before what drives it, so that it is dropped first.
    _sender: SendRequest<Empty<Bytes>>,
    runtime: Arc<Runtime>,
}

impl H2Client {
    /// Connects; the configuration must offer `h2`.
    pub fn connect(address: SocketAddr, host: &str, config: ClientConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let sender = runtime.block_on(async {
            let socket = tokio::net::TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from(host.to_owned()).unwrap();
            let stream = TlsConnector::from(Arc::new(config))
                .connect(name, socket)
                .await
                .unwrap();
            assert_eq!(
                stream.get_ref().1.alpn_protocol(),
                Some(&b"h2"[..]),
                "HTTP/2 was not agreed on"
            );
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(connection);
            sender
        });
        Self {
            sender,
            authority: format!("{host}:{}", address.port()),
            runtime: Arc::new(runtime),
        }
    }

    /// Sends a GET and reads its whole answer; nothing when the stream or connection ended instead.
    pub fn get(&self, path: &str) -> Option<Answer> {
        self.runtime.block_on(async {
            let response = self.send(path, &[]).await?;
            let (head, body) = response.into_parts();
            let body = tokio::time::timeout(DEADLINE, body.collect())
                .await
                .expect("a body in time")
                .ok()?;
            Some(answer(&head, body.to_bytes().to_vec()))
        })
    }

    /// Sends a GET and leaves its answer open.
    pub fn open(&self, path: &str) -> OpenStream {
        self.open_with(path, &[])
    }

    /// The same where it may be refused.
    ///
    /// # Errors
    /// The status of the refusal; 0 where there was no answer.
    pub fn try_open(&self, path: &str) -> Result<OpenStream, u16> {
        let response = self.runtime.block_on(self.send(path, &[])).ok_or(0_u16)?;
        match response.status().as_u16() {
            200 => Ok(self.opened(response)),
            status => Err(status),
        }
    }

    /// The same with these fields, such as `cookie`.
    pub fn open_with(&self, path: &str, fields: &[(&str, &str)]) -> OpenStream {
        let response = self.runtime.block_on(self.send(path, fields)).expect("an answer");
        assert_eq!(response.status(), 200, "{path}");
        self.opened(response)
    }

    fn opened(&self, response: hyper::Response<Incoming>) -> OpenStream {
        OpenStream {
            body: response.into_body(),
            _sender: self.sender.clone(),
            runtime: Arc::clone(&self.runtime),
        }
    }

    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Option<hyper::Response<Incoming>> {
        let uri = format!("https://{}{path}", self.authority);
        let request = hyper::Request::get(uri);
        let request = fields
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Empty::new()).unwrap();
        let response = self.sender.clone().send_request(request);
        let answered = tokio::time::timeout(DEADLINE, response).await;
        answered
            .unwrap_or_else(|_| panic!("{path} is not answered in time"))
            .ok()
    }
}

impl OpenStream {
    /// Waits for the next piece of the body; `false` when the stream has ended or was reset.
    pub fn goes_on(&mut self) -> bool {
        let frame = self
            .runtime
            .block_on(async { tokio::time::timeout(DEADLINE, self.body.frame()).await });
        matches!(frame.expect("a frame in time"), Some(Ok(_)))
    }

    /// The next piece of the body; nothing when the stream has ended or was reset.
    pub fn next_piece(&mut self) -> Option<Bytes> {
        let frame = self
            .runtime
            .block_on(async { tokio::time::timeout(DEADLINE, self.body.frame()).await });
        frame.expect("a frame in time")?.ok()?.into_data().ok()
    }

    /// Whether it ends within this time, whatever arrives before.
    pub fn ends_within(&mut self, deadline: Duration) -> bool {
        self.runtime.block_on(async {
            let end = async { while let Some(Ok(_)) = self.body.frame().await {} };
            tokio::time::timeout(deadline, end).await.is_ok()
        })
    }

    /// Reads until the stream ends; whether it was reset (rather than finished).
    pub fn was_reset(&mut self) -> bool {
        self.runtime.block_on(async {
            loop {
                match tokio::time::timeout(DEADLINE, self.body.frame())
                    .await
                    .expect("an end in time")
                {
                    Some(Ok(_)) => {}
                    Some(Err(_)) => return true,
                    None => return false,
                }
            }
        })
    }
}

fn answer(head: &http::response::Parts, body: Vec<u8>) -> Answer {
    let field = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), field(value)))
        .collect();
    Answer {
        status: head.status.as_u16(),
        headers,
        body,
    }
}
