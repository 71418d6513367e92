//! How is one request of HTTP/2 sent, beside others on its connection, and its answer read?

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Mutex;

use crate::target::Target;

/// A connection that several clients send on, made when one of them needs it.
#[derive(Default)]
pub(crate) struct Shared(Mutex<Option<SendRequest<Empty<Bytes>>>>);

/// Sends one request at a time.
pub(crate) struct Client {
    shared: Arc<Shared>,
    target: Arc<Target>,
}

impl Client {
    /// One on this connection.
    pub(crate) fn on(shared: Arc<Shared>, target: Arc<Target>) -> Self {
        Self { shared, target }
    }

    /// Sends the request and reads the whole answer.
    ///
    /// # Errors
    /// What went wrong, or was answered other than 200.
    pub(crate) async fn exchange(&self) -> Result<(), String> {
        let mut sender = self.sender().await?;
        let request = self.request();
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| format!("sending: {error}"))?;
        if answer.status() != 200 {
            return Err(format!("answered {}", answer.status()));
        }
        let length = answer.headers().get("content-length");
        let length: usize = length
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .ok_or_else(|| "no Content-Length".to_owned())?;
        let (mut body, mut arrived) = (answer.into_body(), 0);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| format!("reading: {error}"))?;
            arrived += frame.data_ref().map_or(0, Bytes::len);
        }
        match arrived == length {
            true => Ok(()),
            false => Err(format!("{arrived} of {length} octets arrived")),
        }
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let request = Request::get(format!("https://{}{}", self.target.authority, self.target.path));
        let request = match &self.target.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        };
        request.body(Empty::new()).expect("a request")
    }

    async fn sender(&self) -> Result<SendRequest<Empty<Bytes>>, String> {
        let mut shared = self.shared.0.lock().await;
        match &*shared {
            Some(sender) if !sender.is_closed() => Ok(sender.clone()),
            _ => {
                let stream = self.target.connect(true).await?;
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder
                    .initial_stream_window_size(WINDOW)
                    .initial_connection_window_size(8 * WINDOW);
                let (sender, connection) = builder
                    .handshake(TokioIo::new(stream))
                    .await
                    .map_err(|error| format!("connecting: {error}"))?;
                tokio::spawn(connection);
                Ok(shared.insert(sender).clone())
            }
        }
    }
}

/// As much as an answer may send before it waits for the client: as browsers do.
const WINDOW: u32 = 6 * 1024 * 1024;
