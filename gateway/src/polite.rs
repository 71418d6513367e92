//! How does an application's early `101` wait until Pingora has sent what it had to? Each write makes the next read yield.
//!
//! Pingora tells its upstream half of the end of an upgrade request's empty body through a queue, and takes that end for
//! the end of the WebSocket if the `101` was read before it. Both can be ready at once: then chance decides.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType, OrErr};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Connects to the upstream of a WebSocket.
#[derive(Debug)]
pub(crate) struct PoliteConnect;

#[async_trait]
impl L4Connect for PoliteConnect {
    async fn connect(&self, address: &pingora::protocols::l4::socket::SocketAddr) -> pingora::Result<Stream> {
        let address: &SocketAddr = address
            .as_inet()
            .ok_or_else(|| Error::explain(ErrorType::ConnectError, "expected an internet address"))?;
        let socket = TcpStream::connect(address)
            .await
            .or_err(ErrorType::ConnectError, "connecting to a WebSocket")?;
        let socket = PoliteSocket { socket, wrote: false };
        Ok(Stream::from(VirtualSocketStream::new(Box::new(socket))))
    }
}

/// A socket whose first read after a write lets others go first.
#[derive(Debug)]
struct PoliteSocket {
    socket: TcpStream,
    wrote: bool,
}

impl VirtualSocket for PoliteSocket {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.socket.set_nodelay(true),
            _ => Ok(()),
        }
    }
}

impl AsyncRead for PoliteSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.wrote) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for PoliteSocket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.wrote = true;
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
