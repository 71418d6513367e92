//! On which port does the agent listen? On the first that is free of those where pages look, as long as they look there.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::authenticator::Authenticator;
use super::server::{bind, serve};

/// Listens until it is dropped; while every port is taken it tries again.
pub async fn listen(authenticator: Arc<Authenticator>) {
    let mut complained = false;
    loop {
        let ports = authenticator.ports();
        let Some((listener, port)) = bind(&ports).await else {
            if !complained {
                warn!(
                    ?ports,
                    "cannot listen on the loopback: all its ports are taken; trying again"
                );
                complained = true;
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = authenticator.moved() => {}
            }
            continue;
        };
        info!(port, "listening on the loopback");
        complained = false;
        let preparing = Arc::clone(&authenticator);
        tokio::spawn(async move { preparing.prepare().await });
        tokio::select! {
            () = serve(listener, Arc::clone(&authenticator)) => {}
            () = elsewhere(&authenticator, port) => {}
        }
    }
}

/// Waits until pages do not look on this port any more.
async fn elsewhere(authenticator: &Authenticator, port: u16) {
    loop {
        authenticator.moved().await;
        if !authenticator.ports().contains(&port) {
            return;
        }
    }
}

const PAUSE: Duration = Duration::from_secs(5);
