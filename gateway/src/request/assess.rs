//! What is known of the user, the device and the application? Gathered from one snapshot, built once per version.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use device_checks::{DeviceSignals, KeyType};
use directory::{
    AuthenticatorKind, Device, DeviceId, Enrollment, EnrollmentId, EnrollmentState, Method, Revision, Snapshot,
    Timestamp, User, UserId,
};
use policies::{
    AccessRequest, Action, Ages, Decider, DeviceFacts, HeldFactor, PolicyVersion, Proof, RequestFacts, SessionFacts,
    UserFacts,
};
use quick_cache::sync::Cache;

use super::arrive::Arrived;
use super::decide::View;
use super::identify::{DeviceInUse, Identified, ProvedBy};
use super::record::Signals;
use crate::sessions::{ages_of, shared_facts};
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
    pub(crate) mdm_at: Option<Timestamp>,
    pub(crate) reported_at: Option<Timestamp>,
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

    /// A user as policies see one.
    pub(crate) fn user(&self, directory: &Snapshot, user: &User) -> Arc<UserFacts> {
        let groups_version = directory.groups_version();
        let key = (user.id, user.version, groups_version);
        if let Some(facts) = self.users.get(&key) {
            return facts;
        }
        let facts = Arc::new(user_facts(directory, user));
        self.users.insert(key, facts.clone());
        facts
    }

    /// What is known of a device in use.
    pub(crate) fn device(&self, world: &Judged<'_>, device: &Device, enrollment: &Enrollment) -> Arc<KnownDevice> {
        let key = DeviceKey {
            device: device.id,
            version: device.version,
            enrollment: enrollment.id,
            policies: world.decider.policies().version().clone(),
            trust: world.setup.trust.generation(),
        };
        if let Some(known) = self.devices.get(&key)
            && known.ends.is_none_or(|ends| world.now < ends)
        {
            return known;
        }
        let known = Arc::new(KnownDevice::of(world, device, enrollment));
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
    let kinds = authenticators.filter_map(|authenticator| match authenticator.kind {
        AuthenticatorKind::Password { .. } => Some(HeldFactor::Password),
        AuthenticatorKind::Totp { held_by: None, .. } => Some(HeldFactor::Totp),
        // The device that it is on is what is held.
        AuthenticatorKind::Totp { held_by: Some(_), .. } => None,
        AuthenticatorKind::Webauthn(_) => Some(HeldFactor::Webauthn),
        // What is left when nothing else is, is nothing to demand.
        AuthenticatorKind::RecoveryCodes { .. } => None,
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

impl<'a> Judged<'a> {
    /// The view as a whole.
    pub(crate) fn by(view: &'a View) -> Self {
        Self {
            directory: &view.directory,
            setup: &view.setup,
            decider: &view.decider,
            now: view.now,
        }
    }
}

impl KnownDevice {
    fn of(world: &Judged<'_>, device: &Device, enrollment: &Enrollment) -> Self {
        let known = world
            .setup
            .trust
            .on_record(world.directory, device, Some(enrollment), world.now);
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
    pub(crate) device: Option<Arc<KnownDevice>>,
    /// What the decision log shows of the device.
    pub(crate) signals: Option<Signals>,
}

/// What is to be done to an application, in Cedar's words.
pub(crate) struct Question {
    /// The action.
    pub(crate) action: Action,
    /// The HTTP request.
    pub(crate) request: RequestFacts,
}

impl Question {
    /// What a request to the application asks.
    pub(crate) fn of(setup: &Setup, arrived: &Arrived) -> Self {
        Self {
            action: arrived.action,
            request: request_facts(setup, arrived),
        }
    }
}

/// Gathers what Cedar is asked.
pub(crate) fn assess(
    store: &FactStore,
    world: &Judged<'_>,
    asked: Question,
    served: &Served,
    identified: &Identified,
) -> Assessed {
    let user = store.user(world.directory, &identified.user);
    let in_use = identified.device.as_ref();
    let device = in_use.map(|in_use| store.device(world, &in_use.device, &in_use.enrollment));
    let (session, ages) = session(world.setup, identified);
    let known = device.as_deref();
    let request = AccessRequest {
        user: user.clone(),
        device: known.map(|known| known.facts.clone()),
        session,
        app: served.facts.clone(),
        action: asked.action,
        request: asked.request,
        ages: Ages {
            device_proof: in_use.map(|in_use| in_use.proved_at(world.now)),
            mdm: known.and_then(|known| known.mdm_at),
            reported: known.and_then(|known| known.reported_at),
            ..ages
        },
        proof: in_use.zip(known).and_then(|(in_use, known)| proof(in_use, known)),
        risk: risk(identified),
        authenticator_installed: installed(identified),
        now: world.now,
        fact_ends: [
            in_use.and_then(DeviceInUse::certificate_ends),
            known.and_then(|known| known.ends),
        ]
        .into_iter()
        .flatten()
        .min(),
    };
    let signals = in_use.zip(known).map(|(in_use, known)| Signals {
        proof: in_use.by.as_str(),
        ..known.signals
    });
    Assessed {
        request,
        user,
        device,
        signals,
    }
}

/// The request as policies see it.
pub(crate) fn request_facts(setup: &Setup, arrived: &Arrived) -> RequestFacts {
    RequestFacts {
        method: arrived.method.as_str().to_owned(),
        host: arrived.host.clone(),
        path: arrived.matched_path.clone(),
        ip: arrived.peer,
        zones: zones(setup, arrived),
    }
}

/// The session as policies see it, and since when its facts hold.
pub(crate) fn session(setup: &Setup, identified: &Identified) -> (Option<Arc<SessionFacts>>, Ages) {
    let standing = identified.session.as_ref();
    let Some((in_use, generation)) = standing.and_then(|in_use| Some((in_use, in_use.generation()?))) else {
        return (None, Ages::default());
    };
    let in_software = setup.config.sign_in.count_software_verification;
    let facts = || shared_facts(&in_use.session, generation, in_software);
    let facts = in_use.grip.facts(in_software, facts);
    (Some(facts), ages_of(&in_use.session, generation, in_use.grip.seen()))
}

/// How unusual the sign-in was that this rests on; nothing is unusual about a device that proves itself.
pub(crate) fn risk(identified: &Identified) -> u8 {
    let session = identified.session.as_ref();
    let generation = session.and_then(|session| session.generation());
    generation.map_or(0, |generation| generation.risk.score())
}

/// Whether an authenticator answered the browser, as far as one was looked for.
pub(crate) fn installed(identified: &Identified) -> Option<bool> {
    let session = identified.session.as_ref();
    session.and_then(|session| session.generation())?.installed
}

impl DeviceInUse {
    /// A certificate proves the device for as long as its connection lasts, a signature at its moment.
    pub(crate) fn proved_at(&self, now: Timestamp) -> Timestamp {
        match &self.by {
            ProvedBy::Request {
                certificate: None,
                asserted: Some(asserted),
            } => asserted.at,
            ProvedBy::Request { .. } => now,
            ProvedBy::Session { at } => *at,
        }
    }

    /// From when on the certificate on the connection counts no longer.
    fn certificate_ends(&self) -> Option<Timestamp> {
        match &self.by {
            ProvedBy::Request { certificate, .. } => certificate
                .as_ref()
                .map(|certificate| certificate.not_after.plus(Duration::from_millis(1))),
            ProvedBy::Session { .. } => None,
        }
    }
}

impl ProvedBy {
    /// The word for it in the decision log.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Request {
                certificate: Some(_),
                asserted: None,
            } => "certificate",
            Self::Request {
                certificate: None,
                asserted: Some(_),
            } => "assertion",
            Self::Request {
                certificate: Some(_),
                asserted: Some(_),
            } => "certificate+assertion",
            Self::Request {
                certificate: None,
                asserted: None,
            } => "none",
            Self::Session { .. } => "session",
        }
    }
}

/// How the device proved itself with this very request, if it did. Only verification that the hardware itself enforces
/// counts as such.
fn proof(in_use: &DeviceInUse, device: &KnownDevice) -> Option<Proof> {
    let ProvedBy::Request { certificate, asserted } = &in_use.by else {
        return None;
    };
    let verification = in_use
        .enrollment
        .verification
        .as_ref()
        .filter(|_| asserted.is_some_and(|asserted| asserted.key_type == KeyType::UserVerification));
    let in_hardware = verification.is_some_and(|verification| verification.hardware && device.facts.secure_hardware);
    Some(Proof {
        device: in_use.device.id,
        hardware: device.facts.hardware_key,
        channel_bound: certificate.is_some(),
        user_verified: in_hardware,
        user_verified_in_software: verification.is_some() && !in_hardware,
    })
}

fn zones(setup: &Setup, arrived: &Arrived) -> Arc<[String]> {
    let mut zones = setup.config.zones_of(arrived.peer).peekable();
    if zones.peek().is_none() {
        setup.no_zones.clone()
    } else {
        zones.map(str::to_owned).collect()
    }
}
