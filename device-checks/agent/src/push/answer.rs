//! What does the user say to a push? They are asked, and what they say is signed and brought to the gateway.

use std::sync::Arc;

use device_checks::wire::{Answered, EnrollmentId, PUSH_ANSWERS_PATH, VerificationMethod};
use device_checks::{Challenge, PUSH_ANSWER_TYPE, PushAnswer, PushOutcome};

use crate::assertion::{AccountKey, AssertError, random};
use crate::challenge::VerifiedChallenge;
use crate::cli::error::chain;
use crate::gateway::Ask;
use crate::keys::{Confirmed, KeyError, sign_token};
use crate::loopback::Known;
use crate::loopback::authenticator::{Authenticator, TRIES, Unanswered};
use crate::loopback::way::{Means, Way, way};
use crate::pam::PamError;
use crate::prompt::{Decision, Given, Question};
use crate::state::{Account, Verification};

/// A push to one of the accounts.
pub(super) struct Push {
    pub(super) known: Arc<Known>,
    pub(super) enrollment: EnrollmentId,
    pub(super) challenge: VerifiedChallenge,
}

/// What the user made of it, signed.
struct Decided {
    outcome: PushOutcome,
    answer: String,
}

/// Asks the user, and tells the gateway what they say.
pub(super) async fn answer(authenticator: &Authenticator, push: &Push) -> Result<PushOutcome, Unanswered> {
    let asked = push.challenge.asked();
    let account = push.known.account(push.enrollment).ok_or(Unanswered::NoAccount)?;
    let answering = Answering {
        authenticator,
        push,
        account,
    };
    // One question at a time; one that is withdrawn meanwhile is never asked.
    let _asking = authenticator.one_question().await;
    let means = Means {
        verification: account.verification.is_some(),
        attended: authenticator.prompt().is_attended().await,
    };
    let decided = match way(asked, means) {
        Way::Approval => answering.approval().await?,
        Way::Verified => answering.verified().await?,
        // Without a person there is nothing to answer: whoever signs in is not here.
        Way::Silent | Way::Unavailable => answering.possessed(UNAVAILABLE, None).await?,
    };
    let answered = Answered {
        attempt: asked.jti,
        answer: decided.answer,
    };
    let gateway = authenticator.gateway(&push.known).await?;
    let taken = gateway.order(Ask::post(PUSH_ANSWERS_PATH, &answered)).await;
    taken.map_err(|error| Unanswered::NotTaken(chain(&error)))?;
    Ok(decided.outcome)
}

/// A push that is being answered.
struct Answering<'a> {
    authenticator: &'a Authenticator,
    push: &'a Push,
    account: &'a Account,
}

