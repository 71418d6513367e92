//! How does the gateway start and stop? It reads everything, refuses what is not fit, and serves.

mod ending;
mod listeners;
mod services;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use directory::{Actor, ActorKind, Command, OrganizationId};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use pingora::listeners::{L4BufferSettings, ListenerConfig, TcpSocketOptions};
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use pingora::services::listening::Service;
use tokio::sync::Notify;
use tracing::{error, info};

pub(crate) use self::ending::{Ending, outlive_signals};

use self::ending::{Signals, Successor};
use self::listeners::{Accepting, Listeners};
use self::services::{Drain, HealthKeeper, MailCarrier, Once, OperationsListener, Readiness, Rejudge, SessionKeeper};
use crate::agents::{Attempts, ChallengeSigner, Challenges};
use crate::auth::UnderWay;
use crate::clock::Clock;
use crate::config::{Config, LogFormat};
use crate::drain::OpenConnections;
use crate::factors::failures::Failures;
use crate::factors::hasher::Hasher;
use crate::factors::letters::Letters;
use crate::factors::mailed::MailedCodes;
use crate::factors::throttle::Throttle;
use crate::front::{ConnectionLimits, Front, HandshakeLimits, Trust};
use crate::gate::Gate;
use crate::hosts::Hosts;
use crate::jws::{KeyError, TokenSigner};
use crate::live::LiveRequests;
use crate::load::{LoadFailure, Loaded, load, load_policies};
use crate::lock::{DataLock, LockError};
use crate::logs::Chain;
use crate::mail::Outbox;
use crate::nonces::Nonces;
use crate::operations::Operations;
use crate::private_file::{self, PrivateFileError};
use crate::proxy::Gateway;
use crate::pushes::Pushes;
use crate::reload::Reloader;
use crate::request::{DecisionLog, FactStore, Identities, RequestRates};
use crate::sealed::Seal;
use crate::sign_in::SignIns;
use crate::store::{Directory, OpenError};
use crate::telemetry::{Exporter, ExporterError, Telemetry};
use crate::upstream::{Upstreams, keepalive};
use crate::world::World;
use crate::{auth, operations};

