//! Does the throttle slow down whoever guesses, and nobody else?

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;

#[test]
fn five_failures_are_free_and_then_the_wait_doubles_up_to_five_minutes() {
    let throttle = throttle();
    let mut now = NOW;
    let mut waits = Vec::new();
    for _ in 0..17 {
        let refused = match throttle.admit(&guess("alice", 1), now) {
            Ok(admission) => {
                admission.failed(now);
                continue;
            }
            Err(refused) => refused,
        };
        waits.push(refused.seconds());
        let early = Timestamp::from_millis(now.plus(refused.0).millis() - 1);
        assert!(throttle.admit(&guess("alice", 1), early).is_err());
        now = now.plus(refused.0);
        throttle.admit(&guess("alice", 1), now).unwrap().failed(now);
    }

    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
}

#[test]
fn a_success_ends_the_wait_and_the_count() {
    let throttle = throttle();
    fail(&throttle, &guess("alice", 1), 6, NOW);
    let later = NOW.plus(Duration::from_secs(1));
    throttle.admit(&guess("alice", 1), later).unwrap().succeeded(later);

    fail(&throttle, &guess("alice", 1), 6, later);

    assert_eq!(throttle.admit(&guess("alice", 1), later).unwrap_err().seconds(), 1);
}

/// X-17, as far as the throttle goes: a thousand wrong passwords from one source leave every other source free, as they do
/// another account and another factor. Control: the source itself waits.
#[test]
fn a_thousand_wrong_passwords_from_one_source_leave_other_sources_free() {
    let throttle = throttle();
    let mut now = NOW;
    let mut failed = 0;
    while failed < 1_000 {
        match throttle.admit(&guess("alice", 1), now) {
            Ok(admission) => {
                failed += 1;
                admission.failed(now);
            }
            Err(refused) => now = now.plus(refused.0),
        }
    }

    assert!(throttle.admit(&guess("alice", 1), now).is_err());
    for other in [
        guess("alice", 2),
        guess("bob", 1),
        Guess {
            factor: Factor::Totp,
            ..guess("alice", 1)
        },
    ] {
        assert!(throttle.admit(&other, now).is_ok(), "{other:?}");
    }
}

#[test]
fn one_source_fails_fifty_times_in_ten_minutes_whatever_the_accounts() {
    let throttle = throttle();
    let failed = (0..60_u32).filter(|number| {
        let admitted = throttle.admit(&guess(&format!("user{number}"), 1), NOW);
        admitted.map(|admission| admission.failed(NOW)).is_ok()
    });
    assert_eq!(failed.count(), 50);

    let refused = throttle.admit(&guess("alice", 1), NOW).unwrap_err();

    assert_eq!(refused.seconds(), 600);
    assert!(throttle.admit(&guess("alice", 2), NOW).is_ok());
    assert!(throttle.admit(&guess("alice", 1), NOW.plus(refused.0)).is_ok());
}

#[test]
fn a_source_that_was_refused_fills_no_memory_with_accounts() {
    let throttle = throttle();
    for number in 0..500 {
        let admitted = throttle.admit(&guess(&format!("user{number}"), 1), NOW);
        drop(admitted);
    }

    throttle.pairs.run_pending_tasks();
    throttle.accounts.run_pending_tasks();

    assert_eq!(
        (throttle.pairs.entry_count(), throttle.accounts.entry_count()),
        (50, 50)
    );
}

#[test]
fn strangers_fail_a_hundred_times_an_hour_and_never_keep_the_person_out() {
    let throttle = throttle();
    let home = guess("alice", 1);
    throttle.admit(&home, NOW).unwrap().succeeded(NOW);
    let failed = (2..200_u32).filter(|source| {
        let admitted = throttle.admit(&guess("alice", *source), NOW);
        admitted.map(|admission| admission.failed(NOW)).is_ok()
    });
    assert_eq!(failed.count(), 100);

    assert_eq!(throttle.admit(&guess("alice", 999), NOW).unwrap_err().seconds(), 3_600);
    assert!(throttle.admit(&home, NOW).is_ok());
    assert!(throttle.admit(&guess("bob", 999), NOW).is_ok());
}

