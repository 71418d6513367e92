//! How is a page's challenge answered? Checked whole, asked about where it demands that, signed, and sent to the gateway.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use device_checks::loopback::{
    CHALLENGE_PATH, ChallengeAnswered, ChallengeRequest, LoopbackErrorCode, PROBE_PATH, Probed,
};
use device_checks::wire::{ANSWERS_PATH, AnswerTaken, Answered, Organization, Timestamp, VerificationMethod};
use device_checks::{Challenge, Outcome};
use http::{Method, StatusCode};
use tokio::sync::Notify;

use super::known::Known;
use super::reply::Reply;
use super::server::{Call, Pages};
use super::way::{Means, Way, may_ask, way};
use crate::assertion::{AccountKey, AssertError};
use crate::challenge::{BadChallenge, VerifiedChallenge};
use crate::cli::error::chain;
use crate::gateway::{Ask, Gateway};
use crate::installation::{Clock, Installation};
use crate::keys::{Confirmed, KeyError};
use crate::pam::{self, PamError};
use crate::prompt::{Decision, Prompt, Question};
use crate::report::{self, Facts, Said};
use crate::signals::Collector;
use crate::state::{Account, Folder, State, Verification};

/// Answers challenges for the accounts in a folder.
pub struct Authenticator {
    folder: Folder,
    now: Clock,
    prompt: Prompt,
    known: Mutex<Option<Arc<Known>>>,
    /// Held while a user is asked: one question at a time.
    question: tokio::sync::Mutex<()>,
    pub(super) warned: Mutex<Option<Instant>>,
    moved: Notify,
}

/// Says why a challenge is not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("expected a challenge")]
    NotOne,
    #[error(transparent)]
    Challenge(#[from] BadChallenge),
    #[error("no such user has an account on this device that signs in")]
    NoAccount,
    #[error("several users have an account on this device: say which one")]
    WhichAccount,
    #[error("another question is open on this device: answer it first")]
    Busy,
    #[error("{0}")]
    NotTaken(String),
    #[error("{0}")]
    Failed(String),
}

/// What a user, or the lack of one, made of a challenge.
enum Decided {
    /// Signed by the user-verification key.
    Verified(String),
    /// To be signed by the possession key.
    Possession(Outcome),
}

impl Authenticator {
    /// Answers for the accounts in this folder; users are asked by this prompt.
    pub fn new(folder: Folder, now: Clock, prompt: Prompt) -> Self {
        Self {
            folder,
            now,
            prompt,
            known: Mutex::default(),
            question: tokio::sync::Mutex::default(),
            warned: Mutex::default(),
            moved: Notify::new(),
        }
    }

    /// The ports where pages look.
    pub fn ports(&self) -> Vec<u16> {
        let state = self.folder.load().ok().flatten();
        state.as_ref().map(State::loopback_ports).unwrap_or_default().to_vec()
    }

    /// Waits until the gateway publishes other ports.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Remembers what the gateway says of the ports; while another command writes, the next time will do.
    pub fn learn(&self, organization: &Organization) {
        if self.folder.learn(organization).is_ok_and(|is_new| is_new) {
            self.moved.notify_one();
        }
    }

    /// Opens what the first challenge would else wait for.
    pub async fn prepare(&self) {
        if let Ok(known) = self.known() {
            for account in &known.installation.state.accounts {
                let _ = known.possession(account).await;
            }
            let _ = self.gateway(&known).await;
        }
    }

    /// What is enrolled now, with what was opened for it; a state that changed is opened anew.
    pub(crate) fn known(&self) -> Result<Arc<Known>, Unanswered> {
        let failed = |error: &(dyn std::error::Error + 'static)| Unanswered::Failed(chain(error));
        let state = self.folder.require().map_err(|error| failed(&error))?;
        let mut kept = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(known) if known.installation.state == state => Ok(Arc::clone(known)),
            _ => {
                let installation = Installation::open(self.folder.clone(), self.now).map_err(|error| failed(&error))?;
                Ok(Arc::clone(kept.insert(Arc::new(Known::new(installation)))))
            }
        }
    }

