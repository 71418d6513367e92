//! What is known of the user, the device and the application? Gathered from one snapshot, built once per version.

use std::sync::Arc;

use device_checks::DeviceSignals;
use directory::{DeviceId, EnrollmentId, Revision, Snapshot, Timestamp, UserId};
use policies::{AccessRequest, Ages, Decider, DeviceFacts, PolicyVersion, Proof, RequestFacts, UserFacts};
use quick_cache::sync::Cache;

use super::arrive::Arrived;
use super::identify::Identified;
use super::record::Signals;
use crate::setup::{Served, Setup, counting_report};

/// Keeps the facts of users and devices, so that a request builds only what is its own.
pub(crate) struct FactStore {
    users: Cache<(UserId, Revision, Revision), Arc<UserFacts>>,
    devices: Cache<DeviceKey, Arc<KnownDevice>>,
}

/// A device's facts rest on its record (and what hangs on it), the enrolment it acts for, the policies that assure it,
/// and which MDMs are configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct DeviceKey {
    device: DeviceId,
    version: Revision,
    enrollment: EnrollmentId,
    policies: PolicyVersion,
    sources: Arc<[String]>,
}

/// What is known of a device, until when.
#[derive(Debug)]
pub(crate) struct KnownDevice {
    /// As policies see it.
    pub(crate) facts: Arc<DeviceFacts>,
    /// As the decision log shows it.
    pub(crate) signals: Signals,
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
        let groups = directory.effective_groups(user);
        let names = groups
            .into_iter()
            .filter_map(|id| directory.group(id))
            .map(|group| group.name.clone());
        let facts = Arc::new(UserFacts {
            id: user.id,
            user_type: user.user_type.clone(),
            email: user.email.clone(),
            groups: names.collect(),
            tags: user.tags.clone(),
            version: user.version.max(groups_version),
        });
        self.users.insert(key, facts.clone());
        facts
    }

    fn device(&self, world: &Judged<'_>, identified: &Identified) -> Arc<KnownDevice> {
        let key = DeviceKey {
            device: identified.device.id,
            version: identified.device.version,
            enrollment: identified.enrollment.id,
            policies: world.decider.policies().version().clone(),
            sources: world.setup.mdm_sources.clone(),
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
        let report = counting_report(&world.setup.mdm_sources, world.directory, device.id, world.now);
        let signals = DeviceSignals::of(device, Some(&identified.enrollment), report, world.now);
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
                proof: "certificate",
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
    /// The device, for the same and for the log.
    pub(crate) device: Arc<KnownDevice>,
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
    let ends = Some(
        identified
            .certificate
            .not_after
            .plus(std::time::Duration::from_millis(1)),
    );
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
            device_proof: Some(world.now),
            mdm: device.mdm_at,
            reported: device.reported_at,
            ..Ages::default()
        },
        proof: Some(Proof {
            device: identified.device.id,
            hardware: device.facts.hardware_key,
            channel_bound: true,
            user_verified: false,
            user_verified_in_software: false,
        }),
        risk: 0,
        authenticator_installed: None,
        now: world.now,
        fact_ends: [ends, device.ends].into_iter().flatten().min(),
    };
    Assessed { request, user, device }
}

fn zones(setup: &Setup, arrived: &Arrived) -> Arc<[String]> {
    let mut zones = setup.config.zones_of(arrived.connection.peer).peekable();
    if zones.peek().is_none() {
        setup.no_zones.clone()
    } else {
        zones.map(str::to_owned).collect()
    }
}
