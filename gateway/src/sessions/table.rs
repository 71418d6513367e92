//! Which session does a cookie stand for? Looked up on every request, changed by the store's writer alone.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use directory::{
    KnownSessions, Place, SecretHash, Session, SessionCookie, SessionId, SessionState, StoredSessions, Timestamp,
    UserId,
};
use policies::SessionFacts;

use super::continued::Continued;

/// All sessions that live, and those that ended a while ago.
pub(crate) struct SessionTable {
    shards: Vec<RwLock<HashMap<SecretHash, Arc<Grip>>>>,
    records: Mutex<Records>,
    /// Counts whatever took a session or a cookie something away.
    losses: AtomicU64,
}

#[derive(Default)]
struct Records {
    entries: HashMap<SessionId, Arc<Entry>>,
    live: HashMap<UserId, BTreeSet<SessionId>>,
    places: HashMap<UserId, Vec<(Place, Timestamp)>>,
}

/// One session, as its latest change left it.
struct Entry {
    session: ArcSwap<Session>,
    /// When it was used last, in milliseconds since 1970.
    seen: AtomicI64,
    /// The same as the store has it.
    stored: AtomicI64,
}

/// What a cookie stands for: one generation of a session, at one host.
pub(crate) struct Grip {
    entry: Arc<Entry>,
    secret: SecretHash,
    generation: u32,
    host: Box<str>,
    made: Timestamp,
    /// The grip of the cookie that took this one's place, and from where it was asked for.
    successor: OnceLock<(Arc<Grip>, Option<IpAddr>)>,
    /// The session as policies see it, once they did.
    pub(crate) facts: OnceLock<Arc<SessionFacts>>,
    /// That it may go on, as far as that was asked.
    pub(crate) continued: ArcSwapOption<Continued>,
}

impl SessionTable {
    /// The sessions that the store has.
    pub(crate) fn new(stored: StoredSessions) -> Self {
        let table = Self {
            shards: std::iter::repeat_with(RwLock::default).take(SHARDS).collect(),
            records: Mutex::default(),
            losses: AtomicU64::new(0),
        };
        table.restore(stored);
        table
    }

    /// Takes what the store has in place of what is known.
    pub(crate) fn restore(&self, stored: StoredSessions) {
        for (session, seen) in stored.sessions {
            self.apply(session, seen, None);
        }
        let mut records = self.records();
        for (user, place, at) in stored.places {
            records.places.entry(user).or_default().push((place, at));
        }
        self.losses.fetch_add(1, Ordering::Release);
    }

    /// What this cookie stands for at this host.
    pub(crate) fn grip(&self, secret: &SecretHash, host: &str) -> Option<Arc<Grip>> {
        let shard = self.shard(secret).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(secret).filter(|grip| &*grip.host == host).cloned()
    }

    /// How much was taken away so far: a decision that began under another count is made anew.
    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    /// How many sessions live.
    pub(crate) fn count(&self) -> usize {
        self.records().live.values().map(BTreeSet::len).sum()
    }

    /// The session with this id, and when it was used last.
    pub(crate) fn find(&self, id: SessionId) -> Option<(Arc<Session>, Timestamp)> {
        let records = self.records();
        let entry = records.entries.get(&id)?;
        Some((entry.session.load_full(), entry.seen()))
    }

    /// The live sessions of a user, each with when it was used last.
    pub(crate) fn of_user(&self, user: UserId) -> Vec<(Arc<Session>, Timestamp)> {
        let records = self.records();
        let ids = records.live.get(&user).into_iter().flatten();
        let entries = ids.filter_map(|id| records.entries.get(id));
        entries.map(|entry| (entry.session.load_full(), entry.seen())).collect()
    }

    /// The live sessions with a higher id than this, in the order of their ids.
    pub(crate) fn live_after(&self, after: SessionId) -> Vec<(Arc<Session>, Timestamp)> {
        let records = self.records();
        let live = records.live.values().flatten().filter(|id| **id > after);
        let entries = live.filter_map(|id| records.entries.get(id));
        let mut found: Vec<_> = entries.map(|entry| (entry.session.load_full(), entry.seen())).collect();
        drop(records);
        found.sort_unstable_by_key(|(session, _)| session.id);
        found
    }

