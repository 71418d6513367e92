//! When is one decision as good as another? The cache key: everything a slice reads, and nothing else.

use std::sync::Arc;

use crate::facts::{AccessRequest, Action, AppFacts, DeviceFacts, Proof, RequestFacts, SessionFacts, UserFacts};
use crate::organization::OrganizationRequest;
use crate::reads::{Field, Reads, Uncached};
use crate::slice::Slice;
use crate::{Age, Ages};

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Decisions.
    pub decisions: usize,
    /// Sets of entities, one for each user, device and session seen together. They are large, and asked for again while
    /// somebody signs in or where a decision may not be remembered.
    pub people: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            decisions: 200_000,
            people: 4_000,
        }
    }
}

/// The user, the device and the session of a request: what its entities are made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct People {
    pub(crate) user: Arc<UserFacts>,
    pub(crate) device: Option<Arc<DeviceFacts>>,
    pub(crate) session: Option<Arc<SessionFacts>>,
}

/// An application and an action: what a slice is made for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) app: Arc<AppFacts>,
    pub(crate) action: Action,
}

/// Two requests with the same key get the same decision from the same policies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DecisionKey {
    people: People,
    target: Target,
    proof: Option<Proof>,
    authenticator_installed: Option<bool>,
    zones: Option<Arc<[String]>>,
    /// The outcome of each comparison of a text with a literal.
    tests: u128,
    /// For each age, nothing if it is unknown or unread, else one more than the number of lines it has crossed.
    ages: [u8; Age::ALL.len()],
}

/// What opens an application depends on this alone: of the request, on what its policies and those of sessions read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OpenersKey {
    target: Target,
    zones: Option<Arc<[String]>>,
    tests: Vec<u128>,
}

impl OpenersKey {
    /// The key, if what is found may be kept.
    pub(crate) fn of(target: Target, request: &RequestFacts, slices: &[Arc<Slice>]) -> Option<Self> {
        let mut uncached = slices.iter().flat_map(|slice| slice.reads.uncached());
        if !uncached.all(Uncached::is_the_same_for_all_requests) {
            return None;
        }
        let reads_zones = slices.iter().any(|slice| slice.reads.needs(Field::Zones));
        Some(Self {
            target,
            zones: reads_zones.then(|| Arc::clone(&request.zones)),
            tests: slices.iter().map(|slice| outcomes(request, slice)).collect(),
        })
    }
}

impl People {
    pub(crate) fn of(request: &AccessRequest) -> Self {
        let (user, device, session) = (&request.user, &request.device, &request.session);
        Self {
            user: Arc::clone(user),
            device: device.clone(),
            session: session.clone(),
        }
    }

    pub(crate) fn of_organization(request: &OrganizationRequest) -> Self {
        let (user, device, session) = (&request.user, &request.device, &request.session);
        Self {
            user: Arc::clone(user),
            device: device.clone(),
            session: session.clone(),
        }
    }
}

impl Target {
    pub(crate) fn of(request: &AccessRequest) -> Self {
        Self {
            app: Arc::clone(&request.app),
            action: request.action,
        }
    }
}

impl DecisionKey {
    /// The key of a decision, if it may be cached.
    pub(crate) fn of(request: &AccessRequest, slice: &Slice) -> Option<Self> {
        let reads = &slice.reads;
        if !reads.uncached().is_empty() {
            return None;
        }
        Some(Self {
            people: People::of(request),
            target: Target::of(request),
            proof: request.proof.filter(|_| reads.needs(Field::Proof)),
            authenticator_installed: request
                .authenticator_installed
                .filter(|_| reads.needs(Field::Authenticator)),
            zones: reads.needs(Field::Zones).then(|| Arc::clone(&request.request.zones)),
            tests: outcomes(&request.request, slice),
            ages: crossed(&request.ages, request, reads),
        })
    }
}

fn outcomes(request: &RequestFacts, slice: &Slice) -> u128 {
    slice
        .tests
        .iter()
        .fold(0, |bits, test| (bits << 1) | u128::from(test.holds(request)))
}

fn crossed(ages: &Ages, request: &AccessRequest, reads: &Reads) -> [u8; Age::ALL.len()] {
    Age::ALL.map(|age| {
        let Some((lines, seconds)) = reads.lines().get(&age).zip(ages.seconds(age, request.now)) else {
            return 0;
        };
        let crossed = lines.range(..=seconds).count();
        u8::try_from(crossed.saturating_add(1)).unwrap_or(u8::MAX)
    })
}
