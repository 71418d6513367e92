//! Which codes went out by mail and were not used yet? One for each browser, kept hashed, good once, for minutes.
//!
//! The code and the link count in the browser alone that asked. Whether a letter left makes no difference here: for an
//! unknown username all is as it would be, and nothing ever fits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::{SecretHash, Timestamp, UserId};
use zeroize::Zeroizing;

use super::throttle::AccountKey;
use crate::waiting::Waiting;

/// The codes that were asked for.
pub(crate) struct MailedCodes(Waiting<SecretHash, SecretHash, Arc<Mailed>>);

/// What was asked for in one browser.
#[derive(Debug)]
pub(crate) struct Mailed {
    /// Whose code it is, by the name that was typed.
    pub(crate) account: AccountKey,
    /// Who gets the letter; nobody where nobody of that name can.
    pub(crate) recipient: Option<Recipient>,
    /// The step of the sign-in that asked, sealed.
    pub(crate) state: String,
    /// From when on neither code nor link counts.
    pub(crate) ends: Timestamp,
    code: SecretHash,
    link: SecretHash,
    wrong: AtomicU8,
}

/// Who gets a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recipient {
    /// Who.
    pub(crate) user: UserId,
    /// The SHA-256 of the address.
    pub(crate) address: SecretHash,
}

/// What the letter says, and nobody else.
pub(crate) struct Secrets {
    /// Eight digits.
    pub(crate) code: Zeroizing<String>,
    /// The token in the link: 256 random bits.
    pub(crate) link: Zeroizing<String>,
}

impl Secrets {
    /// New ones from the randomness that the caller brings.
    pub(crate) fn from_random(code: u64, link: &[u8; 32]) -> Self {
        Self {
            code: Zeroizing::new(format!("{:08}", code % CODES)),
            link: Zeroizing::new(URL_SAFE_NO_PAD.encode(link)),
        }
    }

    /// The code as people read it: `1234 5678`.
    pub(crate) fn readable(&self) -> Zeroizing<String> {
        let (first, second) = self.code.split_at_checked(4).unwrap_or((&self.code, ""));
        Zeroizing::new(format!("{first} {second}"))
    }
}

impl MailedCodes {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Waiting::new(MOST, 1, GOOD_FOR))
    }

    /// Keeps what was asked for in a browser; what it asked for before counts no longer. `bind` makes of a code a hash that
    /// nobody can make who has not the browser's cookie, which is not kept: no one of eight digits is found by trying.
    pub(crate) fn keep(&self, browser: SecretHash, asked: Asked, secrets: &Secrets, bind: impl Fn(&str) -> SecretHash) {
        let mailed = Mailed {
            account: asked.account,
            recipient: asked.recipient,
            state: asked.state,
            ends: asked.ends,
            code: bind(&secrets.code),
            link: SecretHash::of(&secrets.link),
            wrong: AtomicU8::new(0),
        };
        self.0.keep(browser, browser, Arc::new(mailed));
    }

    /// What this browser waits for.
    pub(crate) fn of(&self, browser: SecretHash, now: Timestamp) -> Option<Arc<Mailed>> {
        self.0.get(&browser).filter(|mailed| now < mailed.ends)
    }

    /// Takes what the code or the link belongs to: of two who bring it, one gets it. The last wrong one that is let through
    /// takes it away.
    pub(crate) fn take(&self, browser: SecretHash, shown: Shown, now: Timestamp) -> Option<Arc<Mailed>> {
        let mailed = self.of(browser, now)?;
        let fits = match &shown {
            Shown::Code { account, code } => mailed.account == *account && mailed.code == *code,
            Shown::Link(link) => mailed.link == *link,
        };
        if fits {
            let taken = self.0.take(&browser)?;
            return Arc::ptr_eq(&taken, &mailed).then_some(taken);
        }
        if mailed.wrong.fetch_add(1, Ordering::Relaxed) >= MOST_WRONG - 1 {
            self.0.take(&browser);
        }
        None
    }
}

/// What is asked for.
pub(crate) struct Asked {
    /// By the name that was typed.
    pub(crate) account: AccountKey,
    /// Who gets the letter.
    pub(crate) recipient: Option<Recipient>,
    /// The step of the sign-in, sealed.
    pub(crate) state: String,
    /// From when on it does not count.
    pub(crate) ends: Timestamp,
}

