//! What does Pingora read from and write to? A TLS stream that can be cut from outside and knows its connection.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::task::AtomicWaker;
use pingora::http::ResponseHeader;
use pingora::protocols::l4::stream::Stream as TcpStream;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use super::connection::Connection;
use super::farewell;
use super::frames::{CALM_DOWN, FrameWatch};
use super::gathered::Gathered;
use super::let_go::LetGo;
use super::patience::Patience;
use super::websocket::{CLOSE_GOING_AWAY, CLOSE_POLICY_VIOLATION, FrameTracker};
use crate::config::Limits;

/// Ends a connection from outside its task: a flag, and the two wakers of whoever waits to read or to write.
#[derive(Default)]
pub(crate) struct Cut {
    cut: AtomicBool,
    going_away: AtomicBool,
    websocket: AtomicBool,
    deaf: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Cut {
    /// Lets every read and write from now on fail.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        self.reader.wake();
        self.writer.wake();
    }

    /// The same because the gateway ends, which is no verdict on the client.
    pub(crate) fn go_away(&self) {
        self.going_away.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Lets every read from now on fail, of HTTP/1.1: what waits for its client notices, and can still say why.
    pub(crate) fn read_no_more(&self) {
        self.deaf.store(true, Ordering::SeqCst);
        self.reader.wake();
    }

    /// Says that what is written next is the `101` head of a WebSocket.
    pub(crate) fn begin_websocket(&self) {
        self.websocket.store(true, Ordering::SeqCst);
    }

    /// Whether the connection has become a WebSocket.
    pub(crate) fn is_websocket(&self) -> bool {
        self.websocket.load(Ordering::SeqCst)
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::SeqCst)
    }

    /// What a WebSocket's client is told.
    fn close_frame(&self) -> &'static [u8; 4] {
        match self.going_away.load(Ordering::SeqCst) {
            true => &CLOSE_GOING_AWAY,
            false => &CLOSE_POLICY_VIOLATION,
        }
    }
}

/// The stream handed to Pingora: TLS over TCP, with the facts of the connection on it.
pub(crate) struct FrontStream {
    tls: TlsStream<Gathered<Box<TcpStream>>>,
    connection: Arc<Connection>,
    tls_digest: Arc<SslDigest>,
    proxy_digest: Arc<ProxyDigest>,
    alpn: Option<ALPN>,
    /// Runs out on a client that negotiates HTTP/2 and then says nothing; Pingora has no timeout for that.
    silence: Option<Pin<Box<Sleep>>>,
    patience: Patience,
    /// Follows what comes over HTTP/2.
    watch: Option<Box<FrameWatch>>,
    /// Goes off when the connection may have been idle for too long.
    pub(super) alarm: Option<Pin<Box<Sleep>>>,
    /// What was read ahead, to see whether anything comes.
    pub(super) ahead: Option<u8>,
    /// Whether the client was let go.
    gone: bool,
    /// How much was read after that, in octets.
    discarded: usize,
    unflushed: bool,
    frames: FrameTracker,
    tracking: bool,
}

/// How long a client may say nothing after it negotiated HTTP/2, and how long one that is let go is read from.
const SILENCE: Duration = Duration::from_secs(10);

/// What a client is told whose head takes too long, before its connection ends.
const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// How much more is read of a client that is let go, in octets, so that it gets to what it is told.
const MOST_DISCARDED: usize = 2 * 1024 * 1024;

/// And one whose head is too large.
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

impl FrontStream {
    /// Wraps a finished handshake.
    pub(super) fn new(
        tls: TlsStream<Gathered<Box<TcpStream>>>,
        connection: Arc<Connection>,
        head: ResponseHeader,
        limits: &Arc<Limits>,
    ) -> Self {
        let session = tls.get_ref().1;
        let alpn = match session.alpn_protocol() {
            Some(b"h2") => Some(ALPN::H2),
            Some(b"http/1.1") => Some(ALPN::H1),
            _ => None,
        };
        let cipher = session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or_default();
        let version = session
            .protocol_version()
            .and_then(|version| version.as_str())
            .unwrap_or_default();
        let fingerprint = connection
            .certificate
            .as_ref()
            .map(|leaf| leaf.fingerprint.0.to_vec())
            .unwrap_or_default();
        // `SslDigestExtension::set` is not public in Pingora 0.9.1; the proxy digest's user data is the one public
        // per-connection slot that reaches the hooks for HTTP/1 and HTTP/2 alike.
        let proxy_digest = ProxyDigest::new(Box::new(head), Some(Box::new(connection.clone())));
        Self {
            tls_digest: Arc::new(SslDigest::new(cipher, version, None, None, fingerprint)),
            proxy_digest: Arc::new(proxy_digest),
            tls,
            connection,
            silence: (alpn == Some(ALPN::H2)).then(|| Box::pin(tokio::time::sleep(SILENCE))),
            watch: (alpn == Some(ALPN::H2)).then(|| Box::new(FrameWatch::new(limits.http2.control_frames))),
            alpn,
            patience: Patience::new(limits.clone()),
            alarm: None,
            ahead: None,
            gone: false,
            discarded: 0,
            unflushed: false,
            frames: FrameTracker::default(),
            tracking: false,
        }
    }