    /// Whether a user signed in from this place before.
    pub(crate) fn knows(&self, user: UserId, place: &Place) -> bool {
        let records = self.records();
        let places = records.places.get(&user);
        places.is_some_and(|places| places.iter().any(|(known, _)| known == place))
    }

    /// Takes over the new state of a session; says from where that was asked for.
    pub(crate) fn apply(&self, session: Session, now: Timestamp, by: Option<IpAddr>) {
        let mut records = self.records();
        let before = records.entries.get(&session.id).cloned();
        let was: Vec<SessionCookie> = before
            .as_ref()
            .map(|entry| entry.session.load().cookies.clone())
            .unwrap_or_default();
        if before.is_none() {
            records.remember(&session, now);
        }
        records.index(&session);
        let (id, cookies, live) = (session.id, session.cookies.clone(), session.is_live());
        let session = Arc::new(session);
        let entry = match before {
            Some(entry) => {
                entry.session.store(session);
                entry
            }
            None => {
                let entry = Arc::new(Entry {
                    session: ArcSwap::new(session),
                    seen: AtomicI64::new(now.millis()),
                    stored: AtomicI64::new(now.millis()),
                });
                records.entries.insert(id, entry.clone());
                entry
            }
        };
        drop(records);
        self.replace_cookies(&entry, &was, &cookies, by);
        if !live {
            self.losses.fetch_add(1, Ordering::Release);
        }
    }

    fn replace_cookies(&self, entry: &Arc<Entry>, was: &[SessionCookie], is: &[SessionCookie], by: Option<IpAddr>) {
        let mut added = Vec::new();
        for cookie in is.iter().filter(|cookie| !contains(was, cookie)) {
            let grip = Arc::new(Grip::new(entry.clone(), cookie));
            self.write(&cookie.secret).insert(cookie.secret, grip.clone());
            added.push(grip);
        }
        for cookie in was.iter().filter(|cookie| !contains(is, cookie)) {
            let removed = self.write(&cookie.secret).remove(&cookie.secret);
            let successor = added.iter().find(|grip| *grip.host == *cookie.host);
            if let (Some(removed), Some(successor)) = (removed, successor) {
                let _ = removed.successor.set((successor.clone(), by));
            }
            self.losses.fetch_add(1, Ordering::Release);
        }
    }

    /// When sessions were used that the store does not know of yet; they count as stored from now on.
    pub(crate) fn take_seen(&self) -> Vec<(SessionId, Timestamp)> {
        let records = self.records();
        let changed = records.entries.iter().filter_map(|(id, entry)| {
            let seen = entry.seen.load(Ordering::Relaxed);
            (entry.stored.swap(seen, Ordering::Relaxed) < seen).then_some((*id, Timestamp::from_millis(seen)))
        });
        changed.collect()
    }

    /// Sessions that are older or were longer unused than these times.
    pub(crate) fn overdue(&self, age: Duration, idle: Duration, now: Timestamp) -> Vec<SessionId> {
        let records = self.records();
        let entries = records.entries.iter().filter(|(_, entry)| {
            let session = entry.session.load();
            session.is_live() && (session.created.plus(age) <= now || entry.seen().plus(idle) <= now)
        });
        entries.map(|(id, _)| *id).collect()
    }

    /// Forgets sessions that ended long enough ago: nobody needs to be told any more.
    pub(crate) fn forget_ended(&self, now: Timestamp) {
        let mut records = self.records();
        let over: Vec<Arc<Session>> = records
            .entries
            .values()
            .map(|entry| entry.session.load_full())
            .filter(|session| match session.state {
                SessionState::Live => false,
                SessionState::Ended { at, .. } => at.plus(REMEMBERED) <= now,
            })
            .collect();
        for session in over {
            records.entries.remove(&session.id);
            for cookie in &session.cookies {
                self.write(&cookie.secret).remove(&cookie.secret);
            }
        }
    }

    fn shard(&self, secret: &SecretHash) -> &RwLock<HashMap<SecretHash, Arc<Grip>>> {
        let index = usize::from(secret.0.first().copied().unwrap_or_default()) % SHARDS;
        #[expect(clippy::indexing_slicing, reason = "INVARIANT: there are SHARDS shards")]
        &self.shards[index]
    }

