//! Who is a user, and to which groups do they belong?

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{GroupId, Revision, Timestamp, UserId};

/// A person who signs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct User {
    /// Never reused, never shown to applications in place of the login.
    pub id: UserId,
    /// What the person types and what applications see; unique, compared without case.
    pub login: String,
    /// Where the person reads mail.
    pub email: String,
    /// Given name, for people to read.
    pub first_name: String,
    /// Family name, for people to read.
    pub last_name: String,
    /// `employee`, `contractor` or whatever else policies tell apart.
    pub user_type: String,
    /// Whether the person may do anything at all.
    pub status: UserStatus,
    /// The groups the person is directly in.
    pub groups: BTreeSet<GroupId>,
    /// Directory attributes for policies: `principal.getTag("costCenter")`.
    pub tags: BTreeMap<String, BTreeSet<String>>,
    /// An administrator lets the person set up one factor although they can prove nothing as strong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// When the record was made.
    pub created: Timestamp,
    /// When the record last changed.
    pub updated: Timestamp,
    /// The revision in which the record last changed.
    pub version: Revision,
}

/// Lets a user set up one factor, once, for a while, after signing in with whatever is left to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Release {
    /// From when on it counts no longer.
    pub ends: Timestamp,
}

impl User {
    /// The release that counts now.
    pub fn released(&self, now: Timestamp) -> Option<Release> {
        self.release.filter(|release| now < release.ends)
    }
}

/// Whether a user may do anything at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum UserStatus {
    /// May sign in and use devices.
    Active,
    /// Shut out until an admin lets them back in.
    Suspended {
        /// Since when.
        at: Timestamp,
    },
    /// Gone; may be activated again or deleted.
    Deactivated {
        /// Since when.
        at: Timestamp,
    },
}

/// A named set of users, or of other groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Never reused.
    pub id: GroupId,
    /// What policies and applications call it; unique.
    pub name: String,
    /// For people to read.
    pub description: String,
    /// The groups this one is in; never a circle.
    pub parents: BTreeSet<GroupId>,
    /// When the record was made.
    pub created: Timestamp,
    /// When the record last changed.
    pub updated: Timestamp,
    /// The revision in which the record last changed.
    pub version: Revision,
}
