//! Is everybody else served well while, and after, somebody misbehaves?

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::demo::{ALICE, Demo};
use crate::process::{Finish, until};

/// Asks as another client on a connection of its own; says what was wrong with the answer.
///
/// # Errors
/// When it was not a `200` in time with what the application says: `ok`, or what it was asked for.
pub fn sing(demo: &Demo) -> Result<Duration, String> {
    let begun = Instant::now();
    let answer = demo.raw_get(ALICE, "wiki", "/canary").unwrap_or_default();
    let took = begun.elapsed();
    let text = answer.text();
    if answer.status == 200 && (text == "ok" || text.contains("/canary")) && took < LONGEST {
        Ok(took)
    } else {
        Err(format!("the canary got {} after {took:?}", answer.status))
    }
}

/// Does this while another client asks again and again, and once more afterwards.
///
/// # Panics
/// When one of its answers was not as it is without the attack.
pub fn beside<T>(demo: &Demo, attack: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        let canary = scope.spawn(|| {
            let mut songs = vec![sing(demo)];
            // Ten a second, as an ordinary client might.
            while !until(PAUSE, || done.load(Ordering::Relaxed)) {
                songs.push(sing(demo));
            }
            songs
        });
        let finish = Finish(&done);
        let result = attack();
        drop(finish);
        let songs = canary.join().unwrap();
        let bad: Vec<_> = songs.iter().filter_map(|song| song.as_ref().err()).collect();
        assert!(bad.is_empty(), "{} of {}: {bad:?}", bad.len(), songs.len());
        result
    });
    sing(demo).expect("afterwards");
    result
}

const PAUSE: Duration = Duration::from_millis(100);

/// A handshake and a request, in a debug build beside an attack on the same two processors.
const LONGEST: Duration = Duration::from_secs(3);
