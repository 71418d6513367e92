//! What becomes of what somebody has just proved? A session that begins, or one that rests on more, or a step to the next.

use std::sync::Arc;

use axum::response::Response;
use directory::{
    Basis, DeviceProof, Enrollment, Factor, FactorProof, NewSession, Place, Properties, Raise, Renewal, Risk, Session,
    SessionCommand, SessionId, Timestamp, User,
};
use http::{HeaderValue, header};
use policies::{Ages, OrganizationAction, OrganizationRequest};

use super::next::{self, Next};
use super::state::State;
use super::visitor::Visitor;
use crate::agents::{Confirmation, Signed};
use crate::api_error::ApiError;
use crate::cookies::{Cookie, CookieSecret};
use crate::request::{Judged, KnownDevice, request_facts};
use crate::sessions::{ages_of_proofs, facts_of_proofs};
use crate::sign_in::actor_of;

/// What somebody has just proved.
pub(crate) struct Proved {
    /// Who.
    pub(crate) user: Arc<User>,
    /// The factor; nothing where a device only shows that it is the one in use.
    pub(crate) proof: Option<FactorProof>,
    /// The device in use, where it proved that.
    pub(crate) device: Option<DeviceProof>,
}

/// Where that leads, and the cookie that goes with it.
pub(crate) struct Led {
    /// The address.
    pub(crate) to: String,
    cookie: Option<HeaderValue>,
}

impl Led {
    /// Adds the cookie to an answer.
    pub(crate) fn with_cookie(&self, mut answer: Response) -> Response {
        if let Some(cookie) = &self.cookie {
            answer.headers_mut().append(header::SET_COOKIE, cookie.clone());
        }
        answer
    }
}

/// Makes or raises the session, if the policies let it rest on what is proved by now; says where that leads.
///
/// # Errors
/// What it rests on has changed meanwhile, or the store fails.
pub(crate) async fn proved(visitor: &Visitor, state: State, proved: Proved) -> Result<Led, ApiError> {
    let known = visitor
        .session()
        .filter(|session| session.session.user == proved.user.id);
    if let Some(session) = known {
        return raise(visitor, state, &session.session.clone(), proved).await;
    }
    let Some(proof) = proved.proof else {
        return Err(ApiError::NotAuthenticated);
    };
    let before = state
        .partial
        .and_then(|id| visitor.world.under_way.look(id, visitor.browser()));
    let before = before.filter(|partial| partial.user == proved.user.id);
    let (before, device) = before.map_or_else(Default::default, |partial| (partial.proofs, partial.device));
    let (proofs, device) = (with(&before, proof), proved.device.or(device));
    let risk = risk_of(visitor, &proved.user);
    let grounds = Grounds {
        proofs: &proofs,
        device,
        risk,
        installed: device.map(|_| true).or(state.installed),
    };
    if grounds.suffice(visitor, &proved.user).is_err() {
        let kept = (proofs, device);
        let partial = visitor.world.under_way.keep(proved.user.id, kept, visitor.browser());
        let state = State {
            partial: Some(partial),
            ..state
        };
        return Ok(Led {
            to: next::page_url(visitor, &state),
            cookie: None,
        });
    }
    if let Some(id) = state.partial {
        visitor.world.under_way.take(id, visitor.browser());
    }
    let (session, cookie) = begin(visitor, &proved.user, &grounds).await?;
    let state = State {
        partial: None,
        another: false,
        ..state
    };
    led(visitor, state, &session, cookie)
}

async fn begin(
    visitor: &Visitor,
    user: &Arc<User>,
    grounds: &Grounds<'_>,
) -> Result<(SessionId, CookieSecret), ApiError> {
    let cookie = CookieSecret::random();
    let new = NewSession {
        id: SessionId::timed(visitor.view.now, rand::random()),
        user: user.id,
        client: visitor.client(),
        proofs: grounds.proofs.to_vec(),
        device: grounds.device,
        risk: grounds.risk,
        installed: grounds.installed,
        cookie: cookie.hash(),
        host: visitor.arrived.host.clone(),
        replaces: visitor.replaces(),
    };
    let id = new.id;
    submit(visitor, user, SessionCommand::Begin(Box::new(new))).await?;
    metrics::counter!("latchkey_sign_ins_total", "outcome" => "succeeded").increment(1);
    Ok((id, cookie))
}

/// Goes on in a browser in which a factor was just set: where the session rested on what it was before, another one begins
/// on what else was proved and on this. Nothing begins where that is not enough; gives the cookie where it does.
///
/// # Errors
/// The store fails.
pub(crate) async fn carry_on(visitor: &Visitor, proof: FactorProof) -> Result<Option<HeaderValue>, ApiError> {
    let (Some(identified), Some(in_use)) = (visitor.identified(), visitor.session()) else {
        return Ok(None);
    };
    let directory = visitor.world.directory.snapshot();
    let goes_on = in_use.session.end(&directory).is_none();
    let Some(generation) = in_use.generation().filter(|_| !goes_on) else {
        return Ok(None);
    };
    let stands = |kept: &&FactorProof| kept.basis.lost(&directory).is_none();
    let standing: Vec<FactorProof> = generation.proofs.iter().filter(stands).cloned().collect();
    let proofs = with(&standing, proof);
    let grounds = Grounds {
        proofs: &proofs,
        device: generation.device.filter(|device| device.counting(&directory).is_some()),
        risk: risk_of(visitor, &identified.user).of_places_of(generation.risk),
        installed: generation.installed,
    };
    if grounds.suffice(visitor, &identified.user).is_err() {
        return Ok(None);
    }
    let (_, cookie) = begin(visitor, &identified.user, &grounds).await?;
    Ok(Some(Cookie::Session.set(&cookie)))
}

