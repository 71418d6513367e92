//! Does an agent answer on the loopback? Asked as a page of the auth host asks, for the self-test.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use device_checks::loopback::{PROBE_PATH, Probed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Who is on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nobody.
    Nobody,
    /// An agent that answers this user and this organisation.
    Agent,
    /// An agent that waits for its user to enrol in the browser.
    Enrolling,
    /// Another user's or organisation's agent, or another program.
    Another,
}

/// Looks on a port of 127.0.0.1.
pub async fn look(port: u16, issuer: &str) -> Found {
    match tokio::time::timeout(PATIENCE, ask(port, issuer)).await {
        Ok(Ok(answer)) => read(&answer),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Found::Nobody,
        Ok(Err(_)) | Err(_) => Found::Another,
    }
}

async fn ask(port: u16, issuer: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request =
        format!("GET {PROBE_PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {issuer}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn read(answer: &str) -> Found {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let probed: Option<Probed> = serde_json::from_str(body).ok();
    match probed.filter(|_| head.starts_with("HTTP/1.1 200 ")) {
        Some(probed) if probed.enrolling => Found::Enrolling,
        Some(_) => Found::Agent,
        None => Found::Another,
    }
}

const PATIENCE: Duration = Duration::from_secs(1);
const LONGEST: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_told_from_whoever_else_answers() {
        let says = |body: &str| read(&format!("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{body}"));
        assert_eq!(says(r#"{"version":1,"enrolling":false}"#), Found::Agent);
        assert_eq!(says(r#"{"version":1,"enrolling":true}"#), Found::Enrolling);
        assert_eq!(says("<html>"), Found::Another);
        assert_eq!(read("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Found::Another);
        assert_eq!(read(""), Found::Another);
    }
}
