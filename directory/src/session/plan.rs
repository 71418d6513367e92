//! What becomes of sessions by a command, about them or about what they rest on? As pure as every plan.

use std::sync::Arc;

use super::{
    Basis, FactorProof, Generation, NewSession, Raise, Renewal, Session, SessionCommand, SessionCookie, SessionEnd,
    SessionState,
};
use crate::plan::{Refusal, Refused};
use crate::{
    Actor, Event, EventType, Factor, Outcome, SecretHash, SessionId, Severity, Snapshot, Target, TargetKind, Timestamp,
    TransactionId, User, UserId, UserStatus, VerificationMethod,
};

/// The sessions there are, for whoever plans.
pub trait KnownSessions {
    /// The session with this id.
    fn session(&self, id: SessionId) -> Option<Arc<Session>>;
    /// The live sessions of a user.
    fn sessions_of(&self, user: UserId) -> Vec<Arc<Session>>;
}

/// Everything that a command entails for sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionPlan {
    /// The new state of each session concerned, each once.
    pub sessions: Vec<Session>,
    /// What the System Log says of it.
    pub events: Vec<Event>,
}

impl Snapshot {
    /// Says what a command would make of sessions.
    ///
    /// # Errors
    ///
    /// Refuses what has lost its ground: the user, a device or a factor that changed meanwhile.
    pub fn plan_session(
        &self,
        known: &impl KnownSessions,
        command: &SessionCommand,
        actor: &Actor,
        transaction: TransactionId,
        now: Timestamp,
    ) -> Result<SessionPlan, Refused> {
        let mut draft = Draft {
            snapshot: self,
            known,
            actor,
            transaction,
            now,
            plan: SessionPlan::default(),
        };
        match draft.plan(command) {
            Ok(()) => Ok(draft.finish(0)),
            Err(reason) => Err(draft.refuse(command, reason)),
        }
    }

    /// Ends those sessions of these users that have lost their ground in this directory; their events are numbered on from
    /// `first`, in the transaction of the command that took it away.
    pub fn plan_session_ends(
        &self,
        known: &impl KnownSessions,
        users: impl IntoIterator<Item = UserId>,
        (actor, transaction, now): (&Actor, TransactionId, Timestamp),
        first: usize,
    ) -> SessionPlan {
        let mut draft = Draft {
            snapshot: self,
            known,
            actor,
            transaction,
            now,
            plan: SessionPlan::default(),
        };
        for user in users {
            for session in known.sessions_of(user) {
                if let Some(cause) = session.end(self) {
                    draft.end(&session, cause);
                }
            }
        }
        draft.finish(first)
    }
}

struct Draft<'a, K> {
    snapshot: &'a Snapshot,
    known: &'a K,
    actor: &'a Actor,
    transaction: TransactionId,
    now: Timestamp,
    plan: SessionPlan,
}

