//! Which nonces were handed out, and which of them were used? Each is good once, for a short time, in this process.

use std::time::Duration;

use device_checks::{BadNonce, NonceKey};
use directory::Timestamp;
use moka::sync::Cache;

/// Hands out nonces and burns them.
pub(crate) struct Nonces {
    key: NonceKey,
    /// Only holders of enrolled keys burn nonces, so what is kept is bounded by them; nothing is dropped before its time.
    burnt: Cache<String, ()>,
}

/// Says why a nonce cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NonceRefused {
    /// It was not handed out, or is over.
    #[error(transparent)]
    Bad(#[from] BadNonce),
    /// It was used before.
    #[error("the nonce was used before")]
    Used,
}

impl Nonces {
    /// Takes a fresh key: what was handed out under an earlier one is void.
    pub(crate) fn new(random: &[u8; 32]) -> Self {
        Self {
            key: NonceKey::new(random),
            burnt: Cache::builder().time_to_live(KEPT).build(),
        }
    }

    /// A nonce that is good for [`LIFETIME`].
    pub(crate) fn issue(&self, now: Timestamp) -> String {
        self.key.issue(rand::random(), now.plus(LIFETIME))
    }

    /// Uses a nonce up.
    ///
    /// # Errors
    /// If it was not handed out by this process, is over, or was used before.
    pub(crate) fn burn(&self, nonce: &str, now: Timestamp) -> Result<(), NonceRefused> {
        self.key.check(nonce, now)?;
        // Not `or_insert`: it looks and then inserts, so that two at once both find nothing.
        if self.burnt.entry_by_ref(nonce).or_insert_with(|| ()).is_fresh() {
            Ok(())
        } else {
            Err(NonceRefused::Used)
        }
    }
}

/// How long a nonce is good.
pub(crate) const LIFETIME: Duration = Duration::from_secs(120);

/// How long a burnt nonce is remembered: longer than it is good by any clock of this process.
const KEPT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    /// P-17 (the nonce's half): used once, it is used up, also when many try at once. Control: another one.
    #[test]
    fn of_many_who_burn_a_nonce_at_once_one_does() {
        let nonces = Nonces::new(&[1; 32]);

        for round in 0..2000 {
            let nonce = nonces.issue(NOW);
            let start = std::sync::Barrier::new(4);
            let burnt = std::thread::scope(|scope| {
                let burn = || {
                    start.wait();
                    nonces.burn(&nonce, NOW).is_ok()
                };
                let tries = [(); 4].map(|()| scope.spawn(burn));
                tries
                    .map(|one| one.join().unwrap())
                    .into_iter()
                    .filter(|burnt| *burnt)
                    .count()
            });
            assert_eq!(burnt, 1, "in round {round}");
            assert_eq!(nonces.burn(&nonce, NOW), Err(NonceRefused::Used));
        }
        assert_eq!(nonces.burn(&nonces.issue(NOW), NOW), Ok(()));
    }

    #[test]
    fn a_nonce_is_void_after_its_time_and_after_a_restart() {
        let nonces = Nonces::new(&[1; 32]);
        let nonce = nonces.issue(NOW);

        assert!(matches!(
            nonces.burn(&nonce, NOW.plus(LIFETIME)),
            Err(NonceRefused::Bad(_))
        ));
        assert!(matches!(
            Nonces::new(&[2; 32]).burn(&nonce, NOW),
            Err(NonceRefused::Bad(_))
        ));
        assert_eq!(nonces.burn(&nonce, NOW), Ok(()));
    }
}
