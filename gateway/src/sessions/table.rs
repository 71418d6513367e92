//! Which session does a cookie stand for? Looked up on every request, changed by the store's writer alone.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use directory::{
    KnownSessions, Place, SecretHash, Session, SessionCookie, SessionId, SessionState, StoredPlace, StoredSessions,
    Timestamp, UserId,
};
use policies::SessionFacts;

use super::continued::Continued;
use super::line::Line;

/// All sessions that live, and those that ended a while ago.
pub(crate) struct SessionTable {
    shards: Vec<RwLock<HashSet<BySecret>>>,
    records: Mutex<Records>,
    /// Counts whatever took a session or a cookie something away.
    losses: AtomicU64,
}

#[derive(Default)]
struct Records {
    entries: HashMap<SessionId, Arc<Entry>>,
    live: HashMap<UserId, BTreeSet<SessionId>>,
    /// Where users signed in, and from when on that is a place they are known at; the latest places last.
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
    made: Timestamp,
    replaced: AtomicBool,
    /// The cookies that took one another's place, where this is one of them.
    line: OnceLock<Arc<Line>>,
    /// The session as policies see it, once they did: where verification that only software enforces counts, or not.
    facts: [OnceLock<Arc<SessionFacts>>; 2],
    /// That it may go on, as far as that was asked.
    pub(crate) continued: ArcSwapOption<Continued>,
}

/// Found by its secret, which it has itself: there are many.
struct BySecret(Arc<Grip>);

impl Borrow<SecretHash> for BySecret {
    fn borrow(&self) -> &SecretHash {
        &self.0.secret
    }
}

impl Hash for BySecret {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.secret.hash(hasher);
    }
}

impl PartialEq for BySecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.secret == other.0.secret
    }
}

impl Eq for BySecret {}

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
        let kept: HashSet<SessionId> = stored.sessions.iter().map(|(session, _)| session.id).collect();
        self.forget(|session| !kept.contains(&session.id));
        for (session, seen) in stored.sessions {
            self.apply(session, seen, None);
        }
        let mut records = self.records();
        records.places.clear();
        for StoredPlace {
            user,
            place,
            known_from,
        } in stored.places
        {
            records.remember(user, place, known_from);
        }
        self.losses.fetch_add(1, Ordering::Release);
    }

    /// What this cookie stands for at this host.
    pub(crate) fn grip(&self, secret: &SecretHash, host: &str) -> Option<Arc<Grip>> {
        let shard = self.shard(secret).read().unwrap_or_else(PoisonError::into_inner);
        let BySecret(grip) = shard.get(secret)?;
        grip.is_at(host).then(|| grip.clone())
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

    /// Whether a user is known at this place by now.
    pub(crate) fn knows(&self, user: UserId, place: &Place, now: Timestamp) -> bool {
        let records = self.records();
        let places = records.places.get(&user);
        places.is_some_and(|places| places.iter().any(|(known, from)| known == place && *from <= now))
    }

    /// Takes over the new state of a session, and which cookie's place a new one took; says whether anything was lost by it.
    pub(crate) fn apply(&self, session: Session, now: Timestamp, replaced: Option<Replaced>) -> bool {
        let mut records = self.records();
        let before = records.entries.get(&session.id).cloned();
        let was: Vec<SessionCookie> = before
            .as_ref()
            .map(|entry| entry.session.load().cookies.clone())
            .unwrap_or_default();
        if before.is_none() {
            let known_from = session.place_known_from();
            for place in Place::of(&session.client) {
                records.remember(session.user, place, known_from);
            }
        }
        records.index(&session);
        let (id, cookies, live) = (session.id, session.cookies.clone(), session.is_live());
        let session = Arc::new(session.shrunk());
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
        let removed = self.change_cookies(&entry, &was, &cookies, replaced);
        if !live {
            self.losses.fetch_add(1, Ordering::Release);
        }
        removed || !live
    }

    fn change_cookies(
        &self,
        entry: &Arc<Entry>,
        was: &[SessionCookie],
        is: &[SessionCookie],
        replaced: Option<Replaced>,
    ) -> bool {
        let mut added = Vec::new();
        for cookie in is.iter().filter(|cookie| !contains(was, cookie)) {
            let grip = Arc::new(Grip::new(entry.clone(), cookie));
            self.write(&cookie.secret).replace(BySecret(grip.clone()));
            added.push((&cookie.host, grip));
        }
        let mut any = false;
        for cookie in was.iter().filter(|cookie| !contains(is, cookie)) {
            any = true;
            let Some(BySecret(removed)) = self.write(&cookie.secret).take(&cookie.secret) else {
                continue;
            };
            let named = replaced.filter(|replaced| replaced.cookie == cookie.secret);
            let successor = added.iter().find(|(host, _)| **host == cookie.host);
            if let (Some(Replaced { by: Some(by), .. }), Some((_, successor))) = (named, successor) {
                removed.give_way_to(successor, by);
            }
            removed.replaced.store(true, Ordering::Release);
            self.losses.fetch_add(1, Ordering::Release);
        }
        any
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
        self.forget(|session| match session.state {
            SessionState::Live => false,
            SessionState::Ended { at, .. } => at.plus(REMEMBERED) <= now,
        });
    }

    fn forget(&self, is_over: impl Fn(&Session) -> bool) {
        let mut records = self.records();
        let entries = records.entries.values().map(|entry| entry.session.load_full());
        let over: Vec<Arc<Session>> = entries.filter(|session| is_over(session)).collect();
        for session in over {
            records.entries.remove(&session.id);
            records.unlist(&session);
            for cookie in &session.cookies {
                if let Some(BySecret(grip)) = self.write(&cookie.secret).take(&cookie.secret) {
                    grip.replaced.store(true, Ordering::Release);
                }
            }
        }
    }

    fn shard(&self, secret: &SecretHash) -> &RwLock<HashSet<BySecret>> {
        let index = usize::from(secret.0.first().copied().unwrap_or_default()) % SHARDS;
        #[expect(clippy::indexing_slicing, reason = "INVARIANT: there are SHARDS shards")]
        &self.shards[index]
    }

    fn write(&self, secret: &SecretHash) -> std::sync::RwLockWriteGuard<'_, HashSet<BySecret>> {
        self.shard(secret).write().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which cookie's place a new one took, and from where that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replaced {
    /// The cookie that is dead now.
    pub(crate) cookie: SecretHash,
    /// The address of who brought it.
    pub(crate) by: Option<IpAddr>,
}

