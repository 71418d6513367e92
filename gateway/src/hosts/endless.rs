//! How does an answer without an end reach its client? On the bare connection, with all else that served the request let go.
//!
//! Pingora keeps tens of kilobytes for a request until its answer has ended. Agents are connected all day, ten thousand of them.

use std::io::Cursor;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Marks an answer (in its extensions) that goes on for as long as its client is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endless;

/// Takes the connection from Pingora, once the head of an answer over HTTP/1.1 is written; HTTP/2 shares its own with others.
pub(super) fn take_over(session: &mut Session) -> Option<Stream> {
    if session.downstream_session.is_http2() {
        return None;
    }
    // What Pingora has left ends at once, and reaches nobody.
    let nobody = ServerSession::new_http1(Box::new(Cursor::new(Vec::new())));
    match *std::mem::replace(&mut session.downstream_session, Box::new(nobody)) {
        ServerSession::H1(taken) => Some(taken.into_inner()),
        other => {
            *session.downstream_session = other;
            None
        }
    }
}

/// Sends the parts as chunks (RFC 9112, section 7.1) until they end. A client that goes, says more, or takes nothing is let go.
pub(super) async fn carry(mut client: Stream, mut body: Body) {
    let mut more = [0];
    loop {
        let part = tokio::select! {
            _ = client.read(&mut more) => return,
            frame = body.frame() => frame,
        };
        let chunk = match part {
            None => b"0\r\n\r\n".to_vec(),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !data.is_empty() => chunk(&data),
                _ => continue,
            },
            Some(Err(_)) => return,
        };
        let sent = tokio::time::timeout(TAKEN, async {
            client.write_all(&chunk).await?;
            client.flush().await
        });
        let is_last = chunk.starts_with(b"0");
        if !matches!(sent.await, Ok(Ok(()))) || is_last {
            let _ = client.shutdown().await;
            return;
        }
    }
}

fn chunk(data: &Bytes) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// How long a client may take nothing that is sent to it.
const TAKEN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use tokio::io::duplex;

    use super::*;

    fn parts(parts: &'static [&'static str]) -> stream::Iter<std::slice::Iter<'static, &'static str>> {
        stream::iter(parts)
    }

    #[tokio::test]
    async fn each_part_is_a_chunk_and_the_end_is_told() {
        let (ours, mut theirs) = duplex(1024);
        let body = parts(&["one", "", "sixteen letters."]).map(|part| Ok::<_, Infallible>(*part));
        carry(Box::new(ours), Body::from_stream(body)).await;

        let mut read = String::new();
        theirs.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "3\r\none\r\n10\r\nsixteen letters.\r\n0\r\n\r\n");
    }

    #[tokio::test]
    async fn a_client_that_goes_or_says_more_is_let_go() {
        for said in [None, Some(b"GET")] {
            let (ours, mut theirs) = duplex(1024);
            let endless = stream::pending::<Result<Bytes, Infallible>>();
            let carried = tokio::spawn(carry(Box::new(ours), Body::from_stream(endless)));
            match said {
                None => drop(theirs),
                Some(said) => theirs.write_all(said).await.unwrap(),
            }
            carried.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_let_go() {
        let (ours, theirs) = duplex(8);
        let body = stream::repeat(Ok::<_, Infallible>("more than there is room for"));
        carry(Box::new(ours), Body::from_stream(body)).await;
        drop(theirs);
    }
}
