//! What is known of the user, the device and the application? Gathered from one snapshot, built once per version.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use device_checks::{DeviceSignals, KeyType};
use directory::{
    AuthenticatorKind, DeviceId, EnrollmentId, EnrollmentState, Method, Revision, Snapshot, Timestamp, User, UserId,
};
use policies::{AccessRequest, Ages, Decider, DeviceFacts, HeldFactor, PolicyVersion, Proof, RequestFacts, UserFacts};
use quick_cache::sync::Cache;

use super::arrive::Arrived;
use super::identify::Identified;
use super::record::Signals;
use crate::setup::{Served, Setup};

/// Keeps the facts of users and devices, so that a request builds only what is its own.
pub(crate) struct FactStore {
    users: Cache<(UserId, Revision, Revision), Arc<UserFacts>>,
    devices: Cache<DeviceKey, Arc<KnownDevice>>,
}

/// A device's facts rest on its record (and what hangs on it), the enrolment it acts for, the policies that assure it,
/// and whom the configuration says to believe.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct DeviceKey {
    device: DeviceId,
    version: Revision,
    enrollment: EnrollmentId,
    policies: PolicyVersion,
    trust: u64,
}

/// What is known of a device, until when.
#[derive(Debug)]
pub(crate) struct KnownDevice {
    /// As policies see it.
    pub(crate) facts: Arc<DeviceFacts>,
    /// As the decision log shows it, but for how it proved itself.
    signals: Signals,
    mdm_at: Option<Timestamp>,
    reported_at: Option<Timestamp>,
    /// The first moment at which time alone changes any of it.
    pub(crate) ends: Option<Timestamp>,
}

/// How many users' and devices' facts are kept.
const KEPT: usize = 100_000;

impl FactStore {
    /// Knows nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            users: Cache::new(KEPT),
            devices: Cache::new(KEPT),
        }
    }

    fn user(&self, directory: &Snapshot, identified: &Identified) -> Arc<UserFacts> {
        let user = &identified.user;
        let groups_version = directory.groups_version();
        let key = (user.id, user.version, groups_version);
        if let Some(facts) = self.users.get(&key) {
            return facts;
        }
        let facts = Arc::new(user_facts(directory, user));
        self.users.insert(key, facts.clone());
        facts
    }

    fn device(&self, world: &Judged<'_>, identified: &Identified) -> Arc<KnownDevice> {
        let key = DeviceKey {
            device: identified.device.id,
            version: identified.device.version,
            enrollment: identified.enrollment.id,
            policies: world.decider.policies().version().clone(),
            trust: world.setup.trust.generation(),
        };
        if let Some(known) = self.devices.get(&key)
            && known.ends.is_none_or(|ends| world.now < ends)
        {
            return known;
        }
        let known = Arc::new(KnownDevice::of(world, identified));
        self.devices.insert(key, known.clone());
        known
    }
}

/// A user as policies see one. The directory gives the record a new version when a factor of theirs comes or goes.
pub(crate) fn user_facts(directory: &Snapshot, user: &User) -> UserFacts {
    let groups = directory.effective_groups(user);
    let names = groups
        .into_iter()
        .filter_map(|id| directory.group(id))
        .map(|group| group.name.clone());
    let mut tags = user.tags.clone();
    HeldFactor::tag(&mut tags, &factors_held(directory, user));
    UserFacts {
        id: user.id,
        user_type: user.user_type.clone(),
        email: user.email.clone(),
        groups: names.collect(),
        tags,
        version: user.version.max(directory.groups_version()),
    }
}

fn factors_held(directory: &Snapshot, user: &User) -> BTreeSet<HeldFactor> {
    let authenticators = directory.authenticators_of_user(user.id);
    let kinds = authenticators.map(|authenticator| match authenticator.kind {
        AuthenticatorKind::Password { .. } => HeldFactor::Password,
        AuthenticatorKind::Totp { .. } => HeldFactor::Totp,
    });
    let mut enrollments = directory.enrollments_of_user(user.id);
    let fastpass = enrollments.any(|enrollment| {
        enrollment.state == EnrollmentState::Active && enrollment.methods.contains(&Method::SignedNonce)
    });
    kinds.chain(fastpass.then_some(HeldFactor::Fastpass)).collect()
}

/// The one view of the world that a request is judged by.
pub(crate) struct Judged<'a> {
    /// The directory.
    pub(crate) directory: &'a Snapshot,
    /// The configuration.
    pub(crate) setup: &'a Setup,
    /// The policies.
    pub(crate) decider: &'a Decider,
    /// The present moment.
    pub(crate) now: Timestamp,
}

