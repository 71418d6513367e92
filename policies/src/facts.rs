//! What does a decision know of the user, the device, the session, the application and the request?

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use directory::{DeviceId, KeyStore, OsVersion, Ownership, Platform, Posture, Revision, SessionId, Timestamp, UserId};

use crate::Ages;

/// One request to be decided. The facts are shared, so that building one is cheap.
#[derive(Debug, Clone)]
pub struct AccessRequest {
    /// Who asks.
    pub user: Arc<UserFacts>,
    /// The device that proved itself, if one did.
    pub device: Option<Arc<DeviceFacts>>,
    /// The session, unless a certificate or assertion alone named the user.
    pub session: Option<Arc<SessionFacts>>,
    /// The application asked for.
    pub app: Arc<AppFacts>,
    /// What is to be done to it.
    pub action: Action,
    /// The HTTP request.
    pub request: RequestFacts,
    /// Since when the facts hold.
    pub ages: Ages,
    /// How the device proved itself with this very request, if it did.
    pub proof: Option<Proof>,
    /// From 0 to 100.
    pub risk: u8,
    /// Whether the device's authenticator answered; nothing when it was not asked.
    pub authenticator_installed: Option<bool>,
    /// The time of the request.
    pub now: Timestamp,
    /// The first moment at which a fact above ends by itself (a report's or certificate's end).
    pub fact_ends: Option<Timestamp>,
}

/// A user as policies see one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFacts {
    /// Who it is.
    pub id: UserId,
    /// `employee`, `contractor` or whatever else policies tell apart.
    pub user_type: String,
    /// Where the person reads mail.
    pub email: String,
    /// The names of all groups the user is in, groups of groups included.
    pub groups: BTreeSet<String>,
    /// Directory attributes: `principal.getTag("costCenter")`; and the factors held, see [`HeldFactor::tag`].
    pub tags: BTreeMap<String, BTreeSet<String>>,
    /// The latest revision that changed any of this.
    pub version: Revision,
}

/// A factor that a user has set up, whether or not it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum HeldFactor {
    Password,
    Totp,
    Fastpass,
    Webauthn,
}

/// A device as policies see one; absent never satisfies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Which device it is.
    pub id: DeviceId,
    /// Its enrolled key proved itself.
    pub registered: bool,
    /// A management certificate, or a current report of a configured MDM, says so.
    pub managed: bool,
    /// It was proved to have secure hardware.
    pub secure_hardware: bool,
    /// The possession key was proved to live in hardware and not to leave it.
    pub hardware_key: bool,
    /// Where the possession key lives.
    pub key_store: KeyStore,
    /// Which operating system it runs.
    pub platform: Platform,
    /// Whose it is.
    pub ownership: Ownership,
    /// What the management service says, if it says anything that still counts.
    pub mdm: Option<Posture>,
    /// What the device says of itself.
    pub reported: Posture,
    /// The names of all device groups it is in.
    pub groups: BTreeSet<String>,
    /// Attributes: `device.getTag("site")`.
    pub tags: BTreeMap<String, String>,
    /// The assurance levels it belongs to.
    pub assurance: BTreeSet<String>,
    /// The latest revision that changed any of this.
    pub version: Revision,
}

/// A session as policies see one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// Which session it is.
    pub id: SessionId,
    /// Which of its generations the request stands on.
    pub generation: u32,
    /// Whose it is.
    pub user: UserId,
    /// How many distinct kinds of factor were proved: knowledge, possession, inherence.
    pub factor_count: u8,
    /// The device whose key made this session.
    pub origin: Option<DeviceId>,
    /// The factor known.
    pub knowledge: Option<FactorUse>,
    /// FastPass.
    pub device: Option<FactorUse>,
    /// WebAuthn.
    pub webauthn: Option<FactorUse>,
    /// TOTP, push or mail.
    pub otp: Option<FactorUse>,
}

/// One use of an authenticator; all its properties are those of the same use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FactorUse {
    /// Which kind of authenticator.
    pub method: FactorMethod,
    /// It cannot be relayed to another site.
    #[serde(default)]
    pub phishing_resistant: bool,
    /// Its key lives in hardware.
    #[serde(default)]
    pub hardware_protected: bool,
    /// Its key cannot leave the device.
    #[serde(default)]
    pub device_bound: bool,
    /// Somebody touched or approved.
    #[serde(default)]
    pub user_presence: bool,
    /// PIN or biometric, enforced by the hardware that holds the key.
    #[serde(default)]
    pub user_verified: bool,
    /// PIN or biometric, on the software's word.
    #[serde(default)]
    pub user_verified_in_software: bool,
}

/// A kind of authenticator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FactorMethod {
    Password,
    Fastpass,
    Webauthn,
    Totp,
    Push,
    Email,
    Recovery,
    Federated,
}

/// An application as policies see one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppFacts {
    /// Its name: `App::"wiki"`.
    pub name: String,
    /// From 0 to 3.
    pub sensitivity: u8,
    /// The names of all application groups it is in.
    pub groups: BTreeSet<String>,
    /// Attributes: `resource.getTag("owner")`.
    pub tags: BTreeMap<String, String>,
}

