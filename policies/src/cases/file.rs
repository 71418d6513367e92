//! How is a case written down? Everything that is not said is absent, and absent never satisfies.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use directory::{DeviceId, KeyStore, Ownership, Platform, Posture, Revision, SessionId, Timestamp, UserId};
use serde::Deserialize;

use super::{BadCases, Verdict};
use crate::ages::Ages;
use crate::decide::Cause;
use crate::facts::{
    AccessRequest, Action, AppFacts, DeviceFacts, FactorUse, Proof, RequestFacts, SessionFacts, UserFacts,
};
use crate::organization::{OrganizationAction, OrganizationRequest, Registration};

/// A file of cases: people, devices, sessions and applications by name, and requests among them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cases {
    #[serde(default)]
    users: BTreeMap<String, UserCase>,
    #[serde(default)]
    devices: BTreeMap<String, DeviceCase>,
    #[serde(default)]
    sessions: BTreeMap<String, SessionCase>,
    #[serde(default)]
    applications: BTreeMap<String, AppCase>,
    cases: Vec<Case>,
}

/// A request and what should become of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, as a sentence.
    pub name: String,
    request: RequestCase,
    decision: DecisionCase,
    #[serde(default)]
    cause: Option<CauseCase>,
    #[serde(default)]
    reasons: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DecisionCase {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CauseCase {
    Policy,
    NoPermit,
    PolicyFailed,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RequestCase {
    user: String,
    device: Option<String>,
    session: Option<String>,
    app: Option<String>,
    action: Option<ActionCase>,
    #[serde(default = "get")]
    method: String,
    #[serde(default = "root")]
    path: String,
    #[serde(default)]
    host: String,
    #[serde(default = "loopback")]
    ip: IpAddr,
    #[serde(default)]
    zones: Vec<String>,
    #[serde(default)]
    risk: u8,
    #[serde(default)]
    ages: AgesCase,
    proof: Option<ProofCase>,
    authenticator_installed: Option<bool>,
    admin_token: Option<bool>,
    known_hardware: Option<bool>,
    lost_trust_before: Option<bool>,
    attested: Option<bool>,
    as_strong_as_strongest: Option<bool>,
}

/// An action on an application, or on the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ActionCase {
    Read,
    Write,
    Connect,
    CreateSession,
    ContinueSession,
    RegisterDevice,
    ManageAuthenticator,
}

/// What a case asks, and of whom.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Access(AccessRequest),
    Organization(OrganizationAction, OrganizationRequest),
}

