//! How does a page have somebody's other devices asked? It begins a push, and sees the same whether anybody is asked or not.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use device_checks::wire::{PUSH_ANSWERS_PATH, Pushed};
use device_checks::{AUTHENTICATOR, CHALLENGE_TYPE, Challenge, Demand, KeyType, PUSH, SignInAsked};
use directory::{AttemptId, DeviceId, EnrollmentId};

use super::asked::Confirmation;
use super::organization::organization;
use super::pushes::may_be_asked;
use crate::api_error::{ApiError, fault};
use crate::factors::throttle::Source;
use crate::pushes::{Asking, Push, Trust, ends};
use crate::world::World;

/// What a page wants asked, of whom, and what speaks for it.
pub(crate) struct Wish {
    /// What is to be asked.
    pub(crate) asking: Asking,
    /// What the person is shown.
    pub(crate) shown: SignInAsked,
    /// What speaks for the browser; without anything nobody is asked.
    pub(crate) trust: Option<Trust>,
    /// The device that the browser is on, where that is known: it is asked in another way.
    pub(crate) but: Option<DeviceId>,
}

/// Begins a push. Whom it goes to is found out beside the answer to the page, which takes as long for everybody.
pub(crate) fn begin_push(world: &Arc<World>, wish: Wish, source: IpAddr) -> AttemptId {
    let nonce = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let push = Arc::new(Push::begin(wish.asking, ends(world.clock.now()), nonce));
    let attempt = push.attempt;
    world.pushes.keep(push.clone(), Source::from(source));
    if let Some(trust) = wish.trust {
        let world = world.clone();
        tokio::spawn(async move { deliver(&world, &push, wish.shown, (trust, wish.but)) });
    }
    attempt
}

/// Sends it to those of the user's devices that count and whose agents are connected.
fn deliver(world: &World, push: &Push, shown: SignInAsked, (trust, but): (Trust, Option<DeviceId>)) {
    let Some(user) = push.user else { return };
    let directory = world.directory.snapshot();
    let connected = world.pushes.lines.of_user(user).into_iter();
    let devices: Vec<EnrollmentId> = connected
        .filter(|id| {
            let enrollment = may_be_asked(&directory, *id);
            enrollment.is_ok_and(|enrollment| enrollment.user == user && Some(enrollment.device) != but)
        })
        .collect();
    let now = world.clock.now();
    // One that its browser has replaced meanwhile asks nobody, and counts nowhere.
    if devices.is_empty() || !push.is_open(now) || !world.pushes.caps.admit(user, trust, now) {
        metrics::counter!("latchkey_pushes_total", "outcome" => "not-sent").increment(1);
        return;
    }
    let Ok(challenge) = challenge(world, push, shown) else {
        return;
    };
    // INVARIANT: whom it goes to is known before anybody can answer.
    if !push.goes_to(&devices) {
        return;
    }
    metrics::counter!("latchkey_pushes_total", "outcome" => "sent").increment(1);
    let said = Pushed::Challenge(challenge);
    for device in devices {
        world.pushes.tell(user, device, &said);
    }
}

fn challenge(world: &World, push: &Push, shown: SignInAsked) -> Result<String, ApiError> {
    let setup = world.setup.load();
    let claims = Challenge {
        iss: setup.auth_origin.clone(),
        aud: AUTHENTICATOR.to_owned(),
        iat: world.clock.now().secs(),
        exp: push.ends.secs(),
        jti: push.attempt,
        nonce: push.nonce.clone(),
        org_id: organization(&world.directory.snapshot())?,
        transaction_id: push.attempt,
        verification_uri: format!("{}{PUSH_ANSWERS_PATH}", setup.auth_origin),
        origin: setup.auth_origin.clone(),
        // What the approving device is like says nothing of the one that signs in.
        signals: Vec::new(),
        management_issuers: Vec::new(),
        key_types: vec![KeyType::ProofOfPossession, KeyType::UserVerification],
        method: PUSH.to_owned(),
        user_mediation: Demand::Required,
        user_verification: match push.demand {
            Confirmation::Silent | Confirmation::Approved => Demand::Discouraged,
            Confirmation::Verified => Demand::Required,
        },
        sign_in: Some(shown),
        renews: None,
        number: push.number.is_some(),
    };
    let signed = world.signer.sign(CHALLENGE_TYPE, &claims);
    signed.map_err(|error| fault(&error, "a push could not be signed"))
}
