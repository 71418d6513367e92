//! Which enrolments are under way? Kept in memory for minutes: a restart ends them, and the device begins again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use device_checks::attestation::RootClass;
use device_checks::attestation::tpm::{ActivatedAk, PendingActivation};
use directory::{
    AttemptId, DeviceId, HardwareId, InstanceId, KeyStore, Platform, PublicKey, SecretHash, Timestamp, UserId,
};

/// An enrolment under way.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Which one.
    pub(super) id: AttemptId,
    /// The token it rests on.
    pub(super) secret: SecretHash,
    /// For whom.
    pub(super) user: UserId,
    /// The instance's key, which signs every step.
    pub(super) instance_key: PublicKey,
    /// The instance: the known one, or a new id.
    pub(super) instance: InstanceId,
    /// The device: the known one, or a new id.
    pub(super) device: DeviceId,
    /// What it is to be called if it is new.
    pub(super) name: String,
    /// Which system it runs.
    pub(super) platform: Platform,
    /// Where its keys live, as it says.
    pub(super) key_store: KeyStore,
    /// What everything certified has to cover.
    pub(super) nonce: String,
    /// What is known of the machine.
    pub(super) machine: Machine,
    /// From when on it is over.
    pub(super) ends: Timestamp,
}

/// What an attempt knows of the machine.
#[derive(Debug)]
pub(super) enum Machine {
    /// Nothing, and nothing is claimed.
    Unknown,
    /// Its evidence is well-formed, and somebody vouches for it; that its TPM is there remains to be proved.
    Claimed(Claimed),
    /// Its TPM opened the credential.
    Proved(Proved),
}

/// Evidence that waits for its activation.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) activation: PendingActivation,
    pub(super) machine: Endorsed,
}

/// A machine that was proved to be there.
#[derive(Debug)]
pub(super) struct Proved {
    pub(super) key: ActivatedAk,
    pub(super) machine: Endorsed,
}

/// A machine that somebody vouches for.
#[derive(Debug, Clone)]
pub(super) struct Endorsed {
    pub(super) id: HardwareId,
    /// The certificates, in DER.
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) class: RootClass,
    /// Whether that counts as attested here.
    pub(super) attested: bool,
}

/// The enrolments under way, each once for its device.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    under_way: Mutex<HashMap<AttemptId, Attempt>>,
}

/// Says that another user enrols this device at this moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnderWay;

/// How long an enrolment may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// How many may be under way. Each takes a token, so only users of the gateway fill this.
const MOST: usize = 10_000;

impl Attempt {
    /// What is claimed and not proved yet keeps nobody else out.
    fn is_same_machine(&self, other: &Self) -> bool {
        let proved = self.machine.proved_id();
        proved.is_some() && proved == other.machine.proved_id()
    }

    fn concerns(&self, other: &Self) -> bool {
        self.secret == other.secret || self.instance_key == other.instance_key || self.is_same_machine(other)
    }
}

impl Machine {
    /// Which machine it is or would be.
    pub(super) fn id(&self) -> Option<HardwareId> {
        self.endorsed().map(|machine| machine.id)
    }

    /// Which machine it is, where its TPM is there.
    fn proved_id(&self) -> Option<HardwareId> {
        match self {
            Self::Proved(proved) => Some(proved.machine.id),
            Self::Unknown | Self::Claimed(_) => None,
        }
    }

    /// The machine that is proved or claimed.
    pub(super) fn endorsed(&self) -> Option<&Endorsed> {
        match self {
            Self::Unknown => None,
            Self::Claimed(claimed) => Some(&claimed.machine),
            Self::Proved(proved) => Some(&proved.machine),
        }
    }
}

impl Attempts {
    /// Begins an attempt, or goes on with one whose machine is proved now; an earlier one of the same user for the same
    /// device, or by the same token, is over.
    ///
    /// # Errors
    /// If another user's is under way for the same device, or too many are.
    pub(super) fn begin(&self, attempt: Attempt, now: Timestamp) -> Result<(), UnderWay> {
        let mut under_way = self.lock();
        under_way.retain(|_, known| now < known.ends);
        let same_device = under_way.values().filter(|known| known.concerns(&attempt));
        if same_device.into_iter().any(|known| known.user != attempt.user) || under_way.len() >= MOST {
            return Err(UnderWay);
        }
        under_way.retain(|_, known| !known.concerns(&attempt));
        under_way.insert(attempt.id, attempt);
        Ok(())
    }

    /// Takes an attempt out to go on with it; whoever fails has to begin again.
    pub(super) fn take(&self, id: AttemptId, now: Timestamp) -> Option<Attempt> {
        self.lock().remove(&id).filter(|attempt| now < attempt.ends)
    }

    /// The key that has to sign the next step of an attempt.
    pub(super) fn key_of(&self, id: AttemptId, now: Timestamp) -> Option<PublicKey> {
        let under_way = self.lock();
        let attempt = under_way.get(&id).filter(|attempt| now < attempt.ends)?;
        Some(attempt.instance_key)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AttemptId, Attempt>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    /// E-25: another user's attempt for the same device is refused, the same user's takes the earlier one's place.
    #[test]
    fn one_user_at_a_time_enrols_a_device() {
        let attempts = Attempts::default();
        assert_eq!(attempts.begin(attempt(1, 1, 1), NOW), Ok(()));

        assert_eq!(attempts.begin(attempt(2, 2, 1), NOW), Err(UnderWay));
        assert_eq!(attempts.begin(attempt(3, 2, 2), NOW), Ok(()), "control: another device");
        assert_eq!(attempts.begin(attempt(4, 1, 1), NOW), Ok(()));

        assert!(attempts.take(AttemptId::from_random(1), NOW).is_none());
        assert!(attempts.take(AttemptId::from_random(4), NOW).is_some());
        assert_eq!(attempts.begin(attempt(5, 2, 1), NOW), Ok(()), "the first user is done");
    }

    #[test]
    fn a_token_has_one_attempt() {
        let attempts = Attempts::default();
        let by_token = |id, instance| Attempt {
            secret: SecretHash::of("one"),
            ..attempt(id, 1, instance)
        };
        attempts.begin(by_token(1, 1), NOW).unwrap();
        attempts.begin(by_token(2, 2), NOW).unwrap();
        assert!(attempts.take(AttemptId::from_random(1), NOW).is_none());
        assert!(attempts.take(AttemptId::from_random(2), NOW).is_some(), "control");
    }

    #[test]
    fn an_attempt_is_over_in_time_and_taken_once() {
        let attempts = Attempts::default();
        attempts.begin(attempt(1, 1, 1), NOW).unwrap();
        attempts.begin(attempt(2, 2, 2), NOW).unwrap();

        assert!(attempts.take(AttemptId::from_random(1), NOW).is_some());
        assert!(attempts.take(AttemptId::from_random(1), NOW).is_none());
        assert!(attempts.take(AttemptId::from_random(2), NOW.plus(PATIENCE)).is_none());
    }

    fn attempt(id: u128, user: u128, instance: u8) -> Attempt {
        Attempt {
            id: AttemptId::from_random(id),
            secret: SecretHash::of(&id.to_string()),
            user: UserId::from_random(user),
            instance_key: PublicKey {
                x: [instance; 32],
                y: [0; 32],
            },
            instance: InstanceId::from_random(1),
            device: DeviceId::from_random(1),
            name: "laptop".to_owned(),
            platform: Platform::Linux,
            key_store: KeyStore::Software,
            nonce: String::new(),
            machine: Machine::Unknown,
            ends: NOW.plus(PATIENCE),
        }
    }
}
