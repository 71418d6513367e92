//! When is the next request due: at once, or at its place in a row of arrivals that waits for no answer?

use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::Arguments;

/// Says when requests are due, and which of them count.
pub(crate) struct Pace {
    begin: Instant,
    end: Instant,
    arrivals: Option<Mutex<UnboundedReceiver<Instant>>>,
}

impl Pace {
    /// The time begins now.
    pub(crate) fn of(arguments: &Arguments) -> Self {
        let start = Instant::now();
        let begin = start + Duration::from_secs_f64(arguments.warm_up);
        let end = begin + Duration::from_secs_f64(arguments.seconds);
        let arrivals = arguments.rate.map(|rate| {
            let (sender, receiver) = unbounded_channel();
            // The runtime's timers tell milliseconds apart, a thread's sleep does microseconds.
            std::thread::spawn(move || arrive(start, end, rate, &sender));
            Mutex::new(receiver)
        });
        Self { begin, end, arrivals }
    }

    /// When the next request is due, which is not before this returns; nothing when the time is over.
    pub(crate) async fn next(&self) -> Option<Instant> {
        match &self.arrivals {
            Some(arrivals) => arrivals.lock().await.recv().await,
            None => Some(Instant::now()).filter(|now| *now < self.end),
        }
    }

    /// Whether a request that was due then, and is over now, is one of those measured. In a row of arrivals the late ones count as
    /// well: to leave them out would be to leave out the slowest.
    pub(crate) fn counts(&self, due: Instant) -> bool {
        due >= self.begin && (self.arrivals.is_some() || Instant::now() <= self.end)
    }
}

/// Lets one request after the other become due, evenly.
fn arrive(start: Instant, end: Instant, rate: f64, arrivals: &UnboundedSender<Instant>) {
    for number in 0_u32.. {
        let due = start + Duration::from_secs_f64(f64::from(number) / rate);
        if due >= end {
            return;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if arrivals.send(due).is_err() {
            return;
        }
    }
}