impl Answering<'_> {
    async fn approval(&self) -> Result<Decided, Unanswered> {
        let question = Question::about(self.account, self.asked(), false);
        match self.ask(&question).await {
            Decision::Approved(given) => self.possessed(PushOutcome::Approved, self.number(given)).await,
            refused => self.possessed(without_key(&refused), None).await,
        }
    }

    /// The same by the user-verification key, once the user was verified.
    async fn verified(&self) -> Result<Decided, Unanswered> {
        match &self.account.verification {
            Some(verification) if verification.method == VerificationMethod::Pin => self.by_pin().await,
            Some(verification) => self.by_service(verification).await,
            None => self.possessed(UNAVAILABLE, None).await,
        }
    }

    /// By a service of the operating system, once the user approved.
    async fn by_service(&self, verification: &Verification) -> Result<Decided, Unanswered> {
        let question = Question::about(self.account, self.asked(), false).followed_by(verification.method);
        let given = match self.ask(&question).await {
            Decision::Approved(given) => given,
            refused => return self.possessed(without_key(&refused), None).await,
        };
        let confirmed = self
            .authenticator
            .confirmed(self.account, verification, self.asked())
            .await;
        let answered = match confirmed {
            Ok(confirmed) => self.try_confirmed(&confirmed, given).await,
            Err(PamError::Cancelled) => return self.possessed(PushOutcome::Cancelled, None).await,
            Err(error) => Err(error.into()),
        };
        match answered {
            Ok(answer) => Ok(Decided {
                outcome: PushOutcome::Approved,
                answer,
            }),
            Err(error) => {
                self.warn(&error);
                self.possessed(UNAVAILABLE, None).await
            }
        }
    }

    /// By a PIN, for as many wrong ones as are allowed.
    async fn by_pin(&self) -> Result<Decided, Unanswered> {
        let mut question = Question::about(self.account, self.asked(), true);
        while question.again < TRIES {
            let given = match self.ask(&question).await {
                Decision::Approved(given) => given,
                refused => return self.possessed(without_key(&refused), None).await,
            };
            question.again = question.again.saturating_add(1);
            if given.pin.is_empty() {
                continue;
            }
            match self.try_confirmed(&Confirmed::Pin(given.pin.clone()), given).await {
                Ok(answer) => {
                    return Ok(Decided {
                        outcome: PushOutcome::Approved,
                        answer,
                    });
                }
                Err(error) => match error.wrong_pin() {
                    Some(left) => question.tries_left = left,
                    None => {
                        self.warn(&error);
                        break;
                    }
                },
            }
        }
        self.possessed(UNAVAILABLE, None).await
    }

    /// Signs by the user-verification key; hardware finds a wrong PIN only when the key signs.
    async fn try_confirmed(&self, confirmed: &Confirmed, given: Given) -> Result<String, AssertError> {
        let opened = self.authenticator.open(&self.push.known, self.account, confirmed).await;
        let (key, _turn) = opened?;
        self.sign(key, PushOutcome::Approved, self.number(given)).await
    }

    fn warn(&self, error: &AssertError) {
        let account = &self.account.login;
        tracing::warn!(account, error = chain(error), "the user cannot be verified");
    }

    /// Signs by the possession key.
    async fn possessed(&self, outcome: PushOutcome, number: Option<String>) -> Result<Decided, Unanswered> {
        let failed = |error: &(dyn std::error::Error + 'static)| Unanswered::Failed(chain(error));
        let key = self.push.known.possession(self.account).await;
        let key = key.map_err(|error| failed(&error))?;
        let answer = self.sign(key, outcome, number).await.map_err(|error| failed(&error))?;
        Ok(Decided { outcome, answer })
    }

    async fn sign(&self, key: AccountKey, outcome: PushOutcome, number: Option<String>) -> Result<String, AssertError> {
        let (asked, now) = (self.asked(), self.authenticator.now().secs());
        let claims = PushAnswer {
            iss: self.account.enrollment,
            // Checked: it is the pinned gateway's.
            aud: asked.iss.clone(),
            sub: self.account.user,
            iat: now,
            exp: now.saturating_add(LIFETIME),
            jti: random(),
            tx: asked.jti,
            nonce: asked.nonce.clone(),
            amr: key.amr,
            key_type: key.key_type,
            outcome,
            number,
        };
        let key = key.key;
        let signed = tokio::task::spawn_blocking(move || sign_token(PUSH_ANSWER_TYPE, &*key, &claims)).await;
        Ok(signed.map_err(|_| KeyError::Worker)??)
    }

    async fn ask(&self, question: &Question) -> Decision {
        let patience = self.authenticator.left(self.asked());
        self.authenticator.prompt().ask(question, patience).await
    }

    fn number(&self, given: Given) -> Option<String> {
        self.asked().number.then_some(given.number)
    }

    fn asked(&self) -> &Challenge {
        self.push.challenge.asked()
    }
}

fn without_key(decision: &Decision) -> PushOutcome {
    match decision {
        Decision::Approved(_) | Decision::Unavailable => PushOutcome::VerificationUnavailable,
        Decision::Denied => PushOutcome::Denied,
        Decision::NotMe => PushOutcome::NotMe,
        Decision::Dismissed => PushOutcome::Cancelled,
    }
}

const UNAVAILABLE: PushOutcome = PushOutcome::VerificationUnavailable;
/// For how many seconds an answer is good.
const LIFETIME: i64 = 120;