    async fn challenge(&self, body: &[u8]) -> Result<ChallengeAnswered, Unanswered> {
        let known = self.known()?;
        let pinned = &known.installation.state.gateway;
        let ChallengeRequest { challenge_request } = serde_json::from_slice(body).map_err(|_| Unanswered::NotOne)?;
        // The page is the pinned issuer's: nobody else gets here.
        let challenge = VerifiedChallenge::check(&challenge_request, pinned, &pinned.issuer, self.now())?;
        let asked = challenge.asked();
        let account = choose(&known.installation.state, asked)?;
        let means = Means {
            verification: account.verification.is_some(),
            attended: may_ask(asked) && self.prompt.is_attended().await,
        };
        let decided = match way(asked, means) {
            Way::Silent => Decided::Possession(Outcome::Approved),
            Way::Unavailable => Decided::Possession(Outcome::VerificationUnavailable),
            Way::Approval => {
                let _asking = self.question.try_lock().map_err(|_| Unanswered::Busy)?;
                Decided::Possession(self.approval(account, asked).await)
            }
            Way::Verified => {
                let _asking = self.question.try_lock().map_err(|_| Unanswered::Busy)?;
                self.verified(&known, account, asked).await?
            }
        };
        let (answer, outcome) = match decided {
            Decided::Verified(answer) => (answer, Outcome::Approved),
            Decided::Possession(outcome) => (self.possessed(&known, account, asked, outcome).await?, outcome),
        };
        self.deliver(&known, asked, answer).await?;
        tracing::info!(account = account.login, ?outcome, "answered a challenge");
        Ok(ChallengeAnswered {
            approved: outcome == Outcome::Approved,
        })
    }

    /// What the user says who has to approve.
    async fn approval(&self, account: &Account, asked: &Challenge) -> Outcome {
        let question = Question::about(account, asked, false);
        match self.prompt.ask(&question, self.left(asked)).await {
            Decision::Approved(_) => Outcome::Approved,
            refused => without_key(&refused),
        }
    }

    /// What the user says who has to approve and be verified.
    async fn verified(&self, known: &Known, account: &Account, asked: &Challenge) -> Result<Decided, Unanswered> {
        match &account.verification {
            Some(verification) if verification.method == VerificationMethod::Pin => {
                self.by_pin(known, account, asked).await
            }
            Some(verification) => self.by_service(known, account, verification, asked).await,
            None => Ok(Decided::Possession(Outcome::VerificationUnavailable)),
        }
    }

    /// What the user says who is verified by a service of the operating system: first to whom they say it.
    async fn by_service(
        &self,
        known: &Known,
        account: &Account,
        verification: &Verification,
        asked: &Challenge,
    ) -> Result<Decided, Unanswered> {
        let question = Question::about(account, asked, false).followed_by(verification.method);
        match self.prompt.ask(&question, self.left(asked)).await {
            Decision::Approved(_) => {}
            refused => return Ok(Decided::Possession(without_key(&refused))),
        }
        let answered = match self.confirmed(account, verification, asked).await {
            Ok(confirmed) => self.try_confirmed(known, account, asked, &confirmed).await,
            Err(PamError::Cancelled) => return Ok(Decided::Possession(Outcome::Cancelled)),
            Err(error) => Err(error.into()),
        };
        Ok(answered.map_or_else(
            |error| {
                let error = chain(&error);
                tracing::warn!(account = account.login, error, "the user cannot be verified");
                Decided::Possession(Outcome::VerificationUnavailable)
            },
            Decided::Verified,
        ))
    }

    /// Has the account's service verify the user, for as long as the challenge can be answered.
    pub(crate) async fn confirmed(
        &self,
        account: &Account,
        verification: &Verification,
        asked: &Challenge,
    ) -> Result<Confirmed, PamError> {
        let service = verification.service()?;
        let verified = pam::verify(&service, &account.login, &self.prompt, self.left(asked)).await;
        verified.map(Confirmed::Checked)
    }

