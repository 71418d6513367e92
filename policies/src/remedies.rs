//! What would turn a refusal? Sessions as they would be with more proved, tried one by one; the least that suffices is named.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::Ages;
use crate::decide::Decider;
use crate::facts::{AccessRequest, DeviceFacts, SessionFacts};
use crate::organization::{OrganizationAction, OrganizationRequest};

/// Something that can be proved, ordered by how much it asks of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proves {
    /// The device shows which one it is. That is no factor.
    Device,
    /// FastPass by the device's key alone: nobody is asked.
    Fastpass,
    /// FastPass that somebody approved.
    FastpassApproved,
    /// A security key or passkey that somebody touched.
    Webauthn,
    /// A security key or passkey, with PIN or biometric.
    WebauthnVerified,
    /// The password.
    Password,
    /// A code of the TOTP authenticator.
    Totp,
    /// FastPass with PIN or biometric.
    FastpassVerified,
    /// Another device of the user, on which somebody approved.
    Push,
    /// Another device of the user, with PIN or biometric.
    PushVerified,
    /// A code or link that came by mail.
    Email,
    /// A recovery code.
    Recovery,
}

/// A request as it would be if more were proved.
#[derive(Debug, Clone)]
pub struct Remedy {
    /// What would have to be proved.
    pub adds: BTreeSet<Proves>,
    /// The session as it would then be.
    pub session: Arc<SessionFacts>,
    /// Since when the facts would then hold, the session and its last use among them.
    pub ages: Ages,
    /// The device that would then be known; nothing leaves the one of the request.
    pub device: Option<Arc<DeviceFacts>>,
    /// Whether the device's authenticator would have answered; nothing leaves what is known of it.
    pub authenticator_installed: Option<bool>,
}

/// What was refused, and is to be opened.
#[derive(Debug, Clone, Copy)]
pub enum Refused<'a> {
    /// An application. The session that opens it must also be one that may begin and go on.
    Access(&'a AccessRequest),
    /// An action on the organisation, by itself.
    Organization(&'a OrganizationAction, &'a OrganizationRequest),
}

impl Decider {
    /// Which of these would turn the refusal, the least first. What asks for more than another that suffices is left out.
    pub fn remedies<'a>(&self, refused: &Refused<'_>, remedies: &'a [Remedy]) -> Vec<&'a Remedy> {
        let sufficient = remedies.iter().filter(|remedy| self.suffices(refused, remedy));
        least(sufficient.collect(), |remedy| &remedy.adds)
    }

    fn suffices(&self, refused: &Refused<'_>, remedy: &Remedy) -> bool {
        match refused {
            Refused::Access(request) => self.opens(&remedy.applied_to_access(request)),
            Refused::Organization(action, request) => {
                self.decide_organization(action, &remedy.applied_to(request)).is_ok()
            }
        }
    }

    /// Whether the request is allowed, and its session as well.
    pub(crate) fn opens(&self, request: &AccessRequest) -> bool {
        let session = OrganizationRequest::from(request);
        self.decide(request).is_ok()
            && OF_SESSIONS
                .iter()
                .all(|action| self.decide_organization(action, &session).is_ok())
    }
}

impl Proves {
    /// The word for it in records and pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Fastpass => "fastpass",
            Self::FastpassApproved => "fastpass-approved",
            Self::Password => "password",
            Self::Totp => "totp",
            Self::FastpassVerified => "fastpass-verified",
            Self::Webauthn => "webauthn",
            Self::WebauthnVerified => "webauthn-verified",
            Self::Push => "push",
            Self::PushVerified => "push-verified",
            Self::Email => "email",
            Self::Recovery => "recovery",
        }
    }

    /// Whether proving this proves the other as well: FastPass with a PIN is also approved, and shows the device.
    pub fn includes(self, other: Self) -> bool {
        let (more, less) = (self.steps_of_fastpass(), other.steps_of_fastpass());
        self == other
            || (less.is_some() && more > less)
            || matches!(
                (self, other),
                (Self::WebauthnVerified, Self::Webauthn) | (Self::PushVerified, Self::Push)
            )
    }

    /// How far along FastPass it is, of which each step includes those before.
    const fn steps_of_fastpass(self) -> Option<u8> {
        match self {
            Self::Device => Some(0),
            Self::Fastpass => Some(1),
            Self::FastpassApproved => Some(2),
            Self::FastpassVerified => Some(3),
            Self::Password
            | Self::Totp
            | Self::Webauthn
            | Self::WebauthnVerified
            | Self::Push
            | Self::PushVerified
            | Self::Email
            | Self::Recovery => None,
        }
    }
}

impl Remedy {
    /// The request to the organisation as it would then be. A proof by another device than the one then known is none.
    fn applied_to(&self, request: &OrganizationRequest) -> OrganizationRequest {
        let device = self.device.as_ref().or(request.device.as_ref()).cloned();
        let known = device.as_ref().map(|device| device.id);
        OrganizationRequest {
            session: Some(Arc::clone(&self.session)),
            ages: self.ages,
            proof: request.proof.filter(|proof| Some(proof.device) == known),
            authenticator_installed: self.authenticator_installed.or(request.authenticator_installed),
            device,
            ..request.clone()
        }
    }

    /// The same for a request to an application.
    fn applied_to_access(&self, request: &AccessRequest) -> AccessRequest {
        let applied = self.applied_to(&OrganizationRequest::from(request));
        AccessRequest {
            device: applied.device,
            session: applied.session,
            ages: applied.ages,
            proof: applied.proof,
            authenticator_installed: applied.authenticator_installed,
            ..request.clone()
        }
    }
}

/// Those that ask for no more than they must, the least first: by number, then by what asks most of the person.
pub(crate) fn least<T>(sufficient: Vec<T>, adds: impl Fn(&T) -> &BTreeSet<Proves>) -> Vec<T> {
    let sets: Vec<BTreeSet<Proves>> = sufficient.iter().map(|one| adds(one).clone()).collect();
    let is_too_much = |set: &BTreeSet<Proves>| {
        let mut others = sets.iter();
        others.any(|other| is_within(other, set) && !is_within(set, other))
    };
    let mut least: Vec<T> = sufficient.into_iter().filter(|one| !is_too_much(adds(one))).collect();
    least.sort_by_cached_key(|one| burden(adds(one)));
    least
}

/// Whether all of a set is proved by what is in another.
pub(crate) fn is_within(set: &BTreeSet<Proves>, other: &BTreeSet<Proves>) -> bool {
    set.iter().all(|one| other.iter().any(|more| more.includes(*one)))
}

/// How much a set asks of the person.
pub(crate) fn burden(set: &BTreeSet<Proves>) -> (usize, Vec<Proves>) {
    (set.len(), set.iter().rev().copied().collect())
}

/// What a session is asked before any application is.
pub(crate) const OF_SESSIONS: [OrganizationAction; 2] =
    [OrganizationAction::CreateSession, OrganizationAction::ContinueSession];