/// Somebody who knows the password could otherwise guess codes from everywhere.
#[test]
fn a_source_is_known_only_for_the_factor_it_proved_and_for_thirty_days() {
    let throttle = throttle();
    let totp = |source| Guess {
        factor: Factor::Totp,
        ..guess("alice", source)
    };
    throttle.admit(&guess("alice", 1), NOW).unwrap().succeeded(NOW);
    throttle.admit(&totp(2), NOW).unwrap().succeeded(NOW);
    let later = NOW.plus(PROVED_FOR);
    let last = Timestamp::from_millis(later.millis() - 1);
    for source in 1_000..1_100 {
        throttle.admit(&totp(source), last).unwrap().failed(last);
    }

    assert!(throttle.admit(&totp(1), last).is_err());
    assert!(throttle.admit(&totp(2), last).is_ok());
    assert!(throttle.admit(&totp(2), later).is_err());
}

#[test]
fn a_guess_that_was_withdrawn_was_none_and_one_that_was_dropped_failed() {
    let throttle = throttle();
    for _ in 0..200 {
        throttle.admit(&guess("alice", 1), NOW).unwrap().withdrawn();
    }
    for _ in 0..6 {
        drop(throttle.admit(&guess("alice", 1), NOW).unwrap());
    }

    assert_eq!(throttle.admit(&guess("alice", 1), NOW).unwrap_err().seconds(), 1);
    let later = NOW.plus(Duration::from_secs(1));
    throttle.admit(&guess("alice", 1), later).unwrap().withdrawn();
    assert!(throttle.admit(&guess("alice", 1), later).is_ok());
}

#[test]
fn a_login_counts_in_any_case_and_at_any_length() {
    assert_eq!(AccountKey::of("Alice"), AccountKey::of("aLICE"));
    assert_ne!(AccountKey::of("alice"), AccountKey::of("alicia"));
    assert_ne!(AccountKey::of(&"a".repeat(100)), AccountKey::of(&"a".repeat(101)));
    assert_eq!(AccountKey::of(&"a".repeat(101)), AccountKey::of(&"a".repeat(100_000)));
}

#[test]
fn a_source_is_an_ipv4_address_or_half_an_ipv6_address() {
    let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
    assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
    assert_eq!(source("2001:db8:0:1::1"), source("2001:db8:0:1:ffff::2"));
    assert_ne!(source("2001:db8:0:1::1"), source("2001:db8:0:2::1"));
    assert_eq!(source("::1"), Source::from(IpAddr::V6(Ipv6Addr::LOCALHOST)));
}