impl KnownDevice {
    fn of(world: &Judged<'_>, identified: &Identified) -> Self {
        let device = &identified.device;
        let enrollment = Some(&*identified.enrollment);
        let known = world
            .setup
            .trust
            .on_record(world.directory, device, enrollment, world.now);
        let signals = DeviceSignals::of(&known, world.now);
        let mut facts = DeviceFacts {
            id: device.id,
            registered: signals.registered,
            managed: signals.managed,
            secure_hardware: signals.secure_hardware,
            hardware_key: signals.hardware_key,
            key_store: signals.key_store,
            platform: signals.platform,
            ownership: signals.ownership,
            mdm: signals.mdm.clone(),
            reported: signals.reported.clone(),
            groups: device.groups.clone(),
            tags: device.tags.clone(),
            assurance: Default::default(),
            version: device.version,
        };
        let ages = Ages {
            mdm: signals.mdm_at,
            reported: signals.reported_at,
            ..Ages::default()
        };
        let assured = world.decider.policies().assure(&facts, &ages, world.now);
        facts.assurance = assured.levels;
        Self {
            signals: Signals {
                registered: signals.registered,
                managed: signals.managed,
                secure_hardware: signals.secure_hardware,
                hardware_key: signals.hardware_key,
                key_store: signals.key_store.as_str(),
                proof: "none",
            },
            facts: Arc::new(facts),
            mdm_at: signals.mdm_at,
            reported_at: signals.reported_at,
            ends: [signals.ends, assured.ends].into_iter().flatten().min(),
        }
    }
}

/// What Cedar is asked, and what the decision log will show of it.
pub(crate) struct Assessed {
    /// The question.
    pub(crate) request: AccessRequest,
    /// The user, for the identity passed on.
    pub(crate) user: Arc<UserFacts>,
    /// The device, for the same.
    pub(crate) device: Arc<KnownDevice>,
    /// What the decision log shows of the device.
    pub(crate) signals: Signals,
}

/// Gathers what Cedar is asked.
pub(crate) fn assess(
    store: &FactStore,
    world: &Judged<'_>,
    arrived: &Arrived,
    served: &Served,
    identified: &Identified,
) -> Assessed {
    let user = store.user(world.directory, identified);
    let device = store.device(world, identified);
    let by_certificate = identified.certificate.as_ref();
    let ends = by_certificate.map(|certificate| certificate.not_after.plus(Duration::from_millis(1)));
    let request = AccessRequest {
        user: user.clone(),
        device: Some(device.facts.clone()),
        session: None,
        app: served.facts.clone(),
        action: arrived.action,
        request: RequestFacts {
            method: arrived.method.as_str().to_owned(),
            host: arrived.host.clone(),
            path: arrived.matched_path.clone(),
            ip: arrived.connection.peer,
            zones: zones(world.setup, arrived),
        },
        ages: Ages {
            device_proof: Some(proved_at(identified, world.now)),
            mdm: device.mdm_at,
            reported: device.reported_at,
            ..Ages::default()
        },
        proof: Some(proof(identified, &device)),
        risk: 0,
        authenticator_installed: None,
        now: world.now,
        fact_ends: [ends, device.ends].into_iter().flatten().min(),
    };
    let signals = Signals {
        proof: match (by_certificate, identified.asserted) {
            (Some(_), None) => "certificate",
            (None, Some(_)) => "assertion",
            (Some(_), Some(_)) => "certificate+assertion",
            (None, None) => "none",
        },
        ..device.signals
    };
    Assessed {
        request,
        user,
        device,
        signals,
    }
}

/// A certificate proves the device for as long as its connection lasts, a signature at its moment.
fn proved_at(identified: &Identified, now: Timestamp) -> Timestamp {
    match (&identified.certificate, identified.asserted) {
        (None, Some(asserted)) => asserted.at,
        _ => now,
    }
}

/// How the device proved itself with this request. Only verification that the hardware itself enforces counts as such.
fn proof(identified: &Identified, device: &KnownDevice) -> Proof {
    let verification = identified.enrollment.verification.as_ref().filter(|_| {
        identified
            .asserted
            .is_some_and(|asserted| asserted.key_type == KeyType::UserVerification)
    });
    let in_hardware = verification.is_some_and(|verification| verification.hardware && device.facts.secure_hardware);
    Proof {
        device: identified.device.id,
        hardware: device.facts.hardware_key,
        channel_bound: identified.certificate.is_some(),
        user_verified: in_hardware,
        user_verified_in_software: verification.is_some() && !in_hardware,
    }
}

fn zones(setup: &Setup, arrived: &Arrived) -> Arc<[String]> {
    let mut zones = setup.config.zones_of(arrived.connection.peer).peekable();
    if zones.peek().is_none() {
        setup.no_zones.clone()
    } else {
        zones.map(str::to_owned).collect()
    }
}
