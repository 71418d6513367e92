//! How does a client learn why its connection ends? By what was written last, which has to leave and must not be lost to a reset.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Sends what is held for the client, then ends the connection towards it and reads on for a while what nobody looks at: a
/// connection that is closed with something unread is reset, and what was written lost with it (RFC 9112, section 9.6). No more
/// than so many octets are read.
pub(super) async fn bid(mut stream: impl AsyncRead + AsyncWrite + Unpin, most: u64) {
    if stream.shutdown().await.is_ok() {
        let (mut unread, mut nowhere) = (stream.take(most), tokio::io::sink());
        let read = tokio::io::copy(&mut unread, &mut nowhere);
        let _ended = tokio::time::timeout(LINGER, read).await;
    }
}

/// How much more is read of a client whose handshake came to nothing, in octets.
pub(super) const OF_A_HANDSHAKE: u64 = 64 * 1024;

/// And of one whose request was answered before its body came.
pub(super) const OF_A_BODY: u64 = 16 * 1024 * 1024;

/// How long its end is waited for.
const LINGER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::super::gathered::Gathered;
    use super::*;

    #[tokio::test]
    async fn what_is_held_leaves_and_what_still_comes_is_read() {
        let (ours, mut theirs) = duplex(1024);
        let mut ours = Gathered::new(ours);
        ours.write_all(b"alert").await.unwrap();
        let bidding = tokio::spawn(bid(ours, OF_A_HANDSHAKE));

        let mut told = Vec::new();
        theirs.read_to_end(&mut told).await.unwrap();
        theirs.write_all(&[0; 10 * 1024]).await.unwrap();
        drop(theirs);

        bidding.await.unwrap();
        assert_eq!(told, b"alert");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_goes_on_sending_or_never_ends_is_left() {
        let (ours, mut theirs) = duplex(1024);
        let sending = tokio::spawn(async move { while theirs.write_all(&[0; 1024]).await.is_ok() {} });
        bid(ours, OF_A_HANDSHAKE).await;
        sending.await.unwrap();

        let (ours, _theirs) = duplex(1024);
        bid(ours, OF_A_HANDSHAKE).await;
    }
}
