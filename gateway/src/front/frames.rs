//! Does an HTTP/2 client send frames for their own sake? Its frames are counted as they come; the library answers them all.

use std::time::Duration;

use tokio::time::Instant;

use super::let_go::LetGo;

/// Watches the frames of one connection.
pub(super) struct FrameWatch {
    came: Frames,
    went: Frames,
    /// How many frames that carry nothing may come each second.
    rate: u32,
    /// How many may come now.
    left: f64,
    counted: Instant,
    /// How many WINDOW_UPDATE frames the answers so far call for.
    windows: usize,
}

/// Follows the frames that go one way (RFC 9113, section 4.1).
struct Frames {
    head: [u8; HEAD],
    filled: usize,
    /// How many octets of what is no head are still to come.
    rest: usize,
}

impl Frames {
    /// The first one begins after so many octets.
    fn after(rest: usize) -> Self {
        Self {
            head: [0; HEAD],
            filled: 0,
            rest,
        }
    }

    /// Takes octets up to the end of the next head, which is then there.
    fn next_head(&mut self, bytes: &mut &[u8]) -> Option<[u8; HEAD]> {
        let skipped = bytes.len().min(self.rest);
        *bytes = bytes.get(skipped..).unwrap_or_default();
        self.rest -= skipped;
        while let Some((first, others)) = bytes.split_first() {
            if let Some(place) = self.head.get_mut(self.filled) {
                *place = *first;
            }
            *bytes = others;
            self.filled += 1;
            if self.filled == HEAD {
                let [high, middle, low, ..] = self.head;
                self.filled = 0;
                self.rest = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                return Some(self.head);
            }
        }
        None
    }

    fn at_boundary(&self) -> bool {
        self.filled == 0 && self.rest == 0
    }
}

impl FrameWatch {
    /// Allows `rate` of such frames each second, and ten seconds' worth of them at once.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            came: Frames::after(PREFACE),
            went: Frames::after(0),
            rate,
            left: f64::from(rate) * AT_ONCE.as_secs_f64(),
            counted: Instant::now(),
            windows: 0,
        }
    }

    /// Notes what was written: it will be acknowledged by WINDOW_UPDATE frames. Counts the clients that the library turns away.
    pub(super) fn wrote(&mut self, mut bytes: &[u8]) {
        self.windows = (self.windows + 1 + bytes.len() / WINDOW_STEP).min(MOST_WINDOWS);
        while let Some(head) = self.went.next_head(&mut bytes) {
            if let Some(limit) = limit_told(head, bytes) {
                limit.note();
            }
        }
    }

    /// Whether a frame may be written now, because none has begun.
    pub(super) fn at_boundary(&self) -> bool {
        self.went.at_boundary()
    }

    /// Notes what was read; whether the client floods the connection.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(head) = self.came.next_head(&mut bytes) {
            if self.begins(head) {
                return true;
            }
        }
        false
    }

    /// A frame begins; whether it is one too many.
    fn begins(&mut self, [_, _, _, kind, ..]: [u8; HEAD]) -> bool {
        let carries = match kind {
            // The library counts those that bring nothing.
            DATA | CONTINUATION | RST_STREAM => true,
            HEADERS | PUSH_PROMISE | GOAWAY => true,
            WINDOW_UPDATE if self.windows > 0 => {
                self.windows -= 1;
                true
            }
            _ => false,
        };
        !carries && !self.may_come()
    }

    fn may_come(&mut self) -> bool {
        let now = Instant::now();
        let most = f64::from(self.rate) * AT_ONCE.as_secs_f64();
        let earned = now.duration_since(self.counted).as_secs_f64() * f64::from(self.rate);
        self.left = (self.left + earned).min(most);
        self.counted = now;
        let may = self.left >= 1.0;
        self.left -= f64::from(u8::from(may));
        may
    }
}

/// The limit that a frame to a client tells of (RFC 9113, sections 6.4, 6.8 and 7): the library writes such frames in one piece.
fn limit_told([_, _, _, kind, ..]: [u8; HEAD], payload: &[u8]) -> Option<LetGo> {
    let code = match kind {
        RST_STREAM => payload.first_chunk(),
        GOAWAY => payload.get(4..).and_then(<[u8]>::first_chunk),
        _ => None,
    };
    match u32::from_be_bytes(*code?) {
        REFUSED_STREAM => Some(LetGo::Streams),
        ENHANCE_YOUR_CALM => Some(LetGo::Http2),
        _ => None,
    }
}

