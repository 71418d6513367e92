//! Does the machine know what time it is? Certificates, sessions and codes count on it.

use std::process::Stdio;
use std::time::Duration;

use directory::Timestamp;

use super::Finding;

/// Compares the clock with the newest record, and asks the system whether it is kept right.
pub(super) async fn examine(now: Timestamp, newest: Option<Timestamp>) -> Finding {
    if let Some(newest) = newest.filter(|newest| now.plus(TOLERATED) < *newest) {
        return Finding::fail(
            "clock",
            format!("{now} is before the newest record of the System Log, {newest}"),
            "set the clock right; what was over would count again",
        );
    }
    match is_synchronized().await {
        Some(true) => Finding::ok("clock", format!("{now}, synchronised")),
        Some(false) => Finding::warn(
            "clock",
            format!("{now}, and nothing keeps it right"),
            "have it synchronised: systemctl enable --now systemd-timesyncd, or chrony",
        ),
        None => Finding::ok(
            "clock",
            format!("{now}; timedatectl does not say whether it is synchronised"),
        ),
    }
}

/// What systemd knows of the kernel's clock; nothing where there is no systemd to be asked.
async fn is_synchronized() -> Option<bool> {
    let asked = tokio::process::Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    match output.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

/// How far a record may be ahead: it was written by the same clock, which may have been slewed since.
const TOLERATED: Duration = Duration::from_secs(60);

/// How long timedatectl may take.
const PATIENCE: Duration = Duration::from_secs(5);
