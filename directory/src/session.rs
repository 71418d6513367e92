//! What is a session, on what does it rest, and what ends it?
//!
//! Sessions are kept apart from the snapshot: signing in makes no new revision. What they rest on is in the snapshot, so
//! that a session which has lost its ground counts no longer from that revision on, whoever has noticed.

mod command;
mod plan;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    AuthenticatorId, Device, DeviceId, DeviceState, Enrollment, EnrollmentId, EnrollmentState, Factor, SecretHash,
    SessionId, Snapshot, Timestamp, UserId, UserStatus,
};

pub use command::{NewSession, Raise, Renewal, SessionCommand};
pub use plan::{KnownSessions, SessionPlan};

/// What a user proved in one browser, and the cookies by which it is known there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Never reused.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// When it began.
    pub created: Timestamp,
    /// The browser it began in.
    pub client: Client,
    /// What was proved, oldest first; never empty. Each proof makes a new one, and cookies of before keep theirs.
    pub generations: Vec<Generation>,
    /// The cookies that stand for it.
    pub cookies: Vec<SessionCookie>,
    /// Whether it goes on.
    pub state: SessionState,
}

/// The browser a session is in, as far as it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Tells this browser from others that have signed in here: the hash of a cookie of its own.
    pub browser: SecretHash,
    /// What it calls itself, in short: `Firefox on Linux`.
    pub name: String,
    /// From where it came.
    pub address: IpAddr,
}

/// What had been proved at one moment of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Counts from 1.
    pub number: u32,
    /// The factors, each once.
    pub proofs: Vec<FactorProof>,
    /// The device that proved to be the one in use, where one did.
    pub device: Option<DeviceProof>,
    /// How unusual the last sign-in was.
    #[serde(default)]
    pub risk: Risk,
    /// Whether an authenticator answered the browser; nothing where none was looked for.
    #[serde(default)]
    pub installed: Option<bool>,
}

/// How unusual a sign-in is: points that add up to a score, each for something that was not as usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Risk {
    /// The user never signed in with this browser.
    pub new_browser: u8,
    /// The user never signed in from this network.
    pub new_network: u8,
    /// Somebody failed to sign in as this user a short while ago.
    pub recent_failures: u8,
}

/// One use of an authenticator in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactorProof {
    /// Which factor.
    pub factor: Factor,
    /// When.
    pub at: Timestamp,
    /// What has to stay as it was for the proof to count.
    pub basis: Basis,
    /// What can be said of it.
    pub properties: Properties,
}

/// What a proof rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "on")]
pub enum Basis {
    /// A password or secret, as it was set then.
    Authenticator {
        /// Which one.
        id: AuthenticatorId,
        /// When it was set.
        set: Timestamp,
    },
    /// Mail that reached the user at this address.
    Mail {
        /// Whose.
        user: UserId,
        /// The SHA-256 of the address.
        address: SecretHash,
    },
    /// A key of this enrolment, in the generation it was in.
    Enrollment {
        /// Which one.
        id: EnrollmentId,
        /// Its generation then.
        generation: u32,
        /// The device that holds the key.
        device: DeviceId,
    },
}

/// The properties of one use of an authenticator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, as policies see them"
)]
pub struct Properties {
    /// It cannot be relayed to another site.
    pub phishing_resistant: bool,
    /// Its key lives in hardware.
    pub hardware_protected: bool,
    /// Its key cannot leave the device.
    pub device_bound: bool,
    /// Somebody touched or approved.
    pub user_presence: bool,
    /// PIN or biometric, enforced by the hardware that holds the key.
    pub user_verified: bool,
    /// PIN or biometric, on the software's word.
    pub user_verified_in_software: bool,
}

/// Proof that a device is the one in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceProof {
    /// The enrolment whose key signed.
    pub enrollment: EnrollmentId,
    /// The generation it was in.
    pub generation: u32,
    /// When.
    pub at: Timestamp,
}

