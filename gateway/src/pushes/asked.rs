//! What was asked on somebody's other devices, and what came of it? It is answered once, and used once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use directory::{AttemptId, EnrollmentId, SecretHash, Timestamp, UserId};

use crate::agents::{Confirmation, Signed};

/// A push that a page began. Whether anybody is asked by it, the page does not say.
pub(crate) struct Push {
    /// Its attempt.
    pub(crate) attempt: AttemptId,
    /// The hash of the cookie of the browser that gets the answer.
    pub(crate) bound_to: SecretHash,
    /// The application that is named to the person.
    pub(crate) application: String,
    /// Who is asked; nothing where nobody is.
    pub(crate) user: Option<UserId>,
    /// The number that the browser shows, where one has to match.
    pub(crate) number: Option<Number>,
    /// What the person has to do.
    pub(crate) demand: Confirmation,
    /// What the answer has to name.
    pub(crate) nonce: String,
    /// From when on it is over.
    pub(crate) ends: Timestamp,
    state: Mutex<State>,
}

/// What a page wants asked.
pub(crate) struct Asking {
    /// The hash of the cookie of the browser.
    pub(crate) bound_to: SecretHash,
    /// The application that is named to the person.
    pub(crate) application: String,
    /// Who is to be asked.
    pub(crate) user: Option<UserId>,
    /// Whether a number has to match.
    pub(crate) with_number: bool,
    /// What the person has to do.
    pub(crate) demand: Confirmation,
}

/// Two digits that the person reads off one screen and types on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(u8);

struct State {
    asked: Vec<EnrollmentId>,
    stands: Stands,
}

/// How a push stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    /// It waits for its answer.
    Open,
    /// Its answer is being looked at.
    Answering,
    /// Somebody approved.
    Approved(Signed),
    /// Somebody said no, or answered wrongly.
    Refused,
    /// It is over.
    Over,
}

/// What a page gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Somebody approved; nobody gets this again.
    Approved(Signed),
    /// Nobody has answered yet.
    Open,
    /// Somebody said no, or answered wrongly.
    Refused,
    /// It is over, or was used.
    Over,
}

impl Push {
    /// A push that is begun now, of these random octets.
    pub(crate) fn begin(asking: Asking, ends: Timestamp, nonce: String) -> Self {
        Self {
            attempt: AttemptId::from_random(rand::random()),
            bound_to: asking.bound_to,
            application: asking.application,
            user: asking.user,
            number: asking.with_number.then(|| Number::of(rand::random())),
            demand: asking.demand,
            nonce,
            ends,
            state: Mutex::new(State {
                asked: Vec::new(),
                stands: Stands::Open,
            }),
        }
    }

    /// Remembers whom it goes to; nothing is added once it was answered.
    pub(crate) fn goes_to(&self, enrollments: &[EnrollmentId]) -> bool {
        let mut state = self.lock();
        let is_open = state.stands == Stands::Open;
        if is_open {
            state.asked = enrollments.to_vec();
        }
        is_open
    }

    /// Whom it went to.
    pub(crate) fn asked(&self) -> Vec<EnrollmentId> {
        self.lock().asked.clone()
    }

    /// Whether this account was asked.
    pub(crate) fn went_to(&self, enrollment: EnrollmentId) -> bool {
        self.lock().asked.contains(&enrollment)
    }