    /// Whether HTTP/2 was negotiated.
    pub(super) fn is_http2(&self) -> bool {
        self.alpn == Some(ALPN::H2)
    }

    /// Fails if the connection was cut; tells a WebSocket client why, if that is possible without waiting.
    fn refuse_if_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.connection.cut.is_cut() {
            return Ok(());
        }
        let close = self.connection.cut.close_frame();
        if self.frames.at_boundary()
            && let Poll::Ready(Ok(written)) = Pin::new(&mut self.tls).poll_write(cx, close)
        {
            self.frames.wrote(close.get(..written).unwrap_or_default());
            // One more byte would follow the close frame: never look for a boundary again.
            self.frames = FrameTracker::default();
            let _ = Pin::new(&mut self.tls).poll_flush(cx);
        }
        Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "cut: no longer allowed",
        ))
    }

    /// The same for reads alone.
    fn refuse_to_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.refuse_if_cut(cx)?;
        match self.connection.cut.is_deaf() {
            true if !self.is_http2() => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(()),
        }
    }

    /// Reads no more than a head may have while one is awaited; HTTP/2 has limits of its own.
    fn read_bounded(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = self.patience.room(&self.connection.heads);
        match room.filter(|_| self.alpn != Some(ALPN::H2)) {
            Some(0) => self.refuse_large_head(cx),
            Some(room) if room < buffer.remaining() => {
                let mut bounded = ReadBuf::new(buffer.initialize_unfilled_to(room));
                let read = Pin::new(&mut self.tls).poll_read(cx, &mut bounded);
                let length = bounded.filled().len();
                buffer.advance(length);
                read
            }
            _ => Pin::new(&mut self.tls).poll_read(cx, buffer),
        }
    }

    /// Answers a head that is too large.
    fn refuse_large_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = self.let_go(LetGo::LargeHead, Some(TOO_LARGE), cx);
        let _ = Pin::new(&mut self.tls).poll_shutdown(cx);
        self.linger(end, cx)
    }

    /// Tells a client that it sends too much that carries nothing. What was asked before is still answered.
    fn refuse_flood(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let at_boundary = self.watch.as_ref().is_some_and(|watch| watch.at_boundary());
        let end = self.let_go(LetGo::Floods, at_boundary.then_some(CALM_DOWN.as_slice()), cx);
        self.linger(end, cx)
    }

    /// Reads on for a while what nobody looks at: a connection that is closed with something unread is reset, and what the
    /// client was told is lost with it (RFC 9112, section 9.6).
    fn linger(&mut self, end: io::Error, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(SILENCE)));
        if silence.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(end));
        }
        let mut unread = [0; 4096];
        while self.discarded < MOST_DISCARDED {
            let mut unread = ReadBuf::new(&mut unread);
            match Pin::new(&mut self.tls).poll_read(cx, &mut unread) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !unread.filled().is_empty() => self.discarded += unread.filled().len(),
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(Err(end))
    }

    /// Fails if the head that is awaited takes too long.
    fn refuse_late_head(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.alpn != Some(ALPN::H2) && self.patience.is_head_late(&self.connection.heads, cx) {
            return Err(self.let_go(LetGo::LateHead, Some(TOO_LATE), cx));
        }
        Ok(())
    }

    /// Fails if a client takes nothing of what waits for it.
    fn refuse_if_untaken(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.patience.takes_nothing(cx) {
            return Err(self.let_go(LetGo::TakesNothing, None, cx));
        }
        Ok(())
    }

    /// Tells a client why it is let go, if that is possible without waiting.
    fn let_go(&mut self, why: LetGo, answer: Option<&[u8]>, cx: &mut Context<'_>) -> io::Error {
        if std::mem::replace(&mut self.gone, true) {
            return io::ErrorKind::TimedOut.into();
        }
        why.note();
        if let Some(answer) = answer
            && Pin::new(&mut self.tls).poll_write(cx, answer).is_ready()
        {
            let _ = Pin::new(&mut self.tls).poll_flush(cx);
        }
        io::ErrorKind::TimedOut.into()
    }

    fn note_written(&mut self, bytes: &[u8]) {
        if !self.tracking && self.connection.cut.is_websocket() {
            self.tracking = true;
            self.frames.begin();
        }
        self.frames.wrote(bytes);
    }
}

