//! Which requests are under way, and whose are they? So that those whose decision flips can be cut.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use directory::{Timestamp, UserId};
use pingora::{Error, ErrorType};
use tokio_util::sync::CancellationToken;

use crate::front::Connection;
use crate::request::{Arrived, Denial};

/// A request under way that rests on a decision.
pub(crate) struct LiveRequest {
    /// What was asked, and on which connection.
    pub(crate) arrived: Arc<Arrived>,
    /// The user it was allowed for.
    pub(crate) user: UserId,
    /// Ends it from outside.
    pub(crate) scope: Arc<Scope>,
    due: AtomicI64,
}

impl LiveRequest {
    /// Sets when the request has to be judged again, after it was by whoever judges live requests.
    pub(crate) fn judged(&self, due: Timestamp) {
        self.due.store(due.millis(), Ordering::Relaxed);
    }

    /// The same for the request itself, whose view may be older than that of whoever judged it meanwhile.
    pub(crate) fn due_at_latest(&self, due: Timestamp) {
        self.due.fetch_min(due.millis(), Ordering::Relaxed);
    }

    /// Whether that moment has come.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.due.load(Ordering::Relaxed) <= now.millis()
    }
}

/// Ends one request from outside: HTTP/1 with its connection, HTTP/2 with its stream.
#[derive(Default)]
pub(crate) struct Scope {
    /// Cancelled when the request has to end.
    pub(crate) cancelled: CancellationToken,
    /// Set when the head of the answer has come.
    pub(crate) answered: AtomicBool,
    /// Why it may go on no longer, where that is why it has to end.
    pub(crate) denial: std::sync::OnceLock<Denial>,
    /// Set when its client gave it up.
    pub(crate) given_up: AtomicBool,
    /// The connection, once it has become a WebSocket's.
    pub(crate) websocket: std::sync::OnceLock<Arc<Connection>>,
}

impl Scope {
    /// Lets nothing more of a request that has to end pass, either way.
    ///
    /// # Errors
    /// If it has to.
    pub(crate) fn check(&self) -> pingora::Result<()> {
        match self.cancelled.is_cancelled() {
            true => Error::e_explain(ErrorType::ConnectionClosed, "cut"),
            false => Ok(()),
        }
    }

    /// Whether its client can be told that it is no longer allowed in place of an answer, none of which has come.
    pub(crate) fn is_to_be_denied(&self) -> bool {
        self.denial.get().is_some() && !self.answered.load(Ordering::Relaxed)
    }
}

/// All live requests, by user.
pub(crate) struct LiveRequests {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    next: AtomicU64,
    count: AtomicUsize,
}

/// Keeps a request registered; dropping it takes it out.
pub(crate) struct Registration {
    table: Arc<LiveRequests>,
    /// What was registered.
    pub(crate) request: Arc<LiveRequest>,
    number: u64,
}

/// The requests of some of the users.
type Shard = HashMap<UserId, HashMap<u64, Arc<LiveRequest>>>;

const SHARDS: usize = 64;

impl LiveRequests {
    /// No requests yet.
    pub(crate) fn new() -> Arc<Self> {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Arc::new(Self {
            shards,
            hasher: RandomState::new(),
            next: AtomicU64::new(0),
            count: AtomicUsize::new(0),
        })
    }

    /// Registers a request before it is judged, so that no change between judging and registering is missed.
    pub(crate) fn register(self: &Arc<Self>, arrived: Arc<Arrived>, user: UserId, scope: Arc<Scope>) -> Registration {
        let request = Arc::new(LiveRequest {
            arrived,
            user,
            scope,
            due: AtomicI64::new(i64::MAX),
        });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Some(mut shard) = self.shard(user) {
            shard.entry(user).or_default().insert(number, request.clone());
        }
        Registration {
            table: self.clone(),
            request,
            number,
        }
    }

    /// How many requests are under way.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// The requests of one user.
    pub(crate) fn of_user(&self, user: UserId) -> Vec<Arc<LiveRequest>> {
        let shard = self.shard(user);
        shard
            .and_then(|shard| shard.get(&user).map(|requests| requests.values().cloned().collect()))
            .unwrap_or_default()
    }

    /// All requests, a batch at a time.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Vec<Arc<LiveRequest>>> {
        self.shards
            .iter()
            .map(|shard| lock(shard).values().flat_map(HashMap::values).cloned().collect())
    }

    fn shard(&self, user: UserId) -> Option<MutexGuard<'_, Shard>> {
        let index = self.hasher.hash_one(user) as usize % SHARDS;
        self.shards.get(index).map(lock)
    }

    fn remove(&self, user: UserId, number: u64) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        if let Some(mut shard) = self.shard(user)
            && let Some(requests) = shard.get_mut(&user)
        {
            requests.remove(&number);
            if requests.is_empty() {
                shard.remove(&user);
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.table.remove(self.request.user, self.number);
    }
}

fn lock<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
