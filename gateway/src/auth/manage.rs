//! May whoever is signed in add, change or remove an authenticator now? With a factor no weaker than their strongest, proved
//! just now; or once, where an administrator released them.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::response::Response;
use directory::{Actor, AuthenticatorId, Command, EnrollmentId, User};
use http::StatusCode;
use policies::{Ages, Denied, OrganizationAction, OrganizationRequest, Proves, Refused};
use serde::{Deserialize, Serialize};

use super::application_host::see_other;
use super::sign_in::Visitor;
use super::sign_in::next::page_url;
use super::sign_in::standing::{Standing, remedies, strongest_of_devices};
use super::sign_in::state::{Goal, State};
use crate::api_error::ApiError;
use crate::factors::strength::Strength;
use crate::pages::{Link, Message, PageReason};
use crate::request::{Arrived, Identified, View, organization_request, page_reason};
use crate::sign_in::actor_of;
use crate::world::World;

/// A page of one's own account that a sign-in can lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountPage {
    /// The devices.
    Devices,
    /// The sessions.
    Sessions,
    /// What one signs in with.
    Factors,
    /// What happened.
    Activity,
    /// Another password.
    Password,
    /// An authenticator app.
    Totp,
    /// A security key or passkey.
    SecurityKey,
    /// New recovery codes.
    RecoveryCodes,
    /// Giving up a password, an app, a security key.
    RemoveFactor(AuthenticatorId),
    /// Giving up the account on a device.
    RemoveDevice(EnrollmentId),
}

/// Proof that an authenticator of whoever is signed in may be changed now. Only this module makes one.
#[derive(Debug)]
pub(crate) struct MayManage {
    user: Arc<User>,
    by_release: bool,
}

impl AccountPage {
    /// Where it is.
    pub(crate) fn path(self) -> String {
        match self {
            Self::Devices => "/account/devices".to_owned(),
            Self::Sessions => "/account/sessions".to_owned(),
            Self::Factors => "/account/factors".to_owned(),
            Self::Activity => "/account/activity".to_owned(),
            Self::Password => "/account/password".to_owned(),
            Self::Totp => "/account/totp".to_owned(),
            Self::SecurityKey => "/account/webauthn/add".to_owned(),
            Self::RecoveryCodes => "/account/recovery-codes".to_owned(),
            Self::RemoveFactor(id) => format!("/account/factors/remove?id={id}"),
            Self::RemoveDevice(id) => format!("/account/devices/remove?id={id}"),
        }
    }

    /// Whether it changes an authenticator.
    pub(crate) const fn manages(self) -> bool {
        match self {
            Self::Devices | Self::Sessions | Self::Factors | Self::Activity => false,
            Self::Password
            | Self::Totp
            | Self::SecurityKey
            | Self::RecoveryCodes
            | Self::RemoveFactor(_)
            | Self::RemoveDevice(_) => true,
        }
    }

    /// Whether it sets up a factor, which is what an administrator releases somebody to do.
    const fn sets_up(self) -> bool {
        match self {
            Self::Password | Self::Totp | Self::SecurityKey => true,
            Self::Devices
            | Self::Sessions
            | Self::Factors
            | Self::Activity
            | Self::RecoveryCodes
            | Self::RemoveFactor(_)
            | Self::RemoveDevice(_) => false,
        }
    }
}

impl MayManage {
    /// Whose authenticators.
    pub(crate) fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// Who carries the change out. A release is used up by this, before anything is changed: of two who come with it, or
    /// one whose change comes to nothing, nobody has it any more.
    ///
    /// # Errors
    /// The release was used meanwhile, or the store fails.
    pub(crate) async fn actor(self, visitor: &Visitor) -> Result<Actor, ApiError> {
        let actor = actor_of(&self.user, visitor.arrived.peer);
        if self.by_release {
            let used = Command::UseRelease(self.user.id);
            visitor.world.directory.submit(used, actor.clone(), Vec::new()).await?;
        }
        Ok(actor)
    }
}

/// Whether whoever is signed in may change an authenticator now, as this page does.
///
/// # Errors
/// Nobody is signed in, or what the policies say against it: for scripts, as it is.
pub(crate) fn manage_authenticator(visitor: &Visitor, page: AccountPage) -> Result<MayManage, ApiError> {
    let asked = Asked {
        world: &visitor.world,
        view: &visitor.view,
        arrived: &visitor.arrived,
    };
    let identified = visitor.identified().ok_or(ApiError::NotAuthenticated)?;
    asked.decide(identified, page).map_err(ApiError::Policy)
}

/// The same for a page that is opened: whoever may not is led to prove more, and back.
///
/// # Errors
/// The answer that leads there.
#[expect(clippy::result_large_err, reason = "an answer is an answer")]
pub(crate) fn manage_or_step_up(visitor: &Visitor, page: AccountPage) -> Result<MayManage, Response> {
    manage_authenticator(visitor, page).map_err(|_| {
        let state = State::new(Goal::Account(page), visitor.browser(), visitor.view.now);
        visitor.answer(see_other(&page_url(visitor, &state)))
    })
}

/// The same for a form that is sent: nothing happens, and the answer says why.
///
/// # Errors
/// That answer: 403.
#[expect(clippy::result_large_err, reason = "an answer is an answer")]
pub(crate) fn manage_or_refuse(visitor: &Visitor, page: AccountPage) -> Result<MayManage, Response> {
    manage_authenticator(visitor, page).map_err(|error| refuse(visitor, page, &error))
}

