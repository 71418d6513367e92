//! How do the records of one answer leave together? They are gathered until they are flushed, in room that is given back then.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Gathers small writes; a buffer of Pingora's own would stay with every idle connection.
#[derive(Debug)]
pub(super) struct Gathered<S> {
    inner: S,
    held: Vec<u8>,
    sent: usize,
}

/// Room for a head and a small body together, in octets; more is written as it comes.
const MOST: usize = 4 * 1024;

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Holds nothing yet.
    pub(super) fn new(inner: S) -> Self {
        Self {
            inner,
            held: Vec::new(),
            sent: 0,
        }
    }

    /// What is written to.
    pub(super) fn inner(&self) -> &S {
        &self.inner
    }

    /// The same, to be changed.
    pub(super) fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(left) = self.held.get(self.sent..).filter(|left| !left.is_empty()) {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        self.held = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.held.len() + bytes.len() > MOST {
            ready!(self.poll_send(cx))?;
        }
        if bytes.len() > MOST {
            return Pin::new(&mut self.inner).poll_write(cx, bytes);
        }
        if self.held.is_empty() {
            self.held.reserve_exact(MOST);
        }
        self.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_small_waits_for_the_flush_and_then_holds_no_room() {
        let (ours, mut theirs) = duplex(64 * 1024);
        let mut ours = Gathered::new(ours);
        ours.write_all(b"head").await.unwrap();
        ours.write_all(b" body").await.unwrap();
        let mut read = [0; 16];
        assert!(futures_util::poll!(Box::pin(theirs.read(&mut read))).is_pending());

        ours.flush().await.unwrap();

        assert_eq!(theirs.read(&mut read).await.unwrap(), 9);
        assert_eq!(ours.held.capacity(), 0);
    }

    #[tokio::test]
    async fn nothing_is_lost_or_turned_around_whatever_its_size() {
        let (ours, mut theirs) = duplex(100);
        let pieces: Vec<Vec<u8>> = [1, 4095, 1, 2, 4096, 5000, 3, 20_000, 7]
            .iter()
            .zip(0_u8..)
            .map(|(length, octet)| vec![octet; *length])
            .collect();
        let all = pieces.concat();
        let written = tokio::spawn(async move {
            let mut ours = Gathered::new(ours);
            for piece in pieces {
                ours.write_all(&piece).await.unwrap();
            }
            ours.shutdown().await.unwrap();
        });

        let mut read = Vec::new();
        theirs.read_to_end(&mut read).await.unwrap();
        written.await.unwrap();
        assert!(read == all);
    }
}