/// One cookie of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCookie {
    /// The hash of its 256 random bits.
    pub secret: SecretHash,
    /// The generation whose facts it stands for.
    pub generation: u32,
    /// Where alone it counts: a host, without a port.
    pub host: String,
    /// When it was made.
    pub made: Timestamp,
}

/// Whether a session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum SessionState {
    /// It does.
    Live,
    /// Never again.
    Ended {
        /// Since when.
        at: Timestamp,
        /// Why.
        cause: SessionEnd,
    },
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionEnd {
    /// The user signed out in this browser.
    SignedOut,
    /// The user signed out everywhere.
    SignedOutEverywhere,
    /// Another session took its place in the browser.
    Replaced,
    /// An admin ended it.
    Admin,
    /// The user was suspended, deactivated or deleted.
    UserInactive,
    /// A device that it rests on was deactivated.
    DeviceDeactivated,
    /// A device that it rests on was suspended.
    DeviceSuspended,
    /// A device that it rests on was deleted.
    DeviceDeleted,
    /// The account on a device that it rests on was removed.
    AccountRemoved,
    /// A password or secret that it rests on was changed or removed.
    FactorChanged,
    /// It was too old, or unused for too long.
    Expired,
    /// The user has too many others.
    TooMany,
}

impl Generation {
    /// The devices whose keys or apps proved something for it.
    pub fn devices(&self) -> impl Iterator<Item = DeviceId> {
        self.proofs.iter().filter_map(|proof| proof.basis.device())
    }

    /// Those of them that are in the user's hands where the browser is: who approved a push, or read a code off a device, may
    /// have it elsewhere.
    pub fn devices_in_use(&self) -> impl Iterator<Item = DeviceId> {
        let here = self.proofs.iter().filter(|proof| proof.factor == Factor::Fastpass);
        here.filter_map(|proof| proof.basis.device())
    }
}

impl Risk {
    /// The same where a session goes on: proving more does not make usual where it began.
    pub fn of_places_of(self, begun: Self) -> Self {
        Self {
            new_browser: self.new_browser.max(begun.new_browser),
            new_network: self.new_network.max(begun.new_network),
            ..self
        }
    }

    /// The sum, 100 at most.
    pub fn score(self) -> u8 {
        let parts = [self.new_browser, self.new_network, self.recent_failures];
        parts.into_iter().fold(0, u8::saturating_add).min(100)
    }
}

impl Properties {
    /// Those that it has, as the System Log and admins' scripts know them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let Self {
            phishing_resistant,
            hardware_protected,
            device_bound,
            user_presence,
            user_verified,
            user_verified_in_software,
        } = self;
        let names = [
            (device_bound, "DEVICE_BOUND"),
            (hardware_protected, "HARDWARE_PROTECTED"),
            (phishing_resistant, "PHISHING_RESISTANT"),
            (user_presence, "USER_PRESENCE"),
            (user_verified || user_verified_in_software, "USER_VERIFYING"),
        ];
        names.into_iter().filter_map(|(has, name)| has.then_some(name))
    }
}

impl Session {
    /// What had been proved by this generation.
    pub fn generation(&self, number: u32) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.number == number)
    }

    /// From when on its user is known where it began: at once if a key said so that no page can have stolen, else a day
    /// later. Who only guessed a password is not made known by that.
    pub fn place_known_from(&self) -> Timestamp {
        let first = self.generations.iter().min_by_key(|generation| generation.number);
        let mut proofs = first.into_iter().flat_map(|generation| &generation.proofs);
        match proofs.any(|proof| proof.properties.phishing_resistant) {
            true => self.created,
            false => self.created.plus(GETS_KNOWN),
        }
    }

    /// Whether it goes on, as far as it knows itself.
    pub fn is_live(&self) -> bool {
        self.state == SessionState::Live
    }

    /// The same without the room that its lists have to grow: many sessions are kept for long and change seldom.
    #[must_use]
    pub fn shrunk(mut self) -> Self {
        self.generations.shrink_to_fit();
        for generation in &mut self.generations {
            generation.proofs.shrink_to_fit();
        }
        self.cookies.shrink_to_fit();
        self
    }

    /// Why it counts no longer in this directory, or nothing where it does.
    pub fn end(&self, directory: &Snapshot) -> Option<SessionEnd> {
        if let SessionState::Ended { cause, .. } = self.state {
            return Some(cause);
        }
        let active = |user: Arc<crate::User>| user.status == UserStatus::Active;
        if !directory.user(self.user).is_some_and(active) {
            return Some(SessionEnd::UserInactive);
        }
        let mut proofs = self.generations.iter().flat_map(|generation| &generation.proofs);
        proofs.find_map(|proof| proof.basis.lost(directory))
    }
}