    fn write(&self, secret: &SecretHash) -> std::sync::RwLockWriteGuard<'_, HashMap<SecretHash, Arc<Grip>>> {
        self.shard(secret).write().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    fn index(&mut self, session: &Session) {
        let of_user = self.live.entry(session.user).or_default();
        if session.is_live() {
            of_user.insert(session.id);
        } else {
            of_user.remove(&session.id);
            if of_user.is_empty() {
                self.live.remove(&session.user);
            }
        }
    }

    /// Remembers where a user signed in, the latest places before others.
    fn remember(&mut self, session: &Session, now: Timestamp) {
        let places = self.places.entry(session.user).or_default();
        for place in Place::of(&session.client) {
            places.retain(|(known, _)| *known != place);
            places.push((place, now));
        }
        let excess = places.len().saturating_sub(MOST_PLACES);
        places.drain(..excess);
    }
}

impl Entry {
    fn seen(&self) -> Timestamp {
        Timestamp::from_millis(self.seen.load(Ordering::Relaxed))
    }
}

impl Grip {
    fn new(entry: Arc<Entry>, cookie: &SessionCookie) -> Self {
        Self {
            entry,
            secret: cookie.secret,
            generation: cookie.generation,
            host: cookie.host.as_str().into(),
            made: cookie.made,
            successor: OnceLock::new(),
            facts: OnceLock::new(),
            continued: ArcSwapOption::empty(),
        }
    }

    /// The session as it is now.
    pub(crate) fn session(&self) -> Arc<Session> {
        self.entry.session.load_full()
    }

    /// The cookie.
    pub(crate) fn secret(&self) -> SecretHash {
        self.secret
    }

    /// The generation that the cookie stands for.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// When the cookie was made.
    pub(crate) fn made(&self) -> Timestamp {
        self.made
    }

    /// When the session was used last.
    pub(crate) fn seen(&self) -> Timestamp {
        self.entry.seen()
    }

    /// Notes that the session is used.
    pub(crate) fn see(&self, now: Timestamp) {
        self.entry.seen.fetch_max(now.millis(), Ordering::Relaxed);
    }

    /// What a request that is under way stands on now: the cookie that it came with may have been replaced since. Only
    /// requests from where that was asked for go on with the new one: a copy of the old one ends with it.
    pub(crate) fn latest(self: &Arc<Self>, peer: IpAddr) -> Arc<Self> {
        let mut grip = self;
        while let Some((successor, by)) = grip.successor.get()
            && *by == Some(peer.to_canonical())
        {
            grip = successor;
        }
        grip.clone()
    }

    /// Whether another cookie took this one's place.
    pub(crate) fn is_replaced(&self) -> bool {
        self.successor.get().is_some()
    }
}

/// The sessions as they will be after the commands of a batch that is not durable yet.
pub(crate) struct Overlay<'a> {
    table: &'a SessionTable,
    pending: RefCell<HashMap<SessionId, Arc<Session>>>,
}

impl<'a> Overlay<'a> {
    /// Begins with what is.
    pub(crate) fn over(table: &'a SessionTable) -> Self {
        Self {
            table,
            pending: RefCell::default(),
        }
    }

    /// Adds what a command makes of sessions.
    pub(crate) fn add(&self, sessions: &[Session]) {
        let mut pending = self.pending.borrow_mut();
        pending.extend(sessions.iter().map(|session| (session.id, Arc::new(session.clone()))));
    }
}

impl KnownSessions for Overlay<'_> {
    fn session(&self, id: SessionId) -> Option<Arc<Session>> {
        let pending = self.pending.borrow().get(&id).cloned();
        pending.or_else(|| self.table.find(id).map(|(session, _)| session))
    }

    fn sessions_of(&self, user: UserId) -> Vec<Arc<Session>> {
        let pending = self.pending.borrow();
        let known = self.table.of_user(user).into_iter().map(|(session, _)| session);
        let known = known.filter(|session| !pending.contains_key(&session.id));
        let new = pending
            .values()
            .filter(|session| session.user == user && session.is_live());
        known.chain(new.cloned()).collect()
    }
}

fn contains(cookies: &[SessionCookie], wanted: &SessionCookie) -> bool {
    cookies.iter().any(|cookie| cookie.secret == wanted.secret)
}

const SHARDS: usize = 64;

/// How many places of a user are remembered.
const MOST_PLACES: usize = 32;

/// For how long an ended session is remembered, so that whoever comes with its cookie can be told why.
const REMEMBERED: Duration = Duration::from_secs(12 * 3600);
