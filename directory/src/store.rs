//! What must a store of the directory do? Keep every acknowledged change, all of a transaction or nothing of it.

use std::net::IpAddr;

use crate::{
    Actor, Change, Client, Event, EventType, Fingerprint, Revision, Session, Snapshot, Table, Timestamp, TransactionId,
    UserId,
};

/// Keeps the directory and the System Log.
pub trait Store: Send + Sync {
    /// Reads the directory as of its last revision.
    fn load(&self) -> impl Future<Output = Result<Snapshot, LoadError>> + Send;

    /// Reads the sessions that are kept, and where users signed in before.
    fn load_sessions(&self) -> impl Future<Output = Result<StoredSessions, LoadError>> + Send;

    /// Writes all transactions of the batch durably, in order, or none of them.
    ///
    /// # Errors
    ///
    /// [`AppendError::Conflict`] says that nothing was written; after [`AppendError::Unavailable`] the batch may or may
    /// not have been, and the caller loads again before it goes on.
    fn append(&self, batch: &[Transaction]) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Reads the System Log.
    fn events(&self, query: &EventQuery) -> impl Future<Output = Result<Vec<Event>, QueryError>> + Send;
}

/// One command's changes and what the System Log says of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its id, the same in all its events.
    pub id: TransactionId,
    /// When it was planned.
    pub at: Timestamp,
    /// Who asked for it.
    pub actor: Actor,
    /// The revision its changes make; without changes (a refused command) the revision it was judged at.
    pub revision: Revision,
    /// What it changes, already stamped with its revision.
    pub writes: Vec<Write>,
    /// What the System Log says of it; never empty.
    pub events: Vec<Event>,
    /// The sessions it makes or changes, as they are then.
    pub sessions: Vec<Session>,
    /// The DER of the certificates it brings.
    pub certificates_der: Vec<(Fingerprint, Vec<u8>)>,
}

/// What is kept of sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredSessions {
    /// The sessions, each with when it was last used.
    pub sessions: Vec<(Session, Timestamp)>,
    /// Where users signed in, the latest last.
    pub places: Vec<StoredPlace>,
}

/// A place that a user signed in from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPlace {
    /// Who.
    pub user: UserId,
    /// Where.
    pub place: Place,
    /// From when on the user is known there.
    pub known_from: Timestamp,
}

/// A browser or a network that a user signed in from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub String);

impl Place {
    /// The places that a session begins in: its browser, and its network (an IPv4 /24, an IPv6 /48).
    pub fn of(client: &Client) -> [Self; 2] {
        let network = match client.address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                format!("network {a}.{b}.{c}.0/24")
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                format!("network {a:x}:{b:x}:{c:x}::/48")
            }
        };
        [Self(format!("browser {}", String::from(client.browser))), Self(network)]
    }
}

/// A change, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The record's new state.
    pub change: Change,
    /// The version of the record that the plan read; nothing means that there was none and must be none.
    pub expected: Option<Revision>,
}

/// Which events of the System Log to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Not before this.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
    /// Only this type.
    pub event_type: Option<EventType>,
    /// Only by the actor with this id.
    pub actor: Option<String>,
    /// Only about the target with this id.
    pub target: Option<String>,
    /// Only of this transaction.
    pub transaction: Option<TransactionId>,
    /// Only where this text occurs, in any case, in the event's type, reason, or its actor's or targets' ids and names.
    pub q: Option<String>,
    /// Only what follows, in this order, the event with this id.
    pub after: Option<String>,
    /// The order to read in.
    pub order: Order,
    /// At most so many.
    pub limit: u32,
}

/// In which order events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

/// Says why the directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store does not answer.
    #[error("cannot read the directory")]
    Unavailable(#[source] Cause),
    /// A record is not what this version writes.
    #[error("cannot understand the record `{id}` in the table `{table}`")]
    Record {
        /// The record's table.
        table: Table,
        /// The record's id.
        id: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
}

/// Says why a batch was not written, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else changed a record that a transaction of the batch rests on.
    #[error("the record `{id}` in the table `{table}` has changed meanwhile")]
    Conflict {
        /// The record's table.
        table: Table,
        /// The record's id.
        id: String,
    },
    /// The store does not answer, or did not say whether it wrote.
    #[error("cannot write to the directory")]
    Unavailable(#[source] Cause),
}

/// Says why the System Log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// `after` names no event.
    #[error("no event has the id `{id}`")]
    UnknownEvent {
        /// What `after` said.
        id: String,
    },
    /// The store does not answer.
    #[error("cannot read the System Log")]
    Unavailable(#[source] Cause),
}

/// What went wrong inside a store.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