    /// What the user says who approves with a PIN, for as many wrong ones as are allowed.
    async fn by_pin(&self, known: &Known, account: &Account, asked: &Challenge) -> Result<Decided, Unanswered> {
        let mut question = Question::about(account, asked, true);
        while question.again < TRIES {
            let pin = match self.prompt.ask(&question, self.left(asked)).await {
                Decision::Approved(given) => given.pin,
                refused => return Ok(Decided::Possession(without_key(&refused))),
            };
            question.again = question.again.saturating_add(1);
            if pin.is_empty() {
                continue;
            }
            match self.try_confirmed(known, account, asked, &Confirmed::Pin(pin)).await {
                Ok(answer) => return Ok(Decided::Verified(answer)),
                Err(error) => match error.wrong_pin() {
                    Some(left) => question.tries_left = left,
                    None => {
                        tracing::warn!(
                            account = account.login,
                            error = chain(&error),
                            "the user cannot be verified"
                        );
                        break;
                    }
                },
            }
        }
        Ok(Decided::Possession(Outcome::VerificationUnavailable))
    }

    /// Signs by the user-verification key; hardware finds a wrong PIN only when the key signs.
    async fn try_confirmed(
        &self,
        known: &Known,
        account: &Account,
        asked: &Challenge,
        confirmed: &Confirmed,
    ) -> Result<String, AssertError> {
        let facts = facts(known, account, asked).await?;
        let (key, _turn) = self.open(known, account, confirmed).await?;
        let claims = said(&key, asked, Outcome::Approved).about(account, asked, &facts, self.now());
        Ok(report::sign(key.key, claims).await?)
    }

    /// The user-verification key, and the turn to try a PIN for as long as it is used.
    pub(crate) async fn open(
        &self,
        known: &Known,
        account: &Account,
        confirmed: &Confirmed,
    ) -> Result<(AccountKey, Option<File>), AssertError> {
        let folder = self.folder.clone();
        let turn = match confirmed {
            Confirmed::Pin(_) => {
                let turn = tokio::task::spawn_blocking(move || folder.turn_to_try_a_pin());
                // Without the lock it is tried nevertheless: the counts are kept elsewhere.
                turn.await.map_err(|_| KeyError::Worker)?.ok()
            }
            Confirmed::Checked(_) => None,
        };
        let key = AccountKey::verification(&known.installation.store, account, confirmed, self.now()).await?;
        Ok((key, turn))
    }

    /// Waits until no question is open, and keeps others from being asked meanwhile.
    pub(crate) async fn one_question(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.question.lock().await
    }

    /// How the user is asked.
    pub(crate) fn prompt(&self) -> &Prompt {
        &self.prompt
    }

