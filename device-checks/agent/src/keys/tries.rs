//! May a PIN be tried now? Wrong ones are counted in a file, and make the next ones wait.

use std::path::PathBuf;
use std::time::Duration;

use device_checks::wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::KeyError;
use crate::private_file::{self, FileError};

/// The wrong PINs in a row for one key. Whoever can write its file can forget them: against those stands Argon2 alone.
pub(super) struct Tries {
    file: PathBuf,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted {
    wrong: u32,
    last: i64,
}

impl Tries {
    /// Those kept in this file.
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Counts a try as a wrong one before it is made, so that none is free for being interrupted.
    ///
    /// # Errors
    ///
    /// It is too early for another one, or the file cannot be used.
    pub(super) fn begin(&self, now: Timestamp) -> Result<(), KeyError> {
        let counted = self.counted()?;
        let wait = counted.wait(now);
        if !wait.is_zero() {
            return Err(KeyError::Wait { wait });
        }
        let counted = Counted {
            wrong: counted.wrong.saturating_add(1),
            last: now.secs(),
        };
        let json = serde_json::to_vec(&counted).unwrap_or_default();
        Ok(private_file::write(&self.file, &json)?)
    }

    /// Forgets the wrong ones: the PIN was right.
    pub(super) fn succeed(&self) -> Result<(), FileError> {
        private_file::remove(&self.file)
    }

    /// A file that cannot be read as one was meddled with: the longest wait.
    fn counted(&self) -> Result<Counted, FileError> {
        let octets = private_file::read(&self.file)?;
        let unreadable = Counted {
            wrong: u32::MAX,
            last: 0,
        };
        Ok(octets.map_or(Counted::default(), |octets| {
            serde_json::from_slice(&octets).unwrap_or(unreadable)
        }))
    }
}

impl Counted {
    /// How long until the next try; a clock that went back does not shorten it.
    fn wait(self, now: Timestamp) -> Duration {
        let Some(slowed) = self.wrong.checked_sub(FREE) else {
            return Duration::ZERO;
        };
        let whole = FIRST.saturating_mul(1 << slowed.min(16)).min(LONGEST);
        let passed = Timestamp::from_secs(self.last).until(now).unwrap_or_default();
        whole.saturating_sub(passed)
    }
}

/// So many wrong ones cost nothing.
const FREE: u32 = 4;
const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_tries_make_the_next_ones_wait_ever_longer_and_a_right_one_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let tries = Tries::new(folder.path().join("tries"));
        let now = Timestamp::from_secs(1_795_000_000);
        for _ in 0..FREE {
            tries.begin(now).unwrap();
        }

        let waits = [0, 29].map(|seconds| tries.begin(now.plus(Duration::from_secs(seconds))).unwrap_err());
        assert!(matches!(waits[0], KeyError::Wait { wait } if wait == Duration::from_secs(30)));
        assert!(matches!(waits[1], KeyError::Wait { wait } if wait == Duration::from_secs(1)));
        let later = now.plus(Duration::from_secs(30));
        tries.begin(later).unwrap();
        assert!(matches!(tries.begin(later), Err(KeyError::Wait { wait }) if wait == Duration::from_secs(60)));
        assert!(matches!(tries.begin(now), Err(KeyError::Wait { wait }) if wait == Duration::from_secs(60)));

        tries.succeed().unwrap();
        assert!(tries.begin(later).is_ok());
    }

    #[test]
    fn a_file_that_was_meddled_with_waits_longest() {
        let counted = Counted {
            wrong: u32::MAX,
            last: 1_795_000_000,
        };
        assert_eq!(counted.wait(Timestamp::from_secs(1_795_000_000)), LONGEST);
        assert_eq!(Counted::default().wait(Timestamp::from_secs(0)), Duration::ZERO);
    }
}
