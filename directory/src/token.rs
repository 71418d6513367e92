//! Which secrets open the enrolment endpoint and the admin API? Only their SHA-256 is kept.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    ApiTokenId, DeviceId, EnrollmentTokenId, FactorProof, KeyThumbprint, Revision, SessionId, Timestamp, UserId,
};

/// SHA-256 of a secret of at least 100 random bits (no salt needed, none used).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct SecretHash(pub [u8; 32]);

/// Lets one device enrol for one user, once, soon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollmentToken {
    /// Names the token in the log.
    pub id: EnrollmentTokenId,
    /// How it is found.
    pub secret: SecretHash,
    /// For whom.
    pub user: UserId,
    /// For a device that is already known (after it was activated again), else a new record is made.
    pub device: Option<DeviceId>,
    /// Who let it be made.
    #[serde(default)]
    pub origin: TokenOrigin,
    /// What the user had proved when it was made, if they made it themselves.
    #[serde(default)]
    pub factors: BTreeSet<Factor>,
    /// The same in full: the token is good as long as all of it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<FactorProof>,
    /// The session in which it was asked for: the token is good as long as that lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The authenticator instance's key that alone can use it; any can where there is none.
    #[serde(default)]
    pub bound_to: Option<KeyThumbprint>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it no longer works.
    pub ends: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
    /// The revision in which the record last changed.
    pub version: Revision,
}

/// Something that a user proved in the terminal or a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Factor {
    Password,
    Totp,
    Fastpass,
    Webauthn,
    Push,
    Email,
    Recovery,
}

/// Who let an enrolment token be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenOrigin {
    /// An admin: it releases an enrolment that the user alone may not begin.
    #[default]
    Admin,
    /// The user, who had signed in as the policies demand.
    SignIn,
}

/// Opens the admin API as far as its scopes go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// Names the token in the log.
    pub id: ApiTokenId,
    /// What people call it.
    pub name: String,
    /// How it is found.
    pub secret: SecretHash,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// From where it may be used; empty means from anywhere.
    pub networks: Vec<IpNet>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it no longer works.
    pub ends: Timestamp,
    /// When an admin ended it before its time.
    pub revoked: Option<Timestamp>,
    /// Made by `latchkey demo`; a production configuration refuses it.
    pub demo: bool,
    /// The revision in which the record last changed.
    pub version: Revision,
}

/// What a token of the admin API may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Scope {
    UsersRead,
    UsersManage,
    GroupsRead,
    GroupsManage,
    DevicesRead,
    DevicesManage,
    CertificatesRead,
    CertificatesManage,
    ReportsManage,
    TokensRead,
    TokensManage,
    LogsRead,
    SettingsRead,
    SettingsManage,
}

crate::words::serde_words!(Factor, "a factor", {
    Password = "password",
    Totp = "totp",
    Fastpass = "fastpass",
    Webauthn = "webauthn",
    Push = "push",
    Email = "email",
    Recovery = "recovery",
});

crate::words::serde_words!(Scope, "a scope", {
    UsersRead = "users.read",
    UsersManage = "users.manage",
    GroupsRead = "groups.read",
    GroupsManage = "groups.manage",
    DevicesRead = "devices.read",
    DevicesManage = "devices.manage",
    CertificatesRead = "certificates.read",
    CertificatesManage = "certificates.manage",
    ReportsManage = "reports.manage",
    TokensRead = "tokens.read",
    TokensManage = "tokens.manage",
    LogsRead = "logs.read",
    SettingsRead = "settings.read",
    SettingsManage = "settings.manage",
});
