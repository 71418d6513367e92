//! What goes on beside the requests? Each is a service of Pingora's, started and stopped with the rest.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use directory::Touched;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use sd_notify::NotifyState;
use tokio::sync::Notify;
use tracing::error;

use super::ending::{Ending, tell};
use crate::drain::OpenConnections;
use crate::logs::Chain;
use crate::operations::{self, Operations};
use crate::reload::Reloader;
use crate::world::World;
use crate::{drain, mail, rejudge};

/// Runs once, when its service starts.
pub(super) struct Once<T>(std::sync::Mutex<Option<T>>);

impl<T> Once<T> {
    /// Runs this.
    pub(super) fn new(task: T) -> Self {
        Self(std::sync::Mutex::new(Some(task)))
    }

    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

#[async_trait]
impl BackgroundService for Once<Reloader> {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Some(reloader) = self.take() else { return };
        tokio::select! {
            () = reloader.run() => {}
            _ = shutdown.changed() => {}
        }
    }
}

/// Judges requests that are under way again.
pub(super) struct Rejudge {
    pub(super) world: Arc<World>,
    pub(super) changes: tokio::sync::broadcast::Receiver<Arc<Touched>>,
    pub(super) all: Arc<Notify>,
}

#[async_trait]
impl BackgroundService for Once<Rejudge> {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let Some(Rejudge { world, changes, all }) = self.take() else {
            return;
        };
        // Draining requests are judged to their end: this stops with the process.
        let following = tokio::spawn(rejudge::follow(world.clone(), changes, all.clone()));
        rejudge::sweep(world, all).await;
        following.abort();
    }
}

/// Ends the process once it was asked to stop and nothing is open any more.
pub(super) struct Drain {
    pub(super) world: Arc<World>,
    pub(super) open: OpenConnections,
    pub(super) grace: Duration,
    pub(super) ending: Arc<Ending>,
}

#[async_trait]
impl BackgroundService for Drain {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        if shutdown.changed().await.is_ok() {
            drain::end(&self.world, &self.open, self.grace, &self.ending).await;
        }
    }
}

/// Carries letters.
pub(super) struct MailCarrier(pub(super) Arc<World>);

#[async_trait]
impl BackgroundService for Once<MailCarrier> {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Some(MailCarrier(world)) = self.take() else { return };
        tokio::select! {
            () = mail::carry(world) => {}
            _ = shutdown.changed() => {}
        }
    }
}

/// Asks applications' servers whether they are well.
pub(super) struct HealthKeeper(pub(super) Arc<World>);

#[async_trait]
impl BackgroundService for Once<HealthKeeper> {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Some(HealthKeeper(world)) = self.take() else { return };
        tokio::select! {
            () = crate::upstream::health::keep(world) => {}
            _ = shutdown.changed() => {}
        }
    }
}

/// Writes down when sessions were used, ends those whose time is over, and forgets what nobody asks for any more.
pub(super) struct SessionKeeper(pub(super) Arc<World>);

#[async_trait]
impl BackgroundService for SessionKeeper {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut timer = tokio::time::interval(SESSIONS_KEPT);
        loop {
            tokio::select! {
                _ = timer.tick() => self.0.keep_sessions().await,
                _ = shutdown.changed() => break,
            }
        }
        self.0.keep_sessions().await;
    }
}

/// How often sessions are seen to.
const SESSIONS_KEPT: Duration = Duration::from_secs(60);

/// Says when connections are accepted.
pub(super) struct Readiness {
    pub(super) accepts: Arc<Notify>,
    pub(super) ready: Arc<AtomicBool>,
    pub(super) call: Box<dyn FnOnce() + Send + Sync>,
}

#[async_trait]
impl BackgroundService for Once<Readiness> {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let Some(readiness) = self.take() else { return };
        readiness.accepts.notified().await;
        readiness.ready.store(true, Ordering::Relaxed);
        tell(&[NotifyState::Ready]);
        (readiness.call)();
    }
}

/// Serves metrics and probes.
pub(super) struct OperationsListener {
    pub(super) socket: TcpListener,
    pub(super) operations: Operations,
}

#[async_trait]
impl BackgroundService for Once<OperationsListener> {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Some(OperationsListener { socket, operations }) = self.take() else {
            return;
        };
        let listener = match tokio::net::TcpListener::from_std(socket) {
            Ok(listener) => listener,
            Err(error) => {
                error!(error = %Chain(&error), "metrics_listen: cannot listen");
                return;
            }
        };
        let metrics = operations.metrics.clone();
        let upkeep = tokio::spawn(async move {
            let mut timer = tokio::time::interval(UPKEEP);
            loop {
                timer.tick().await;
                metrics.run_upkeep();
            }
        });
        let served = axum::serve(listener, operations::router(operations));
        let stopped = async move {
            let _ = shutdown.changed().await;
        };
        if let Err(error) = served.with_graceful_shutdown(stopped).await {
            error!(error = %Chain(&error), "the operations listener ended");
        }
        upkeep.abort();
    }
}

/// How often measured times are put into their buckets; between they wait in memory.
const UPKEEP: Duration = Duration::from_secs(5);