impl AsyncRead for FrontStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(ahead) = self.ahead.take_if(|_| buffer.remaining() > 0) else {
            return self.poll_read_on(cx, buffer);
        };
        buffer.put_slice(&[ahead]);
        // What else there is; what is wrong will be so again.
        let _ = self.poll_read_on(cx, buffer);
        Poll::Ready(Ok(()))
    }
}

impl FrontStream {
    fn poll_read_on(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.refuse_to_read(cx)?;
        if self.gone && self.watch.is_some() {
            return self.refuse_flood(cx);
        }
        let before = buffer.filled().len();
        let read = self.read_bounded(cx, buffer);
        if read.is_pending() {
            // Pingora does not flush an HTTP/1 answer with Content-Length before its end, but polls the read side
            // whenever it waits: flushing here keeps head and body together and still never holds bytes back.
            if self.unflushed && Pin::new(&mut self.tls).poll_flush(cx)?.is_ready() {
                self.unflushed = false;
            }
            self.connection.cut.reader.register(cx.waker());
            self.refuse_to_read(cx)?;
            self.refuse_late_head(cx)?;
            if self
                .silence
                .as_mut()
                .is_some_and(|silence| silence.as_mut().poll(cx).is_ready())
            {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else {
            self.silence = None;
            if matches!(&read, Poll::Ready(Err(_))) {
                // The alert that says what was wrong with it was written, and waits for this; TLS itself flushes no more.
                let _ = Pin::new(self.tls.get_mut().0).poll_flush(cx);
            }
            let Self {
                patience, connection, ..
            } = self;
            let read = buffer.filled().get(before..).unwrap_or_default();
            patience.read(read.len(), &connection.heads);
            connection.octets.gave(read.len());
            if self.watch.as_mut().is_some_and(|watch| watch.read(read)) {
                buffer.set_filled(before);
                return self.refuse_flood(cx);
            }
        }
        read
    }
}

impl AsyncWrite for FrontStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.refuse_if_cut(cx)?;
        self.unflushed = true;
        let written = Pin::new(&mut self.tls).poll_write(cx, bytes);
        match &written {
            Poll::Ready(Ok(length)) => {
                self.patience.taken();
                if let Some(watch) = &mut self.watch {
                    watch.wrote(bytes.get(..*length).unwrap_or_default());
                }
                self.note_written(bytes.get(..*length).unwrap_or_default());
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                self.connection.cut.writer.register(cx.waker());
                self.refuse_if_cut(cx)?;
                self.refuse_if_untaken(cx)?;
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.refuse_if_cut(cx)?;
        let flushed = Pin::new(&mut self.tls).poll_flush(cx);
        if flushed.is_ready() {
            self.unflushed = false;
            self.patience.taken();
        } else {
            self.connection.cut.writer.register(cx.waker());
            self.refuse_if_cut(cx)?;
            self.refuse_if_untaken(cx)?;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

impl fmt::Debug for FrontStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrontStream({})", self.connection.id)
    }
}

#[async_trait]
impl Shutdown for FrontStream {
    async fn shutdown(&mut self) {
        if self.is_http2() || self.connection.octets.are_all_served() {
            let _ = AsyncWriteExt::shutdown(self).await;
        } else {
            farewell::bid(&mut self.tls, farewell::OF_A_BODY).await;
        }
    }
}

impl UniqueID for FrontStream {
    fn id(&self) -> UniqueIDType {
        self.tls.get_ref().0.inner().id()
    }
}

impl Ssl for FrontStream {
    fn get_ssl(&self) -> Option<&TlsRef> {
        None
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        Some(self.tls_digest.clone())
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.alpn.clone()
    }
}

impl GetTimingDigest for FrontStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.tls.get_ref().0.inner().get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.tls.get_ref().0.inner().get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.tls.get_ref().0.inner().get_write_pending_time()
    }
}

impl GetProxyDigest for FrontStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(self.proxy_digest.clone())
    }
}

impl GetSocketDigest for FrontStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.tls.get_ref().0.inner().get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.tls.get_mut().0.inner_mut().set_socket_digest(digest);
    }
}

impl Peek for FrontStream {}