impl<K: KnownSessions> Draft<'_, K> {
    fn plan(&mut self, command: &SessionCommand) -> Result<(), Refusal> {
        match command {
            SessionCommand::Begin(new) => self.begin(new),
            SessionCommand::Raise(raise) => self.raise(raise),
            SessionCommand::Renew(renewal) => self.renew(renewal),
            SessionCommand::Admit {
                session,
                generation,
                cookie,
                host,
                replaces,
            } => self.admit(*session, *generation, *cookie, host, *replaces),
            SessionCommand::End { session, cause } => {
                let session = self.live(*session)?;
                self.end(&session, *cause);
                Ok(())
            }
            SessionCommand::EndAll { user, cause } => {
                for session in self.known.sessions_of(*user) {
                    self.end(&session, *cause);
                }
                Ok(())
            }
        }
    }

    fn begin(&mut self, new: &NewSession) -> Result<(), Refusal> {
        let user = self.user(new.user)?;
        self.check(&new.proofs)?;
        if let Some(replaced) = new.replaces.and_then(|id| self.known.session(id))
            && replaced.is_live()
        {
            self.end(&replaced, SessionEnd::Replaced);
        }
        self.make_room(new.user);
        let session = Session {
            id: new.id,
            user: new.user,
            created: self.now,
            client: new.client.clone(),
            generations: vec![Generation {
                number: 1,
                proofs: new.proofs.clone(),
                device: new.device,
                risk: new.risk,
                installed: new.installed,
            }],
            cookies: vec![SessionCookie {
                secret: new.cookie,
                generation: 1,
                host: new.host.clone(),
                made: self.now,
            }],
            state: SessionState::Live,
        };
        self.prove(&user, &session, &new.proofs);
        let targets = vec![Target::from(&session), Target::from(&*user)];
        self.event(EventType::SessionStart, targets);
        self.plan.sessions.push(session);
        Ok(())
    }

    fn raise(&mut self, raise: &Raise) -> Result<(), Refusal> {
        let mut session = Session::clone(&*self.live(raise.session)?);
        let user = self.user(session.user)?;
        self.check(&raise.proofs)?;
        let base = session.generation(raise.base).ok_or_else(|| gone(raise.session))?;
        let is_replaced = |proof: &&FactorProof| raise.proofs.iter().any(|new| new.factor == proof.factor);
        let kept = base.proofs.iter().filter(|proof| !is_replaced(proof)).cloned();
        let generation = Generation {
            number: next_number(&session),
            proofs: kept.chain(raise.proofs.iter().cloned()).collect(),
            device: raise.device.or(base.device),
            risk: raise.risk.of_places_of(base.risk),
            installed: raise.installed.or(base.installed),
        };
        self.prove(&user, &session, &raise.proofs);
        replace(&mut session, raise.shown, raise.cookie, generation, self.now)?;
        self.plan.sessions.push(session);
        Ok(())
    }

    fn renew(&mut self, renewal: &Renewal) -> Result<(), Refusal> {
        let mut session = Session::clone(&*self.live(renewal.session)?);
        if renewal.device.counting(self.snapshot).is_none() {
            return Err(Refusal::DeviceNotActive);
        }
        let base = session.generation(renewal.base).ok_or_else(|| gone(renewal.session))?;
        // Facts of one device and proofs by another make no picture of either.
        if base
            .devices_in_use()
            .any(|id| Some(id) != renewal.device.device(self.snapshot))
        {
            return Err(Refusal::DeviceChanged);
        }
        let generation = Generation {
            number: next_number(&session),
            device: Some(renewal.device),
            installed: Some(true),
            ..base.clone()
        };
        replace(&mut session, renewal.shown, renewal.cookie, generation, self.now)?;
        self.plan.sessions.push(session);
        Ok(())
    }

    fn admit(
        &mut self,
        id: SessionId,
        generation: u32,
        secret: SecretHash,
        host: &str,
        replaces: Option<SecretHash>,
    ) -> Result<(), Refusal> {
        let mut session = Session::clone(&*self.live(id)?);
        if session.generation(generation).is_none() {
            return Err(gone(id));
        }
        session
            .cookies
            .retain(|cookie| Some(cookie.secret) != replaces || cookie.host != host);
        session.cookies.push(SessionCookie {
            secret,
            generation,
            host: host.to_owned(),
            made: self.now,
        });
        tidy(&mut session);
        self.plan.sessions.push(session);
        Ok(())
    }

    /// Ends a session, once.
    fn end(&mut self, session: &Session, cause: SessionEnd) {
        if self.plan.sessions.iter().any(|known| known.id == session.id) {
            return;
        }
        let user = self.snapshot.user(session.user);
        let targets = [Target::from(session)]
            .into_iter()
            .chain(user.map(|user| Target::from(&*user)));
        self.event(EventType::SessionEnd, targets.collect());
        if let Some(event) = self.plan.events.last_mut() {
            event.details.insert("cause".to_owned(), cause.to_string());
        }
        self.plan.sessions.push(Session {
            state: SessionState::Ended { at: self.now, cause },
            ..session.clone()
        });
    }

    /// The longest unseen of a user's sessions make room for one more.
    fn make_room(&mut self, user: UserId) {
        let mut sessions = self.known.sessions_of(user);
        sessions.retain(|session| self.plan.sessions.iter().all(|known| known.id != session.id));
        sessions.sort_by_key(|session| session.created);
        let excess = sessions.len().saturating_sub(MOST_SESSIONS.saturating_sub(1));
        for session in sessions.iter().take(excess) {
            self.end(session, SessionEnd::TooMany);
        }
    }

    /// One event for each factor that was proved.
    fn prove(&mut self, user: &User, session: &Session, proofs: &[FactorProof]) {
        // A code's use is written down when it is burnt.
        for proof in proofs.iter().filter(|proof| proof.factor != Factor::Totp) {
            let mut targets = vec![Target::from(user), Target::from(session)];
            let mut method = None;
            if let Basis::Enrollment { id, device, .. } = proof.basis {
                let enrollment = self.snapshot.enrollment(id);
                let verification = enrollment
                    .as_ref()
                    .and_then(|enrollment| enrollment.verification.as_ref());
                method = verification.map(|verification| verification.method);
                targets.extend(enrollment.map(|enrollment| Target::from(&*enrollment)));
                targets.extend(self.snapshot.device(device).map(|device| Target::from(&*device)));
            }
            self.event(EventType::Authenticate, targets);
            if let Some(event) = self.plan.events.last_mut() {
                event.details.extend(proof.details(method));
            }
        }
    }

    fn check(&self, proofs: &[FactorProof]) -> Result<(), Refusal> {
        let lost = proofs.iter().find_map(|proof| proof.basis.lost(self.snapshot));
        match lost {
            None => Ok(()),
            Some(SessionEnd::FactorChanged) => Err(Refusal::PasswordChanged),
            Some(SessionEnd::AccountRemoved) => Err(Refusal::EnrollmentNotActive),
            Some(_) => Err(Refusal::DeviceNotActive),
        }
    }

    fn live(&self, id: SessionId) -> Result<Arc<Session>, Refusal> {
        let session = self.known.session(id).ok_or_else(|| gone(id))?;
        match session.end(self.snapshot) {
            None => Ok(session),
            Some(_) => Err(gone(id)),
        }
    }

    fn user_of(&self, session: SessionId) -> Option<UserId> {
        self.known.session(session).map(|session| session.user)
    }

    fn user(&self, id: UserId) -> Result<Arc<User>, Refusal> {
        let user = self.snapshot.user(id);
        user.filter(|user| user.status == UserStatus::Active)
            .ok_or(Refusal::UserNotActive)
    }

    fn event(&mut self, event_type: EventType, targets: Vec<Target>) {
        let event = self.make_event(event_type, Severity::Info, Outcome::Success, targets);
        self.plan.events.push(event);
    }

    fn make_event(&self, event_type: EventType, severity: Severity, outcome: Outcome, targets: Vec<Target>) -> Event {
        Event {
            id: format!("{}-0", self.transaction),
            published: self.now,
            event_type,
            severity,
            outcome,
            actor: self.actor.clone(),
            targets,
            transaction: self.transaction,
            details: Default::default(),
        }
    }

    fn finish(mut self, first: usize) -> SessionPlan {
        for (number, event) in self.plan.events.iter_mut().enumerate() {
            event.id = format!("{}-{}", self.transaction, first.saturating_add(number));
        }
        self.plan
    }

    fn refuse(self, command: &SessionCommand, reason: Refusal) -> Refused {
        let (event_type, user) = match command {
            SessionCommand::Begin(new) => (EventType::SessionStart, Some(new.user)),
            SessionCommand::EndAll { user, .. } => (EventType::SessionEnd, Some(*user)),
            SessionCommand::Raise(raise) => (EventType::SessionStart, self.user_of(raise.session)),
            SessionCommand::Renew(renewal) => (EventType::SessionStart, self.user_of(renewal.session)),
            SessionCommand::Admit { session, .. } => (EventType::SessionStart, self.user_of(*session)),
            SessionCommand::End { session, .. } => (EventType::SessionEnd, self.user_of(*session)),
        };
        let user = user.and_then(|id| self.snapshot.user(id));
        let targets = user.map(|user| Target::from(&*user)).into_iter().collect();
        let outcome = Outcome::Failure {
            reason: reason.to_string(),
        };
        let event = self.make_event(event_type, Severity::Warn, outcome, targets);
        Refused {
            reason,
            event: Box::new(event),
        }
    }
}

