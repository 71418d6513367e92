//! Do the requests under way still have a right to be? Judged again after every change, and when time alone may turn it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use directory::{Touched, UserId};
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tracing::{debug, warn};

use crate::agents::end_streams;
use crate::live::LiveRequest;
use crate::request::{Denial, Site, Verdict, View, decide_again};
use crate::world::World;

/// Follows the changes of the directory: whoever they concern is judged again at once. It needs no input but the world: a
/// wake-up only says that there may be something to do. Whatever takes all requests is left to [`sweep`], so that a
/// revocation never waits behind it.
pub(crate) async fn follow(world: Arc<World>, mut changes: Receiver<Arc<Touched>>, all: Arc<Notify>) {
    loop {
        match changes.recv().await {
            Ok(touched) => {
                judge_touched(&world, &touched).await;
                if !touched.groups.is_empty() {
                    all.notify_one();
                }
            }
            Err(RecvError::Lagged(missed)) => {
                end_streams(&world, world.pushes.lines.all());
                warn!(
                    missed,
                    "changes came faster than they were followed: judging all live requests again"
                );
                all.notify_one();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Judges all requests again when told to, and those whose moment has come.
pub(crate) async fn sweep(world: Arc<World>, all: Arc<Notify>) {
    let mut timer = tokio::time::interval(LOOKED);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = all.notified() => judge_where(&world, |_| true).await,
            _ = timer.tick() => {
                let now = world.clock.now();
                judge_where(&world, |request| request.is_due(now)).await;
            }
        }
    }
}

/// How often the timer looks for requests whose moment has come.
const LOOKED: Duration = Duration::from_millis(250);

async fn judge_touched(world: &World, touched: &Touched) {
    let view = world.view();
    if !view.directory.fastpass().enabled {
        end_streams(world, world.pushes.lines.all());
    }
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
        let streams = world.pushes.lines.of_user(user);
        end_streams(world, streams.into_iter().map(|enrollment| (user, enrollment)));
        judge_each(world, &world.live.of_user(user)).await;
    }
}

async fn judge_where(world: &World, which: impl Fn(&LiveRequest) -> bool) {
    for batch in world.live.batches() {
        let wanted: Vec<_> = batch.into_iter().filter(|request| which(request)).collect();
        judge_each(world, &wanted).await;
    }
}

/// Judges requests, a few at a time: first those whose decision flipped are cut, then that is written down.
async fn judge_each(world: &World, requests: &[Arc<LiveRequest>]) {
    for some in requests.chunks(AT_A_TIME) {
        let view = world.view();
        let cut: Vec<_> = some.iter().filter_map(|request| judge(world, &view, request)).collect();
        for (request, verdict, judged) in cut {
            world.record_cut(&request.arrived, &view, &verdict, judged);
        }
        tokio::task::yield_now().await;
    }
}

/// How many requests are judged before others have their turn.
const AT_A_TIME: usize = 64;

/// Judges one request by the present view, and cuts it if it may go on no longer.
fn judge<'a>(
    world: &World,
    view: &View,
    request: &'a Arc<LiveRequest>,
) -> Option<(&'a Arc<LiveRequest>, Verdict, Instant)> {
    if request.scope.cancelled.is_cancelled() {
        return None;
    }
    let Site::Application(before) = &request.arrived.site else {
        return None;
    };
    let judged = Instant::now();
    // An application that the configuration no longer has keeps nobody; one that changed is judged as it is now.
    let verdict = match view.setup.served(&before.application) {
        Some(served) => decide_again(&world.facts, view, &request.arrived, served),
        None => Verdict::denied(Denial::Misdirected),
    };
    match &verdict.outcome {
        Ok(permit) => {
            request.judged(permit.due(view.now));
            None
        }
        Err(denial) => {
            debug!(request = %request.arrived.id, code = denial.code(), "cut");
            let _ = request.scope.denial.set(denial.clone());
            request.scope.cancelled.cancel();
            Some((request, verdict, judged))
        }
    }
}
