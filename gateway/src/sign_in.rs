//! Who is this, by what they know? A password and perhaps a code, the same for the terminal and the browser.
//!
//! Whoever fails learns nothing from it, neither from the words nor from the time it takes: unknown users, users without a
//! password, users who are not active and wrong passwords are answered alike.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use directory::{
    Actor, ActorKind, AuthenticatorKind, Command, EnrollmentToken, Factor, Protected, SessionId, Timestamp, User,
    UserStatus,
};
use policies::{Ages, FactorMethod, FactorUse, SessionFacts};
use zeroize::Zeroizing;

use crate::api_error::{ApiError, fault};
use crate::factors::hasher::{Hasher, NotDone};
use crate::factors::password::{NotVerified, Password, PasswordHash, Verified};
use crate::factors::throttle::{AccountKey, Admission, Guess, Source, Throttle};
use crate::factors::totp::{self, Step, TotpSecret};
use crate::logs::Chain;
use crate::store::SubmitError;
use crate::world::World;

/// What verifying passwords and codes takes.
pub(crate) struct SignIns {
    /// Works on passwords.
    pub(crate) hasher: Hasher,
    /// Slows down whoever guesses.
    pub(crate) throttle: Throttle,
}

/// What somebody says to prove who they are.
pub(crate) struct Credentials {
    /// The login.
    pub(crate) username: String,
    /// The password.
    pub(crate) password: Zeroizing<String>,
    /// The code of their TOTP authenticator.
    pub(crate) totp: Option<Zeroizing<String>>,
}

/// Proof that a user said who they are. Only [`authenticate`] makes one.
pub(crate) struct Authenticated {
    user: Arc<User>,
    factors: BTreeSet<Factor>,
}

impl Authenticated {
    /// The user; active.
    pub(crate) fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// What they proved.
    pub(crate) fn factors(&self) -> &BTreeSet<Factor> {
        &self.factors
    }
}

/// Verifies a password and, where one is given, a code; both are throttled by account, factor and source.
///
/// # Errors
/// If either is wrong or there is nobody to whom they belong: alike; or if there were too many failures.
pub(crate) async fn authenticate(
    world: &World,
    credentials: Credentials,
    source: IpAddr,
) -> Result<Authenticated, ApiError> {
    let guess = |factor| Guess {
        account: AccountKey::of(&credentials.username),
        factor,
        source: Source::from(source),
    };
    let admission = admit(world, &guess(Factor::Password))?;
    let user = world.directory.snapshot().user_by_login(&credentials.username).cloned();
    let known = user.as_ref().filter(|user| user.status == UserStatus::Active).cloned();
    let verified = match verify_password(world, known.as_ref(), credentials.password).await {
        Ok(verified) => verified,
        Err(PasswordRefused::Wrong) => {
            return Err(refuse(world, admission, user.as_ref(), Factor::Password, source).await);
        }
        Err(PasswordRefused::Unusable(error)) => {
            admission.withdrawn();
            return Err(error);
        }
    };
    let Some(user) = known else {
        return Err(refuse(world, admission, None, Factor::Password, source).await);
    };
    admission.succeeded(world.clock.now());
    rehash(world, &user, verified).await;
    let mut factors = BTreeSet::from([Factor::Password]);
    if let Some(code) = credentials.totp {
        let admission = admit(world, &guess(Factor::Totp))?;
        match use_code(world, &user, &code, source).await {
            Ok(()) => admission.succeeded(world.clock.now()),
            Err(CodeRefused::Wrong) => {
                return Err(refuse(world, admission, Some(&user), Factor::Totp, source).await);
            }
            Err(CodeRefused::Unavailable(error)) => return Err(error.into()),
        }
        factors.insert(Factor::Totp);
    }
    Ok(Authenticated { user, factors })
}

/// The session that would begin, or began, with these factors at this moment, as policies see it.
pub(crate) fn session_facts(user: &User, factors: &BTreeSet<Factor>) -> SessionFacts {
    let used = |method| FactorUse {
        method,
        phishing_resistant: false,
        hardware_protected: false,
        device_bound: false,
        user_presence: true,
        user_verified: false,
        user_verified_in_software: false,
    };
    let (knowledge, otp) = (factors.contains(&Factor::Password), factors.contains(&Factor::Totp));
    SessionFacts {
        id: SessionId::from_random(0),
        generation: 0,
        user: user.id,
        factor_count: u8::from(knowledge).saturating_add(u8::from(otp)),
        origin: None,
        knowledge: knowledge.then(|| used(FactorMethod::Password)),
        device: None,
        webauthn: None,
        otp: otp.then(|| used(FactorMethod::Totp)),
    }
}

/// Since when these factors hold.
pub(crate) fn session_ages(factors: &BTreeSet<Factor>, at: Timestamp) -> Ages {
    Ages {
        session: Some(at),
        idle: Some(at),
        knowledge: factors.contains(&Factor::Password).then_some(at),
        otp: factors.contains(&Factor::Totp).then_some(at),
        ..Ages::default()
    }
}

/// What the user had proved when they made this enrolment token themselves; nothing where an admin made it.
pub(crate) fn session_of(token: &EnrollmentToken, user: &User) -> Option<(SessionFacts, Ages)> {
    match token.origin {
        directory::TokenOrigin::Admin => None,
        directory::TokenOrigin::SignIn => Some((
            session_facts(user, &token.factors),
            session_ages(&token.factors, token.created),
        )),
    }
}

