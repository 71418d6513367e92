//! What does the gateway listen on? Sockets that it was handed, by systemd or by itself before an upgrade, or makes.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::Arc;

use async_trait::async_trait;
use listenfd::ListenFd;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service as PingoraService;
use pingora::services::listening::Service;
use tokio::sync::Notify;

use super::StartError;
use crate::front::Front;
use crate::gate::Gate;

/// The gateway's listening sockets: who connects to them waits until somebody accepts.
#[derive(Debug)]
pub(super) struct Listeners {
    /// For TLS connections.
    pub(super) front: TcpListener,
    /// For metrics and probes.
    pub(super) operations: TcpListener,
}

/// What every socket is called that the gateway hands to the program that goes on in its place (`LISTEN_FDNAMES`).
pub(super) const HANDED_ON: &str = "latchkey-upgrade";

impl Listeners {
    /// Takes those that were handed over (`sd_listen_fds(3)`), and makes the others.
    ///
    /// # Errors
    /// If systemd handed over what the configuration does not name, or an address is taken or not this machine's.
    pub(super) fn open(listen: SocketAddr, metrics_listen: SocketAddr) -> Result<Self, StartError> {
        let handed = take_handed().map_err(StartError::HandedUnusable)?;
        let (mut fitting, others): (Vec<_>, Vec<_>) = handed
            .into_iter()
            .partition(|(address, _)| [listen, metrics_listen].contains(address));
        // What was listened on before an upgrade need not be what is configured now.
        if let Some((found, _)) = others.first().filter(|_| !are_handed_on()) {
            return Err(StartError::HandedElsewhere {
                found: *found,
                listen,
                metrics_listen,
            });
        }
        drop(others);
        let mut open = |address: SocketAddr| {
            let place = fitting.iter().position(|(found, _)| *found == address);
            let socket = match place {
                Some(place) => Ok(fitting.swap_remove(place).1),
                None => TcpListener::bind(address),
            };
            let socket = socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
            socket.map_err(|source| StartError::Listen { address, source })
        };
        Ok(Self {
            front: open(listen)?,
            operations: open(metrics_listen)?,
        })
    }

    /// The same sockets once more.
    ///
    /// # Errors
    /// If there are too many open files.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            front: self.front.try_clone()?,
            operations: self.operations.try_clone()?,
        })
    }

    /// The descriptors.
    pub(super) fn into_descriptors(self) -> [OwnedFd; 2] {
        [self.front.into(), self.operations.into()]
    }
}

/// The sockets that were handed to this process, each with its address.
fn take_handed() -> io::Result<Vec<(SocketAddr, TcpListener)>> {
    let mut handed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..handed.len() {
        if let Some(socket) = handed.take_tcp_listener(index)? {
            sockets.push((socket.local_addr()?, socket));
        }
    }
    Ok(sockets)
}

/// Whether they come from the gateway itself.
fn are_handed_on() -> bool {
    std::env::var("LISTEN_FDNAMES").is_ok_and(|names| names.split(':').any(|name| name == HANDED_ON))
}

/// Has Pingora accept on a socket that is there already, and says when it does.
pub(super) struct Accepting {
    /// What serves the connections.
    pub(super) service: Service<Front<Gate>>,
    /// The address under which the service knows the socket.
    pub(super) address: SocketAddr,
    /// The socket.
    pub(super) socket: Option<TcpListener>,
    /// Told when connections are accepted.
    pub(super) accepts: Arc<Notify>,
}

#[async_trait]
impl PingoraService for Accepting {
    async fn start_service(&mut self, fds: Option<ListenFds>, shutdown: ShutdownWatch, tasks: usize) {
        if let (Some(fds), Some(socket)) = (&fds, self.socket.take()) {
            fds.lock().add(self.address.to_string(), socket.into_raw_fd());
        }
        self.accepts.notify_one();
        self.service.start_service(fds, shutdown, tasks).await;
    }

    fn name(&self) -> &str {
        PingoraService::name(&self.service)
    }

    fn threads(&self) -> Option<usize> {
        PingoraService::threads(&self.service)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        PingoraService::listen_addresses(&self.service)
    }
}
