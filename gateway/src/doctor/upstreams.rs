//! Does every application's server answer as it has to? Asked as requests would be, with the same verification.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Finding;
use crate::config::Server;
use crate::setup::{Served, Setup};
use crate::upstream::health::{TryError, try_out};

/// Asks all servers at once.
pub(super) async fn examine(setup: &Setup) -> Vec<Finding> {
    let mut asked = JoinSet::new();
    for served in setup.all_served() {
        for server in &served.application.upstream.servers {
            asked.spawn(ask(served.clone(), server.clone()));
        }
    }
    let mut findings = asked.join_all().await;
    findings.sort_by(|one, other| one.found.cmp(&other.found));
    findings
}

async fn ask(served: Arc<Served>, server: Server) -> Finding {
    let application = &served.application.name;
    let secured = match server.server_name {
        Some(_) => " over TLS",
        None => "",
    };
    let checked = match served.application.upstream.health_check {
        Some(_) => ", and is well",
        None => "",
    };
    match try_out(&served, &server).await {
        Ok(()) => Finding::ok(
            "upstreams",
            format!("{application}: {server} answers{secured}{checked}"),
        ),
        Err(error) => {
            let advice = match &error {
                TryError::Resolve(_) => "look at the name and at this machine's name servers",
                TryError::Connect(_) => "is it running, and is it reachable from here?",
                TryError::Secure(_) => {
                    "its certificate needs the name in `url` (or `server_name`), from the CA in `ca`"
                }
                TryError::Health(_) => "look at the application's own log",
            };
            Finding::fail("upstreams", format!("{application}: {server} {error}"), advice)
        }
    }
}
