//! Have the files changed? Looked at several times a second and on SIGHUP; what is not fit is not taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::config::{Config, MailWay};
use crate::front::Trust;
use crate::load::{LoadFailure, load, load_policies};
use crate::logs::Chain;
use crate::world::World;

/// Takes over changed files while the gateway runs.
pub(crate) struct Reloader {
    /// The configuration file.
    pub(crate) config: PathBuf,
    /// What requests read.
    pub(crate) world: Arc<World>,
    /// What handshakes read.
    pub(crate) trust: Arc<ArcSwap<Trust>>,
    /// When they were read first: what was changed since is read again.
    pub(crate) since: SystemTime,
    /// Told after every reload that took something over.
    pub(crate) reloaded: Arc<Notify>,
}

/// How often the files are looked at.
const LOOKED: Duration = Duration::from_millis(250);

/// What tells one state of a file from another without reading it.
type Print = Option<(SystemTime, u64, u64)>;

impl Reloader {
    /// Looks at the files until the gateway stops.
    pub(crate) async fn run(self) {
        let mut hang_up = signal(SignalKind::hangup()).ok();
        let watched = |files| Watched::new(files, self.since);
        let (mut files, mut policies) = (watched(self.files()), watched(self.policies()));
        loop {
            let asked = tokio::select! {
                () = hung_up(&mut hang_up) => true,
                () = tokio::time::sleep(LOOKED) => false,
            };
            if asked {
                self.world.log.reopen();
            }
            if files.settled(self.files()) || asked {
                self.reload_config();
            }
            if policies.settled(self.policies()) || asked {
                self.reload_policies();
            }
        }
    }

    fn reload_config(&self) {
        let before = self.world.setup.load_full();
        match load(&self.config, self.world.clock.now()) {
            Ok(loaded) => {
                warn_of_restart(&before.config, &loaded.setup.config);
                if loaded.authority.fingerprint() != self.world.authority.fingerprint() {
                    self.count("config", "kept");
                    error!(
                        "not taken over, the last good one is kept: another CA of device certificates takes a restart"
                    );
                    return;
                }
                self.trust.store(Arc::new(loaded.trust));
                let mut setup = loaded.setup;
                setup.keep_servers(&before);
                self.world.setup.store(Arc::new(setup));
                info!(config = %self.config.display(), "configuration taken over");
                self.count("config", "ok");
                if self.world.setup.load().config.policies != before.config.policies {
                    self.reload_policies();
                }
                self.reloaded.notify_one();
            }
            Err(failure) => self.keep("config", &failure),
        }
    }

    fn reload_policies(&self) {
        match load_policies(&self.world.setup.load().config.policies) {
            Ok(decider) => {
                metrics::gauge!("latchkey_policies_stale").set(0.0);
                if decider.policies().version() == self.world.decider.load().policies().version() {
                    return;
                }
                info!(version = decider.policies().version().as_str(), "policies taken over");
                self.world.decider.store(Arc::new(decider));
                self.count("policies", "ok");
                self.reloaded.notify_one();
            }
            Err(failure) => {
                metrics::gauge!("latchkey_policies_stale").set(1.0);
                self.keep("policies", &failure);
            }
        }
    }

    fn keep(&self, what: &'static str, failure: &LoadFailure) {
        self.count(what, "kept");
        error!(what, error = %Chain(failure), "not taken over, the last good one is kept");
    }

    fn count(&self, what: &'static str, outcome: &'static str) {
        metrics::counter!("latchkey_reloads_total", "what" => what, "outcome" => outcome).increment(1);
    }

    fn files(&self) -> BTreeMap<PathBuf, Print> {
        let setup = self.world.setup.load();
        let tls = &setup.config.tls;
        let servers = tls.server_certificates.iter();
        let retired = tls.retired_authorities.iter();
        let pairs = servers.clone().map(|server| &server.pair).chain(retired);
        let pairs = pairs.flat_map(|pair| [&pair.certificate, &pair.key]);
        let staples = servers.filter_map(|server| server.ocsp.as_ref());
        let proxies = setup.config.forward_proxies.iter().map(|proxy| &proxy.authority);
        let authorities = tls
            .client_authorities
            .iter()
            .chain(proxies)
            .flat_map(|trusted| [Some(&trusted.certificate), trusted.crl.as_ref()]);
        let upstreams = setup
            .config
            .applications()
            .iter()
            .filter_map(|application| application.upstream.tls.as_ref())
            .flat_map(|tls| {
                let identity = tls.client_certificate.iter();
                let identity = identity.flat_map(|pair| [&pair.certificate, &pair.key]);
                tls.ca.iter().chain(identity)
            });
        let files = pairs
            .chain(staples)
            .chain(authorities.flatten())
            .chain(upstreams)
            .chain(device_files(&setup.config))
            .chain(mail_files(&setup.config))
            .chain([&self.config]);
        files.map(|file| (file.clone(), print(file))).collect()
    }

