//! Does the gateway keep RFC 9113 on frames, streams and windows? Each rule that a client can break, by its section, beside what keeps it.

use latchkey_tests::canary;
use latchkey_tests::demo::{BOB, host};
use latchkey_tests::frames::{
    ACK, CANCEL, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR,
    Fields, Frame, FrameClient, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, PADDED, PING, PRIORITIZED,
    PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS, STREAM_CLOSED, StreamFate, WINDOW_UPDATE, block,
    frame, get, open, preface, priority, request, reset, settings, window_update,
};
use latchkey_tests::rules::Expected::{Connection, Either, GoesOn, Lenient};
use latchkey_tests::rules::{Stage, case, check, post};
use latchkey_tests::tls::DEADLINE;

#[test]
fn frames_have_their_shapes() {
    let asked = block(&get(&host("wiki"), "/"));
    check(&[
        case(
            "4.1: a type that is not known is passed over",
            &[],
            &frame(0x42, 0xff, 1, b"what"),
            GoesOn,
        ),
        case(
            "4.1: so are flags that a type does not have",
            &[],
            &frame(PING, 0xfe, 0, &[0; 8]),
            GoesOn,
        ),
        case(
            "4.1: and the bit before the stream",
            &[],
            &frame(WINDOW_UPDATE, 0, 1 << 31, &[0, 0, 0, 1]),
            GoesOn,
        ),
        case(
            "4.2: no frame is longer than was agreed on",
            &frame(0x42, 0, 0, &[0; 16_384]),
            &frame(0x42, 0, 0, &[0; 16_385]),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "4.2: not one with a field block either",
            &request(1, &padded(16_384)),
            &request(1, &padded(16_385)),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "4.2: nor one of a body",
            &[open(1, &post()), frame(DATA, END_STREAM, 1, &[b'a'; 16_384])].concat(),
            &[open(1, &post()), frame(DATA, END_STREAM, 1, &[b'a'; 16_385])].concat(),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "6.1: padding is shorter than its frame",
            &[
                open(1, &post()),
                frame(DATA, PADDED | END_STREAM, 1, &[3, b'a', 0, 0, 0]),
            ]
            .concat(),
            &[
                open(1, &post()),
                frame(DATA, PADDED | END_STREAM, 1, &[5, b'a', 0, 0, 0]),
            ]
            .concat(),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.2: in a frame with a field block too",
            &frame(
                HEADERS,
                PADDED | END_HEADERS | END_STREAM,
                1,
                &[&[2], &asked[..], &[0, 0]].concat(),
            ),
            &frame(
                HEADERS,
                PADDED | END_HEADERS | END_STREAM,
                1,
                &[&[255], &asked[..]].concat(),
            ),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.3: PRIORITY has 5 octets",
            &priority(1, 0),
            &frame(PRIORITY, 0, 1, &[0; 4]),
            Either(FRAME_SIZE),
        ),
        case(
            "6.4: RST_STREAM has 4",
            &[open(1, &post()), reset(1, CANCEL)].concat(),
            &[open(1, &post()), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            Connection(FRAME_SIZE),
        ),
        case(
            "6.5: SETTINGS have a multiple of 6",
            &settings(&[(9, 1)]),
            &frame(SETTINGS, 0, 0, &[0; 3]),
            Connection(FRAME_SIZE),
        ),
        case(
            "6.5: an acknowledgement has none",
            &settings(&[]),
            &frame(SETTINGS, ACK, 0, &[0; 6]),
            Connection(FRAME_SIZE),
        ),
        case(
            "6.7: PING has 8",
            &frame(PING, 0, 0, &[0; 8]),
            &frame(PING, 0, 0, &[0; 6]),
            Connection(FRAME_SIZE),
        ),
        case(
            "6.9: WINDOW_UPDATE has 4",
            &window_update(0, 1),
            &frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            Connection(FRAME_SIZE),
        ),
    ]);
}

#[test]
fn each_frame_is_for_a_stream_or_for_the_connection() {
    let asked = block(&get(&host("wiki"), "/"));
    let with_body = [open(1, &post()), frame(DATA, END_STREAM, 1, b"a")].concat();
    let protocol = Connection(&[PROTOCOL_ERROR]);
    check(&[
        case("6.1: DATA", &with_body, &frame(DATA, END_STREAM, 0, b"a"), protocol),
        case(
            "6.2: HEADERS",
            &[],
            &frame(HEADERS, END_HEADERS | END_STREAM, 0, &asked),
            protocol,
        ),
        case("6.3: PRIORITY", &priority(1, 0), &priority(0, 1), protocol),
        case("6.4: RST_STREAM", &[], &reset(0, CANCEL), protocol),
        case("6.5: SETTINGS", &settings(&[]), &frame(SETTINGS, 0, 1, &[]), protocol),
        case(
            "6.7: PING",
            &frame(PING, 0, 0, &[0; 8]),
            &frame(PING, 0, 1, &[0; 8]),
            protocol,
        ),
        case("6.8: GOAWAY", &[], &frame(GOAWAY, 0, 1, &[0; 8]), protocol),
        case(
            "6.10: CONTINUATION",
            &[],
            &frame(CONTINUATION, END_HEADERS, 0, &asked),
            protocol,
        ),
        case(
            "8.4: and a client promises nothing",
            &[],
            &frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &asked[..]].concat()),
            protocol,
        ),
    ]);
}

