//! Whose key answered, and what does that prove? Wrong answers are all alike to whoever brings them.

use std::sync::Arc;
use std::time::Duration;

use directory::{
    Authenticator, AuthenticatorKind, Basis, Command, CredentialId, Factor, FactorProof, Failure, Properties, User,
    UserStatus, WebauthnKey, WebauthnUse,
};
use webauthn_rs_core::proto::PublicKeyCredential;

use super::super::prove::Proved;
use super::super::state::State;
use super::super::visitor::Visitor;
use super::ceremonies::SigningIn;
use crate::api_error::ApiError;
use crate::factors::webauthn::{NotTaken, Used};
use crate::logs::Chain;
use crate::sign_in::{actor_of, admit, guess};
use crate::store::SubmitError;

/// What an answer proves; failures are counted and written down as those of passwords are.
///
/// # Errors
/// It is not a good answer to the question by a key of who has to answer; or there were too many failures.
pub(super) async fn by_key(
    visitor: &Visitor,
    state: &State,
    question: &SigningIn,
    answer: &PublicKeyCredential,
) -> Result<Proved, ApiError> {
    let Some(answering) = Answering::find(visitor, answer) else {
        return Err(ApiError::NotAuthenticated);
    };
    let world = &visitor.world;
    let source = visitor.arrived.peer;
    let admission = admit(world, &guess(&answering.user.login, Factor::Webauthn, source))?;
    let verified = match answering.is_expected(visitor, state, question, answer) {
        true => {
            let webauthn = &visitor.view.setup.webauthn;
            webauthn.verify(answer, &question.state, &answering.key)
        }
        false => Err(NotTaken::Ambiguous),
    };
    let used = match verified {
        Ok(used) => used,
        Err(error) => {
            admission.failed(world.clock.now());
            return Err(answering.refuse(visitor, &error).await);
        }
    };
    if let Err(error) = answering.keep(visitor, used).await {
        match &error {
            ApiError::NotAuthenticated => admission.failed(world.clock.now()),
            _ => admission.withdrawn(),
        }
        return Err(error);
    }
    admission.succeeded(world.clock.now());
    Ok(answering.proves(visitor, used))
}

/// The key that an answer names, and whose it is.
struct Answering {
    user: Arc<User>,
    authenticator: Arc<Authenticator>,
    key: WebauthnKey,
}

impl Answering {
    fn find(visitor: &Visitor, answer: &PublicKeyCredential) -> Option<Self> {
        let directory = &visitor.view.directory;
        let credential = CredentialId::from_octets(answer.raw_id.clone()).ok()?;
        let authenticator = directory.webauthn_by_credential(&credential)?.clone();
        let AuthenticatorKind::Webauthn(key) = &authenticator.kind else {
            return None;
        };
        Some(Self {
            user: directory.user(authenticator.user)?.clone(),
            key: WebauthnKey::clone(key),
            authenticator,
        })
    }

    /// Whether the key is of whoever has to answer: who proved something already, or who the key itself names. A username
    /// that was typed names nobody else.
    fn is_expected(
        &self,
        visitor: &Visitor,
        state: &State,
        question: &SigningIn,
        answer: &PublicKeyCredential,
    ) -> bool {
        let named = answer.response.user_handle.as_deref();
        let names_its_user = named.map(|handle| handle == self.user.id.as_str().as_bytes());
        let is_whose = match question.user {
            Some(user) => user == self.user.id && names_its_user != Some(false),
            None => names_its_user == Some(true),
        };
        let directory = &visitor.view.directory;
        let typed = |username: &str| directory.user_by_login(username).map(|user| user.id) == Some(self.user.id);
        let is_typed = question.user.is_some() || state.username.as_deref().is_none_or(typed);
        is_whose && is_typed && self.user.status == UserStatus::Active
    }

    /// Counts and records a failure; an answer made for another site is an attempt at phishing.
    async fn refuse(&self, visitor: &Visitor, error: &NotTaken) -> ApiError {
        let world = &visitor.world;
        tracing::info!(request = %visitor.arrived.id, why = %Chain(error), "a security key's answer was refused");
        metrics::counter!("latchkey_sign_ins_total", "outcome" => "failed").increment(1);
        world.sign_ins.failures.add(self.user.id, world.clock.now());
        let (reason, origin) = match error {
            NotTaken::ForeignOrigin(origin) => {
                metrics::counter!("latchkey_phishing_declined_total").increment(1);
                ("WebAuthn declined phishing attempt", Some(short(origin)))
            }
            _ => ("not verified", None),
        };
        let failure = Command::RecordFailure(Failure {
            user: Some(self.user.id),
            factor: Factor::Webauthn,
            reason,
            enrollment: None,
            origin,
        });
        match self.submit(visitor, failure).await {
            Ok(()) | Err(ApiError::Refused(_)) => ApiError::NotAuthenticated,
            Err(error) => error,
        }
    }

    /// Keeps what the key says of itself, where there is something new. Of two answers with the same count one is taken.
    async fn keep(&self, visitor: &Visitor, used: Used) -> Result<(), ApiError> {
        let key = &self.key;
        let lately = key.last_used.is_some_and(|at| at.plus(USED_LATELY) > visitor.view.now);
        let counts = key.counter > 0 || used.counter > 0;
        let is_same = key.backed_up == used.backed_up && (key.verifies || !used.verified);
        if lately && is_same && !counts {
            return Ok(());
        }
        let command = Command::UseWebauthn(WebauthnUse {
            authenticator: self.authenticator.id,
            counter: used.counter,
            backed_up: used.backed_up,
            verified: used.verified,
        });
        match self.submit(visitor, command).await {
            Err(ApiError::Refused(_)) => {
                let (world, user) = (&visitor.world, self.user.id);
                world.sign_ins.failures.add(user, world.clock.now());
                Err(ApiError::NotAuthenticated)
            }
            kept => kept,
        }
    }

    fn proves(&self, visitor: &Visitor, used: Used) -> Proved {
        let properties = Properties {
            phishing_resistant: true,
            hardware_protected: visitor.view.setup.webauthn.is_hardware(&self.key),
            device_bound: !self.key.backup_eligible,
            user_presence: true,
            user_verified: used.verified,
            user_verified_in_software: false,
        };
        Proved {
            user: self.user.clone(),
            proof: Some(FactorProof {
                factor: Factor::Webauthn,
                at: visitor.view.now,
                basis: Basis::Authenticator {
                    id: self.authenticator.id,
                    set: self.authenticator.updated,
                },
                properties,
            }),
            device: None,
        }
    }

    async fn submit(&self, visitor: &Visitor, command: Command) -> Result<(), ApiError> {
        let actor = actor_of(&self.user, visitor.arrived.peer);
        match visitor.world.directory.submit(command, actor, Vec::new()).await {
            Ok(_) => Ok(()),
            Err(SubmitError::Refused(refused)) => Err(ApiError::Refused(refused.reason)),
            Err(error @ SubmitError::Unavailable(_)) => Err(error.into()),
        }
    }
}

/// An origin for people to read: bounded, without control characters.
fn short(origin: &str) -> String {
    origin
        .chars()
        .filter(|character| !character.is_control())
        .take(100)
        .collect()
}

/// For how long a key that does not count need not be written down to have been used again.
const USED_LATELY: Duration = Duration::from_mins(10);
