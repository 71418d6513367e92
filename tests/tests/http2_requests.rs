//! Does the gateway keep RFC 9113 on requests? Field blocks that are whole and can be decoded, and what has to be in them.

use latchkey_tests::demo::host;
use latchkey_tests::frames::{
    COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PROTOCOL_ERROR, block, fields,
    frame, get, open, priority, request,
};
use latchkey_tests::rules::Expected::{Connection, Either, Lenient, Stream};
use latchkey_tests::rules::{case, check, post};

#[test]
fn a_field_block_is_whole() {
    let asked = block(&get(&host("wiki"), "/"));
    let (first, second) = asked.split_at(20);
    let begun = frame(HEADERS, END_STREAM, 1, first);
    let end = frame(CONTINUATION, END_HEADERS, 1, second);
    let whole = [&begun[..], &end].concat();
    let between = |frames: &[u8]| [&begun[..], frames, &end].concat();
    let protocol = Connection(&[PROTOCOL_ERROR]);
    check(&[
        case(
            "6.2: nothing comes between its frames: no other stream",
            &whole,
            &between(&request(3, &get(&host("wiki"), "/"))),
            protocol,
        ),
        case("6.2: no PING", &whole, &between(&frame(PING, 0, 0, &[0; 8])), protocol),
        case("6.2: no PRIORITY", &whole, &between(&priority(1, 0)), protocol),
        case(
            "5.5: nothing that is not known",
            &whole,
            &between(&frame(0x42, 0, 0, &[0; 8])),
            protocol,
        ),
        case(
            "6.10: no CONTINUATION of another stream",
            &whole,
            &[&begun[..], &frame(CONTINUATION, END_HEADERS, 3, second)].concat(),
            protocol,
        ),
        case("6.10: none without a beginning", &whole, &end, protocol),
        case(
            "6.10: none after the end",
            &whole,
            &[&whole[..], &end].concat(),
            protocol,
        ),
        case(
            "6.10: none after DATA",
            &whole,
            &[&open(1, &post())[..], &frame(DATA, 0, 1, b"a"), &end].concat(),
            protocol,
        ),
    ]);
}

