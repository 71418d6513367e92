//! Can a page of another site use the certificate that the browser shows by itself?

use latchkey_tests::demo::{ALICE, Demo};
use latchkey_tests::upstream::Upstream;

/// foreign and sibling origins are refused before the application; the own origin and curl without one pass.
#[test]
fn a_foreign_page_can_neither_write_nor_open_a_websocket() {
    let upstream = Upstream::friendly();
    let demo = Demo::in_front_of(&upstream);
    let own = demo.url("wiki", "");
    let post = |path: &str, fields: &[&str]| {
        let arguments: Vec<&str> = fields
            .iter()
            .flat_map(|field| ["-H", *field])
            .chain(["-d", "x"])
            .collect();
        demo.curl(ALICE, &demo.url("wiki", path), &arguments)
    };
    let sibling = format!("Origin: {}", demo.url("payroll", ""));
    let (right, wrong_port) = (format!("Origin: {own}"), "Origin: https://wiki.localhost");

    for field in [
        "Origin: https://evil.test",
        &sibling,
        wrong_port,
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        let answer = post("/foreign", &[field]);
        assert_eq!((answer.status, answer.code().as_str()), (403, "cross-site"), "{field}");
    }
    for fields in [
        &[][..],
        &[right.as_str()],
        &[right.as_str(), "Sec-Fetch-Site: same-origin"],
    ] {
        assert_eq!(post("/own", fields).status, 200, "{fields:?}");
    }

    assert_eq!((upstream.count("/foreign"), upstream.count("/own")), (0, 3));
    // Reading is what links are for.
    let read = demo.curl(
        ALICE,
        &demo.url("wiki", "/linked"),
        &["-H", "Sec-Fetch-Site: cross-site"],
    );
    assert_eq!(read.status, 200);
}

/// also cookie-cswsh without its cookie.
#[test]
fn a_websocket_is_opened_for_the_own_origin_only() {
    let demo = Demo::start();
    let (own, sibling) = (demo.url("wiki", ""), demo.url("payroll", ""));

    for origin in ["https://evil.test", &sibling, "null", "http://wiki.localhost"] {
        assert_eq!(demo.websocket(ALICE, "wiki", Some(origin)).err(), Some(403), "{origin}");
    }

    for origin in [None, Some(own.as_str())] {
        let mut socket = demo
            .websocket(ALICE, "wiki", origin)
            .unwrap_or_else(|status| panic!("{origin:?}: {status}"));
        assert_eq!(socket.echo("hello"), Ok("hello".to_owned()));
    }
}