/// Says that an authenticator may not be changed now, and where to prove more.
fn refuse(visitor: &Visitor, page: AccountPage, error: &ApiError) -> Response {
    let texts = &visitor.shell().texts.manage;
    let reasons: &[policies::Reason] = match error {
        ApiError::Policy(denied) => &denied.reasons,
        _ => &[],
    };
    let reasons: Vec<PageReason<'_>> = reasons
        .iter()
        .map(|reason| page_reason(visitor.shell().texts, reason))
        .collect();
    let path = page.path();
    let message = Message {
        reasons: &reasons,
        link: Some(Link {
            href: &path,
            text: texts.prove,
        }),
        code: "authenticator-refused",
        ..visitor.message(texts.title, texts.lead)
    };
    visitor.answer(message.respond(StatusCode::FORBIDDEN))
}

/// Says that nothing that the user has would do: an administrator can release them.
pub(super) fn nothing_helps(visitor: &Visitor, denied: &Denied) -> Response {
    let texts = &visitor.shell().texts.manage;
    let reasons: Vec<PageReason<'_>> = denied
        .reasons
        .iter()
        .map(|reason| page_reason(visitor.shell().texts, reason))
        .collect();
    let message = Message {
        reasons: &reasons,
        link: Some(Link {
            href: "/account",
            text: texts.back,
        }),
        code: "authenticator-refused",
        ..visitor.message(texts.title, texts.nothing)
    };
    visitor.answer(message.respond(StatusCode::FORBIDDEN))
}

/// Changing an authenticator, as a question.
pub(super) struct Asked<'a> {
    /// The gateway.
    pub(super) world: &'a World,
    /// What is true now.
    pub(super) view: &'a View,
    /// The request.
    pub(super) arrived: &'a Arrived,
}

impl Asked<'_> {
    /// Whether whoever stands so may.
    ///
    /// # Errors
    /// What the policies say against it.
    pub(super) fn decide(&self, identified: &Identified, page: AccountPage) -> Result<MayManage, Denied> {
        let request = self.request(identified);
        let fresh = fresh(&request);
        let as_strong = fresh.is_some_and(|fresh| suffices(fresh, self.strongest(&identified.user)));
        let released = page.sets_up() && fresh.is_some() && identified.user.released(self.view.now).is_some();
        let action = OrganizationAction::ManageAuthenticator {
            as_strong_as_strongest: as_strong || released,
        };
        self.view.decider.decide_organization(&action, &request)?;
        Ok(MayManage {
            user: identified.user.clone(),
            by_release: !as_strong,
        })
    }

    /// What the user could prove so that they may, the least first.
    pub(super) fn ways(&self, identified: &Identified) -> Vec<BTreeSet<Proves>> {
        let generation = identified.session.as_ref().and_then(|session| session.generation());
        let (Some(session), Some(generation)) = (&identified.session, generation) else {
            return Vec::new();
        };
        let request = self.request(identified);
        let standing = Standing {
            user: &identified.user,
            proofs: &generation.proofs,
            begun: session.session.created,
            ages: request.ages,
            in_software: self.view.setup.config.sign_in.count_software_verification,
        };
        let strongest = self.strongest(&identified.user);
        let mut remedies = remedies(self.world, self.view, &standing);
        remedies.retain(|remedy| {
            let fresh = Strength::fresh(&remedy.session, &remedy.ages, self.view.now);
            fresh.is_some_and(|fresh| suffices(fresh, strongest))
        });
        let action = OrganizationAction::ManageAuthenticator {
            as_strong_as_strongest: true,
        };
        let sufficient = self
            .view
            .decider
            .remedies(&Refused::Organization(&action, &request), &remedies);
        let mut seen = BTreeSet::new();
        let adds = sufficient.into_iter().map(|remedy| remedy.adds.clone());
        adds.filter(|adds| seen.insert(adds.clone())).collect()
    }

    fn request(&self, identified: &Identified) -> OrganizationRequest {
        organization_request(&self.world.facts, self.view, self.arrived, identified)
    }

    /// The strongest that the user could prove with anything of theirs that can be used now. A recovery code stands in for
    /// what was lost and asks for nothing by being there: whoever made some need not use one up to change their password.
    fn strongest(&self, user: &User) -> Strength {
        let now = self.view.now;
        let nothing = Standing {
            user,
            proofs: &[],
            begun: now,
            ages: Ages::default(),
            in_software: false,
        };
        let remedies = remedies(self.world, self.view, &nothing);
        let proved = remedies
            .iter()
            .filter(|remedy| !remedy.adds.contains(&Proves::Recovery))
            .filter_map(|remedy| Strength::fresh(&remedy.session, &remedy.ages, now));
        let by_devices = strongest_of_devices(self.world, self.view, user);
        proved.chain(by_devices).max().unwrap_or(Strength::Reachable)
    }
}

fn fresh(request: &OrganizationRequest) -> Option<Strength> {
    let session = request.session.as_ref()?;
    Strength::fresh(session, &request.ages, request.now)
}

/// Whoever has nothing better than mail changes nothing with it either: that takes an administrator.
fn suffices(fresh: Strength, strongest: Strength) -> bool {
    fresh > Strength::Reachable && fresh >= strongest
}
