//! What is asked, and what may come back? The model: who, under which rules, gets what from which application.

use std::time::{Duration, Instant};

use latchkey_tests::answer::Answer;

use crate::model::{History, Outcome, Rules, Server, Settings, Trust};

/// All that decides, but for the credentials.
pub(crate) struct World {
    /// The policies.
    pub(crate) rules: History<Rules>,
    /// The configuration.
    pub(crate) settings: History<Settings>,
    /// The second application's server.
    pub(crate) server: History<Server>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Page,
    Closed,
    Open,
    /// Only administrators see it, and nobody here is one.
    Admin,
    /// So many octets are sent.
    Write(usize),
    Large,
    /// The second application.
    Other,
    ServerError,
    Slow,
    /// It ends the connection without an answer.
    Silent,
    Garbage,
    Half,
}

/// Every kind, the ordinary ones more often.
const KINDS: [Kind; 20] = [
    Kind::Page,
    Kind::Closed,
    Kind::Open,
    Kind::Page,
    Kind::Write(10),
    Kind::Other,
    Kind::Page,
    Kind::Admin,
    Kind::ServerError,
    Kind::Closed,
    Kind::Write(2000),
    Kind::Page,
    Kind::Other,
    Kind::Slow,
    Kind::Open,
    Kind::Silent,
    Kind::Page,
    Kind::Garbage,
    Kind::Half,
    Kind::Large,
];

impl Kind {
    /// The kind of the question with this number.
    pub(crate) fn of(number: usize) -> Self {
        KINDS[number % KINDS.len()]
    }

    /// The application that it is put to.
    pub(crate) fn app(self) -> &'static str {
        if self == Self::Other { "payroll" } else { "wiki" }
    }

    /// Its path, which no other question has.
    pub(crate) fn path(self, unique: &str) -> String {
        let start = match self {
            Self::Page | Self::Other | Self::Write(_) => "page",
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Admin => "admin",
            Self::Large => "large",
            Self::ServerError => "fault-500",
            Self::Slow => "fault-slow",
            Self::Silent => "fault-silent",
            Self::Garbage => "fault-garbage",
            Self::Half => "fault-half",
        };
        format!("/{start}/{unique}")
    }

    /// Its body's length, where it has one.
    pub(crate) fn body(self) -> Option<usize> {
        match self {
            Self::Write(length) => Some(length),
            _ => None,
        }
    }

    /// What an application that is there makes of it.
    fn of_application(self) -> Outcome {
        match self {
            Self::ServerError => Outcome::Answered(500),
            Self::Silent | Self::Garbage => Outcome::BadGateway,
            Self::Half => Outcome::Broken,
            _ => Outcome::Answered(200),
        }
    }
}

impl World {
    /// What may come of it, if it was asked at `from` and answered at `to`.
    pub(crate) fn allowed(&self, who: Option<&History<Trust>>, kind: Kind, from: Instant, to: Instant) -> Vec<Outcome> {
        let trusts: Vec<Option<Trust>> =
            who.map_or(vec![None], |who| who.between(from, to).into_iter().map(Some).collect());
        let mut allowed = Vec::new();
        for trust in trusts {
            for rules in self.rules.between(from, to) {
                for settings in self.settings.between(from, to) {
                    for server in self.server.between(from.checked_sub(SEEN).unwrap_or(from), to) {
                        allowed.extend(judge(trust, rules, settings, server, kind));
                    }
                }
            }
        }
        allowed
    }
}

/// What comes of it when all that is so; more than one thing where the order of two checks is nobody's business.
fn judge(trust: Option<Trust>, rules: Rules, settings: Settings, server: Server, kind: Kind) -> Vec<Outcome> {
    let answered = if kind == Kind::Other && server == Server::Down {
        Outcome::BadGateway
    } else {
        kind.of_application()
    };
    if kind == Kind::Open && settings == Settings::Public {
        return vec![answered];
    }
    let too_large = settings == Settings::SmallBodies && kind.body().is_some_and(|length| length > SMALL);
    let too_large = too_large.then_some(Outcome::Refused(413, "body-too-large"));
    let closed = match kind {
        Kind::Admin => true,
        Kind::Closed => rules == Rules::Closed,
        Kind::Write(_) => rules == Rules::ReadOnly,
        _ => false,
    };
    let refused = match trust.map(Trust::refusal) {
        None => Some(Outcome::Refused(401, "not-signed-in")),
        Some(Some(code)) => Some(Outcome::Refused(403, code)),
        Some(None) => closed.then_some(Outcome::Refused(403, "policy-denied")),
    };
    match (refused, too_large) {
        (None, None) => vec![answered],
        (refused, too_large) => refused.into_iter().chain(too_large).collect(),
    }
}

/// What an answer is, and whose it is: nothing is ever told to somebody else, or in answer to another question.
///
/// # Errors
/// When it is not the answer to this question.
pub(crate) fn outcome(answer: &Answer, login: Option<&str>, path: &str, kind: Kind) -> Result<Outcome, String> {
    let code = answer.code();
    if !code.is_empty() {
        return Ok(match answer.status {
            502..=504 => Outcome::BadGateway,
            status => Outcome::Refused(status, known(&code)?),
        });
    }
    let length = answer.header("content-length").and_then(|length| length.parse().ok());
    if length.is_some_and(|length: usize| length > answer.body.len()) {
        return Ok(Outcome::Broken);
    }
    if kind == Kind::Large {
        let whole = answer.body.len() == LARGE << 20;
        return if whole {
            Ok(Outcome::Answered(answer.status))
        } else {
            Err(format!("{} octets", answer.body.len()))
        };
    }
    let told = |user: &str| format!("user={user};target={path};body={}", kind.body().unwrap_or_default());
    let text = answer.text();
    let is_ours = login.is_some_and(|login| text == told(login));
    if is_ours || (kind == Kind::Open && text == told("")) {
        Ok(Outcome::Answered(answer.status))
    } else {
        Err(format!("the application was told {text:?}"))
    }
}

fn known(code: &str) -> Result<&'static str, String> {
    let known = CODES.iter().find(|known| **known == code);
    known.copied().ok_or_else(|| format!("the code is {code}"))
}

const CODES: [&str; 7] = [
    "not-signed-in",
    "policy-denied",
    "body-too-large",
    "device-suspended",
    "device-deactivated",
    "certificate-revoked",
    "user-inactive",
];

/// How many MiB a large answer has.
pub(crate) const LARGE: usize = 4;

/// How long the gateway may take to see that kept connections of a server that was away have ended.
const SEEN: Duration = Duration::from_secs(2);

/// How many octets a body may have where it has to be small: 1 KiB.
pub(crate) const SMALL: usize = 1024;
