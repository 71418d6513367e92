//! Which of an application's servers gets a request? One that is well, by the application's rule, and never too many at once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::budget::Budget;
use crate::config::{Balance, Server, Upstream};

/// The servers of an application, and how they stand. It outlives reloads that leave them as they are.
pub(crate) struct Pool {
    application: String,
    servers: Vec<Arc<Standing>>,
    balance: Balance,
    breaker: (u32, Duration),
    most: Option<usize>,
    turn: AtomicUsize,
    /// How often requests may be tried again.
    pub(crate) budget: Budget,
    begun: Instant,
}

/// How one server stands.
struct Standing {
    server: Server,
    under_way: AtomicUsize,
    faults: AtomicU32,
    /// From when on it is tried again, in milliseconds since the pool began; 0 while it is not out.
    out_until: AtomicU64,
    is_well: AtomicBool,
    /// How many checks in a row said otherwise.
    otherwise: AtomicU32,
}

/// A request's place at a server; it is given back when this is dropped.
pub(crate) struct Place {
    index: usize,
    standing: Arc<Standing>,
}

/// All servers that could take a request have as many as they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("each server of the application has as many requests under way as it may have")]
pub(crate) struct Full;

impl Pool {
    /// Takes all servers to be well.
    pub(crate) fn new(application: &str, upstream: &Upstream, now: Instant) -> Self {
        let standing = |server: &Server| {
            Arc::new(Standing {
                server: server.clone(),
                under_way: AtomicUsize::new(0),
                faults: AtomicU32::new(0),
                out_until: AtomicU64::new(0),
                is_well: AtomicBool::new(true),
                otherwise: AtomicU32::new(0),
            })
        };
        Self {
            application: application.to_owned(),
            servers: upstream.servers.iter().map(standing).collect(),
            balance: upstream.balance,
            breaker: (upstream.breaker.faults, upstream.breaker.open_for),
            most: upstream.breaker.max_requests,
            turn: AtomicUsize::new(0),
            budget: Budget::new(now),
            begun: now,
        }
    }

    /// Whether a request that failed at one server could go to another.
    pub(crate) fn has_others(&self) -> bool {
        self.servers.len() > 1
    }