    /// Signs by the possession key.
    async fn possessed(
        &self,
        known: &Known,
        account: &Account,
        asked: &Challenge,
        outcome: Outcome,
    ) -> Result<String, Unanswered> {
        let failed = |error: &(dyn std::error::Error + 'static)| Unanswered::Failed(chain(error));
        let facts = facts(known, account, asked).await.map_err(|error| failed(&error))?;
        let key = known.possession(account).await.map_err(|error| failed(&error))?;
        let claims = said(&key, asked, outcome).about(account, asked, &facts, self.now());
        report::sign(key.key, claims).await.map_err(|error| failed(&error))
    }

    /// Sends an answer to the gateway.
    pub(super) async fn deliver(&self, known: &Known, asked: &Challenge, answer: String) -> Result<(), Unanswered> {
        let attempt = asked.jti;
        let answered = Answered { attempt, answer };
        let gateway = self.gateway(known).await?;
        let taken: Result<AnswerTaken, _> = gateway.ask(Ask::post(ANSWERS_PATH, &answered)).await;
        match taken {
            Ok(_) => Ok(()),
            Err(error) => {
                if let Some(refusal) = error.refusal() {
                    return Err(Unanswered::NotTaken(refusal.line()));
                }
                known.part().await;
                Err(Unanswered::NotTaken(chain(&error)))
            }
        }
    }

    /// The gateway, which is the pinned one.
    pub(crate) async fn gateway(&self, known: &Known) -> Result<Gateway, Unanswered> {
        let met = known.gateway().await;
        let (gateway, organization) = met.map_err(|error| Unanswered::NotTaken(chain(&error)))?;
        if let Some(organization) = organization {
            self.learn(&organization);
        }
        Ok(gateway)
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// How long a challenge can be answered.
    pub(crate) fn left(&self, asked: &Challenge) -> Duration {
        let seconds = asked.exp.saturating_sub(self.now().secs());
        Duration::from_secs(seconds.try_into().unwrap_or_default())
    }
}

impl Pages for Authenticator {
    fn issuer(&self) -> Option<String> {
        Some(self.folder.load().ok()??.gateway.issuer)
    }

    async fn answer(&self, call: Call) -> Reply {
        match (&call.method, call.path.as_str()) {
            (&Method::GET, PROBE_PATH) => {
                if let Ok(known) = self.known() {
                    // A page that asks who is here has a challenge soon.
                    tokio::spawn(async move {
                        let signals = known.signals().await;
                        let _ = tokio::task::spawn_blocking(move || signals.refresh()).await;
                    });
                }
                Reply::done(&Probed {
                    version: 1,
                    enrolling: false,
                })
            }
            (&Method::POST, CHALLENGE_PATH) => match self.challenge(&call.body).await {
                Ok(answered) => Reply::done(&answered),
                Err(error) => {
                    tracing::warn!(%error, "did not answer a challenge");
                    Reply::error(error.code(), error.to_string())
                }
            },
            (_, PROBE_PATH | CHALLENGE_PATH) => Reply::empty(StatusCode::METHOD_NOT_ALLOWED),
            _ => Reply::empty(StatusCode::NOT_FOUND),
        }
    }

    fn warn(self: Arc<Self>, origin: String, body: Bytes) {
        tokio::spawn(self.report_foreign(origin, body));
    }
}

impl Unanswered {
    fn code(&self) -> LoopbackErrorCode {
        match self {
            Self::NotOne | Self::Challenge(_) => LoopbackErrorCode::BadChallenge,
            Self::NoAccount => LoopbackErrorCode::NoAccount,
            Self::WhichAccount => LoopbackErrorCode::WhichAccount,
            Self::Busy => LoopbackErrorCode::Busy,
            Self::NotTaken(_) => LoopbackErrorCode::NotTaken,
            Self::Failed(_) => LoopbackErrorCode::Failed,
        }
    }
}

/// The account that a challenge is for: of the login it names, or else the only one.
pub(super) fn choose<'a>(state: &'a State, asked: &Challenge) -> Result<&'a Account, Unanswered> {
    let hint = asked.sign_in.as_ref().and_then(|sign_in| sign_in.login_hint.as_deref());
    let is_named = |account: &Account| hint.is_none_or(|hint| account.login.eq_ignore_ascii_case(hint));
    let fit = || {
        state
            .accounts
            .iter()
            .filter(|account| account.fastpass && is_named(account))
    };
    if let Some(exact) = fit().find(|account| Some(account.login.as_str()) == hint) {
        return Ok(exact);
    }
    match (fit().next(), fit().nth(1)) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Unanswered::NoAccount),
        (Some(_), Some(_)) => Err(Unanswered::WhichAccount),
    }
}

async fn facts(known: &Known, account: &Account, asked: &Challenge) -> Result<Facts, KeyError> {
    let signals: Arc<dyn Collector> = known.signals().await;
    Facts::collect(&known.installation, account, asked, &signals).await
}

fn said(key: &AccountKey, asked: &Challenge, outcome: Outcome) -> Said {
    Said {
        key_type: key.key_type,
        amr: key.amr.clone(),
        // Checked: it is where the page is.
        origin: asked.origin.clone(),
        outcome,
    }
}

fn without_key(decision: &Decision) -> Outcome {
    match decision {
        Decision::Approved(_) | Decision::Unavailable => Outcome::VerificationUnavailable,
        Decision::Denied | Decision::NotMe => Outcome::Denied,
        Decision::Dismissed => Outcome::Cancelled,
    }
}

/// How many PINs a user may try for one challenge.
pub(crate) const TRIES: u32 = 3;