    fn policies(&self) -> BTreeMap<PathBuf, Print> {
        let folder = &self.world.setup.load().config.policies;
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let cedar = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "cedar"));
        cedar.map(|file| (file.clone(), print(&file))).collect()
    }
}

/// The files that say whom to believe about devices.
fn device_files(config: &Config) -> impl Iterator<Item = &PathBuf> {
    let roots = config.attestation.roots.iter().map(|root| &root.certificate);
    let own = config.management.own_authority.iter();
    let authorities = config.management.authorities.iter();
    roots
        .chain(own.flat_map(|pair| [&pair.certificate, &pair.key]))
        .chain(authorities.flat_map(|authority| {
            [Some(&authority.certificate), authority.crl.as_ref()]
                .into_iter()
                .flatten()
        }))
}

/// The files that mail takes to leave.
fn mail_files(config: &Config) -> impl Iterator<Item = &PathBuf> {
    let server = config.mail.iter().find_map(|mail| match &mail.way {
        MailWay::Server(server) => Some(server),
        MailWay::Folder(_) => None,
    });
    server.into_iter().flat_map(|server| {
        let password = server.login.as_ref().map(|login| &login.password_file);
        password.into_iter().chain(&server.ca_file)
    })
}

/// Files whose changes are taken over once they have come to rest: a file that is still being written may end where a
/// statement does, and be fit but wider.
struct Watched {
    taken: BTreeMap<PathBuf, Print>,
    last: BTreeMap<PathBuf, Print>,
}

impl Watched {
    /// Files that were taken over at `since`, as they are now: those that were changed in between are not.
    fn new(now: BTreeMap<PathBuf, Print>, since: SystemTime) -> Self {
        let unchanged = |print: &Print| print.filter(|(modified, ..)| *modified < since);
        Self {
            taken: now
                .iter()
                .map(|(file, print)| (file.clone(), unchanged(print)))
                .collect(),
            last: now,
        }
    }

    /// Whether the files differ from those taken over and are as they were at the last look; then they count as taken.
    fn settled(&mut self, now: BTreeMap<PathBuf, Print>) -> bool {
        let settled = now == self.last && now != self.taken;
        if settled {
            self.taken.clone_from(&now);
        }
        self.last = now;
        settled
    }
}

fn print(file: &Path) -> Print {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.size(), metadata.ino()))
}

async fn hung_up(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

fn warn_of_restart(before: &Config, after: &Config) {
    let changed = [
        ("listen", before.listen != after.listen),
        ("metrics_listen", before.metrics_listen != after.metrics_listen),
        ("data_dir", before.data_dir != after.data_dir),
        ("decision_log", before.decision_log != after.decision_log),
        ("demo", before.demo != after.demo),
        ("limits", before.limits.at_start() != after.limits.at_start()),
        ("log", before.log != after.log),
        ("shutdown_grace", before.shutdown_grace != after.shutdown_grace),
        (
            "tls.handshake_timeout",
            before.tls.handshake_timeout != after.tls.handshake_timeout,
        ),
        (
            "tls.max_handshakes",
            before.tls.max_handshakes != after.tls.max_handshakes,
        ),
        (
            "tls.max_handshakes_per_source",
            before.tls.max_handshakes_per_source != after.tls.max_handshakes_per_source,
        ),
    ];
    for (key, _) in changed.iter().filter(|(_, changed)| *changed) {
        warn!(key, "this change takes a restart");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(size: u64) -> BTreeMap<PathBuf, Print> {
        BTreeMap::from([(PathBuf::from("wiki.cedar"), Some((SystemTime::UNIX_EPOCH, size, 1)))])
    }

    /// After all files of these tests were written.
    fn later() -> SystemTime {
        SystemTime::UNIX_EPOCH + LOOKED
    }

    #[test]
    fn what_changed_between_the_first_reading_and_the_first_look_is_taken_over() {
        let mut watched = Watched::new(files(10), SystemTime::UNIX_EPOCH);
        assert!(watched.settled(files(10)));
        assert!(!watched.settled(files(10)));

        let mut control = Watched::new(files(10), later());
        assert!(!control.settled(files(10)));
    }

    #[test]
    fn a_change_is_taken_over_once_and_only_when_it_has_come_to_rest() {
        let mut watched = Watched::new(files(10), later());

        assert!(!watched.settled(files(10)));
        assert!(!watched.settled(files(3)), "being written");
        assert!(!watched.settled(files(7)), "still being written");
        assert!(watched.settled(files(7)));
        assert!(!watched.settled(files(7)), "taken over already");
        assert!(!watched.settled(files(10)));
        assert!(watched.settled(files(10)), "the way back is a change too");
    }
}
