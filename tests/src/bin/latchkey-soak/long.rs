//! Do WebSockets and event streams live exactly as long as whoever has them is trusted?

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use latchkey_tests::h2::OpenStream;
use latchkey_tests::websocket::Socket;

use crate::Stage;
use crate::model::{History, Trust};
use crate::people::Person;
use crate::tally::Tally;

/// Something that lives on while messages pass.
enum Long {
    Socket(Box<Socket>),
    Events(OpenStream),
}

/// Opens one after the other until the stop.
pub(crate) fn live(stage: &Stage, person: &Person, number: usize) {
    let mut opened = number;
    while stage.stop.rest(PAUSE) {
        opened += 1;
        let credential = person.newest();
        let from = Instant::now();
        let long = open(stage, &credential.device, opened);
        let may = credential.trust.between(from, Instant::now());
        match long {
            Some(mut long) => {
                Tally::count(&stage.tally.opened);
                if may.iter().all(|trust| trust.refusal().is_some()) {
                    stage
                        .tally
                        .wrong(format!("{} opened what {may:?} does not", credential.device));
                }
                watch(stage, &credential.device, &credential.trust, &mut long, opened);
            }
            None if may.iter().any(|trust| trust.refusal().is_some()) => Tally::count(&stage.tally.refused),
            None => stage.tally.wrong(format!(
                "{} was refused a WebSocket or an event stream",
                credential.device
            )),
        }
    }
}

fn open(stage: &Stage, device: &str, number: usize) -> Option<Long> {
    if number.is_multiple_of(3) {
        return stage
            .demo
            .h2(Some(device), "wiki")
            .try_open("/events")
            .ok()
            .map(Long::Events);
    }
    // A request that loses its permission on the way is cut; the client has no other way to say so.
    let opening = AssertUnwindSafe(|| stage.demo.websocket(Some(device), "wiki", None));
    let socket = catch_unwind(opening).ok().and_then(Result::ok);
    socket.map(|socket| Long::Socket(Box::new(socket)))
}

/// Exchanges messages for some seconds: what is trusted throughout goes on, and what is not stops.
fn watch(stage: &Stage, device: &str, trust: &History<Trust>, long: &mut Long, number: usize) {
    let ends = Instant::now() + LIFE + Duration::from_millis(number as u64 % 7 * 1000);
    let mut last = Instant::now();
    let mut count = 0;
    while Instant::now() < ends && stage.stop.rest(BEAT) {
        let from = Instant::now();
        count += 1;
        let passed = match long {
            Long::Socket(socket) => {
                let text = format!("{device} {count}");
                socket.echo(&text).is_ok_and(|echo| {
                    if echo != text {
                        stage.tally.wrong(format!("{device} said {text:?} and heard {echo:?}"));
                    }
                    true
                })
            }
            Long::Events(stream) => stream.goes_on(),
        };
        let now = Instant::now();
        if passed {
            Tally::count(&stage.tally.messages);
            let grace = from.checked_sub(GRACE).unwrap_or(from);
            let may = trust.between(grace, now);
            if may.iter().all(|trust| trust.refusal().is_some()) {
                stage
                    .tally
                    .wrong(format!("a stream of {device} goes on while it is {may:?}"));
                return;
            }
            last = now;
        } else {
            Tally::count(&stage.tally.cut);
            let may = trust.between(last.checked_sub(GRACE).unwrap_or(last), now);
            if may.iter().all(|trust| trust.refusal().is_none()) {
                stage
                    .tally
                    .wrong(format!("a stream of {device} ended while it is {may:?}"));
            }
            return;
        }
    }
}

const PAUSE: Duration = Duration::from_millis(50);
const BEAT: Duration = Duration::from_millis(100);
const LIFE: Duration = Duration::from_secs(5);

/// How long what is under way may go on after it is not allowed any more.
const GRACE: Duration = Duration::from_secs(2);
