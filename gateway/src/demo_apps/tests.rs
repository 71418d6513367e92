use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

#[tokio::test]
async fn every_path_and_method_is_answered_with_what_was_received() {
    let mut client = connect().await;

    client.write_all(b"PATCH /a%2Fb/;x/\xc3\xa9?q=%20&r HTTP/1.1\r\nHost: wiki.localhost\r\nX-One: 1\r\nX-Two: a\r\nx-two: b\r\nX_Odd: \xe9\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").await.unwrap();

    let (head, body) = answer(client).await;
    let received: Value = serde_json::from_str(&body).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(received["app"], "wiki");
    assert_eq!(received["method"], "PATCH");
    assert_eq!(received["target"], "/a%2Fb/;x/é?q=%20&r");
    assert_eq!(received["headers"]["x-one"], "1");
    assert_eq!(received["headers"]["x-two"], json!(["a", "b"]));
    assert_eq!(received["headers"]["x_odd"], "\u{fffd}");
    assert_eq!(received["body_bytes"], 5);
}

#[tokio::test]
async fn special_paths_answer_other_requests_like_any_path() {
    for request in ["GET /ws", "POST /ws", "POST /events", "DELETE /app.js"] {
        let mut client = connect().await;

        client
            .write_all(format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();

        let (_, body) = answer(client).await;
        let received: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            format!(
                "{} {}",
                received["method"].as_str().unwrap(),
                received["target"].as_str().unwrap()
            ),
            request
        );
    }
}

#[tokio::test]
async fn a_large_body_in_chunks_is_counted() {
    let mut client = connect().await;

    client
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let chunk = vec![b'x'; 0x10000];
    for _ in 0..64 {
        client.write_all(b"10000\r\n").await.unwrap();
        client.write_all(&chunk).await.unwrap();
        client.write_all(b"\r\n").await.unwrap();
    }
    client.write_all(b"0\r\n\r\n").await.unwrap();

    let (_, body) = answer(client).await;
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["body_bytes"], 4 << 20);
}

#[tokio::test]
async fn a_browser_gets_a_page_in_which_nothing_received_is_markup() {
    let mut client = connect().await;

    client.write_all(b"GET /?a&lt;b HTTP/1.1\r\nHost: x\r\nAccept: text/html,*/*;q=0.8\r\nX-Latchkey-User: <b>alice\r\nConnection: close\r\n\r\n").await.unwrap();

    let (head, page) = answer(client).await;
    assert!(head.contains("text/html"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(page.contains("<h1>Wiki</h1>"));
    assert!(page.contains("&#60;b&#62;alice"));
    assert!(page.contains("/?a&#38;lt;b"));
    assert!(!page.contains("<b>"));
    assert_eq!(page.matches("<script").count(), 2);
}

#[test]
fn html_is_for_those_who_name_it_and_like_it_no_less_than_json() {
    let prefers = |accept: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        prefers_html(&headers)
    };

    assert!(prefers(
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    ));
    assert!(prefers("application/json;q=0.5, Text/HTML;q=0.6"));
    assert!(!prefers("*/*"));
    assert!(!prefers("application/json, text/html;q=0.9"));
    assert!(!prefers("text/html;q=0"));
    assert!(!prefers("text/html;q=x"));
    assert!(!prefers_html(&HeaderMap::new()));
}

#[tokio::test]
async fn the_event_stream_counts_and_each_event_arrives_before_the_next() {
    let app = Router::new().route("/events", get(|| async { events(Duration::from_millis(1)) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut client = TcpStream::connect(address).await.unwrap();

    client
        .write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();

    let seen = read_until(&mut client, "data: 2\n\n").await;
    assert!(seen.contains("content-type: text/event-stream"));
    assert!(seen.find("data: 0\n\n").unwrap() < seen.find("data: 1\n\n").unwrap());
}

#[tokio::test]
async fn the_first_event_of_an_application_comes_at_once() {
    let mut client = connect().await;

    client
        .write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();

    read_until(&mut client, "data: 0\n\n").await;
}

#[tokio::test]
async fn a_web_socket_echoes() {
    let mut client = connect().await;

    client.write_all(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").await.unwrap();
    let head = read_until(&mut client, "\r\n\r\n").await;
    // A final text frame of two bytes under the mask 0 (RFC 6455, section 5.2).
    client.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();

    let mut frame = [0; 4];
    client.read_exact(&mut frame).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(frame, [0x81, 2, b'h', b'i']);
}

async fn connect() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve("wiki", listener));
    TcpStream::connect(address).await.unwrap()
}

/// The head and the body of the only answer on a connection.
async fn answer(mut client: TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

async fn read_until(client: &mut TcpStream, end: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(end) {
        let mut byte = [0];
        client.read_exact(&mut byte).await.unwrap();
        seen.push(char::from(byte[0]));
    }
    seen
}
