//! Is the stream to the client between two WebSocket frames? Only there may a close frame be written.

/// Follows what the gateway writes to a client whose connection is being upgraded (RFC 6455, section 5.2).
#[derive(Debug, Default)]
pub(crate) struct FrameTracker {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// Not a WebSocket.
    #[default]
    Off,
    /// The `101` head is being written; so many bytes of the blank line that ends it were seen.
    Head(usize),
    /// Inside a frame's header: the bytes seen of it.
    Header { seen: [u8; 14], length: usize },
    /// Inside a frame's payload: so many bytes are to come.
    Payload(u64),
}

/// A close frame with status 1008 "policy violation" and no reason (RFC 6455, sections 5.5.1 and 7.4.1).
pub(crate) const CLOSE_POLICY_VIOLATION: [u8; 4] = [0x88, 0x02, 0x03, 0xf0];

/// The same with status 1001 "going away".
pub(crate) const CLOSE_GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

const END_OF_HEAD: &[u8; 4] = b"\r\n\r\n";

impl FrameTracker {
    /// Begins to follow: what is written next is the head of a `101` answer, then frames.
    pub(crate) fn begin(&mut self) {
        self.state = State::Head(0);
    }

    /// Whether the last byte written ended a frame (or the head).
    pub(crate) fn at_boundary(&self) -> bool {
        matches!(self.state, State::Header { length: 0, .. })
    }

    /// Takes note of bytes that were written.
    pub(crate) fn wrote(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            match &mut self.state {
                State::Off => return,
                State::Head(matched) => {
                    *matched = if END_OF_HEAD.get(*matched) == Some(&first) {
                        *matched + 1
                    } else {
                        usize::from(first == b'\r')
                    };
                    if *matched == END_OF_HEAD.len() {
                        self.state = between_frames();
                    }
                    bytes = rest;
                }
                State::Header { seen, length } => {
                    if let Some(slot) = seen.get_mut(*length) {
                        *slot = first;
                    }
                    *length += 1;
                    if let Some(payload) = payload_length(seen, *length) {
                        self.state = if payload == 0 {
                            between_frames()
                        } else {
                            State::Payload(payload)
                        };
                    }
                    bytes = rest;
                }
                State::Payload(remaining) => {
                    let taken = bytes.len().min(usize::try_from(*remaining).unwrap_or(usize::MAX));
                    *remaining -= taken as u64;
                    if *remaining == 0 {
                        self.state = between_frames();
                    }
                    bytes = bytes.get(taken..).unwrap_or_default();
                }
            }
        }
    }
}

fn between_frames() -> State {
    State::Header {
        seen: [0; 14],
        length: 0,
    }
}

/// The length of the payload, once the whole header has been seen.
fn payload_length(seen: &[u8; 14], length: usize) -> Option<u64> {
    let [_, second, extended @ ..] = seen;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let extra = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if length < 2 || length < 2 + extra + mask {
        return None;
    }
    let big_endian = extended
        .iter()
        .take(extra)
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    Some(if extra == 0 {
        u64::from(second & 0x7f)
    } else {
        big_endian
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    fn tracker_after(writes: &[&[u8]]) -> FrameTracker {
        let mut tracker = FrameTracker::default();
        tracker.begin();
        for bytes in writes {
            tracker.wrote(bytes);
        }
        tracker
    }

    #[test]
    fn a_boundary_is_known_after_the_head_and_after_whole_frames_only() {
        let mut long = vec![0x82, 126, 0x01, 0x00];
        long.extend([7; 256]);

        assert!(!tracker_after(&[&HEAD[..HEAD.len() - 1]]).at_boundary());
        assert!(tracker_after(&[HEAD]).at_boundary());
        assert!(tracker_after(&[HEAD, &[0x81, 0x02, b'h', b'i']]).at_boundary());
        assert!(!tracker_after(&[HEAD, &[0x81, 0x02, b'h']]).at_boundary());
        assert!(!tracker_after(&[HEAD, &long[..100]]).at_boundary());
        assert!(tracker_after(&[HEAD, &long[..100], &long[100..]]).at_boundary());
        assert!(tracker_after(&[HEAD, &[0x89, 0x00]]).at_boundary());
    }

    #[test]
    fn what_is_not_a_websocket_never_has_a_boundary() {
        let mut tracker = FrameTracker::default();
        tracker.wrote(&[0x81, 0x00]);
        assert!(!tracker.at_boundary());
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut_into_writes() {
        let mut stream = HEAD.to_vec();
        stream.extend([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        stream.extend(vec![1; 65_536]);
        stream.extend([0x81, 0x01, b'x']);
        for size in [1, 2, 3, 7, 1000, stream.len()] {
            let mut tracker = FrameTracker::default();
            tracker.begin();
            stream.chunks(size).for_each(|chunk| tracker.wrote(chunk));
            assert!(tracker.at_boundary(), "in writes of {size}");
        }
    }
}