/// Ages in seconds; a negative one lies in the future.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AgesCase {
    session: Option<i64>,
    idle: Option<i64>,
    knowledge: Option<i64>,
    device: Option<i64>,
    webauthn: Option<i64>,
    otp: Option<i64>,
    device_proof: Option<i64>,
    mdm: Option<i64>,
    reported: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProofCase {
    #[serde(default)]
    hardware: bool,
    #[serde(default)]
    channel_bound: bool,
    #[serde(default)]
    user_verified: bool,
    #[serde(default)]
    user_verified_in_software: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserCase {
    #[serde(default)]
    user_type: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    tags: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeviceCase {
    #[serde(default)]
    registered: bool,
    #[serde(default)]
    managed: bool,
    #[serde(default)]
    secure_hardware: bool,
    #[serde(default)]
    hardware_key: bool,
    #[serde(default = "software")]
    key_store: KeyStore,
    #[serde(default = "linux")]
    platform: Platform,
    #[serde(default)]
    ownership: Ownership,
    mdm: Option<Posture>,
    #[serde(default)]
    reported: Posture,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    assurance: BTreeSet<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SessionCase {
    #[serde(default)]
    factor_count: u8,
    origin: Option<String>,
    knowledge: Option<FactorUse>,
    device: Option<FactorUse>,
    webauthn: Option<FactorUse>,
    otp: Option<FactorUse>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AppCase {
    #[serde(default)]
    sensitivity: u8,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

impl Case {
    /// What its author expects.
    pub(crate) fn verdict(&self) -> Verdict {
        let cause = match self.cause {
            None | Some(CauseCase::Policy) => Cause::Policy,
            Some(CauseCase::NoPermit) => Cause::NoPermit,
            Some(CauseCase::PolicyFailed) => Cause::PolicyFailed,
        };
        let decision = match self.decision {
            DecisionCase::Allow => Ok(()),
            DecisionCase::Deny => Err(cause),
        };
        Verdict {
            decision,
            reasons: self.reasons.clone(),
        }
    }

    fn unknown(&self, what: &'static str, name: &str) -> BadCases {
        BadCases::Unknown {
            case: self.name.clone(),
            what,
            name: name.to_owned(),
        }
    }
}

impl Cases {
    /// The cases, in the order of the file.
    pub(crate) fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The request that a case is about.
    pub(crate) fn asked(&self, case: &Case) -> Result<Asked, BadCases> {
        let request = self.circumstances(case)?;
        let asked = &case.request;
        let misplaced = |problem| BadCases::Misplaced {
            case: case.name.clone(),
            problem,
        };
        match (asked.target().map_err(misplaced)?, &asked.app) {
            (Target::Organization(_), Some(_)) => Err(misplaced("an application, which that action is not about")),
            (Target::Organization(action), None) => Ok(Asked::Organization(action, request)),
            (Target::Application(_), None) => Err(misplaced("no application")),
            (Target::Application(action), Some(name)) => {
                let app = self.app(name).ok_or_else(|| case.unknown("application", name))?;
                Ok(Asked::Access(access(request, Arc::new(app), action)))
            }
        }
    }

    /// All but what the request is about.
    fn circumstances(&self, case: &Case) -> Result<OrganizationRequest, BadCases> {
        let asked = &case.request;
        let user = self
            .user(&asked.user)
            .ok_or_else(|| case.unknown("user", &asked.user))?;
        let of_device = |name: &String| self.device(name).ok_or_else(|| case.unknown("device", name));
        let device = asked.device.as_ref().map(of_device).transpose()?;
        let of_session = |name: &String| self.session(name, user.id).ok_or_else(|| case.unknown("session", name));
        let session = asked.session.as_ref().map(of_session).transpose()?;
        let proof = asked
            .proof
            .as_ref()
            .zip(device.as_ref())
            .map(|(proof, device)| proof.facts(device.id));
        Ok(OrganizationRequest {
            user: Arc::new(user),
            device: device.map(Arc::new),
            session: session.map(Arc::new),
            request: asked.facts(),
            ages: asked.ages.facts(),
            proof,
            risk: asked.risk,
            authenticator_installed: asked.authenticator_installed,
            now: NOW,
        })
    }

    fn user(&self, name: &str) -> Option<UserFacts> {
        let user = self.users.get(name)?.clone();
        Some(UserFacts {
            id: UserId::from_random(number(name)),
            user_type: user.user_type,
            email: user.email,
            groups: user.groups,
            tags: user.tags,
            version: Revision::default(),
        })
    }

    fn device(&self, name: &str) -> Option<DeviceFacts> {
        let device = self.devices.get(name)?.clone();
        Some(DeviceFacts {
            id: DeviceId::from_random(number(name)),
            registered: device.registered,
            managed: device.managed,
            secure_hardware: device.secure_hardware,
            hardware_key: device.hardware_key,
            key_store: device.key_store,
            platform: device.platform,
            ownership: device.ownership,
            mdm: device.mdm,
            reported: device.reported,
            groups: device.groups,
            tags: device.tags,
            assurance: device.assurance,
            version: Revision::default(),
        })
    }

    fn session(&self, name: &str, user: UserId) -> Option<SessionFacts> {
        let session = self.sessions.get(name)?.clone();
        Some(SessionFacts {
            id: SessionId::from_random(number(name)),
            generation: 0,
            user,
            factor_count: session.factor_count,
            origin: session.origin.map(|device| DeviceId::from_random(number(&device))),
            knowledge: session.knowledge,
            device: session.device,
            webauthn: session.webauthn,
            otp: session.otp,
        })
    }

    fn app(&self, name: &str) -> Option<AppFacts> {
        let app = self.applications.get(name)?.clone();
        Some(AppFacts {
            name: name.to_owned(),
            sensitivity: app.sensitivity,
            groups: app.groups,
            tags: app.tags,
        })
    }
}

/// What a request is about.
enum Target {
    Application(Action),
    Organization(OrganizationAction),
}

impl RequestCase {
    /// What the request is about, or which key has no place in it.
    fn target(&self) -> Result<Target, &'static str> {
        let of_registration = [
            self.admin_token,
            self.known_hardware,
            self.lost_trust_before,
            self.attested,
        ];
        let registers = self.action == Some(ActionCase::RegisterDevice);
        let manages = self.action == Some(ActionCase::ManageAuthenticator);
        if !registers && of_registration.iter().any(Option::is_some) {
            return Err("a fact of `registerDevice`");
        }
        if !manages && self.as_strong_as_strongest.is_some() {
            return Err("a fact of `manageAuthenticator`");
        }
        Ok(match self.action {
            None => Target::Application(Action::of(&self.method, false)),
            Some(ActionCase::Read) => Target::Application(Action::Read),
            Some(ActionCase::Write) => Target::Application(Action::Write),
            Some(ActionCase::Connect) => Target::Application(Action::Connect),
            Some(ActionCase::CreateSession) => Target::Organization(OrganizationAction::CreateSession),
            Some(ActionCase::ContinueSession) => Target::Organization(OrganizationAction::ContinueSession),
            Some(ActionCase::RegisterDevice) => {
                Target::Organization(OrganizationAction::RegisterDevice(self.registration()))
            }
            Some(ActionCase::ManageAuthenticator) => Target::Organization(OrganizationAction::ManageAuthenticator {
                as_strong_as_strongest: self.as_strong_as_strongest.unwrap_or_default(),
            }),
        })
    }

    fn registration(&self) -> Registration {
        Registration {
            admin_token: self.admin_token.unwrap_or_default(),
            known_hardware: self.known_hardware.unwrap_or_default(),
            lost_trust_before: self.lost_trust_before.unwrap_or_default(),
            attested: self.attested.unwrap_or_default(),
        }
    }

    fn facts(&self) -> RequestFacts {
        RequestFacts {
            method: self.method.clone(),
            host: self.host.clone(),
            path: self.path.clone(),
            ip: self.ip,
            zones: self.zones.clone().into(),
        }
    }
}

impl AgesCase {
    fn facts(&self) -> Ages {
        let since = |age: Option<i64>| age.map(|age| Timestamp::from_secs(NOW.secs().saturating_sub(age)));
        Ages {
            session: since(self.session),
            idle: since(self.idle),
            knowledge: since(self.knowledge),
            device: since(self.device),
            webauthn: since(self.webauthn),
            otp: since(self.otp),
            device_proof: since(self.device_proof),
            mdm: since(self.mdm),
            reported: since(self.reported),
        }
    }
}

impl ProofCase {
    fn facts(&self, device: DeviceId) -> Proof {
        Proof {
            device,
            hardware: self.hardware,
            channel_bound: self.channel_bound,
            user_verified: self.user_verified,
            user_verified_in_software: self.user_verified_in_software,
        }
    }
}

/// The same request, about an application.
fn access(request: OrganizationRequest, app: Arc<AppFacts>, action: Action) -> AccessRequest {
    AccessRequest {
        user: request.user,
        device: request.device,
        session: request.session,
        app,
        action,
        request: request.request,
        ages: request.ages,
        proof: request.proof,
        risk: request.risk,
        authenticator_installed: request.authenticator_installed,
        now: request.now,
        fact_ends: None,
    }
}

/// A number for a name, so that the same name has the same id in every case.
fn number(name: &str) -> u128 {
    name.bytes().fold(0, |number, byte| {
        number.wrapping_mul(257).wrapping_add(u128::from(byte))
    })
}

fn get() -> String {
    "GET".to_owned()
}

fn root() -> String {
    "/".to_owned()
}

const fn loopback() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

const fn software() -> KeyStore {
    KeyStore::Software
}

const fn linux() -> Platform {
    Platform::Linux
}

/// The time of every case; ages count back from it.
const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