/// What somebody brings.
pub(crate) enum Shown {
    /// A code, for this account.
    Code {
        /// By the name that was typed.
        account: AccountKey,
        /// Bound to the browser.
        code: SecretHash,
    },
    /// The link.
    Link(SecretHash),
}

impl Mailed {
    /// Whether this link is the one that went out, without using it up.
    pub(crate) fn has_link(&self, token: &str) -> bool {
        self.link == SecretHash::of(token)
    }
}

/// How long a code and a link are good.
pub(crate) const GOOD_FOR: Duration = Duration::from_mins(10);

/// How many browsers may wait.
const MOST: usize = 20_000;

/// How many wrong codes take it away.
const MOST_WRONG: u8 = 5;

/// How many codes there are.
const CODES: u64 = 100_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    /// A code counts once, in its browser, for its account, while its time lasts. Control: each time a code as it should be.
    #[test]
    fn a_code_counts_once_in_its_browser_for_its_account_and_in_its_time() {
        let (codes, own, other) = (MailedCodes::new(), SecretHash::of("own"), SecretHash::of("other"));
        let code = |codes: &MailedCodes, browser, account: &str, code: &str, now| {
            codes.take(browser, shown(account, code), now).is_some()
        };
        asked(&codes, own, "alice");

        assert!(!code(&codes, other, "alice", "00000007", NOW), "another browser");
        assert!(!code(&codes, own, "bob", "00000007", NOW), "another account");
        assert!(!code(&codes, own, "alice", "00000008", NOW), "another code");
        assert!(!code(&codes, own, "alice", "00000007", NOW.plus(GOOD_FOR)), "too late");
        assert!(code(&codes, own, "alice", "00000007", NOW), "control");
        assert!(!code(&codes, own, "alice", "00000007", NOW), "used");
    }

    #[test]
    fn a_new_code_voids_the_old_one_and_the_link_goes_with_the_code() {
        let (codes, own) = (MailedCodes::new(), SecretHash::of("own"));
        asked(&codes, own, "alice");
        let secrets = Secrets::from_random(9, &[9; 32]);
        codes.keep(own, asked_for("alice"), &secrets, SecretHash::of);

        assert!(
            codes.take(own, shown("alice", "00000007"), NOW).is_none(),
            "the old one"
        );
        let link = SecretHash::of(&secrets.link);
        assert!(codes.take(own, Shown::Link(link), NOW).is_some(), "the new one's link");
        assert!(
            codes.take(own, shown("alice", "00000009"), NOW).is_none(),
            "used with its link"
        );
    }

    /// The fifth wrong code takes the right one away. Control: after four it is there.
    #[test]
    fn wrong_codes_take_the_right_one_away() {
        for (wrong, is_there) in [(4, true), (5, false)] {
            let (codes, own) = (MailedCodes::new(), SecretHash::of("own"));
            asked(&codes, own, "alice");
            for _ in 0..wrong {
                assert!(codes.take(own, shown("alice", "12345678"), NOW).is_none());
            }
            assert_eq!(
                codes.take(own, shown("alice", "00000007"), NOW).is_some(),
                is_there,
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_code_has_eight_digits_and_reads_in_two_groups() {
        let secrets = Secrets::from_random(1_000_000_123, &[0; 32]);
        assert_eq!(*secrets.code, "00000123");
        assert_eq!(*secrets.readable(), "0000 0123");
    }

    fn asked(codes: &MailedCodes, browser: SecretHash, account: &str) {
        let secrets = Secrets::from_random(7, &[7; 32]);
        codes.keep(browser, asked_for(account), &secrets, SecretHash::of);
    }

    fn asked_for(account: &str) -> Asked {
        Asked {
            account: AccountKey::of(account),
            recipient: None,
            state: String::new(),
            ends: NOW.plus(GOOD_FOR),
        }
    }

    fn shown(account: &str, code: &str) -> Shown {
        Shown::Code {
            account: AccountKey::of(account),
            code: SecretHash::of(code),
        }
    }
}
