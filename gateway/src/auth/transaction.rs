//! How does a browser get from an application's host to the auth host and back? By two tickets that nobody else can use.
//!
//! The way there carries everything sealed, so that starting sign-ins fills no memory. The way back carries a code: good
//! once, for seconds, at this host, in the browser that began.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::{SecretHash, SessionId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::pages::Language;
use crate::request::Arrived;
use crate::sealed::{BadSeal, Purpose, Seal};
use crate::setup::Setup;
use crate::waiting::Waiting;

/// What was asked for at an application's host by somebody who has to sign in first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    /// The application's name.
    pub(crate) application: String,
    /// The host, with the port at which browsers reach the gateway.
    pub(crate) authority: String,
    /// The path and query to go back to.
    pub(crate) target: String,
    /// The hash of the cookie that binds it to the browser.
    pub(crate) binding: SecretHash,
    /// When it began.
    pub(crate) begun: Timestamp,
}

/// What a code is exchanged for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// Where it is good, and for whom.
    pub(crate) transaction: Transaction,
    /// The session.
    pub(crate) session: SessionId,
    /// The generation that the new cookie will stand for.
    pub(crate) generation: u32,
    /// The language that was chosen on the auth host, if one was.
    pub(crate) language: Option<Language>,
    ends: Timestamp,
}

/// The codes that were handed out and not used yet.
pub(crate) struct Codes(Waiting<SessionId, SecretHash, Exchange>);

/// Says that a code is not one that counts here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadCode {
    /// It was never handed out, was used, or is over.
    #[error("the code is unknown, was used, or is over")]
    Unknown,
    /// It was handed out for another host.
    #[error("the code is for another host")]
    Elsewhere,
    /// Another browser began, or another tab of this one, whose cookie took the place of the first one's.
    #[error("the code is for another browser")]
    OtherBrowser {
        /// What was asked for at this host.
        target: String,
    },
}

impl Transaction {
    /// A transaction for what was asked for, bound to this browser.
    pub(crate) fn of(arrived: &Arrived, setup: &Setup, binding: SecretHash, now: Timestamp) -> Self {
        let target = if arrived.target.len() <= LONGEST_TARGET && arrived.target.starts_with('/') {
            arrived.target.clone()
        } else {
            "/".to_owned()
        };
        Self {
            application: arrived.site.name().to_owned(),
            // Whatever port a client wrote: what listens there may be somebody else.
            authority: arrived.public_authority(setup),
            target,
            binding,
            begun: now,
        }
    }

    /// Seals it for the way.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn seal(&self, seal: &Seal) -> Result<String, serde_json::Error> {
        seal.seal(Purpose::Transaction, self)
    }

    /// Opens one that came.
    ///
    /// # Errors
    /// If it was not sealed here, or began too long ago.
    pub(crate) fn open(seal: &Seal, sealed: &str, now: Timestamp) -> Result<Self, BadSeal> {
        let transaction: Self = seal.open(Purpose::Transaction, sealed)?;
        let over = transaction.begun.plus(PATIENCE) <= now || now.plus(SKEW) < transaction.begun;
        if over { Err(BadSeal) } else { Ok(transaction) }
    }

    /// The origin of the application's host.
    pub(crate) fn origin(&self) -> String {
        format!("https://{}", self.authority)
    }

    /// The host without its port.
    pub(crate) fn host(&self) -> String {
        let name = self.authority.split(':').next().unwrap_or_default();
        name.to_ascii_lowercase()
    }

    /// The path without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("/")
    }
}

