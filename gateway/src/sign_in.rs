//! Who is this, by what they know? A password and perhaps a code, the same for the terminal and the browser.
//!
//! Whoever fails learns nothing from it, neither from the words nor from the time it takes: unknown users, users without a
//! password, users who are not active and wrong passwords are answered alike.

mod by_mail;
mod by_recovery_code;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use directory::{
    Actor, ActorKind, Authenticator, AuthenticatorId, AuthenticatorKind, Basis, Command, EnrollmentToken, Factor,
    FactorProof, Failure, Properties, Protected, Timestamp, User, UserStatus,
};
use policies::{Ages, SessionFacts};
use zeroize::Zeroizing;

use crate::api_error::{ApiError, fault};
use crate::factors::failures::Failures;
use crate::factors::hasher::{Hasher, NotDone};
use crate::factors::letters::Letters;
use crate::factors::mailed::MailedCodes;
use crate::factors::password::{NotVerified, Password, PasswordHash, Verified};
use crate::factors::throttle::{AccountKey, Admission, Guess, Source, Throttle};
use crate::factors::totp::{self, Step, TotpSecret};
use crate::logs::Chain;
use crate::store::SubmitError;
use crate::world::World;

pub(crate) use by_mail::{prove_mailed_code, prove_mailed_link, recipient};
pub(crate) use by_recovery_code::prove_recovery_code;

/// What verifying passwords and codes takes.
pub(crate) struct SignIns {
    /// Works on passwords.
    pub(crate) hasher: Hasher,
    /// Slows down whoever guesses.
    pub(crate) throttle: Throttle,
    /// Who was guessed at lately.
    pub(crate) failures: Failures,
    /// Codes that went out by mail.
    pub(crate) mailed: MailedCodes,
    /// How many letters went out lately.
    pub(crate) letters: Letters,
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
    proofs: Vec<FactorProof>,
}

impl Authenticated {
    /// The user; active.
    pub(crate) fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// What they proved.
    pub(crate) fn proofs(&self) -> &[FactorProof] {
        &self.proofs
    }