/// What the System Log calls a user who acts.
pub(crate) fn actor_of(user: &User, address: IpAddr) -> Actor {
    Actor {
        kind: ActorKind::User,
        id: user.id.to_string(),
        display_name: user.login.clone(),
        address: Some(address.to_canonical()),
    }
}

fn admit(world: &World, guess: &Guess) -> Result<Admission, ApiError> {
    let admitted = world.sign_ins.throttle.admit(guess, world.clock.now());
    admitted.map_err(|throttled| {
        metrics::counter!("latchkey_sign_ins_total", "outcome" => "throttled").increment(1);
        ApiError::Throttled(throttled.0)
    })
}

/// Counts and records a failure. Nothing of the user changes.
async fn refuse(
    world: &World,
    admission: Admission,
    user: Option<&Arc<User>>,
    factor: Factor,
    source: IpAddr,
) -> ApiError {
    admission.failed(world.clock.now());
    metrics::counter!("latchkey_sign_ins_total", "outcome" => "failed").increment(1);
    let actor = match user {
        Some(user) => actor_of(user, source),
        // What was typed as a name may be a password.
        None => Actor {
            kind: ActorKind::User,
            id: "unknown".to_owned(),
            display_name: "unknown user".to_owned(),
            address: Some(source.to_canonical()),
        },
    };
    let failure = Command::RecordFailure {
        user: user.map(|user| user.id),
        factor,
        reason: "not verified",
    };
    match world.directory.submit(failure, actor, Vec::new()).await {
        Ok(_) | Err(SubmitError::Refused(_)) => ApiError::NotAuthenticated,
        Err(error @ SubmitError::Unavailable(_)) => error.into(),
    }
}

/// A password that is right.
struct Checked {
    password: Password,
    verified: Verified,
}

enum PasswordRefused {
    Wrong,
    Unusable(ApiError),
}

/// Compares with the user's password, or does the same work for nothing.
async fn verify_password(
    world: &World,
    user: Option<&Arc<User>>,
    password: Zeroizing<String>,
) -> Result<Checked, PasswordRefused> {
    let password = Password::typed(password).map_err(|_| PasswordRefused::Wrong)?;
    let hash = user.and_then(|user| hash_of(world, user));
    let hash = hash.and_then(|hash| hash.reveal().parse::<PasswordHash>().ok());
    let verified = world.sign_ins.hasher.verify(hash, password.clone()).await;
    let verified = verified.map_err(|error| match error {
        NotDone::Came(NotVerified::Wrong) => PasswordRefused::Wrong,
        NotDone::Busy => PasswordRefused::Unusable(ApiError::Busy),
        error @ (NotDone::Came(_) | NotDone::Stopped(_)) => {
            PasswordRefused::Unusable(fault(&error, "a password could not be verified"))
        }
    })?;
    Ok(Checked { password, verified })
}

fn hash_of(world: &World, user: &User) -> Option<Protected> {
    match &world.directory.snapshot().password_of(user.id)?.kind {
        AuthenticatorKind::Password { hash } => Some(hash.clone()),
        AuthenticatorKind::Totp { .. } => None,
    }
}

/// Keeps the password under the present parameters, if it was hashed under older ones. The sign-in does not depend on it.
async fn rehash(world: &World, user: &User, checked: Checked) {
    if !checked.verified.is_outdated() {
        return;
    }
    let snapshot = world.directory.snapshot();
    let (Some(known), Some(before)) = (snapshot.password_of(user.id), hash_of(world, user)) else {
        return;
    };
    let Ok(hash) = world.sign_ins.hasher.hash(checked.password, rand::random()).await else {
        return;
    };
    let command = Command::RehashPassword {
        authenticator: known.id,
        before,
        hash: Protected::new(hash.to_phc()),
    };
    let system = Actor {
        kind: ActorKind::System,
        id: "sign-in".to_owned(),
        display_name: "sign-in".to_owned(),
        address: None,
    };
    if let Err(error) = world.directory.submit(command, system, Vec::new()).await {
        tracing::warn!(error = %Chain(&error), "a password could not be kept under newer parameters");
    }
}

enum CodeRefused {
    Wrong,
    Unavailable(SubmitError),
}

/// Burns the code; of two who bring the same one the second is refused.
async fn use_code(world: &World, user: &Arc<User>, code: &str, source: IpAddr) -> Result<(), CodeRefused> {
    let snapshot = world.directory.snapshot();
    let known = snapshot.totp_of(user.id).ok_or(CodeRefused::Wrong)?;
    let AuthenticatorKind::Totp { secret, last_step } = &known.kind else {
        return Err(CodeRefused::Wrong);
    };
    let secret = TotpSecret::from_base32(secret.reveal()).map_err(|_| CodeRefused::Wrong)?;
    let step = totp::check(&secret, code, world.clock.now(), last_step.map(Step)).map_err(|_| CodeRefused::Wrong)?;
    let command = Command::UseTotp {
        authenticator: known.id,
        step: step.0,
    };
    let used = world
        .directory
        .submit(command, actor_of(user, source), Vec::new())
        .await;
    match used {
        Ok(_) => Ok(()),
        Err(SubmitError::Refused(_)) => Err(CodeRefused::Wrong),
        Err(error @ SubmitError::Unavailable(_)) => Err(CodeRefused::Unavailable(error)),
    }
}
