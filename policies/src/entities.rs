//! How do the facts look to Cedar? One entity each for the user, the device, the session and the application.

use std::collections::BTreeMap;

use cedar_policy::{Entity, EntityUid, RestrictedExpression as Value};
use directory::Posture;

use crate::facts::{AppFacts, DeviceFacts, FactorUse, SessionFacts, UserFacts, version_parts};
use crate::schema::Kind;

/// Says that facts could not be made into an entity; the request is then refused.
#[derive(Debug, thiserror::Error)]
#[error("making an entity of a {what}")]
pub struct BadFacts {
    what: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl BadFacts {
    /// The facts about `what` are bad because of `source`.
    pub(crate) fn new(what: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            what,
            source: Box::new(source),
        }
    }
}

impl UserFacts {
    /// `User::"…"`.
    pub(crate) fn uid(&self) -> EntityUid {
        Kind::User.named(self.id.as_str())
    }

    pub(crate) fn entity(&self) -> Result<Entity, BadFacts> {
        let attributes = [("userType", text(&self.user_type)), ("email", text(&self.email))];
        let parents = self.groups.iter().map(|group| Kind::Group.named(group)).collect();
        let tags = self
            .tags
            .iter()
            .map(|(name, values)| (name.clone(), Value::new_set(values.iter().map(|value| text(value)))));
        entity("user", self.uid(), named(attributes), parents, tags.collect())
    }
}

impl DeviceFacts {
    /// `Device::"…"`.
    pub(crate) fn uid(&self) -> EntityUid {
        Kind::Device.named(self.id.as_str())
    }

    pub(crate) fn entity(&self) -> Result<Entity, BadFacts> {
        let mut attributes = named([
            ("registered", Value::new_bool(self.registered)),
            ("managed", Value::new_bool(self.managed)),
            ("secureHardware", Value::new_bool(self.secure_hardware)),
            ("hardwareKey", Value::new_bool(self.hardware_key)),
            ("keyStore", word(Kind::KeyStore, self.key_store.as_str())),
            ("platform", word(Kind::Platform, self.platform.as_str())),
            ("ownership", word(Kind::Ownership, self.ownership.as_str())),
            ("reported", posture(&self.reported)?),
        ]);
        if let Some(mdm) = &self.mdm {
            attributes.push(("mdm".to_owned(), posture(mdm)?));
        }
        let groups = self.groups.iter().map(|group| Kind::DeviceGroup.named(group));
        let levels = self.assurance.iter().map(|level| Kind::Assurance.named(level));
        entity(
            "device",
            self.uid(),
            attributes,
            groups.chain(levels).collect(),
            texts(&self.tags),
        )
    }
}

impl SessionFacts {
    /// `Session::"…"`.
    pub(crate) fn uid(&self) -> EntityUid {
        Kind::Session.named(self.id.as_str())
    }

    pub(crate) fn entity(&self) -> Result<Entity, BadFacts> {
        let mut attributes = named([
            ("user", word(Kind::User, self.user.as_str())),
            ("factorCount", Value::new_long(i64::from(self.factor_count))),
        ]);
        if let Some(origin) = self.origin {
            attributes.push(("origin".to_owned(), word(Kind::Device, origin.as_str())));
        }
        let uses = [
            ("knowledge", self.knowledge),
            ("device", self.device),
            ("webauthn", self.webauthn),
            ("otp", self.otp),
        ];
        for (name, used) in uses {
            if let Some(used) = used {
                attributes.push((name.to_owned(), factor_use(used)?));
            }
        }
        entity("session", self.uid(), attributes, Vec::new(), Vec::new())
    }
}

impl AppFacts {
    /// `App::"…"`.
    pub(crate) fn uid(&self) -> EntityUid {
        Kind::App.named(&self.name)
    }

    pub(crate) fn entity(&self) -> Result<Entity, BadFacts> {
        let attributes = named([("sensitivity", Value::new_long(i64::from(self.sensitivity)))]);
        let parents = self.groups.iter().map(|group| Kind::AppGroup.named(group)).collect();
        entity("application", self.uid(), attributes, parents, texts(&self.tags))
    }
}

/// A record of Cedar values.
pub(crate) fn record(what: &'static str, fields: impl IntoIterator<Item = (String, Value)>) -> Result<Value, BadFacts> {
    Value::new_record(fields).map_err(|source| BadFacts::new(what, source))
}

/// A word of one of the schema's vocabularies.
pub(crate) fn word(kind: Kind, name: &str) -> Value {
    Value::new_entity_uid(kind.named(name))
}

/// A string.
pub(crate) fn text(value: &str) -> Value {
    Value::new_string(value.to_owned())
}

/// Fields with owned names, as Cedar takes them.
pub(crate) fn named<const N: usize>(fields: [(&'static str, Value); N]) -> Vec<(String, Value)> {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn entity(
    what: &'static str,
    uid: EntityUid,
    attributes: Vec<(String, Value)>,
    parents: Vec<EntityUid>,
    tags: Vec<(String, Value)>,
) -> Result<Entity, BadFacts> {
    Entity::new_with_tags(uid, attributes, parents, tags).map_err(|source| BadFacts::new(what, source))
}

fn posture(posture: &Posture) -> Result<Value, BadFacts> {
    let said = [
        ("diskEncrypted", posture.disk_encrypted),
        ("screenLock", posture.screen_lock),
        ("firewall", posture.firewall),
        ("secureBoot", posture.secure_boot),
        ("antivirus", posture.antivirus),
        ("jailbroken", posture.jailbroken),
        ("secureHardware", posture.secure_hardware),
    ];
    let mut fields: Vec<_> = said
        .into_iter()
        .filter_map(|(name, said)| Some((name.to_owned(), Value::new_bool(said?))))
        .collect();
    if let Some(os) = posture.os {
        let parts = version_parts(os).map(|(name, number)| (name, Value::new_long(i64::from(number))));
        fields.push(("os".to_owned(), record("device", named(parts))?));
    }
    record("device", fields)
}

fn factor_use(used: FactorUse) -> Result<Value, BadFacts> {
    let fields = named([
        ("method", word(Kind::Method, used.method.as_str())),
        ("phishingResistant", Value::new_bool(used.phishing_resistant)),
        ("hardwareProtected", Value::new_bool(used.hardware_protected)),
        ("deviceBound", Value::new_bool(used.device_bound)),
        ("userPresence", Value::new_bool(used.user_presence)),
        ("userVerified", Value::new_bool(used.user_verified)),
        (
            "userVerifiedInSoftware",
            Value::new_bool(used.user_verified_in_software),
        ),
    ]);
    record("session", fields)
}

fn texts(tags: &BTreeMap<String, String>) -> Vec<(String, Value)> {
    tags.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}