#[test]
fn a_stream_takes_what_its_state_lets_it() {
    let silent = request(1, &get(&host("wiki"), "/silent"));
    let after = |frames: &[u8]| [&silent[..], frames].concat();
    let ended = |frames: &[u8]| [&open(1, &post())[..], &reset(1, CANCEL), frames].concat();
    let data = frame(DATA, 0, 1, b"a");
    check(&[
        case(
            "5.1: idle: no DATA",
            &[open(1, &post()), frame(DATA, END_STREAM, 1, b"a")].concat(),
            &data,
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.1: idle: no RST_STREAM",
            &ended(&[]),
            &reset(1, CANCEL),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.1: idle: no WINDOW_UPDATE",
            &after(&window_update(1, 1)),
            &window_update(1, 1),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case("5.1: idle: but PRIORITY", &[], &priority(1, 0), GoesOn),
        case("5.1: half-closed: no DATA", &silent, &after(&data), Either(CLOSED)),
        case(
            "5.1: half-closed: no HEADERS",
            &silent,
            &after(&request(1, &get(&host("wiki"), "/"))),
            Either(CLOSED),
        ),
        case(
            "5.1: half-closed: but WINDOW_UPDATE",
            &silent,
            &after(&window_update(1, 1)),
            GoesOn,
        ),
        case(
            "5.1: closed: no DATA",
            &ended(&[]),
            &ended(&data),
            Either(&[STREAM_CLOSED]),
        ),
        case(
            "5.1: closed: no HEADERS",
            &ended(&[]),
            &ended(&request(1, &get(&host("wiki"), "/"))),
            Either(CLOSED),
        ),
        case(
            "5.1: closed: but PRIORITY and WINDOW_UPDATE",
            &ended(&[]),
            &ended(&[priority(1, 0), window_update(1, 1)].concat()),
            GoesOn,
        ),
        case(
            "5.1.1: a client opens odd streams",
            &request(1, &get(&host("wiki"), "/")),
            &request(2, &get(&host("wiki"), "/")),
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.1.1: each higher than all before",
            &[
                request(1, &get(&host("wiki"), "/")),
                request(5, &get(&host("wiki"), "/")),
            ]
            .concat(),
            &[
                request(5, &get(&host("wiki"), "/")),
                request(1, &get(&host("wiki"), "/")),
            ]
            .concat(),
            Either(CLOSED),
        ),
        case(
            "RFC 7540, 5.3.1: none depends on itself",
            &priority(1, 3),
            &priority(1, 1),
            Lenient(&[PROTOCOL_ERROR]),
        ),
        case(
            "RFC 7540, 5.3.1: not from its first frame on either",
            &prioritized(3),
            &prioritized(1),
            Lenient(&[PROTOCOL_ERROR]),
        ),
    ]);
}

#[test]
fn settings_and_windows_have_their_bounds() {
    let silent = request(1, &get(&host("wiki"), "/silent"));
    let with = |frames: &[u8]| [&silent[..], frames].concat();
    let protocol = Connection(&[PROTOCOL_ERROR]);
    let flow = Connection(&[FLOW_CONTROL_ERROR]);
    let most = (1 << 31) - 1;
    check(&[
        case(
            "6.5.2: a setting that is not known is passed over",
            &[],
            &settings(&[(0x4242, 7)]),
            GoesOn,
        ),
        case(
            "6.5.2: ENABLE_PUSH is 0 or 1",
            &settings(&[(ENABLE_PUSH, 1)]),
            &settings(&[(ENABLE_PUSH, 2)]),
            protocol,
        ),
        case(
            "6.5.2: a window is below 2^31",
            &settings(&[(INITIAL_WINDOW_SIZE, most)]),
            &settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)]),
            Connection(&[FLOW_CONTROL_ERROR, PROTOCOL_ERROR]),
        ),
        case(
            "6.5.2: a frame is not below 2^14",
            &settings(&[(MAX_FRAME_SIZE, 1 << 14)]),
            &settings(&[(MAX_FRAME_SIZE, (1 << 14) - 1)]),
            protocol,
        ),
        case(
            "6.5.2: nor from 2^24 on",
            &settings(&[(MAX_FRAME_SIZE, (1 << 24) - 1)]),
            &settings(&[(MAX_FRAME_SIZE, 1 << 24)]),
            protocol,
        ),
        case(
            "6.9: a window grows by something",
            &window_update(0, 1),
            &window_update(0, 0),
            protocol,
        ),
        case(
            "6.9: a stream's too",
            &with(&window_update(1, 1)),
            &with(&window_update(1, 0)),
            Either(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.9.1: and not beyond 2^31 - 1",
            &window_update(0, most - 65_535),
            &window_update(0, most),
            flow,
        ),
        case(
            "6.9.1: a stream's too",
            &with(&window_update(1, most - 65_535)),
            &with(&window_update(1, most)),
            Either(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "6.9.2: nor by the settings",
            &with(&[window_update(1, 1), settings(&[(INITIAL_WINDOW_SIZE, most - 1)])].concat()),
            &with(&[window_update(1, 2), settings(&[(INITIAL_WINDOW_SIZE, most)])].concat()),
            Either(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "6.7: an answer to no PING is passed over",
            &[],
            &frame(PING, ACK, 0, &[1; 8]),
            GoesOn,
        ),
        case(
            "6.5.3: an answer to no SETTINGS ends at most the connection",
            &[],
            &frame(SETTINGS, ACK, 0, &[]),
            Lenient(&[PROTOCOL_ERROR]),
        ),
    ]);
}

#[test]
fn a_connection_begins_as_it_must() {
    let stage = Stage::new();
    let begun = |bytes: &[u8]| {
        let mut client =
            FrameClient::silent(stage.demo.address(), &host("wiki"), stage.demo.tls(BOB, &["h2"])).unwrap();
        client.send(bytes);
        client.get(1, &host("wiki"), "/begun")
    };

    assert_eq!(begun(&preface(&[])).of(1), Some(StreamFate::Answered(200)), "control");

    for wrong in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r!"[..],
        b"GET / HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n",
        &[0; 24],
    ] {
        let before = stage.upstream.count("/begun");
        assert!(begun(wrong).is_over(), "3.4: {}", wrong.escape_ascii());
        assert_eq!(stage.upstream.count("/begun"), before);
        canary::sing(&stage.demo).unwrap();
    }
}

