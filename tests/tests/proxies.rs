//! Whose word counts on where a client is? That of configured load balancers and proxies, and nobody else's.

use std::io::Write;
use std::net::TcpStream;

use latchkey_tests::demo::{ALICE, Demo, NOBODY, host};
use latchkey_tests::raw::RawClient;
use latchkey_tests::tls::connect_over;
use latchkey_tests::upstream::Upstream;

#[test]
fn a_load_balancer_says_by_the_proxy_protocol_who_connects() {
    let upstream = Upstream::friendly();
    let demo = Demo::in_front_of(&upstream);
    demo.configure("proxies", "  proxy_protocol: [127.0.0.0/8]");
    demo.reload();
    let four = [192, 0, 2, 9, 127, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb];
    let binary = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".as_slice(), &four].concat();

    for (path, header, client) in [
        (
            "/v1",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 4660 443\r\n".as_slice(),
            "192.0.2.7",
        ),
        ("/v1-6", b"PROXY TCP6 2001:db8::7 ::1 4660 443\r\n", "2001:db8::7"),
        ("/v2", &binary, "192.0.2.9"),
    ] {
        let mut balanced = after(&demo, header).expect("a handshake");
        assert_eq!(
            balanced.get(&host("wiki"), path).expect("an answer").status,
            200,
            "{path}"
        );
        let arrived = upstream.last(path).expect("it arrived");
        assert_eq!(arrived.fields("x-forwarded-for"), [client], "{path}");
        let said = arrived.fields("forwarded")[0];
        assert!(
            said.starts_with(&format!("for={client};")) || said.starts_with(&format!("for=\"[{client}]\";")),
            "{said}"
        );
    }
}

#[test]
fn from_a_load_balancer_nothing_without_its_header_is_served() {
    let demo = Demo::start();
    assert_eq!(
        demo.status(ALICE, "wiki", "/"),
        200,
        "control: nobody is a load balancer yet"
    );
    demo.configure("proxies", "  proxy_protocol: [127.0.0.0/8]");
    demo.reload();

    for header in [b"".as_slice(), b"PROXY UNKNOWN\r\n", b"PROXY TCP4 nonsense\r\n"] {
        assert!(after(&demo, header).is_none(), "{header:?}");
    }
    assert!(
        after(&demo, b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n").is_some(),
        "control"
    );
}

#[test]
fn who_is_no_load_balancer_cannot_say_that_somebody_else_connects() {
    let demo = Demo::start();
    demo.configure("proxies", "  proxy_protocol: [10.0.0.0/8]");
    demo.reload();

    assert!(after(&demo, b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n").is_none());
    assert!(after(&demo, b"").is_some(), "control");
}

#[test]
fn the_client_behind_a_proxy_of_ours_is_the_last_address_that_is_not_ours() {
    let upstream = Upstream::friendly();
    let demo = Demo::in_front_of(&upstream);
    let get = |path: &str, said: &str| {
        let field = format!("X-Forwarded-For: {said}");
        demo.curl(ALICE, &demo.url("wiki", path), &["-H", &field])
    };
    assert_eq!(get("/before", "203.0.113.9").status, 200);
    let before = upstream.last("/before").expect("it arrived");
    assert_eq!(
        before.fields("x-forwarded-for"),
        ["127.0.0.1"],
        "control: nobody is a proxy of ours yet"
    );

    demo.configure("proxies", "  forwarded_for: [127.0.0.0/8]");
    demo.reload();
    assert_eq!(get("/after", "198.51.100.1, 203.0.113.9").status, 200);
    let refused = get("/nonsense", "somebody");

    let after = upstream.last("/after").expect("it arrived");
    assert_eq!(after.fields("x-forwarded-for"), ["203.0.113.9"]);
    let host = format!("wiki.localhost:{}", demo.address().port());
    assert_eq!(
        after.fields("forwarded"),
        [format!("for=203.0.113.9;host=\"{host}\";proto=https")]
    );
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "bad-request"),
        "{}",
        refused.text()
    );
    assert_eq!(upstream.count("/nonsense"), 0);
    assert_eq!(demo.curl(NOBODY, &demo.url("wiki", "/"), &[]).status, 401);
}

#[test]
fn each_request_of_a_connection_says_for_which_host_it_came() {
    let upstream = Upstream::friendly();
    let demo = Demo::in_front_of(&upstream);
    let mut client = demo.raw(ALICE, "wiki");
    let with_port = format!("wiki.localhost:{}", demo.address().port());

    for (path, host) in [
        ("/one", "wiki.localhost"),
        ("/two", with_port.as_str()),
        ("/three", "wiki.localhost"),
    ] {
        assert_eq!(client.get(host, path).expect("an answer").status, 200);
        let arrived = upstream.last(path).expect("it arrived");
        assert_eq!(
            arrived.fields("forwarded"),
            [format!("for=127.0.0.1;host=\"{host}\";proto=https")]
        );
    }
}

/// A client whose connection begins with this, before TLS; nothing where no handshake comes of it.
fn after(demo: &Demo, header: &[u8]) -> Option<RawClient> {
    let mut socket = TcpStream::connect(demo.address()).expect("the gateway listens");
    socket.write_all(header).expect("it is sent");
    let connection = connect_over(socket, &host("wiki"), demo.tls(ALICE, &["http/1.1"]));
    connection.ok().map(RawClient::on)
}