/// Adds what was proved to the session. A device that is only looked at, because an application asks for one, is no factor:
/// it makes the session no device's.
async fn raise(visitor: &Visitor, state: State, session: &Session, proved: Proved) -> Result<Led, ApiError> {
    let in_use = visitor.session().ok_or(ApiError::NotAuthenticated)?;
    let (shown, base) = (in_use.grip.secret(), in_use.grip.generation());
    let cookie = CookieSecret::random();
    let generation = in_use.generation().ok_or(ApiError::NotAuthenticated)?;
    let is_context = proved.device.is_some_and(|device| {
        let of = device.device(&visitor.view.directory);
        // Beside a signature by another device it can only be the factor in its place.
        generation.devices_in_use().all(|id| Some(id) == of) && next::device_alone_would_do(visitor, &state, device)
    });
    let command = match (proved.proof, proved.device) {
        (proof, Some(device)) if proof.is_none() || is_context => SessionCommand::Renew(Box::new(Renewal {
            session: session.id,
            base,
            device,
            shown,
            cookie: cookie.hash(),
        })),
        (Some(proof), device) => {
            let risk = risk_of(visitor, &proved.user).of_places_of(generation.risk);
            let proofs = with(&generation.proofs, proof.clone());
            let grounds = Grounds {
                proofs: &proofs,
                device: device.or(generation.device),
                risk,
                installed: device.map(|_| true).or(state.installed).or(generation.installed),
            };
            grounds.suffice(visitor, &proved.user).map_err(ApiError::Policy)?;
            SessionCommand::Raise(Box::new(Raise {
                session: session.id,
                base,
                proofs: vec![proof],
                device,
                risk,
                installed: device.map(|_| true).or(state.installed),
                shown,
                cookie: cookie.hash(),
            }))
        }
        (None, _) => return Err(ApiError::NotAuthenticated),
    };
    submit(visitor, &proved.user, command).await?;
    led(visitor, state, &session.id, cookie)
}

async fn submit(visitor: &Visitor, user: &User, command: SessionCommand) -> Result<(), ApiError> {
    let actor = actor_of(user, visitor.arrived.peer);
    visitor.world.directory.submit_session(command, actor).await?;
    Ok(())
}

/// Where the session, as it is now, leads.
fn led(visitor: &Visitor, state: State, session: &SessionId, cookie: CookieSecret) -> Result<Led, ApiError> {
    let grip = visitor
        .world
        .directory
        .sessions()
        .grip(&cookie.hash(), &visitor.arrived.host)
        .filter(|grip| grip.session().id == *session)
        .ok_or(ApiError::NotAuthenticated)?;
    let to = match next::after(visitor, &state, &grip) {
        Next::Leave(url) => url,
        Next::Ask { .. } | Next::Nothing { .. } => next::page_url(visitor, &state),
    };
    Ok(Led {
        to,
        cookie: Some(Cookie::Session.set(&cookie)),
    })
}

/// What a device's signature proves: the factor, and that the device is the one in use.
pub(crate) fn by_device(visitor: &Visitor, signed: &Signed) -> Option<Proved> {
    let directory = &visitor.view.directory;
    let enrollment = directory.enrollment(signed.enrollment)?;
    let device = directory.device(signed.device)?;
    let user = directory.user(signed.user)?.clone();
    let judged = Judged::by(&visitor.view);
    let known = visitor.world.facts.device(&judged, &device, &enrollment);
    let verification = enrollment.verification.as_ref();
    let verification = verification.filter(|_| signed.confirmed == Confirmation::Verified);
    let in_hardware = verification.is_some_and(|verification| verification.hardware && known.facts.secure_hardware);
    let properties = Properties {
        phishing_resistant: true,
        hardware_protected: known.facts.hardware_key && known.facts.secure_hardware,
        device_bound: known.facts.hardware_key,
        user_presence: signed.confirmed != Confirmation::Silent,
        user_verified: in_hardware,
        user_verified_in_software: verification.is_some() && !in_hardware,
    };
    Some(Proved {
        user,
        proof: Some(FactorProof {
            factor: Factor::Fastpass,
            at: signed.at,
            basis: Basis::Enrollment {
                id: signed.enrollment,
                generation: signed.generation,
                device: signed.device,
            },
            properties,
        }),
        device: Some(DeviceProof {
            enrollment: signed.enrollment,
            generation: signed.generation,
            at: signed.at,
        }),
    })
}