/// RFC 9113, sections 6.5.3, 6.7 and 6.9.1.
#[test]
fn settings_and_pings_are_answered_and_windows_kept_to() {
    let stage = Stage::new();
    let mut client = stage.connect(&[(INITIAL_WINDOW_SIZE, 1)]);
    client.send(&frame(PING, 0, 0, b"12345678"));
    client.send(&frame(PING, ACK, 0, b"unasked!"));
    client.send(&request(1, &get(&host("wiki"), "/")));
    let mut frames = Vec::new();
    while frames.last().is_none_or(|last: &Frame| last.kind != DATA) {
        frames.push(client.next_within(DEADLINE).expect("a frame"));
    }
    let of = |kind: u8, flags: u8| {
        frames
            .iter()
            .filter(move |frame| frame.kind == kind && frame.flags == flags)
    };

    let pongs: Vec<_> = of(PING, ACK).map(|frame| frame.payload.as_slice()).collect();
    assert_eq!((of(SETTINGS, ACK).count(), pongs), (1, vec![&b"12345678"[..]]));
    assert_eq!(
        of(DATA, 0).map(|frame| frame.payload.as_slice()).collect::<Vec<_>>(),
        [b"o"]
    );

    client.send(&window_update(1, 10));
    let rest = client.next_within(DEADLINE).unwrap();
    assert_eq!((rest.kind, rest.payload.as_slice()), (DATA, &b"k"[..]));
}

/// A request whose field block has exactly so many octets.
fn padded(length: usize) -> Fields {
    let with = |padding: usize| {
        let mut all = get(&host("wiki"), "/");
        all.push((b"x-padding".to_vec(), vec![b'a'; padding]));
        all
    };
    let short = length - block(&with(0)).len();
    // The length of a longer value takes more octets itself.
    let fits = (0..8)
        .map(|more| with(short - more))
        .find(|fields| block(fields).len() == length);
    fits.expect("a length that fits")
}

/// A request that says on which stream it depends.
fn prioritized(dependency: u32) -> Vec<u8> {
    let asked = block(&get(&host("wiki"), "/"));
    let payload = [&dependency.to_be_bytes()[..], &[16], &asked].concat();
    frame(HEADERS, PRIORITIZED | END_HEADERS | END_STREAM, 1, &payload)
}

/// The library says PROTOCOL_ERROR where the length of a frame is wrong; RFC 9113, section 4.2, wants a FRAME_SIZE_ERROR.
const FRAME_SIZE: &[u32] = &[FRAME_SIZE_ERROR, PROTOCOL_ERROR];

/// Of a stream that its client closed itself nobody has to know how.
const CLOSED: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];
