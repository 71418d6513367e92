#![no_main]
//! Is it known of every octet towards a WebSocket client whether a frame ended with it? Each pair of octets makes a frame.

use latchkey::fuzzing::Frames;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let mut stream = HEAD.to_vec();
    let mut ends = vec![stream.len()];
    for pair in octets.chunks_exact(2).take(MOST_FRAMES) {
        stream.extend(frame(pair[0], pair[1]));
        ends.push(stream.len());
    }
    let mut singly = Frames::begin();
    for (at, octet) in stream.iter().enumerate() {
        singly.wrote(&[*octet]);
        assert_eq!(singly.at_boundary(), ends.contains(&(at + 1)), "after octet {at}");
    }
    // How it is cut into writes makes no difference.
    let mut cut = Frames::begin();
    let mut written = 0;
    for size in octets.iter().map(|octet| usize::from(*octet)).chain([stream.len()]) {
        let end = stream.len().min(written + size);
        cut.wrote(&stream[written..end]);
        written = end;
        assert_eq!(cut.at_boundary(), ends.contains(&written), "after {written} octets");
    }
    // Nor is any octet too strange to be followed.
    let mut any = Frames::begin();
    any.wrote(HEAD);
    any.wrote(octets);
});

/// A frame: `how` tells mask and the form of the length, `length` the length.
fn frame(how: u8, length: u8) -> Vec<u8> {
    let (mask, length) = (how & 0x80, usize::from(length) << ((how >> 4 & 1) * 3));
    let mut frame = vec![how & 0x0f | 0x80];
    match (how >> 5 & 3, length) {
        (0, ..126) => frame.push(mask | length as u8),
        (0 | 1, _) => {
            frame.push(mask | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(mask | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.resize(frame.len() + if mask == 0 { 0 } else { 4 } + length, 0x81);
    frame
}

const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
const MOST_FRAMES: usize = 16;
