//! May this user enrol a device? They say who they are in the terminal, and get a token for their authenticator alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use device_checks::wire::{Authenticate, Authenticated};
use directory::{Command, EnrollmentTokenId, Factor, NewEnrollmentToken, TokenOrigin, User};
use policies::{OrganizationAction, OrganizationRequest, Proves, Refused, Registration, Remedy, RequestFacts};
use zeroize::Zeroizing;

use super::step::Step;
use crate::admin::Secret;
use crate::api_error::ApiError;
use crate::request::{Arrived, View, user_facts};
use crate::sign_in::{self, Credentials, session_ages, session_facts};
use crate::world::World;

/// Verifies password and code, asks the policies, and hands out an enrolment token.
pub(super) async fn authenticate(State(world): State<Arc<World>>, step: Step) -> Result<Json<Authenticated>, ApiError> {
    let asked: Authenticate = step.read()?;
    step.check(&world, &asked.instance_key)?;
    let source = step.arrived.peer;
    let credentials = Credentials {
        username: asked.username,
        password: Zeroizing::new(asked.password),
        totp: asked.totp.map(Zeroizing::new),
    };
    let authenticated = sign_in::authenticate(&world, credentials, source).await?;
    let (user, factors) = (authenticated.user(), &authenticated.factors());
    if let Some(required) = required(&world, user, factors, &step.arrived)? {
        return Ok(Json(required));
    }
    let secret = Secret::enrollment(rand::random());
    let lifetime = world.setup.load().config.enrollment.token_lifetime;
    let new = NewEnrollmentToken {
        id: EnrollmentTokenId::from_random(rand::random()),
        secret: secret.hash(),
        user: user.id,
        device: None,
        origin: TokenOrigin::SignIn,
        factors: factors.clone(),
        proofs: authenticated.proofs().to_vec(),
        session: None,
        bound_to: Some(asked.instance_key.thumbprint()),
        ends: world.clock.now().plus(lifetime),
    };
    let actor = sign_in::actor_of(user, source);
    world
        .directory
        .submit(Command::CreateEnrollmentToken(new), actor, Vec::new())
        .await?;
    Ok(Json(Authenticated::Success {
        token: secret.reveal().to_owned(),
        expires_in: lifetime.as_secs(),
    }))
}

/// Asks the policies whether a session may begin and a device be enrolled with these factors. A factor that the user has
/// and that would do is asked for; nothing where none is missing.
fn required(
    world: &World,
    user: &User,
    factors: &BTreeSet<Factor>,
    arrived: &Arrived,
) -> Result<Option<Authenticated>, ApiError> {
    let view = world.view();
    let request = organization_request(&view, user, Some(factors), arrived);
    // What the device will prove of itself is judged when it does: here it is given the benefit of the doubt.
    let registration = Registration {
        attested: true,
        ..Registration::default()
    };
    for action in [
        OrganizationAction::CreateSession,
        OrganizationAction::RegisterDevice(registration),
    ] {
        let Err(denied) = view.decider.decide_organization(&action, &request) else {
            continue;
        };
        let with_code = factors.iter().copied().chain([Factor::Totp]).collect();
        let remedy = Remedy {
            adds: BTreeSet::from([Proves::Totp]),
            session: Arc::new(session_facts(user, &with_code)),
            ages: session_ages(&with_code, view.now),
            device: None,
            authenticator_installed: None,
        };
        let refused = Refused::Organization(&action, &request);
        let helps = !view
            .decider
            .remedies(&refused, std::slice::from_ref(&remedy))
            .is_empty();
        if !helps || factors.contains(&Factor::Totp) {
            return Err(ApiError::Policy(denied));
        }
        if view.directory.usable_totps_of(user.id).next().is_none() {
            return Err(ApiError::FactorMissing { denied, factor: "totp" });
        }
        let messages: Vec<&str> = denied.reasons.iter().map(|reason| &*reason.message).collect();
        return Ok(Some(Authenticated::FactorRequired {
            factors: vec!["totp".to_owned()],
            message: messages.join(" "),
        }));
    }
    Ok(None)
}

/// What the policies are asked about an enrolment: by whom, with which factors, from where.
pub(super) fn organization_request(
    view: &View,
    user: &User,
    factors: Option<&BTreeSet<Factor>>,
    arrived: &Arrived,
) -> OrganizationRequest {
    let zones = view.setup.config.zones_of(arrived.peer);
    OrganizationRequest {
        user: Arc::new(user_facts(&view.directory, user)),
        device: None,
        session: factors.map(|factors| Arc::new(session_facts(user, factors))),
        request: RequestFacts {
            method: arrived.method.as_str().to_owned(),
            host: arrived.host.clone(),
            path: arrived.matched_path.clone(),
            ip: arrived.peer,
            zones: zones.map(str::to_owned).collect(),
        },
        ages: factors
            .map(|factors| session_ages(factors, view.now))
            .unwrap_or_default(),
        proof: None,
        risk: 0,
        authenticator_installed: None,
        now: view.now,
    }
}