impl Codes {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Waiting::new(MOST_CODES, MOST_OF_ONE_SESSION, GOOD_FOR * 2))
    }

    /// Hands out a code.
    pub(crate) fn issue(
        &self,
        transaction: Transaction,
        session: SessionId,
        generation: u32,
        language: Option<Language>,
        now: Timestamp,
    ) -> String {
        let code = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let exchange = Exchange {
            transaction,
            session,
            generation,
            language,
            ends: now.plus(GOOD_FOR),
        };
        self.0.keep(session, SecretHash::of(&code), exchange);
        code
    }

    /// Takes a code; whatever comes of it, it is used up.
    ///
    /// # Errors
    /// If it does not count at this host in this browser now.
    pub(crate) fn take(
        &self,
        code: &str,
        host: &str,
        binding: Option<SecretHash>,
        now: Timestamp,
    ) -> Result<Exchange, BadCode> {
        let exchange = self.0.take(&SecretHash::of(code)).ok_or(BadCode::Unknown)?;
        if exchange.ends <= now {
            return Err(BadCode::Unknown);
        }
        if exchange.transaction.host() != host {
            return Err(BadCode::Elsewhere);
        }
        if binding != Some(exchange.transaction.binding) {
            let target = exchange.transaction.target;
            return Err(BadCode::OtherBrowser { target });
        }
        Ok(exchange)
    }
}

/// How long somebody may take to sign in.
const PATIENCE: Duration = Duration::from_mins(15);

/// How far a transaction may seem to begin in the future.
const SKEW: Duration = Duration::from_secs(5);

/// How long a code is good.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// How many codes may wait; each takes a session.
const MOST_CODES: usize = 50_000;

/// How many of one session may wait: so many tabs may open at once.
const MOST_OF_ONE_SESSION: usize = 64;

/// How long an address is that is gone back to; a longer one ends at the application's front page.
const LONGEST_TARGET: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    /// P-09: a code is good once, for seconds, at its host, in its browser. Control: each time the same code, as it should be.
    #[test]
    fn a_code_is_good_once_for_seconds_at_its_host_in_its_browser() {
        let codes = Codes::new();
        let binding = SecretHash::of("binding");
        let issue = || codes.issue(transaction(), SessionId::from_random(1), 1, None, NOW);
        let take = |code: &str, host: &str, binding, now| codes.take(code, host, binding, now).map(drop);
        let own = Some(binding);
        let (first, late, elsewhere, stolen) = (issue(), issue(), issue(), issue());

        assert_eq!(take(&first, "wiki.localhost", own, NOW), Ok(()));
        assert_eq!(take(&first, "wiki.localhost", own, NOW), Err(BadCode::Unknown));
        let over = NOW.plus(GOOD_FOR);
        assert_eq!(take(&late, "wiki.localhost", own, over), Err(BadCode::Unknown));
        assert_eq!(take(&elsewhere, "payroll.localhost", own, NOW), Err(BadCode::Elsewhere));
        let other = Some(SecretHash::of("another"));
        let target = transaction().target;
        let other_browser = Err(BadCode::OtherBrowser { target });
        assert_eq!(take(&stolen, "wiki.localhost", other, NOW), other_browser);
        assert_eq!(take(&stolen, "wiki.localhost", own, NOW), Err(BadCode::Unknown));
        assert_eq!(take(&issue(), "wiki.localhost", None, NOW), other_browser);
    }

    #[test]
    fn a_transaction_is_over_after_a_while_and_not_from_the_future() {
        let seal = Seal::new(&[1; 32]);
        let sealed = transaction().seal(&seal).unwrap();

        assert_eq!(Transaction::open(&seal, &sealed, NOW), Ok(transaction()));
        assert_eq!(Transaction::open(&seal, &sealed, NOW.plus(PATIENCE)), Err(BadSeal));
        assert_eq!(Transaction::open(&seal, &sealed, NOW.minus(PATIENCE)), Err(BadSeal));
    }

    fn transaction() -> Transaction {
        Transaction {
            application: "wiki".to_owned(),
            authority: "wiki.localhost:8443".to_owned(),
            target: "/a?b=c".to_owned(),
            binding: SecretHash::of("binding"),
            begun: NOW,
        }
    }
}
