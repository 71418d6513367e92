//! What stands between a connection and the proxy? A gate that ends single requests when they are cut.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use crate::config::Limits;
use crate::front::{Connection, FrontStream, http2_options};
use crate::live::Scope;
use crate::proxy::Gateway;

/// Stands between the TLS front and the proxy, and ends single requests when they are cut.
pub(crate) struct Gate {
    inner: Arc<HttpProxy<Gateway>>,
    options: HttpServerOptions,
    limits: Arc<Limits>,
}

impl Gate {
    /// Puts itself before the proxy; HTTP/2 connections are held to these limits.
    pub(crate) fn new(proxy: HttpProxy<Gateway>, limits: Arc<Limits>) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(limits.idle_timeout);
        Self {
            inner: Arc::new(proxy),
            options,
            limits,
        }
    }

    /// Waits for the next request of a connection, unless Pingora has some of it already.
    async fn rest(
        &self,
        reusable: ReusedHttpStream,
        connection: Option<Arc<Connection>>,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let Some(connection) = connection.filter(|connection| connection.octets.are_all_served()) else {
            return Some(reusable);
        };
        connection.heads.awaited();
        let (stream, settings) = reusable.consume();
        let stream = stream.into_any().downcast::<FrontStream>().ok()?;
        let stream = stream.rest(self.limits.idle_timeout, shutdown, ON_ITS_WAY).await?;
        Some(ReusedHttpStream::new(stream, settings))
    }

    /// The scope of the request that this task serves.
    pub(crate) fn scope() -> Arc<Scope> {
        SCOPE.try_with(Arc::clone).unwrap_or_default()
    }
}

#[async_trait]
impl HttpServerApp for Gate {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let scope = Arc::new(Scope::default());
        let connection = Connection::of(session.digest()).ok();
        if let Some(connection) = &connection {
            connection.heads.awaited();
        }
        let mut served = Box::pin(SCOPE.scope(scope.clone(), self.inner.process_new_http(session, shutdown)));
        let reusable = tokio::select! {
            biased;
            () = scope.cancelled.cancelled() => {
                if let Some(connection) = scope.websocket.get() {
                    connection.cut.cut();
                    let _ = tokio::time::timeout(FAREWELL, &mut served).await;
                } else if let Some(connection) = connection.as_ref().filter(|_| scope.is_to_be_denied()) {
                    connection.cut.read_no_more();
                    let _ = tokio::time::timeout(LAST_ANSWER, &mut served).await;
                }
                // Dropping the request closes the HTTP/1 connection, or resets the HTTP/2 stream.
                None
            }
            reusable = &mut served => {
                if let Some(connection) = connection.as_ref().filter(|_| !scope.given_up.load(Ordering::Relaxed)) {
                    connection.given_up.none();
                }
                reusable
            }
        };
        // All that the request took is given back before the next one is waited for.
        drop(served);
        self.rest(reusable?, connection, shutdown).await
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(http2_options(&self.limits))
    }

    async fn http_cleanup(&self) {
        // Who was let in has a moment for a request that may be on its way already; its answer is the connection's last.
        tokio::time::sleep(ON_ITS_WAY).await;
        self.inner.http_cleanup().await;
    }
}

tokio::task_local! {
    /// The scope of the request that this task serves; set before Pingora makes the context.
    static SCOPE: Arc<Scope>;
}

/// How long a WebSocket that was cut has for its close frame.
const FAREWELL: Duration = Duration::from_millis(100);

/// How long the client of a request that was cut before its answer began has to take a denial in place of one.
const LAST_ANSWER: Duration = Duration::from_secs(2);

/// How long a request may be on its way when the gateway begins to stop.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
