//! How does a running gateway come to its end? By a signal; after an upgrade the program on disk goes on in its place.

use std::ffi::OsString;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use command_fds::{CommandFdExt, FdMapping};
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::listeners::{HANDED_ON, Listeners};
use crate::logs::Chain;

/// The program that may go on in the place of this one: the same process with the same sockets, and nothing else of it.
#[derive(Debug)]
pub(super) struct Successor {
    listeners: Listeners,
    config: PathBuf,
    program: OsString,
    arguments: Vec<OsString>,
}

impl Successor {
    /// The program that was started as this one was, as it will be on disk then.
    ///
    /// # Errors
    /// If the sockets cannot be kept.
    pub(super) fn new(listeners: &Listeners, config: PathBuf) -> io::Result<Self> {
        let mut arguments = std::env::args_os();
        Ok(Self {
            listeners: listeners.try_clone()?,
            config,
            program: arguments.next().unwrap_or_else(|| "latchkey".into()),
            arguments: arguments.collect(),
        })
    }

    /// Has the program judge the configuration, as it would at its start.
    fn check(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(["config", "check"]).arg(&self.config);
        command.stdin(std::process::Stdio::null()).kill_on_drop(true);
        command
    }

    /// Becomes that program; returns only if that fails.
    fn take_over(self) -> io::Error {
        let descriptors = self.listeners.into_descriptors();
        let names = [HANDED_ON; 2].join(":");
        let mappings = (FIRST_HANDED..)
            .zip(descriptors)
            .map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env("LISTEN_PID", std::process::id().to_string())
            .env("LISTEN_FDS", "2")
            .env("LISTEN_FDNAMES", names);
        match command.fd_mappings(mappings.collect()) {
            Ok(command) => command.exec(),
            Err(collision) => io::Error::other(collision),
        }
    }
}

/// Where handed descriptors begin (`SD_LISTEN_FDS_START`).
const FIRST_HANDED: RawFd = 3;

/// What happens once nothing is open any more.
#[derive(Debug)]
pub(crate) struct Ending {
    successor: Mutex<Option<Successor>>,
    upgrades: AtomicBool,
}

impl Ending {
    /// A stop, unless an upgrade is asked for; without a successor none can be.
    pub(super) fn new(successor: Option<Successor>) -> Arc<Self> {
        Arc::new(Self {
            successor: Mutex::new(successor),
            upgrades: AtomicBool::new(false),
        })
    }

    /// Whether another program goes on in the place of this one.
    pub(crate) fn is_upgrade(&self) -> bool {
        self.upgrades.load(Ordering::SeqCst)
    }

    /// Ends this program, and begins its successor where an upgrade was asked for.
    pub(crate) fn end(&self) -> ! {
        let successor = self.take().filter(|_| self.is_upgrade());
        let Some(successor) = successor else {
            std::process::exit(0)
        };
        let failed = successor.take_over();
        error!(error = %Chain(&failed), "the program on disk cannot go on in the place of this one");
        std::process::exit(1)
    }

    /// Decides for a stop, whatever was asked for before, and lets go of the sockets.
    fn stop(&self) {
        self.upgrades.store(false, Ordering::SeqCst);
        drop(self.take());
        tell(&[NotifyState::Stopping]);
    }

    /// Decides for an upgrade, if the program on disk takes the configuration; whether it does.
    async fn try_upgrade(&self) -> bool {
        let check = match &*self.successor.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(successor) => successor.check(),
            None => {
                warn!("only `latchkey run` can be upgraded: nothing is changed");
                return false;
            }
        };
        let outcome = run_check(check).await;
        match &outcome {
            Ok(()) => {
                info!("the program on disk takes the configuration: it goes on once open requests have ended");
                self.upgrades.store(true, Ordering::SeqCst);
                // systemd from version 253 on wants to know since when.
                let since = NotifyState::monotonic_usec_now();
                let states: Vec<_> = std::iter::once(NotifyState::Reloading).chain(since).collect();
                tell(&states);
            }
            Err(error) => error!(error = %Chain(error), "no upgrade: this program goes on as before"),
        }
        outcome.is_ok()
    }

    fn take(&self) -> Option<Successor> {
        self.successor.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

async fn run_check(mut check: tokio::process::Command) -> io::Result<()> {
    let status = tokio::time::timeout(CHECKED, check.status());
    match status.await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(io::Error::other(format!("`latchkey config check` ended with {status}"))),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// How long the program on disk may take to judge the configuration.
const CHECKED: Duration = Duration::from_secs(60);

/// Tells systemd, where it asked to be told (`sd_notify(3)`).
pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(error = %Chain(&error), "systemd cannot be told");
    }
}

/// Waits for the signals that end this program: SIGTERM, SIGINT, and SIGUSR2 for an upgrade.
pub(super) struct Signals(pub(super) Arc<Ending>);

struct Streams {
    terminate: Signal,
    interrupt: Signal,
    upgrade: Signal,
}

/// What a signal asks for.
enum Asked {
    Stop,
    StopAtOnce,
    Upgrade,
}

impl Streams {
    fn open() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Asked::StopAtOnce,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.upgrade.recv() => Asked::Upgrade,
        }
    }
}

impl Signals {
    /// Waits for what ends the program; an upgrade that is not fit does not.
    async fn asked(&self, streams: &mut Streams) -> Asked {
        let mut asked = streams.next().await;
        loop {
            match asked {
                Asked::Stop | Asked::StopAtOnce => return asked,
                Asked::Upgrade => tokio::select! {
                    fit = self.0.try_upgrade() => match fit {
                        true => return Asked::Upgrade,
                        false => asked = streams.next().await,
                    },
                    meanwhile = streams.next() => asked = meanwhile,
                },
            }
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let mut streams = match Streams::open() {
            Ok(streams) => streams,
            Err(error) => {
                error!(error = %Chain(&error), "cannot wait for signals");
                return ShutdownSignal::FastShutdown;
            }
        };
        match self.asked(&mut streams).await {
            Asked::StopAtOnce => {
                self.0.stop();
                return ShutdownSignal::FastShutdown;
            }
            Asked::Stop => self.0.stop(),
            Asked::Upgrade => {}
        }
        tokio::spawn(follow(self.0.clone(), streams));
        ShutdownSignal::GracefulTerminate
    }
}

/// Heeds signals while open requests end: an upgrade can still be turned into a stop.
async fn follow(ending: Arc<Ending>, mut streams: Streams) {
    loop {
        match streams.next().await {
            Asked::Stop => ending.stop(),
            Asked::StopAtOnce => std::process::exit(0),
            Asked::Upgrade => {}
        }
    }
}

/// Keeps signals that a running gateway heeds from ending one that only begins.
///
/// # Errors
/// If signals cannot be waited for.
pub(crate) fn outlive_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    for kind in [SignalKind::hangup(), SignalKind::user_defined2()] {
        // What the process does on a signal stays when the stream is gone.
        drop(signal(kind)?);
    }
    Ok(())
}
