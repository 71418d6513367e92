//! How do certificates and reports stay fresh? In rounds, until the process is told to stop; beside them, pages are answered.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use device_checks::wire::{EnrollmentId, Timestamp};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::World;
use super::error::{CliError, chain};
use super::settle;
use crate::installation::Installation;
use crate::loopback::authenticator::Authenticator;
use crate::loopback::listen;
use crate::prompt::Prompt;
use crate::push;
use crate::renew::renew;
use crate::report::report;
use crate::state::{Account, renew_at};

/// How to run.
#[derive(Args)]
pub(super) struct Asked {
    /// Ask by this command whether to sign in: it reads the question as JSON, and approves by exit code 0, with the PIN on
    /// the first line of its output, and the number that the browser shows on the next, as far as they are wanted
    /// [default: ask on the desktop or the terminal]
    #[arg(long, value_name = "CMD")]
    prompt: Option<String>,
}

/// When an account was last seen to, and how often in a row that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    reported: Option<Timestamp>,
    failures: u32,
}

/// Runs until SIGTERM or SIGINT.
pub(super) async fn run(world: &World, asked: Asked) -> Result<(), CliError> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        // Whoever reads the log may stop at any time; a service goes on.
        .log_internal_errors(false)
        .init();
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Start)?;
    // Whatever can be wrong from the beginning is said at once.
    let installation = world.installation()?;
    info!(device = %installation.state.device.id, gateway = installation.state.gateway.issuer, "running");
    let prompt = asked.prompt.map_or(Prompt::Usual, Prompt::Command);
    let authenticator = Arc::new(Authenticator::new(world.folder.clone(), world.now, prompt));
    let listening = tokio::spawn(listen(Arc::clone(&authenticator)));
    let pushed = tokio::spawn(push::keep(Arc::clone(&authenticator)));
    let mut seen = BTreeMap::new();
    loop {
        let wait = tokio::select! {
            wait = round(world, &authenticator, &mut seen) => wait,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        tokio::select! {
            // Not long at a time: a machine that slept does not count its sleep.
            () = tokio::time::sleep(wait.min(MINUTE)) => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    listening.abort();
    pushed.abort();
    info!("stopped");
    Ok(())
}

/// Sees to every account that it is time for; says how long there is nothing to do.
async fn round(world: &World, authenticator: &Authenticator, seen: &mut BTreeMap<EnrollmentId, Seen>) -> Duration {
    settle::before(world).await;
    // Read each time: accounts come and go meanwhile.
    let installation = match world.installation() {
        Ok(installation) => installation,
        Err(error) => {
            warn!(error = chain(&error), "cannot use the state");
            return LONGEST;
        }
    };
    let mut wait = HOUR;
    for account in &installation.state.accounts {
        let entry = seen.entry(account.enrollment).or_default();
        match see_to(world, authenticator, &installation, account, entry).await {
            Ok(()) => entry.failures = 0,
            Err(error) => {
                warn!(account = account.login, error, "will try again");
                entry.failures = entry.failures.saturating_add(1);
            }
        }
        wait = wait.min(next(*entry, renewal(&installation, account), installation.now()));
    }
    wait
}

async fn see_to(
    world: &World,
    authenticator: &Authenticator,
    installation: &Installation,
    account: &Account,
    seen: &mut Seen,
) -> Result<(), String> {
    let now = installation.now();
    let renews = renewal(installation, account).is_some_and(|due| now >= due);
    let reports = report_due(*seen, now).is_zero();
    if !renews && !reports {
        return Ok(());
    }
    let (gateway, organization) = installation.meet().await.map_err(|error| chain(&error))?;
    authenticator.learn(&organization);
    // A certificate that cannot be renewed is no reason to say nothing of the device.
    let renewed = match renews {
        true => renew_now(world, installation, account).await,
        false => Ok(()),
    };
    if reports {
        let collector = installation.collector().await;
        let reported = report(installation, &gateway, account, &collector, None).await;
        let reported = reported.map_err(|error| chain(&error))?;
        seen.reported = Some(now);
        info!(account = account.login, managed = reported.managed, "reported");
    }
    renewed
}

async fn renew_now(world: &World, installation: &Installation, account: &Account) -> Result<(), String> {
    let _writer = world.folder.write().map_err(|error| chain(&error))?;
    let leaf = renew(installation, account).await.map_err(|error| chain(&error))?;
    info!(account = account.login, until = %leaf.not_after, "renewed the certificate");
    Ok(())
}

/// When a certificate is due; one that is gone is never.
fn renewal(installation: &Installation, account: &Account) -> Option<Timestamp> {
    // Without a device host there is nowhere to renew: `doctor` says so.
    installation.state.gateway.device_origin.as_ref()?;
    installation.folder.leaf(account).ok().flatten().as_ref().map(renew_at)
}

fn report_due(seen: Seen, now: Timestamp) -> Duration {
    let passed = seen.reported.map(|reported| reported.until(now).unwrap_or_default());
    passed.map_or(Duration::ZERO, |passed| HOUR.saturating_sub(passed))
}

/// How long until there is something to do for an account: after failures ever later, up to a quarter of an hour.
fn next(seen: Seen, renewal: Option<Timestamp>, now: Timestamp) -> Duration {
    if let Some(doublings) = seen.failures.checked_sub(1) {
        return FIRST.saturating_mul(1 << doublings.min(16)).min(LONGEST);
    }
    let renewed = renewal.map_or(HOUR, |due| now.until(due).unwrap_or_default());
    report_due(seen, now).min(renewed).max(Duration::from_secs(1))
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(900);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn later(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_report_is_due_at_the_start_and_each_hour() {
        let fresh = Seen::default();
        assert_eq!(report_due(fresh, NOW), Duration::ZERO);
        let reported = Seen {
            reported: Some(NOW),
            failures: 0,
        };
        assert_eq!(report_due(reported, later(600)), Duration::from_secs(3000));
        assert_eq!(report_due(reported, later(3600)), Duration::ZERO);
        assert_eq!(next(reported, None, later(600)), Duration::from_secs(3000));
    }

    #[test]
    fn a_renewal_that_comes_earlier_is_waited_for() {
        let reported = Seen {
            reported: Some(NOW),
            failures: 0,
        };
        assert_eq!(next(reported, Some(later(60)), NOW), Duration::from_secs(60));
        assert_eq!(next(reported, Some(NOW), later(60)), Duration::from_secs(1));
    }

    #[test]
    fn after_failures_it_is_tried_again_ever_later() {
        let wait = |failures| {
            let seen = Seen {
                reported: None,
                failures,
            };
            next(seen, Some(NOW), NOW).as_secs()
        };
        assert_eq!([1, 2, 3, 4, 100].map(wait), [5, 10, 20, 40, 900]);
    }
}
