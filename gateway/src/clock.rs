//! What time is it? The only place that asks the system.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

use directory::Timestamp;

/// Tells the time; never goes back, and says so when the system's wall clock did.
#[derive(Debug)]
pub(crate) struct Clock {
    state: Mutex<State>,
}

/// A pair of readings that belong together, and how far the wall clock has been seen behind them.
#[derive(Debug, Clone, Copy)]
struct State {
    wall: Timestamp,
    steady: Instant,
}

/// How far the wall clock may lag behind the steady one before the difference counts as a jump back.
const TOLERATED: Duration = Duration::from_secs(5);

/// How often the pair of readings is renewed, so that a slewed wall clock is followed.
const RENEWED: Duration = Duration::from_secs(60);

impl Clock {
    /// Starts from the system's wall clock.
    pub(crate) fn start() -> Self {
        Self {
            state: Mutex::new(State {
                wall: wall_clock(),
                steady: Instant::now(),
            }),
        }
    }

    /// The present moment. After a wall clock that jumped back it goes on from where it was, so that nothing that was
    /// over becomes valid again and nothing old becomes fresh; a jump forward is followed.
    pub(crate) fn now(&self) -> Timestamp {
        self.read(wall_clock(), Instant::now())
    }

    fn read(&self, wall: Timestamp, steady: Instant) -> Timestamp {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = steady.saturating_duration_since(state.steady);
        let expected = state.wall.plus(elapsed);
        let jumped_back = wall.until(expected).is_some_and(|behind| behind > TOLERATED);
        let now = if jumped_back { expected } else { wall };
        if elapsed >= RENEWED || now > expected.plus(TOLERATED) {
            *state = State { wall: now, steady };
        }
        now
    }
}

fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started_at(wall: i64) -> (Clock, Instant) {
        let steady = Instant::now();
        (
            Clock {
                state: Mutex::new(State {
                    wall: Timestamp::from_secs(wall),
                    steady,
                }),
            },
            steady,
        )
    }

    /// a wall clock that steps back two hours makes nothing fresh again; two seconds of skew are nothing.
    #[test]
    fn a_wall_clock_that_jumps_back_is_not_followed() {
        let (clock, start) = started_at(100_000);
        let later = start + Duration::from_secs(10);

        let after_jump = clock.read(Timestamp::from_secs(100_010 - 7_200), later);
        let after_skew = clock.read(Timestamp::from_secs(100_008), later);

        assert_eq!(after_jump, Timestamp::from_secs(100_010));
        assert_eq!(after_skew, Timestamp::from_secs(100_008));
    }

    #[test]
    fn a_jump_back_is_remembered_beyond_the_renewal_of_the_pair() {
        let (clock, start) = started_at(100_000);
        let minute = Duration::from_secs(60);

        for minutes in 1..=200_u32 {
            let wall = Timestamp::from_secs(100_000 - 7_200 + i64::from(minutes) * 60);
            assert_eq!(
                clock.read(wall, start + minute * minutes),
                Timestamp::from_secs(100_000 + i64::from(minutes) * 60)
            );
        }
    }

    #[test]
    fn a_jump_forward_is_followed_and_never_taken_back() {
        let (clock, start) = started_at(100_000);
        assert_eq!(
            clock.read(Timestamp::from_secs(107_200), start),
            Timestamp::from_secs(107_200)
        );
        assert_eq!(
            clock.read(Timestamp::from_secs(100_001), start),
            Timestamp::from_secs(107_200)
        );
    }
}