/// What an approval on another device proves: the factor, and nothing of the device that the browser is on.
pub(crate) fn by_push(visitor: &Visitor, signed: &Signed) -> Option<Proved> {
    let directory = &visitor.view.directory;
    let enrollment = directory.enrollment(signed.enrollment)?;
    let device = directory.device(signed.device)?;
    let user = directory.user(signed.user)?.clone();
    let known = visitor
        .world
        .facts
        .device(&Judged::by(&visitor.view), &device, &enrollment);
    let verified = signed.confirmed == Confirmation::Verified;
    let proof = push_proof(&known, &enrollment, verified, signed.at);
    Some(Proved {
        user,
        proof: Some(FactorProof {
            basis: Basis::Enrollment {
                id: signed.enrollment,
                generation: signed.generation,
                device: signed.device,
            },
            ..proof
        }),
        device: None,
    })
}

/// The proof that somebody approved on a device, by its key as it is known now. Whatever the key is, the approval can be
/// relayed, and is bound to no device but its own.
pub(crate) fn push_proof(known: &KnownDevice, enrollment: &Enrollment, verified: bool, at: Timestamp) -> FactorProof {
    let verification = enrollment.verification.as_ref().filter(|_| verified);
    let in_hardware = verification.is_some_and(|verification| verification.hardware && known.facts.secure_hardware);
    FactorProof {
        factor: Factor::Push,
        at,
        basis: Basis::Enrollment {
            id: enrollment.id,
            generation: enrollment.generation,
            device: enrollment.device,
        },
        properties: Properties {
            phishing_resistant: false,
            hardware_protected: known.facts.hardware_key && known.facts.secure_hardware,
            device_bound: false,
            user_presence: true,
            user_verified: in_hardware,
            user_verified_in_software: verification.is_some() && !in_hardware,
        },
    }
}

/// What a session would rest on.
pub(crate) struct Grounds<'a> {
    /// What was proved.
    pub(crate) proofs: &'a [FactorProof],
    /// The device that is in use, where one proved it.
    pub(crate) device: Option<DeviceProof>,
    /// How unusual that is.
    pub(crate) risk: Risk,
    /// Whether an authenticator answered the browser.
    pub(crate) installed: Option<bool>,
}

impl Grounds<'_> {
    /// Whether a session may begin, or rest on this.
    fn suffice(&self, visitor: &Visitor, user: &User) -> Result<(), policies::Denied> {
        let decider = &visitor.view.decider;
        let decided = decider.decide_organization(&OrganizationAction::CreateSession, &self.ask(visitor, user));
        decided.map(drop)
    }

    /// What the policies are asked.
    pub(crate) fn ask(&self, visitor: &Visitor, user: &User) -> OrganizationRequest {
        let view = &visitor.view;
        let in_software = view.setup.config.sign_in.count_software_verification;
        let counting = self.device.and_then(|device| {
            let (enrollment, known) = device.counting(&view.directory)?;
            Some((
                device.at,
                visitor.world.facts.device(&Judged::by(view), &known, &enrollment),
            ))
        });
        let known = counting.as_ref().map(|(_, known)| known);
        OrganizationRequest {
            user: visitor.world.facts.user(&view.directory, user),
            device: known.map(|known| known.facts.clone()),
            session: Some(Arc::new(facts_of_proofs(user.id, self.proofs, in_software))),
            request: request_facts(&view.setup, &visitor.arrived),
            ages: Ages {
                device_proof: counting.as_ref().map(|(at, _)| *at),
                mdm: known.and_then(|known| known.mdm_at),
                reported: known.and_then(|known| known.reported_at),
                ..ages_of_proofs(self.proofs, view.now)
            },
            proof: None,
            risk: self.risk.score(),
            authenticator_installed: self.installed,
            now: view.now,
        }
    }
}

/// How unusual it is that this user signs in here and now.
pub(crate) fn risk_of(visitor: &Visitor, user: &User) -> Risk {
    let (sessions, now) = (visitor.world.directory.sessions(), visitor.view.now);
    let [browser, network] = Place::of(&visitor.client());
    let points = |is_new: bool, points: u8| if is_new { points } else { 0 };
    let failures = visitor.world.sign_ins.failures.count(user.id, now);
    let failures = u8::try_from(failures).unwrap_or(u8::MAX);
    Risk {
        new_browser: points(!sessions.knows(user.id, &browser, now), NEW_BROWSER),
        new_network: points(!sessions.knows(user.id, &network, now), NEW_NETWORK),
        recent_failures: failures.saturating_mul(EACH_FAILURE).min(ALL_FAILURES),
    }
}

/// The proofs with one more, which takes the place of an earlier one of the same factor.
pub(crate) fn with(proofs: &[FactorProof], new: FactorProof) -> Vec<FactorProof> {
    let kept = proofs.iter().filter(|proof| proof.factor != new.factor).cloned();
    kept.chain([new.clone()]).collect()
}

const NEW_BROWSER: u8 = 25;
const NEW_NETWORK: u8 = 15;
const EACH_FAILURE: u8 = 10;
const ALL_FAILURES: u8 = 40;