impl FactorProof {
    /// What the System Log says of it beside whom it concerns; `method` is how its account verifies its user.
    fn details(&self, method: Option<VerificationMethod>) -> impl Iterator<Item = (String, String)> {
        let properties: Vec<&str> = self.properties.names().collect();
        let verified = self.properties.user_verified || self.properties.user_verified_in_software;
        let by_key = match self.factor {
            Factor::Fastpass => Some("fpt"),
            Factor::Push => Some("swk"),
            Factor::Password | Factor::Totp | Factor::Webauthn | Factor::Email | Factor::Recovery => None,
        };
        let by_key = by_key.map(|possession| match method.filter(|_| verified) {
            Some(method) => ("userVerification", format!("{possession},{method}")),
            None => ("proofOfPossession", possession.to_owned()),
        });
        let mut details = vec![
            ("factor".to_owned(), self.factor.to_string()),
            ("properties".to_owned(), properties.join(",")),
        ];
        if let Some((key_type, amr)) = by_key {
            details.push(("keyType".to_owned(), key_type.to_owned()));
            details.push(("amr".to_owned(), amr));
        }
        details.into_iter()
    }
}

fn gone(id: SessionId) -> Refusal {
    Refusal::not_found(TargetKind::Session, id)
}

fn next_number(session: &Session) -> u32 {
    let newest = session.generations.iter().map(|generation| generation.number).max();
    newest.unwrap_or_default().saturating_add(1)
}

/// Puts a new cookie, which stands for a new generation, in the place of the one that was shown.
fn replace(
    session: &mut Session,
    shown: SecretHash,
    secret: SecretHash,
    generation: Generation,
    now: Timestamp,
) -> Result<(), Refusal> {
    let id = session.id;
    let cookie = session.cookies.iter_mut().find(|cookie| cookie.secret == shown);
    let cookie = cookie.ok_or_else(|| gone(id))?;
    *cookie = SessionCookie {
        secret,
        generation: generation.number,
        host: cookie.host.clone(),
        made: now,
    };
    session.generations.push(generation);
    tidy(session);
    Ok(())
}

/// Forgets the oldest cookies beyond a bound, and what no cookie stands for any more.
fn tidy(session: &mut Session) {
    let excess = session.cookies.len().saturating_sub(MOST_COOKIES);
    if excess > 0 {
        session.cookies.sort_by_key(|cookie| cookie.made);
        session.cookies.drain(..excess);
    }
    let Session {
        generations, cookies, ..
    } = session;
    let newest = generations.iter().map(|generation| generation.number).max();
    generations.retain(|generation| {
        Some(generation.number) == newest || cookies.iter().any(|cookie| cookie.generation == generation.number)
    });
}

/// How many sessions a user has at once.
const MOST_SESSIONS: usize = 100;

/// How many cookies a session has at once.
const MOST_COOKIES: usize = 64;