    /// The servers.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().map(|standing| &standing.server)
    }

    /// Picks a server for a request of whoever `who` stands for, one that it was not at before if there is one. Where none is
    /// well, all are as good as any: to refuse would help nobody.
    ///
    /// # Errors
    /// If none may have another request.
    pub(crate) fn choose(&self, who: u64, been_at: &[usize], now: Instant) -> Result<Place, Full> {
        if !self.has_others() {
            return self.enter(0).ok_or(Full);
        }
        let millis = self.millis(now);
        let open: Vec<usize> = (0..self.servers.len())
            .filter(|index| self.is_open(*index, millis))
            .collect();
        let fresh: Vec<usize> = open.iter().copied().filter(|index| !been_at.contains(index)).collect();
        let all: Vec<usize> = (0..self.servers.len()).collect();
        let candidates = [fresh, open, all].into_iter().find(|candidates| !candidates.is_empty());
        let place = self.pick(candidates.unwrap_or_default(), who).ok_or(Full)?;
        self.try_again_with(place.index, millis);
        Ok(place)
    }

    /// One of these, by the rule.
    fn pick(&self, mut candidates: Vec<usize>, who: u64) -> Option<Place> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = turn % candidates.len().max(1);
        candidates.rotate_left(in_turn);
        match self.balance {
            Balance::RoundRobin => {}
            Balance::LeastConnections => candidates.sort_by_key(|index| self.under_way(*index)),
            Balance::User => candidates.sort_by_key(|index| std::cmp::Reverse(self.weight(*index, who))),
        }
        candidates.into_iter().find_map(|index| self.enter(index))
    }

    fn enter(&self, index: usize) -> Option<Place> {
        let standing = self.servers.get(index)?;
        let before = standing.under_way.fetch_add(1, Ordering::Relaxed);
        let place = Place {
            index,
            standing: standing.clone(),
        };
        self.most.is_none_or(|most| before < most).then_some(place)
    }

    fn under_way(&self, index: usize) -> usize {
        let standing = self.servers.get(index);
        standing.map_or(usize::MAX, |standing| standing.under_way.load(Ordering::Relaxed))
    }

    /// Rendezvous hashing: a user stays where they are as long as that server is there.
    fn weight(&self, index: usize, who: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        if let Some(Standing { server, .. }) = self.servers.get(index).map(|standing| &**standing) {
            (&server.host, server.port, who).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn is_open(&self, index: usize, now: u64) -> bool {
        self.servers.get(index).is_some_and(|standing| {
            standing.is_well.load(Ordering::Relaxed) && standing.out_until.load(Ordering::Relaxed) <= now
        })
    }

    /// The one request that tries a server whose time out is over; others wait for what becomes of it.
    fn try_again_with(&self, index: usize, now: u64) {
        if let Some(standing) = self.servers.get(index) {
            let until = standing.out_until.load(Ordering::Relaxed);
            if until != 0 && until <= now {
                standing.out_until.store(now + self.open_for(), Ordering::Relaxed);
            }
        }
    }

    /// The request at this place came to an answer.
    pub(crate) fn worked(&self, place: &Place) {
        let standing = &place.standing;
        if standing.faults.swap(0, Ordering::Relaxed) > 0 && standing.out_until.swap(0, Ordering::Relaxed) > 0 {
            info!(application = self.application, server = %standing.server, "an application's server works again");
        }
    }

    /// The server at this place could not be reached, or broke off.
    pub(crate) fn failed(&self, place: &Place, now: Instant) {
        let standing = &place.standing;
        metrics::counter!("latchkey_upstream_faults_total", "application" => self.application.clone()).increment(1);
        let faults = standing.faults.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if faults < self.breaker.0 || !self.has_others() {
            return;
        }
        let until = self.millis(now) + self.open_for();
        if standing.out_until.swap(until, Ordering::Relaxed) == 0 {
            warn!(application = self.application, server = %standing.server, faults, "an application's server is left out for a while");
        }
    }

    /// What a check of the n-th server said; it changes its standing once as many in a row say so.
    pub(crate) fn checked(&self, index: usize, is_well: bool, in_a_row: u32) {
        let Some(standing) = self.servers.get(index) else {
            return;
        };
        if standing.is_well.load(Ordering::Relaxed) == is_well {
            standing.otherwise.store(0, Ordering::Relaxed);
            return;
        }
        if standing.otherwise.fetch_add(1, Ordering::Relaxed).saturating_add(1) < in_a_row {
            return;
        }
        standing.otherwise.store(0, Ordering::Relaxed);
        standing.is_well.store(is_well, Ordering::Relaxed);
        let (application, server) = (&self.application, &standing.server);
        match is_well {
            true => info!(application, %server, "an application's server is well again"),
            false => warn!(application, %server, "an application's server is not well"),
        }
    }

    #[cfg(test)]
    fn is_well(&self, index: usize) -> bool {
        self.servers
            .get(index)
            .is_some_and(|standing| standing.is_well.load(Ordering::Relaxed))
    }

    /// How many servers get requests at present.
    pub(crate) fn serving(&self, now: Instant) -> usize {
        let now = self.millis(now);
        (0..self.servers.len())
            .filter(|index| self.is_open(*index, now))
            .count()
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.begun);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn open_for(&self) -> u64 {
        u64::try_from(self.breaker.1.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Place {
    /// Which server it is.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The server.
    pub(crate) fn server(&self) -> &Server {
        &self.standing.server
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.standing.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CircuitBreaker, Protocol};

    fn pool(balance: Balance, max_requests: Option<usize>) -> (Pool, Instant) {
        let now = Instant::now();
        let server = |host: &str| Server {
            host: host.to_owned(),
            port: 80,
            server_name: None,
        };
        let upstream = Upstream {
            servers: ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(server).to_vec(),
            balance,
            protocol: Protocol::Http1,
            tls: None,
            connect_timeout: SECOND,
            read_timeout: SECOND,
            write_timeout: SECOND,
            retries: 1,
            health_check: None,
            breaker: CircuitBreaker {
                faults: 3,
                open_for: SECOND,
                max_requests,
            },
        };
        (Pool::new("app", &upstream, now), now)
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn chosen(pool: &Pool, now: Instant) -> usize {
        pool.choose(7, &[], now).unwrap().index()
    }

    fn fail(pool: &Pool, index: usize, now: Instant) {
        for _ in 0..pool.breaker.0 {
            pool.failed(&pool.enter(index).unwrap(), now);
        }
    }

    #[test]
    fn each_has_its_turn() {
        let (pool, now) = pool(Balance::RoundRobin, None);
        let mut counted = [0; 3];
        for _ in 0..30 {
            counted[chosen(&pool, now)] += 1;
        }
        assert_eq!(counted, [10, 10, 10]);
    }

    #[test]
    fn who_has_least_under_way_is_next() {
        let (pool, now) = pool(Balance::LeastConnections, None);
        let places: Vec<Place> = (0..3).map(|_| pool.choose(7, &[], now).unwrap()).collect();
        let mut taken: Vec<usize> = places.iter().map(Place::index).collect();
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2]);

        let freed = places.into_iter().find(|place| place.index() == 1);
        drop(freed);
        let held = [pool.enter(0), pool.enter(2)];
        assert_eq!(chosen(&pool, now), 1);
        drop(held);
    }

    #[test]
    fn a_user_stays_and_only_those_of_a_lost_server_move() {
        let (pool, now) = pool(Balance::User, None);
        let at = |who| pool.choose(who, &[], now).unwrap().index();
        let before: Vec<usize> = (0..200).map(at).collect();
        assert_eq!((0..200).map(at).collect::<Vec<_>>(), before);
        assert!(
            (0..3).all(|index| before.iter().filter(|at| **at == index).count() > 30),
            "{before:?}"
        );

        fail(&pool, 1, now);

        for (who, before) in (0..200).zip(before) {
            let after = at(who);
            assert_ne!(after, 1);
            assert!(
                before == 1 || after == before,
                "user {who} moved from {before} to {after}"
            );
        }
    }

    #[test]
    fn a_server_that_fails_is_left_out_tried_by_one_and_taken_back_when_it_works() {
        let (pool, now) = pool(Balance::RoundRobin, None);
        fail(&pool, 0, now);
        assert!((0..10).all(|_| chosen(&pool, now) != 0));
        assert_eq!(pool.serving(now), 2);

        let later = now + pool.breaker.1;
        let tried: Vec<usize> = (0..10).map(|_| chosen(&pool, later)).collect();
        assert_eq!(tried.iter().filter(|index| **index == 0).count(), 1, "{tried:?}");

        pool.worked(&pool.enter(0).unwrap());
        assert_eq!((0..9).filter(|_| chosen(&pool, later) == 0).count(), 3);
    }

    #[test]
    fn a_request_that_is_tried_again_goes_elsewhere() {
        let (pool, now) = pool(Balance::User, None);
        let first = pool.choose(7, &[], now).unwrap().index();
        let second = pool.choose(7, &[first], now).unwrap().index();
        let third = pool.choose(7, &[first, second], now).unwrap().index();
        assert_eq!(first + second + third, 3, "{first} {second} {third}");
        assert_eq!(
            pool.choose(7, &[0, 1, 2], now).unwrap().index(),
            first,
            "nowhere else to go"
        );
    }

    #[test]
    fn where_none_is_well_all_are_tried() {
        let (pool, now) = pool(Balance::RoundRobin, None);
        for index in 0..3 {
            pool.checked(index, false, 1);
        }
        let mut seen: Vec<usize> = (0..3).map(|_| chosen(&pool, now)).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
        assert_eq!(pool.serving(now), 0);
    }

    #[test]
    fn checks_count_once_as_many_in_a_row_agree() {
        let (pool, _) = pool(Balance::RoundRobin, None);
        pool.checked(0, false, 2);
        pool.checked(0, true, 2);
        pool.checked(0, false, 2);
        assert!(pool.is_well(0), "never two in a row");
        pool.checked(0, false, 2);
        assert!(!pool.is_well(0));
        pool.checked(0, true, 1);
        assert!(pool.is_well(0));
    }

    #[test]
    fn no_server_has_more_requests_than_it_may() {
        let (pool, now) = pool(Balance::RoundRobin, Some(2));
        let places: Vec<Place> = (0..6).map(|_| pool.choose(7, &[], now).unwrap()).collect();
        assert_eq!(pool.choose(7, &[], now).err(), Some(Full));
        drop(places);
        assert!(pool.choose(7, &[], now).is_ok());
    }
}