/// Says why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The configuration, or something it names, is not fit.
    #[error(transparent)]
    Load(#[from] LoadFailure),
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What systemd handed over is no socket to accept TCP connections on.
    #[error("expected TCP sockets from systemd (`ListenStream=` with an address and a port)")]
    HandedUnusable(#[source] std::io::Error),
    /// Systemd handed over a socket that the configuration does not know.
    #[error(
        "systemd handed over a socket for {found}: expected {listen} (`listen`) or {metrics_listen} (`metrics_listen`); \
         `ListenStream=` in latchkey.socket has to name the same address"
    )]
    HandedElsewhere {
        /// The socket's address.
        found: SocketAddr,
        /// What is configured.
        listen: SocketAddr,
        /// What is configured for metrics.
        metrics_listen: SocketAddr,
    },
    /// The folder of the database cannot be made.
    #[error("data_dir: cannot make `{}`", folder.display())]
    DataDir {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another gateway uses the database.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database cannot be used.
    #[error("data_dir: the database")]
    Directory(#[source] OpenError),
    /// The demo's token opens the admin API of another configuration.
    #[error("the API token `{name}` was made by the demo: revoke it, or set `demo: true`")]
    DemoToken {
        /// The token's name.
        name: String,
    },
    /// The decision log cannot be written.
    #[error("decision_log: cannot open `{}`", file.display())]
    DecisionLog {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The key that signs identities cannot be read.
    #[error(transparent)]
    KeyFile(#[from] PrivateFileError),
    /// The key that signs identities cannot be used.
    #[error("`{}`", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The key that signs identities cannot be kept.
    #[error("cannot write `{}`", file.display())]
    KeyWrite {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Traces and metrics cannot be sent as the configuration has it.
    #[error(transparent)]
    Telemetry(#[from] ExporterError),
    /// Metrics are collected already, or the runtime cannot start.
    #[error("cannot set up {what}")]
    Runtime {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A gateway that is ready to serve.
pub(crate) struct Prepared {
    /// What requests read.
    pub(crate) world: Arc<World>,
    config: PathBuf,
    trust: Arc<ArcSwap<Trust>>,
    /// When the files were begun to be read.
    since: SystemTime,
    metrics: PrometheusHandle,
    listeners: Listeners,
    exporter: Option<Exporter>,
    _lock: DataLock,
}

/// Reads everything that serving takes, and refuses what is not fit.
///
/// # Errors
/// Says what is not as expected and where.
pub(crate) fn prepare(config: &Path) -> Result<Prepared, StartError> {
    // The process's default: Pingora's connections to upstreams ask for it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock = Arc::new(Clock::start());
    let since = SystemTime::now();
    let Loaded {
        setup,
        trust,
        authority,
    } = load(config, clock.now())?;
    start_logging(&setup.config);
    // Before anything is written: an address that is taken ends the start.
    let listeners = Listeners::open(setup.config.listen, setup.config.metrics_listen)?;
    let decider = load_policies(&setup.config.policies)?;
    let lock = lock_data(&setup.config)?;
    let directory = open_directory(&setup.config, &clock)?;
    let log = open_log(&setup.config)?;
    let signer = load_key(&setup.config.data_dir.join("assertion.key"), TokenSigner::from_pem)?;
    let challenge_signer = load_key(&setup.config.data_dir.join("challenge.key"), ChallengeSigner::from_pem)?;
    found_organization(&directory)?;
    let metrics = PrometheusBuilder::new()
        .set_buckets(&BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|source| StartError::Runtime {
            what: "metrics",
            source: source.into(),
        })?;
    operations::describe();
    let otlp = setup.config.telemetry.as_ref();
    let (telemetry, exporter) = otlp
        .map(|otlp| Telemetry::new(otlp, rand::random()))
        .transpose()?
        .unzip();
    let world = World {
        setup: ArcSwap::from_pointee(setup),
        decider: ArcSwap::from_pointee(decider),
        directory,
        facts: FactStore::new(),
        identities: Identities::new(signer),
        live: LiveRequests::new(),
        log,
        clock,
        sign_ins: SignIns {
            hasher: Hasher::new(
                std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
                PASSWORDS_WAITING,
            ),
            throttle: Throttle::new(GUESSES_REMEMBERED),
            failures: Failures::new(),
            mailed: MailedCodes::new(),
            letters: Letters::new(),
        },
        seal: Seal::new(&rand::random()),
        under_way: UnderWay::new(),
        nonces: Nonces::new(&rand::random()),
        signer: challenge_signer,
        challenges: Challenges::new(),
        pushes: Pushes::new(),
        attempts: Attempts::default(),
        authority: Arc::new(authority),
        crl: auth::CrlCache::default(),
        outbox: Outbox::new(),
        telemetry,
    };
    Ok(Prepared {
        world: Arc::new(world),
        config: config.to_owned(),
        trust: Arc::new(ArcSwap::from_pointee(trust)),
        since,
        metrics,
        listeners,
        exporter,
        _lock: lock,
    })
}

impl Prepared {
    /// Serves until a signal says otherwise: SIGTERM drains, SIGINT ends at once. Calls `ready` once it accepts.
    pub(crate) fn serve(self, ready: impl FnOnce() + Send + Sync + 'static) -> ! {
        self.serve_until(Ending::new(None), ready)
    }

    /// The same; SIGUSR2 drains too, and then the program on disk goes on with the same sockets.
    ///
    /// # Errors
    /// If the sockets cannot be kept for it.
    pub(crate) fn serve_upgradable(self, ready: impl FnOnce() + Send + Sync + 'static) -> Result<(), StartError> {
        let successor = Successor::new(&self.listeners, self.config.clone());
        let successor = successor.map_err(|source| StartError::Runtime {
            what: "a second hold on the listening sockets",
            source: source.into(),
        })?;
        self.serve_until(Ending::new(Some(successor)), ready)
    }

    fn serve_until(self, ending: Arc<Ending>, ready: impl FnOnce() + Send + Sync + 'static) -> ! {
        let setup = self.world.setup.load_full();
        let Listeners { front, operations } = self.listeners;
        let mut server = Server::new_with_opt_and_conf(Some(Opt::default()), server_conf(&setup.config));
        server.bootstrap();
        let open = OpenConnections::default();
        let accepts = Arc::new(Notify::new());
        server.add_service(Accepting {
            service: front_of(&self.world, &self.trust, &server.configuration, &setup.config, &open),
            address: setup.config.listen,
            socket: Some(front),
            accepts: accepts.clone(),
        });
        let drain = Drain {
            world: self.world.clone(),
            open: open.clone(),
            grace: setup.config.shutdown_grace,
            ending: ending.clone(),
        };
        server.add_service(background_service("drain", drain));
        let reloaded = Arc::new(Notify::new());
        // Subscribed before the first request can come: no change is missed.
        let rejudge = Rejudge {
            world: self.world.clone(),
            changes: self.world.directory.subscribe(),
            all: reloaded.clone(),
        };
        server.add_service(background_service("live requests", Once::new(rejudge)));
        let reloader = Reloader {
            config: self.config.clone(),
            world: self.world.clone(),
            trust: self.trust.clone(),
            since: self.since,
            reloaded,
        };
        server.add_service(background_service("reload", Once::new(reloader)));
        let keeper = SessionKeeper(self.world.clone());
        server.add_service(background_service("sessions", keeper));
        let asker = Once::new(HealthKeeper(self.world.clone()));
        server.add_service(background_service("health of upstreams", asker));
        let mail = Once::new(MailCarrier(self.world.clone()));
        server.add_service(background_service("mail", mail));
        let answers = Operations {
            live: self.world.live.clone(),
            open,
            metrics: self.metrics.clone(),
            ready: Arc::new(AtomicBool::new(false)),
        };
        let listening = Readiness {
            accepts,
            ready: answers.ready.clone(),
            call: Box::new(ready),
        };
        server.add_service(background_service("readiness", Once::new(listening)));
        let exporter = self
            .exporter
            .map(|exporter| exporter.start(answers.clone(), self.world.clock.clone()));
        if let Some(Err(error)) = exporter {
            error!(error = %Chain(&error), "telemetry: no thread to send it");
        }
        let operations = OperationsListener {
            socket: operations,
            operations: answers,
        };
        server.add_service(background_service("operations", Once::new(operations)));
        info!(listen = %setup.config.listen, metrics = %setup.config.metrics_listen, "starting");
        server.run(RunArgs {
            shutdown_signal: Box::new(Signals(ending.clone())),
        });
        ending.end()
    }
}

fn front_of(
    world: &Arc<World>,
    trust: &Arc<ArcSwap<Trust>>,
    conf: &Arc<ServerConf>,
    config: &Config,
    open: &OpenConnections,
) -> Service<Front<Gate>> {
    let limits = Arc::new(config.limits.clone());
    let gateway = Gateway {
        world: world.clone(),
        hosts: Hosts::new(world),
        upstreams: Upstreams::new(),
        rates: RequestRates::new(),
    };
    let front = Front {
        trust: trust.clone(),
        inner: Arc::new(Gate::new(pingora::proxy::http_proxy(conf, gateway), limits.clone())),
        handshakes: HandshakeLimits::new(config.tls.max_handshakes, config.tls.max_handshakes_per_source),
        timeout: config.tls.handshake_timeout,
        connections: ConnectionLimits::new(open.clone(), limits.connections, limits.connections_per_source),
        limits,
        next_id: AtomicU64::new(1),
    };
    let mut service = Service::new("front".to_owned(), front);
    let mut options = TcpSocketOptions::default();
    options.tcp_keepalive = Some(keepalive());
    let listener = ListenerConfig::tcp(config.listen.to_string()).tcp_socket_options(options);
    // The front gathers what is written.
    service.add_listener(listener.l4_buffer(L4BufferSettings::new(0, 0)));
    service
}

fn server_conf(config: &Config) -> ServerConf {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    ServerConf {
        threads,
        // With nobody to steal from, a runtime of one thread saves what stealing costs.
        work_stealing: threads > 1,
        // The drain ends the process before; this is for one that hangs.
        grace_period_seconds: Some(config.shutdown_grace.as_secs() + 10),
        graceful_shutdown_timeout_seconds: Some(5),
        upstream_keepalive_pool_size: 1024,
        ..ServerConf::default()
    }
}

/// Takes the database for this process, making its folder if need be.
pub(crate) fn lock_data(config: &Config) -> Result<DataLock, StartError> {
    let folder = &config.data_dir;
    std::fs::create_dir_all(folder).map_err(|source| StartError::DataDir {
        folder: folder.clone(),
        source,
    })?;
    Ok(DataLock::take(folder)?)
}

pub(crate) fn open_directory(config: &Config, clock: &Arc<Clock>) -> Result<Directory, StartError> {
    let clock = clock.clone();
    let directory = Directory::open(&config.data_dir.join("directory.sqlite"), Arc::new(move || clock.now()))
        .map_err(StartError::Directory)?;
    let snapshot = directory.snapshot();
    let demo = snapshot
        .api_tokens()
        .find(|token| token.demo && token.revoked.is_none());
    match demo {
        Some(token) if !config.demo => Err(StartError::DemoToken {
            name: token.name.clone(),
        }),
        _ => Ok(directory),
    }
}

fn open_log(config: &Config) -> Result<DecisionLog, StartError> {
    let file = &config.decision_log;
    DecisionLog::open(file).map_err(|source| StartError::DecisionLog {
        file: file.clone(),
        source,
    })
}

/// Reads a key that signs for the gateway, or makes it the first time.
fn load_key<T>(file: &Path, read: impl Fn(&str) -> Result<T, KeyError>) -> Result<T, StartError> {
    let pem = if file.exists() {
        private_file::read(file)?
    } else {
        let pem = make_key();
        private_file::write(file, &pem).map_err(|source| StartError::KeyWrite {
            file: file.to_owned(),
            source,
        })?;
        pem
    };
    read(&pem).map_err(|source| StartError::Key {
        file: file.to_owned(),
        source,
    })
}

/// A new key; 32 random bytes in 2^32 are none.
fn make_key() -> String {
    std::iter::repeat_with(|| TokenSigner::generate(&rand::random()))
        .flatten()
        .next()
        .map(|(_, pem)| pem)
        .unwrap_or_default()
}

/// Gives the organisation its id, when the gateway starts for the first time.
pub(crate) fn found_organization(directory: &Directory) -> Result<(), StartError> {
    if directory.snapshot().settings().is_some() {
        return Ok(());
    }
    let system = Actor {
        kind: ActorKind::System,
        id: "latchkey".to_owned(),
        display_name: "latchkey".to_owned(),
        address: None,
    };
    let found = Command::FoundOrganization(OrganizationId::from_random(rand::random()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| StartError::Runtime {
        what: "the organisation",
        source,
    };
    let runtime = runtime.map_err(|error| failed(error.into()))?;
    let founded = runtime.block_on(directory.submit(found, system, Vec::new()));
    founded.map(drop).map_err(|error| failed(error.into()))
}

/// How many passwords may wait to be looked at.
const PASSWORDS_WAITING: usize = 64;

/// Of how many accounts, sources and pairs of them failed guesses are remembered.
const GUESSES_REMEMBERED: u64 = 100_000;

fn start_logging(config: &Config) {
    use tracing_subscriber::EnvFilter;
    // Pingora logs each broken connection as an error: those are the clients' affairs.
    let filter = format!(
        "{},pingora_proxy=off,pingora_core=error,pingora_core::apps=off,sqlx=warn,h2=off,hyper=warn",
        config.log.level
    );
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let started = match config.log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // Only a second start within one process finds a subscriber already there.
    drop(started);
}

/// The buckets of decision times, in seconds.
const BUCKETS: [f64; 10] = [5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2, 1e-1];