    /// Whether it waits for its answer.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        now < self.ends && self.lock().stands == Stands::Open
    }

    /// Takes it for an answer: of two who answer at once, one does.
    pub(crate) fn begin_answer(&self, now: Timestamp) -> bool {
        let mut state = self.lock();
        let is_open = now < self.ends && state.stands == Stands::Open;
        if is_open {
            state.stands = Stands::Answering;
        }
        is_open
    }

    /// Sets what came of the answer, unless it is over meanwhile.
    pub(crate) fn answered(&self, signed: Option<Signed>) {
        let mut state = self.lock();
        if state.stands == Stands::Answering {
            state.stands = signed.map_or(Stands::Refused, Stands::Approved);
        }
    }

    /// Nobody was at this device: the others may still answer, and without others nobody does.
    pub(crate) fn set_aside(&self, enrollment: EnrollmentId) {
        let mut state = self.lock();
        state.asked.retain(|asked| *asked != enrollment);
        if state.stands == Stands::Answering {
            state.stands = match state.asked.is_empty() {
                true => Stands::Refused,
                false => Stands::Open,
            };
        }
    }

    /// It is over; whether it was not before.
    pub(crate) fn end(&self) -> bool {
        let mut state = self.lock();
        let goes_on = matches!(state.stands, Stands::Open | Stands::Answering);
        if goes_on {
            state.stands = Stands::Over;
        }
        goes_on
    }

    /// What came of it, for the page that began it; an approval is given once.
    pub(crate) fn take(&self, now: Timestamp) -> Taken {
        let mut state = self.lock();
        match state.stands {
            Stands::Approved(signed) => {
                state.stands = Stands::Over;
                match now < self.ends {
                    true => Taken::Approved(signed),
                    false => Taken::Over,
                }
            }
            Stands::Open | Stands::Answering if now < self.ends => Taken::Open,
            Stands::Refused => Taken::Refused,
            Stands::Open | Stands::Answering | Stands::Over => Taken::Over,
        }
    }

    /// Whether there is something for the page that waits.
    pub(crate) fn is_settled(&self, now: Timestamp) -> bool {
        let waits = matches!(self.lock().stands, Stands::Open | Stands::Answering);
        !waits || self.ends <= now
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Number {
    /// One of the ninety that have two digits; of a random number so large that each comes as often as any other, nearly.
    fn of(random: u64) -> Self {
        Self(u8::try_from(random % 90).unwrap_or_default().saturating_add(10))
    }

    /// Whether this is what somebody typed.
    pub(crate) fn is(self, typed: &str) -> bool {
        typed == self.to_string()
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use device_checks::KeyType;
    use directory::DeviceId;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    #[test]
    fn a_push_is_answered_once_and_used_once() {
        let push = push();
        assert_eq!(push.take(NOW), Taken::Open);

        assert!(push.begin_answer(NOW));
        assert!(!push.begin_answer(NOW), "a second answer");
        push.answered(Some(signed()));

        assert_eq!(push.take(NOW), Taken::Approved(signed()));
        assert_eq!(push.take(NOW), Taken::Over);
    }

    #[test]
    fn what_comes_too_late_or_after_the_end_counts_no_more() {
        let late = NOW.plus(Duration::from_secs(120));
        let push = push();
        assert!(!push.begin_answer(late));
        assert_eq!(push.take(late), Taken::Over);

        assert!(push.begin_answer(NOW));
        assert!(push.end());
        push.answered(Some(signed()));
        assert_eq!(push.take(NOW), Taken::Over, "withdrawn while it was answered");
    }

    #[test]
    fn a_number_has_two_digits_and_is_typed_exactly() {
        for random in [0, 89, 90, u64::MAX] {
            assert_eq!(Number::of(random).to_string().len(), 2);
        }
        assert!(Number(42).is("42"));
        for typed in ["", "4", "24", "042", " 42", "42 ", "４２"] {
            assert!(!Number(42).is(typed), "{typed}");
        }
    }

    fn push() -> Push {
        let asking = Asking {
            bound_to: SecretHash::of("browser"),
            application: "Wiki".to_owned(),
            user: None,
            with_number: true,
            demand: Confirmation::Approved,
        };
        Push::begin(asking, NOW.plus(Duration::from_secs(120)), "nonce".to_owned())
    }

    fn signed() -> Signed {
        Signed {
            user: UserId::from_random(1),
            enrollment: EnrollmentId::from_random(1),
            generation: 1,
            device: DeviceId::from_random(1),
            key_type: KeyType::ProofOfPossession,
            confirmed: Confirmation::Approved,
            at: NOW,
        }
    }
}
