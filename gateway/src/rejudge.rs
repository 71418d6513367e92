//! Do the requests under way still have a right to be? Judged again after every change, and when time alone may turn it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use directory::{Touched, UserId};
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tracing::{debug, warn};

use crate::live::LiveRequest;
use crate::request::{Site, View, decide};
use crate::world::{JUDGED_AGAIN, World};

/// Judges live requests again for as long as the gateway runs. It needs no input but the world: a wake-up only says that
/// there may be something to do.
pub(crate) async fn run(world: Arc<World>, mut changes: Receiver<Arc<Touched>>, reloaded: Arc<Notify>) {
    let mut timer = tokio::time::interval(LOOKED);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // Changes in the directory (revocations) go before policy reloads, and these before the timer.
        tokio::select! {
            biased;
            change = changes.recv() => match change {
                Ok(touched) => judge_touched(&world, &touched).await,
                Err(RecvError::Lagged(missed)) => {
                    warn!(missed, "changes came faster than they were followed: judging all live requests again");
                    judge_all(&world).await;
                }
                Err(RecvError::Closed) => return,
            },
            () = reloaded.notified() => judge_all(&world).await,
            _ = timer.tick() => judge_due(&world).await,
        }
    }
}

/// How often the timer looks for requests whose moment has come.
const LOOKED: Duration = Duration::from_millis(250);

async fn judge_touched(world: &World, touched: &Touched) {
    if !touched.groups.is_empty() {
        return judge_all(world).await;
    }
    let view = world.view();
    let of_devices = touched
        .devices
        .iter()
        .flat_map(|device| view.directory.enrollments_of_device(*device));
    let users: BTreeSet<UserId> = touched
        .users
        .iter()
        .copied()
        .chain(of_devices.map(|enrollment| enrollment.user))
        .collect();
    for user in users {
        for request in world.live.of_user(user) {
            judge(world, &view, &request);
        }
        tokio::task::yield_now().await;
    }
}

async fn judge_all(world: &World) {
    judge_where(world, |_| true).await;
}

async fn judge_due(world: &World) {
    let now = world.clock.now();
    judge_where(world, |request| request.is_due(now)).await;
}

async fn judge_where(world: &World, which: impl Fn(&LiveRequest) -> bool) {
    for batch in world.live.batches() {
        let view = world.view();
        for request in batch.iter().filter(|request| which(request)) {
            judge(world, &view, request);
        }
        tokio::task::yield_now().await;
    }
}

fn judge(world: &World, view: &View, request: &LiveRequest) {
    if request.scope.cancelled.is_cancelled() {
        return;
    }
    let Site::Application(before) = &request.arrived.site else {
        return;
    };
    // An application that the configuration no longer has keeps nobody; one that changed is judged as it is now.
    let Some(served) = view.setup.served(&before.application) else {
        debug!(request = %request.arrived.id, "cut: the application is gone");
        request.scope.cancelled.cancel();
        return;
    };
    let judged = Instant::now();
    let verdict = decide(&world.facts, view, &request.arrived, served);
    match &verdict.outcome {
        Ok(permit) => {
            let latest = view.now.plus(JUDGED_AGAIN);
            request.set_due(permit.ends().map_or(latest, |ends| ends.min(latest)));
        }
        Err(denial) => {
            debug!(request = %request.arrived.id, code = denial.code(), "cut");
            request.scope.cancelled.cancel();
            world.record_cut(&request.arrived, view, &verdict, judged);
        }
    }
}