    /// The factors of it.
    pub(crate) fn factors(&self) -> BTreeSet<Factor> {
        self.proofs.iter().map(|proof| proof.factor).collect()
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
    let (user, by_password) = prove_password(world, &credentials.username, credentials.password, source).await?;
    let mut proofs = vec![by_password];
    if let Some(code) = credentials.totp {
        proofs.push(prove_code(world, &user, &code, source).await?);
    }
    Ok(Authenticated { user, proofs })
}

/// Verifies a password; throttled by account and source.
///
/// # Errors
/// If it is wrong or there is nobody to whom it belongs: alike; or if there were too many failures.
pub(crate) async fn prove_password(
    world: &World,
    username: &str,
    password: Zeroizing<String>,
    source: IpAddr,
) -> Result<(Arc<User>, FactorProof), ApiError> {
    let admission = admit(world, &guess(username, Factor::Password, source))?;
    let snapshot = world.directory.snapshot();
    let user = snapshot.user_by_login(username);
    let known = user.as_ref().filter(|user| user.status == UserStatus::Active).cloned();
    let password_of_user = known.as_ref().and_then(|user| snapshot.password_of(user.id));
    let verified = match verify_password(world, password_of_user.as_deref(), password).await {
        Ok(verified) => verified,
        Err(PasswordRefused::Wrong) => {
            return Err(refuse(world, admission, user.as_ref(), Factor::Password, source).await);
        }
        Err(PasswordRefused::Unusable(error)) => {
            admission.withdrawn();
            return Err(error);
        }
    };
    let (Some(user), Some(proved)) = (known, password_of_user) else {
        return Err(refuse(world, admission, None, Factor::Password, source).await);
    };
    admission.succeeded(world.clock.now());
    rehash(world, &user, verified).await;
    let proof = proof_by(Factor::Password, &proved, world.clock.now());
    Ok((user, proof))
}

/// Verifies a code of the user's TOTP authenticator and burns it; throttled likewise.
///
/// # Errors
/// If it is wrong, was used or the user has no such authenticator; or if there were too many failures.
pub(crate) async fn prove_code(
    world: &World,
    user: &Arc<User>,
    code: &str,
    source: IpAddr,
) -> Result<FactorProof, ApiError> {
    let admission = admit(world, &guess(&user.login, Factor::Totp, source))?;
    match use_code(world, user, code, source).await {
        Ok(basis) => {
            let now = world.clock.now();
            admission.succeeded(now);
            Ok(proof_on(Factor::Totp, basis, now))
        }
        Err(CodeRefused::Wrong) => Err(refuse(world, admission, Some(user), Factor::Totp, source).await),
        Err(CodeRefused::Unavailable(error)) => {
            admission.withdrawn();
            Err(error.into())
        }
    }
}

/// What is kept of a password that somebody chose.
///
/// # Errors
/// Too many wait to be hashed, or it could not be.
pub(crate) async fn hash_password(world: &World, password: Password) -> Result<Protected, ApiError> {
    match world.sign_ins.hasher.hash(password, rand::random()).await {
        Ok(hash) => Ok(Protected::new(hash.to_phc())),
        Err(NotDone::Busy) => Err(ApiError::Busy),
        Err(error) => Err(fault(&error, "a password could not be hashed")),
    }
}

pub(crate) fn guess(username: &str, factor: Factor, source: IpAddr) -> Guess {
    Guess {
        account: AccountKey::of(username),
        factor,
        source: Source::from(source),
    }
}

/// The proof that an authenticator of the user's own was used; it counts as long as the authenticator is not set anew.
pub(crate) fn proof_by(factor: Factor, authenticator: &Authenticator, at: Timestamp) -> FactorProof {
    let basis = Basis::Authenticator {
        id: authenticator.id,
        set: authenticator.updated,
    };
    proof_on(factor, basis, at)
}

fn proof_on(factor: Factor, basis: Basis, at: Timestamp) -> FactorProof {
    FactorProof {
        factor,
        at,
        basis,
        properties: Properties {
            user_presence: true,
            ..Properties::default()
        },
    }
}

/// The session that would begin with these factors at this moment, as policies see it.
pub(crate) fn session_facts(user: &User, factors: &BTreeSet<Factor>) -> SessionFacts {
    let proofs = supposed(factors, Timestamp::from_secs(0));
    crate::sessions::facts_of_proofs(user.id, &proofs, false)
}

/// Since when these factors hold.
pub(crate) fn session_ages(factors: &BTreeSet<Factor>, at: Timestamp) -> Ages {
    crate::sessions::ages_of_proofs(&supposed(factors, at), at)
}

/// Proofs as these factors would make them: nothing is known of them but that they are there.
fn supposed(factors: &BTreeSet<Factor>, at: Timestamp) -> Vec<FactorProof> {
    let supposed = factors.iter().map(|factor| FactorProof {
        factor: *factor,
        at,
        basis: Basis::Authenticator {
            id: AuthenticatorId::from_random(0),
            set: at,
        },
        properties: Properties {
            user_presence: true,
            ..Properties::default()
        },
    });
    supposed.collect()
}

/// What the user had proved when they made this enrolment token themselves; nothing where an admin made it.
pub(crate) fn session_of(token: &EnrollmentToken, user: &User) -> Option<(SessionFacts, Ages)> {
    match (token.origin, token.proofs.as_slice()) {
        (directory::TokenOrigin::Admin, _) => None,
        (directory::TokenOrigin::SignIn, []) => Some((
            session_facts(user, &token.factors),
            session_ages(&token.factors, token.created),
        )),
        (directory::TokenOrigin::SignIn, proofs) => Some((
            crate::sessions::facts_of_proofs(user.id, proofs, false),
            crate::sessions::ages_of_proofs(proofs, token.created),
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

/// What the System Log calls somebody who is not known.
pub(crate) fn nobody(address: IpAddr) -> Actor {
    Actor {
        kind: ActorKind::User,
        id: "unknown".to_owned(),
        display_name: "unknown user".to_owned(),
        address: Some(address.to_canonical()),
    }
}

pub(crate) fn admit(world: &World, guess: &Guess) -> Result<Admission, ApiError> {
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
        None => nobody(source),
    };
    if let Some(user) = user {
        world.sign_ins.failures.add(user.id, world.clock.now());
    }
    let failure = Command::RecordFailure(Failure {
        user: user.map(|user| user.id),
        factor,
        reason: "not verified",
        enrollment: None,
        origin: None,
    });
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
    known: Option<&Authenticator>,
    password: Zeroizing<String>,
) -> Result<Checked, PasswordRefused> {
    let password = Password::typed(password).map_err(|_| PasswordRefused::Wrong)?;
    let hash = known.and_then(hash_in);
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

fn hash_in(authenticator: &Authenticator) -> Option<Protected> {
    match &authenticator.kind {
        AuthenticatorKind::Password { hash } => Some(hash.clone()),
        AuthenticatorKind::Totp { .. } | AuthenticatorKind::Webauthn(_) | AuthenticatorKind::RecoveryCodes { .. } => {
            None
        }
    }
}

/// Keeps the password under the present parameters, if it was hashed under older ones. The sign-in does not depend on it.
async fn rehash(world: &World, user: &User, checked: Checked) {
    if !checked.verified.is_outdated() {
        return;
    }
    let snapshot = world.directory.snapshot();
    let (Some(known), Some(before)) = (
        snapshot.password_of(user.id),
        snapshot.password_of(user.id).and_then(|known| hash_in(&known)),
    ) else {
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

/// Burns the code; of two who bring the same one the second is refused. It may be one of the user's own app or of an app on
/// any of their devices that is not shut out; says what the proof rests on.
async fn use_code(world: &World, user: &User, code: &str, source: IpAddr) -> Result<Basis, CodeRefused> {
    let (directory, now) = (world.directory.snapshot(), world.clock.now());
    let (known, step) = directory
        .usable_totps_of(user.id)
        .find_map(|known| step_of(&known, code, now).map(|step| (known, step)))
        .ok_or(CodeRefused::Wrong)?;
    let basis = directory.basis_of(&known).ok_or(CodeRefused::Wrong)?;
    let command = Command::UseTotp {
        authenticator: known.id,
        step: step.0,
    };
    let used = world
        .directory
        .submit(command, actor_of(user, source), Vec::new())
        .await;
    match used {
        Ok(_) => Ok(basis),
        Err(SubmitError::Refused(_)) => Err(CodeRefused::Wrong),
        Err(error @ SubmitError::Unavailable(_)) => Err(CodeRefused::Unavailable(error)),
    }
}

/// For which step this authenticator shows the code, if it does.
fn step_of(known: &Authenticator, code: &str, now: Timestamp) -> Option<Step> {
    let AuthenticatorKind::Totp { secret, last_step, .. } = &known.kind else {
        return None;
    };
    let secret = TotpSecret::from_base32(secret.reveal()).ok()?;
    totp::check(&secret, code, now, last_step.map(Step)).ok()
}