#[test]
fn a_request_is_well_formed() {
    let wiki = host("wiki");
    let with = |more: &[(&str, &str)]| request(1, &[get(&wiki, "/trick"), fields(more)].concat());
    let only = |all: &[(&str, &str)]| request(1, &fields(all));
    let (method, scheme, path, authority) = (
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/trick"),
        (":authority", &*wiki),
    );
    let fine = with(&[("x-a", "1")]);
    let malformed = |rule: &'static str, trick: &[u8]| case(rule, &fine, trick, Stream(&[PROTOCOL_ERROR]));
    // The library takes what is no name or no value for an error of the whole connection, as RFC 9113, section 5.4.2, lets it.
    let unreadable = |rule: &'static str, trick: &[u8]| case(rule, &fine, trick, Either(&[PROTOCOL_ERROR]));
    let body = |length: &str, body: &[u8]| {
        let fields = [post(), fields(&[("content-length", length)])].concat();
        [open(1, &fields), frame(DATA, END_STREAM, 1, body)].concat()
    };
    let trailers = |all: &[(&str, &str)], flags: u8| {
        let trailers = frame(HEADERS, END_HEADERS | flags, 1, &block(&fields(all)));
        [open(1, &post()), frame(DATA, 0, 1, b"a"), trailers].concat()
    };
    check(&[
        unreadable("8.2.1: names are in lower case", &with(&[("X-A", "1")])),
        unreadable("8.2.1: in no part in upper case", &with(&[("x-aB", "1")])),
        unreadable("8.2.1: without blanks", &with(&[("x a", "1")])),
        unreadable("8.2.1: without colons", &with(&[("x:a", "1")])),
        unreadable("8.2.1: values end no line", &with(&[("x-a", "1\r\nx-b: 2")])),
        unreadable("8.2.1: and have no NUL", &with(&[("x-a", "1\0")])),
        malformed(
            "8.2.2: nothing is about the connection",
            &with(&[("connection", "keep-alive")]),
        ),
        malformed(
            "8.2.2: TE is `trailers` or not there",
            &with(&[("te", "trailers, deflate")]),
        ),
        unreadable(
            "8.3: pseudo-header fields are those that are defined",
            &with(&[(":test", "1")]),
        ),
        malformed(
            "8.3: and those of requests",
            &only(&[method, scheme, path, authority, (":status", "200")]),
        ),
        malformed(
            "8.3: they come first",
            &only(&[method, scheme, authority, ("x-a", "1"), path]),
        ),
        malformed(
            "8.3: once each: :method",
            &only(&[method, method, scheme, path, authority]),
        ),
        malformed("8.3: :path", &only(&[method, scheme, path, path, authority])),
        malformed("8.3: :scheme", &only(&[method, scheme, scheme, path, authority])),
        malformed("8.3: :authority", &only(&[method, scheme, path, authority, authority])),
        malformed("8.3.1: :method is there", &only(&[scheme, path, authority])),
        malformed("8.3.1: :scheme", &only(&[method, path, authority])),
        malformed("8.3.1: :path", &only(&[method, scheme, authority])),
        malformed(
            "8.3.1: and not empty",
            &only(&[method, scheme, (":path", ""), authority]),
        ),
        malformed(
            "8.5: CONNECT has no :path",
            &only(&[(":method", "CONNECT"), scheme, path, authority]),
        ),
        case(
            "8.1.1: a body has the length that is said",
            &body("1", b"a"),
            &body("2", b"a"),
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "8.1.1: and no more",
            &body("1", b"a"),
            &body("1", b"aa"),
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "8.1: trailers end a request",
            &trailers(&[("x-a", "1")], END_STREAM),
            &trailers(&[("x-a", "1")], 0),
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "8.1: without pseudo-header fields",
            &trailers(&[("x-a", "1")], END_STREAM),
            &trailers(&[(":path", "/other")], END_STREAM),
            // The library passes them over; that none reaches the application is checked for all cases.
            Lenient(&[PROTOCOL_ERROR]),
        ),
        case(
            "8.1: without upper case",
            &trailers(&[("x-a", "1")], END_STREAM),
            &trailers(&[("X-A", "1")], END_STREAM),
            Either(&[PROTOCOL_ERROR]),
        ),
    ]);
}

#[test]
fn a_field_block_can_be_decoded() {
    let fine = block(&get(&host("wiki"), "/trick"));
    let with =
        |before: &[u8], after: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, 1, &[before, &fine, after].concat());
    // The library calls it a PROTOCOL_ERROR where RFC 9113, section 4.3, wants a COMPRESSION_ERROR; the connection ends both ways.
    let undecodable = |rule: &'static str, trick: &[u8]| {
        case(
            rule,
            &with(&[], &[]),
            trick,
            Connection(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        )
    };
    check(&[
        undecodable("4.3: a block ends where its last field ends", &with(&[], &[0, 5, b'x'])),
        undecodable("RFC 7541, 6.1: no field has the index 0", &with(&[], &[0x80])),
        undecodable("RFC 7541, 2.3.3: nor one beyond the tables", &with(&[], &[0xff, 0x00])),
        undecodable("RFC 7541, 2.3.3: a name neither", &with(&[], &[0x7f, 0x00, 1, b'a'])),
        undecodable(
            "RFC 7541, 5.1: numbers end",
            &with(&[], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ),
        undecodable(
            "RFC 7541, 5.2: Huffman padding is below 8 bits",
            &with(&[], &[0, 1, b'x', 0x82, 0x1f, 0xff]),
        ),
        undecodable("RFC 7541, 5.2: and of ones", &with(&[], &[0, 1, b'x', 0x81, 0x18])),
        undecodable(
            "RFC 7541, 5.2: the end of a string is not in it",
            &with(&[], &[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]),
        ),
        case(
            "RFC 7541, 6.3: the table is made smaller",
            &with(&[0x20], &[]),
            &with(&[0x3f, 0xe2, 0x1f], &[]),
            Connection(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        undecodable("RFC 7541, 4.2: before all fields", &with(&[], &[0x20])),
    ]);
}