impl Basis {
    /// The device whose key or app it was, where it was one's.
    pub fn device(&self) -> Option<DeviceId> {
        match self {
            Self::Enrollment { device, .. } => Some(*device),
            Self::Authenticator { .. } | Self::Mail { .. } => None,
        }
    }

    /// Why what rests on it counts no longer, or nothing where it does.
    pub fn lost(&self, directory: &Snapshot) -> Option<SessionEnd> {
        match self {
            Self::Authenticator { id, set } => {
                let known = directory.authenticator(*id);
                let unchanged = known.is_some_and(|known| known.updated == *set);
                (!unchanged).then_some(SessionEnd::FactorChanged)
            }
            Self::Mail { user, address } => {
                let known = directory.user(*user).map(|user| SecretHash::of(&user.email));
                (known != Some(*address)).then_some(SessionEnd::FactorChanged)
            }
            Self::Enrollment { id, generation, device } => {
                let enrollment = directory.enrollment(*id);
                let device = directory.device(*device);
                lost(enrollment.as_deref(), *generation, device.as_deref())
            }
        }
    }
}

impl DeviceProof {
    /// The device, where the enrolment is known.
    pub fn device(&self, directory: &Snapshot) -> Option<DeviceId> {
        directory
            .enrollment(self.enrollment)
            .map(|enrollment| enrollment.device)
    }

    /// The enrolment and the device, while both count as they did when this was proved.
    pub fn counting(&self, directory: &Snapshot) -> Option<(Arc<Enrollment>, Arc<Device>)> {
        let enrollment = directory.enrollment(self.enrollment)?;
        let device = directory.device(enrollment.device)?;
        let lost = lost(Some(&enrollment), self.generation, Some(&device));
        lost.is_none().then_some((enrollment, device))
    }
}

/// How long it takes until a place is known at which only knowledge was proved.
const GETS_KNOWN: Duration = Duration::from_secs(24 * 3600);

fn lost(enrollment: Option<&Enrollment>, generation: u32, device: Option<&Device>) -> Option<SessionEnd> {
    let Some(device) = device else {
        return Some(SessionEnd::DeviceDeleted);
    };
    match device.state {
        DeviceState::Deactivated { .. } => return Some(SessionEnd::DeviceDeactivated),
        DeviceState::Suspended { .. } => return Some(SessionEnd::DeviceSuspended),
        DeviceState::Active => {}
    }
    let current =
        |enrollment: &Enrollment| enrollment.state == EnrollmentState::Active && enrollment.generation == generation;
    (!enrollment.is_some_and(current)).then_some(SessionEnd::AccountRemoved)
}

crate::words::serde_words!(SessionEnd, "a cause", {
    SignedOut = "signed_out",
    SignedOutEverywhere = "signed_out_everywhere",
    Replaced = "replaced",
    Admin = "admin",
    UserInactive = "user_inactive",
    DeviceDeactivated = "device_deactivated",
    DeviceSuspended = "device_suspended",
    DeviceDeleted = "device_deleted",
    AccountRemoved = "account_removed",
    FactorChanged = "factor_changed",
    Expired = "expired",
    TooMany = "too_many",
});
