//! Are an application's servers well? Those that have a path for it are asked, again and again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::connectors::TransportConnector;
use pingora::lb::Backend;
use pingora::lb::health_check::{HealthCheck as _, HttpHealthCheck};
use pingora::{Error, ErrorType};
use tokio::task::JoinSet;

use super::resolve;
use crate::config::{HealthCheck, Server};
use crate::setup::Served;
use crate::world::World;

/// Asks for as long as the gateway runs; what the configuration says now is what counts.
pub(crate) async fn keep(world: Arc<World>) {
    let mut asked: HashMap<(u64, usize), Asking> = HashMap::new();
    let mut under_way = JoinSet::new();
    let mut timer = tokio::time::interval(LOOKED);
    loop {
        timer.tick().await;
        while under_way.try_join_next().is_some() {}
        let (setup, now) = (world.setup.load_full(), Instant::now());
        asked.retain(|(pool, _), _| setup.all_served().any(|served| served.pool == *pool));
        for served in setup.all_served().filter(|served| served.application.is_served_here()) {
            report(served, now);
            let Some(check) = &served.application.upstream.health_check else {
                continue;
            };
            for (index, server) in served.servers.servers().enumerate() {
                let asking = asked.entry((served.pool, index)).or_insert_with(|| Asking {
                    next: now,
                    how: Arc::new(how(served, server, check)),
                });
                if asking.next <= now {
                    asking.next = now + check.interval;
                    under_way.spawn(ask(served.clone(), index, asking.how.clone()));
                }
            }
        }
    }
}

struct Asking {
    next: Instant,
    how: Arc<HttpHealthCheck>,
}

fn report(served: &Served, now: Instant) {
    let (serving, name) = (served.servers.serving(now), served.application.name.clone());
    let serving = f64::from(u32::try_from(serving).unwrap_or(u32::MAX));
    metrics::gauge!("latchkey_upstream_servers", "application" => name).set(serving);
}

/// A GET that has to be answered by 200 to 299.
fn how(served: &Served, server: &Server, check: &HealthCheck) -> HttpHealthCheck {
    let mut how = HttpHealthCheck::new(&server.authority(), server.server_name.is_some());
    how.peer_template = super::peer_of(served, server, NOWHERE);
    how.peer_template.options.connection_timeout = Some(check.timeout);
    how.peer_template.options.total_connection_timeout = Some(check.timeout);
    how.peer_template.options.read_timeout = Some(check.timeout);
    how.req.set_uri(check.path.clone());
    how.validator = Some(Box::new(|head| match head.status.is_success() {
        true => Ok(()),
        false => Error::e_explain(ErrorType::HTTPStatus(head.status.as_u16()), "not well"),
    }));
    how
}

async fn ask(served: Arc<Served>, index: usize, how: Arc<HttpHealthCheck>) {
    let (Some(check), Some(server)) = (
        &served.application.upstream.health_check,
        served.servers.servers().nth(index),
    ) else {
        return;
    };
    let answered = async {
        let address = resolve(server).await.ok()?;
        let backend = Backend::new(&address.to_string()).ok()?;
        how.check(&backend).await.ok()
    };
    let answered = tokio::time::timeout(check.timeout, answered).await;
    let is_well = matches!(answered, Ok(Some(())));
    let in_a_row = match is_well {
        true => check.healthy_after,
        false => check.unhealthy_after,
    };
    served.servers.checked(index, is_well, in_a_row);
}

/// Says what is wrong with a server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TryError {
    /// Its name is nobody's.
    #[error("does not resolve: {0}")]
    Resolve(std::io::Error),
    /// It cannot be reached.
    #[error("cannot be reached: {0}")]
    Connect(String),
    /// It does not prove to be who it should be.
    #[error("cannot be spoken to over TLS: {0}")]
    Secure(String),
    /// It says that it is not well, or nothing.
    #[error("does not answer its health check with 200 to 299: {0}")]
    Health(String),
}

/// Tries once whether a server can be reached as requests would reach it, and is well.
///
/// # Errors
/// What is wrong.
pub(crate) async fn try_out(served: &Served, server: &Server) -> Result<(), TryError> {
    let address = resolve(server).await.map_err(TryError::Resolve)?;
    let peer = super::peer_of(served, server, address);
    let connected = TransportConnector::new(None).new_stream(&peer).await;
    connected.map_err(|error| match error.etype() {
        ErrorType::TLSHandshakeFailure | ErrorType::TLSHandshakeTimedout | ErrorType::InvalidCert => {
            TryError::Secure(reason(&error))
        }
        _ => TryError::Connect(reason(&error)),
    })?;
    let Some(check) = &served.application.upstream.health_check else {
        return Ok(());
    };
    let backend = Backend::new(&address.to_string()).map_err(|error| TryError::Health(reason(&error)))?;
    let how = how(served, server, check);
    match tokio::time::timeout(check.timeout, how.check(&backend)).await {
        Ok(well) => well.map_err(|error| TryError::Health(reason(&error))),
        Err(_) => Err(TryError::Health("nothing came in time".to_owned())),
    }
}

/// The root of an error of Pingora's, without what it was doing.
fn reason(error: &Error) -> String {
    match error.root_cause().downcast_ref::<Error>() {
        Some(root) => format!(
            "{} {}",
            root.etype().as_str(),
            root.context.as_ref().map_or("", |context| context.as_str())
        ),
        None => error.root_cause().to_string(),
    }
    .trim_end()
    .to_owned()
}

/// Stands in for the address until somebody is asked.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 1);

/// How often it is looked whom to ask.
const LOOKED: Duration = Duration::from_millis(100);