/// The octets of a frame before what it carries.
const HEAD: usize = 9;
const PREFACE: usize = 24;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const PUSH_PROMISE: u8 = 0x5;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;

const REFUSED_STREAM: u32 = 0x7;
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// Says that a client does too much (ENHANCE_YOUR_CALM; RFC 9113, sections 6.8 and 7), whatever stream was its last.
pub(super) const CALM_DOWN: [u8; 17] = [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0xb];

/// For how long frames may be saved up.
const AT_ONCE: Duration = Duration::from_secs(10);
/// How many octets of an answer a client may acknowledge at a time, at the least.
const WINDOW_STEP: usize = 512;
const MOST_WINDOWS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags, 0, 0, 0, 1]].concat();
        [head, vec![0; payload]].concat()
    }

    fn begun(rate: u32) -> FrameWatch {
        let mut watch = FrameWatch::new(rate);
        assert!(!watch.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        watch
    }

    #[tokio::test(start_paused = true)]
    async fn what_carries_nothing_is_counted_whatever_it_is_called() {
        let idle = [
            frame(2, 0, 5),
            frame(4, 0, 0),
            frame(6, 0, 8),
            frame(WINDOW_UPDATE, 0, 4),
            frame(0xbe, 0, 100),
        ];
        for idle in idle {
            let mut watch = begun(1);
            assert!((0..10).all(|_| !watch.read(&idle)), "{idle:?}");
            assert!(watch.read(&idle), "{idle:?}");
            tokio::time::advance(Duration::from_secs(2)).await;
            assert!(!watch.read(&idle), "{idle:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_carries_something_may_come_as_often_as_it_likes() {
        for carrying in [
            frame(DATA, 0, 1),
            frame(DATA, 0, 0),
            frame(CONTINUATION, 0, 0),
            frame(HEADERS, 0x5, 20),
            frame(RST_STREAM, 0, 4),
        ] {
            let mut watch = begun(1);
            assert!((0..1_000).all(|_| !watch.read(&carrying)), "{carrying:?}");
        }
        let mut watch = begun(1);
        for _ in 0..1_000 {
            watch.wrote(&frame(DATA, 0, 991));
            assert!(watch.at_boundary());
            assert!(!watch.read(&frame(WINDOW_UPDATE, 0, 4).repeat(2)));
        }
    }

    #[test]
    fn the_librarys_own_refusals_are_read_off_what_it_writes() {
        let told = |kind, payload: &[u8]| limit_told([0, 0, 0, kind, 0, 0, 0, 0, 0], payload);

        assert_eq!(told(RST_STREAM, &[0, 0, 0, 7]), Some(LetGo::Streams));
        assert_eq!(told(RST_STREAM, &[0, 0, 0, 8]), None, "control: cancelled");
        assert_eq!(told(GOAWAY, &[0, 0, 0, 7, 0, 0, 0, 0xb]), Some(LetGo::Http2));
        assert_eq!(told(GOAWAY, &[0, 0, 0, 0xb, 0, 0, 0, 0]), None, "control: no error");
        assert_eq!(told(DATA, &[0, 0, 0, 7]), None);
        assert_eq!(told(GOAWAY, &[0, 0, 0, 7]), None, "cut short");
    }

    #[test]
    fn between_two_frames_that_are_written_there_is_room_for_one() {
        let sent = [frame(HEADERS, 0x4, 3), frame(DATA, 0, 0)].concat();
        for (cut, is_boundary) in [
            (0, true),
            (1, false),
            (9, false),
            (11, false),
            (12, true),
            (20, false),
            (21, true),
        ] {
            let mut watch = FrameWatch::new(1);
            watch.wrote(&sent[..cut]);
            assert_eq!(watch.at_boundary(), is_boundary, "after {cut} octets");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn frames_are_followed_however_they_are_cut() {
        let sent = [frame(HEADERS, 0x4, 300), frame(DATA, 0, 1), frame(6, 0, 8).repeat(3)].concat();
        for size in 1..sent.len() {
            let mut watch = begun(1);
            let floods = (0..4)
                .flat_map(|_| sent.chunks(size))
                .filter(|part| watch.read(part))
                .count();
            assert!(floods > 0, "cut into {size}: 12 of 10 went unnoticed");
            let mut watch = begun(1);
            let floods = (0..3)
                .flat_map(|_| sent.chunks(size))
                .filter(|part| watch.read(part))
                .count();
            assert_eq!(floods, 0, "cut into {size}: 9 of 10 were too many");
        }
    }
}