/// The HTTP request as policies see it; the same values are routed, logged and forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFacts {
    /// The method, in capitals.
    pub method: String,
    /// The canonical host.
    pub host: String,
    /// The path, folded where the application says so, without the query.
    pub path: String,
    /// The peer's address.
    pub ip: IpAddr,
    /// The names of the network zones the address lies in.
    pub zones: Arc<[String]>,
}

/// How the device proved itself with this very request: by the certificate on its connection, or by a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Proof {
    /// Which device.
    pub device: DeviceId,
    /// The key that proved it is attested to live in hardware.
    pub hardware: bool,
    /// The proof is tied to this connection.
    pub channel_bound: bool,
    /// PIN or biometric, enforced by the hardware that holds the key.
    pub user_verified: bool,
    /// PIN or biometric, on the software's word.
    pub user_verified_in_software: bool,
}

/// What is to be done to an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// GET, HEAD, OPTIONS.
    Read,
    /// Any other method.
    Write,
    /// A WebSocket or CONNECT.
    Connect,
}

impl Action {
    /// Every action on an application.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Connect];

    /// The action that a request with this method is; `upgrade` says that it asks for a WebSocket.
    pub fn of(method: &str, upgrade: bool) -> Self {
        match method {
            "CONNECT" => Self::Connect,
            _ if upgrade => Self::Connect,
            "GET" | "HEAD" | "OPTIONS" => Self::Read,
            _ => Self::Write,
        }
    }

    /// The name policies use: `Action::"read"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Connect => "connect",
        }
    }
}

impl HeldFactor {
    /// The word policies look for: `principal.getTag("factors").contains("totp")`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Fastpass => "fastpass",
            Self::Webauthn => "webauthn",
        }
    }

    /// Writes the factors held into a user's tags, over whatever stood there: no directory attribute passes for them.
    pub fn tag(tags: &mut BTreeMap<String, BTreeSet<String>>, held: &BTreeSet<Self>) {
        let second = held.iter().any(|factor| factor.stands_beside_a_password());
        let words = held
            .iter()
            .map(|factor| factor.as_str())
            .chain(second.then_some(SECOND));
        tags.insert(FACTORS_TAG.to_owned(), words.map(str::to_owned).collect());
    }

    /// Whether it can be asked for after a password, on any machine.
    const fn stands_beside_a_password(self) -> bool {
        match self {
            Self::Totp | Self::Webauthn => true,
            Self::Password | Self::Fastpass => false,
        }
    }
}

impl FactorMethod {
    /// The name policies use: `Method::"fastpass"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Fastpass => "fastpass",
            Self::Webauthn => "webauthn",
            Self::Totp => "totp",
            Self::Push => "push",
            Self::Email => "email",
            Self::Recovery => "recovery",
            Self::Federated => "federated",
        }
    }
}

// Facts are cache keys. Their hash is of what tells them apart in practice, so that it stays cheap; whether two are the
// same is always decided by everything in them, so that a fact that changed without its version is never mistaken.

impl Hash for UserFacts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.id, self.version).hash(state);
    }
}

impl Hash for DeviceFacts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (
            self.id,
            self.version,
            self.managed,
            self.mdm.is_some(),
            self.assurance.len(),
        )
            .hash(state);
    }
}

impl Hash for SessionFacts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.id, self.generation).hash(state);
    }
}

impl Hash for AppFacts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// The three numbers of an operating system's version, with the names policies use.
pub(crate) fn version_parts(version: OsVersion) -> [(&'static str, u32); 3] {
    [
        ("major", version.major),
        ("minor", version.minor),
        ("patch", version.patch),
    ]
}

/// The tag of a user that says which factors they hold: `password`, `totp`, `fastpass`, and `second` with one that can be
/// used beside a password. The gateway alone sets it.
pub const FACTORS_TAG: &str = "factors";

const SECOND: &str = "second";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factors_held_replace_whatever_the_directory_says_of_them() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
        let directory = BTreeMap::from([
            (FACTORS_TAG.to_owned(), words(&["second"])),
            ("costCenter".to_owned(), words(&["42"])),
        ]);
        for (held, expected) in [
            (vec![], words(&[])),
            (vec![HeldFactor::Password], words(&["password"])),
            (
                vec![HeldFactor::Password, HeldFactor::Fastpass],
                words(&["password", "fastpass"]),
            ),
            (
                vec![HeldFactor::Password, HeldFactor::Totp],
                words(&["password", "totp", "second"]),
            ),
        ] {
            let mut tags = directory.clone();

            HeldFactor::tag(&mut tags, &held.into_iter().collect());

            assert_eq!(tags[FACTORS_TAG], expected);
            assert_eq!(tags["costCenter"], words(&["42"]));
        }
    }

    #[test]
    fn a_method_is_the_action_that_policies_expect() {
        for (method, upgrade, action) in [
            ("GET", false, Action::Read),
            ("HEAD", false, Action::Read),
            ("OPTIONS", false, Action::Read),
            ("POST", false, Action::Write),
            ("get", false, Action::Write),
            ("PROPFIND", false, Action::Write),
            ("GET", true, Action::Connect),
            ("CONNECT", false, Action::Connect),
        ] {
            assert_eq!(Action::of(method, upgrade), action, "{method} {upgrade}");
        }
    }
}