/// Many at once get no more than one by one, whichever rule stands in the way.
#[test]
fn guesses_made_at_the_same_time_do_not_slip_through() {
    type Guesses = fn(u32) -> Guess;
    let cases: [(Guesses, usize); 3] = [
        (|_| guess("alice", 1), 6),
        (|number| guess(&format!("user{number}"), 1), 50),
        (|number| guess("alice", number), 100),
    ];
    for (guess, most) in cases {
        let throttle = throttle();
        let barrier = Barrier::new(8);

        let admitted: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..8_u32)
                .map(|thread| {
                    let (throttle, barrier) = (&throttle, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        let admit = |number| throttle.admit(&guess(thread * 25 + number), NOW).ok();
                        let admitted: Vec<Admission> = (0..25).filter_map(admit).collect();
                        barrier.wait();
                        admitted.len()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });

        assert_eq!(admitted, most);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, the throttle admits what the rules, read off the whole history, admit.
    #[test]
    fn the_throttle_admits_what_the_rules_admit(
        accounts in 1..10_u32,
        sources in 1..40_u32,
        right in prop::sample::select(vec![0, 3, 20]),
        steps in prop::collection::vec((any::<u32>(), any::<u32>(), 0..100_u8, any::<bool>(), 0..200_000_i64), 1..400),
    ) {
        let throttle = throttle();
        let mut history = History::default();
        let mut now = NOW;
        for (account, source, chance, is_quick, step) in steps {
            now = Timestamp::from_millis(now.millis() + 1 + if is_quick { step / 1_000 } else { step / 10 });
            let guess = guess(&format!("user{}", account % accounts), source % sources);
            let admitted = throttle.admit(&guess, now);
            prop_assert_eq!(admitted.is_ok(), history.admits(&guess, now));
            if let Ok(admission) = admitted {
                let succeeds = chance < right;
                match succeeds {
                    true => admission.succeeded(now),
                    false => admission.failed(now),
                }
                history.0.entry(guess).or_default().push((now, succeeds));
            }
        }
    }

    /// Who waits as long as they are told is admitted, unless somebody else guessed meanwhile.
    #[test]
    fn the_wait_that_is_told_is_the_wait_it_takes(failures in 0..200_usize, accounts in 1..80_usize) {
        let throttle = throttle();
        for number in 0..failures {
            if let Ok(admission) = throttle.admit(&guess(&format!("user{}", number % accounts), 1), NOW) {
                admission.failed(NOW);
            }
        }
        if let Err(refused) = throttle.admit(&guess("user0", 1), NOW) {
            let mut now = NOW.plus(refused.0);
            while let Err(refused) = throttle.admit(&guess("user0", 1), now) {
                prop_assert!(refused.0 <= PER_SOURCE.1);
                now = now.plus(refused.0);
            }
            prop_assert!(now <= NOW.plus(PER_SOURCE.1));
        }
    }
}

/// Every guess that was admitted, with its outcome.
#[derive(Default)]
struct History(HashMap<Guess, Vec<(Timestamp, bool)>>);

impl History {
    fn admits(&self, guess: &Guess, now: Timestamp) -> bool {
        let of_source = |other: &Guess| other.source == guess.source && other.factor == guess.factor;
        let is_stranger = |other: &Guess| {
            let proved = |at: Timestamp, (proved, succeeded): &(Timestamp, bool)| *succeeded && *proved < at;
            let guesses = self.0.get(other);
            move |at: Timestamp| !guesses.is_some_and(|guesses| guesses.iter().any(|guess| proved(at, guess)))
        };
        let recent = |guesses: &[(Timestamp, bool)], period: Duration, counts: &dyn Fn(Timestamp) -> bool| {
            let failures = guesses
                .iter()
                .filter(|(at, succeeded)| !succeeded && at.plus(period) > now);
            failures.filter(|(at, _)| counts(*at)).count()
        };
        let from_source: usize = self
            .0
            .iter()
            .filter(|(other, _)| of_source(other))
            .map(|(_, guesses)| recent(guesses, PER_SOURCE.1, &|_| true))
            .sum();
        let from_strangers: usize = self
            .0
            .iter()
            .filter(|(other, _)| other.account == guess.account && other.factor == guess.factor)
            .map(|(other, guesses)| recent(guesses, PER_ACCOUNT.1, &is_stranger(other)))
            .sum();
        let waits = self.waits_until(guess).is_some_and(|end| end > now);
        from_source < PER_SOURCE.0 && (!is_stranger(guess)(now) || from_strangers < PER_ACCOUNT.0) && !waits
    }

    fn waits_until(&self, guess: &Guess) -> Option<Timestamp> {
        let guesses = self.0.get(guess)?;
        let failed = guesses.iter().rev().take_while(|(_, succeeded)| !succeeded);
        let wait = match failed.count() {
            0..=5 => 0,
            failures @ 6..=14 => 2_u64.pow(u32::try_from(failures).unwrap() - 6),
            _ => 300,
        };
        guesses.last().map(|(at, _)| at.plus(Duration::from_secs(wait)))
    }
}

fn fail(throttle: &Throttle, guess: &Guess, times: usize, now: Timestamp) {
    for _ in 0..times {
        throttle.admit(guess, now).unwrap().failed(now);
    }
}

fn guess(login: &str, source: u32) -> Guess {
    Guess {
        account: AccountKey::of(login),
        factor: Factor::Password,
        source: Source::V4(Ipv4Addr::from_bits(source)),
    }
}

fn throttle() -> Throttle {
    Throttle::new(10_000)
}

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