impl Records {
    fn index(&mut self, session: &Session) {
        match session.is_live() {
            true => drop(self.live.entry(session.user).or_default().insert(session.id)),
            false => self.unlist(session),
        }
    }

    fn unlist(&mut self, session: &Session) {
        if let Some(of_user) = self.live.get_mut(&session.user) {
            of_user.remove(&session.id);
            if of_user.is_empty() {
                self.live.remove(&session.user);
            }
        }
    }

    /// Remembers where a user signed in, the latest places before others. A place that is known stays so.
    fn remember(&mut self, user: UserId, place: Place, known_from: Timestamp) {
        let places = self.places.entry(user).or_default();
        let before = places.iter().find(|(known, _)| *known == place).map(|(_, from)| *from);
        places.retain(|(known, _)| *known != place);
        places.push((place, before.map_or(known_from, |before| before.min(known_from))));
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
            made: cookie.made,
            replaced: AtomicBool::new(false),
            line: OnceLock::new(),
            facts: Default::default(),
            continued: ArcSwapOption::empty(),
        }
    }

    /// Whether it counts at this host.
    fn is_at(&self, host: &str) -> bool {
        let session = self.entry.session.load();
        let mut cookies = session.cookies.iter();
        cookies.any(|cookie| cookie.secret == self.secret && cookie.host == host)
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

    /// The session as policies see it, made once for each way to count verification that only software enforces.
    pub(crate) fn facts(&self, in_software: bool, make: impl FnOnce() -> Arc<SessionFacts>) -> Arc<SessionFacts> {
        let [without, with] = &self.facts;
        let kept = if in_software { with } else { without };
        kept.get_or_init(make).clone()
    }

    /// What a request that is under way stands on now: the cookie that it came with may have been replaced since. Only
    /// requests from where that was asked for go on with the new one: a copy of the old one ends with it.
    pub(crate) fn latest(self: &Arc<Self>, peer: IpAddr) -> Arc<Self> {
        let line = self.line.get().filter(|_| self.is_replaced());
        let latest = line.and_then(|line| line.latest(peer));
        latest.unwrap_or_else(|| self.clone())
    }

    /// Lets requests from there go on with the grip of the cookie that takes this one's place.
    fn give_way_to(&self, successor: &Arc<Self>, by: IpAddr) {
        let line = self.line.get_or_init(|| Arc::new(Line::of(by)));
        if line.go_on_with(successor, by) {
            let _ = successor.line.set(line.clone());
        }
    }

    /// Whether the cookie is dead, because another took its place or there were too many.
    pub(crate) fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Acquire)
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

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
