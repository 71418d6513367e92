//! When does a gateway that was asked to stop stop? As soon as nothing is open any more, and at the latest after its grace.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tracing::info;

use crate::run::Ending;
use crate::world::World;

/// Counts connections that are open.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenConnections(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Opened(OpenConnections);

impl OpenConnections {
    /// Another one.
    pub(crate) fn open(&self) -> Opened {
        self.0.fetch_add(1, Ordering::Relaxed);
        Opened(self.clone())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets agents go, which come back by themselves, waits for everybody else as long as the grace lasts, writes down what is to
/// be kept, and ends the process. WebSockets hold up no upgrade: who comes back is served by the program that goes on.
pub(crate) async fn end(world: &World, open: &OpenConnections, grace: Duration, ending: &Ending) {
    let over = Instant::now() + grace;
    world.pushes.lines.close_all();
    // What was accepted before the listeners closed may still be on its way to be counted.
    tokio::time::sleep(LOOKED * 5).await;
    while open.count() > 0 && Instant::now() < over {
        if ending.is_upgrade() {
            part_from_websockets(world);
        }
        tokio::time::sleep(LOOKED).await;
    }
    if open.count() > 0 {
        part_from_websockets(world);
        tokio::time::sleep(FAREWELL).await;
    }
    world.keep_sessions().await;
    if let Some(telemetry) = &world.telemetry {
        telemetry.flush().await;
    }
    world.log.close();
    info!(open = open.count(), upgrade = ending.is_upgrade(), "the gateway stops");
    ending.end()
}

/// Tells WebSockets that the gateway is going away.
fn part_from_websockets(world: &World) {
    for request in world.live.batches().flatten() {
        if let Some(connection) = request.scope.websocket.get() {
            connection.cut.go_away();
            request.scope.cancelled.cancel();
        }
    }
}

/// How often it is looked whether all are gone.
const LOOKED: Duration = Duration::from_millis(20);

/// How long clients have for the close of their WebSockets.
const FAREWELL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_count_while_they_are_open() {
        let open = OpenConnections::default();
        let (one, other) = (open.open(), open.clone().open());
        assert_eq!(open.count(), 2);
        drop((one, other));
        assert_eq!(open.count(), 0);
    }
}
