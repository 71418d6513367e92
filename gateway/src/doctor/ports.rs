//! Can the gateway listen where it is told to, or does it already? And how many files may it have open?

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::config::Config;
use crate::logs::Chain;

/// The process that has locked the data, as far as this one may see it.
pub(super) fn running(config: &Config) -> Option<u32> {
    let lock = std::fs::metadata(config.data_dir.join("lock")).ok()?;
    holder(&std::fs::read_to_string("/proc/locks").ok()?, lock.ino())
}

/// The process that holds the lock on a file (`proc_locks(5)`).
fn holder(locks: &str, inode: u64) -> Option<u32> {
    let held = locks.lines().filter(|line| !line.contains("->")).find(|line| {
        let of = line.split_whitespace().nth(5).and_then(|file| file.rsplit(':').next());
        line.contains("FLOCK") && of.is_some_and(|of| of.parse() == Ok(inode))
    });
    held?.split_whitespace().nth(4)?.parse().ok()
}

/// Looks at both addresses.
pub(super) async fn examine(config: &Config, running: Option<u32>) -> Vec<Finding> {
    let ready = is_ready(config.metrics_listen).await;
    let addresses = [("listen", config.listen), ("metrics_listen", config.metrics_listen)];
    addresses
        .map(|(key, address)| port(key, address, running, ready))
        .into()
}

fn port(key: &str, address: SocketAddr, running: Option<u32>, ready: Option<bool>) -> Finding {
    let at = format!("{key} {address}");
    match (TcpListener::bind(address), ready, running) {
        (Ok(_), _, None) => Finding::ok("ports", format!("{at}: free")),
        (Ok(_), _, Some(process)) => Finding::fail(
            "ports",
            format!("{at}: nobody listens, although the gateway runs (process {process})"),
            "it listens where it was told to at its start: restart it",
        ),
        (Err(error), Some(true), _) if error.kind() == ErrorKind::AddrInUse => {
            Finding::ok("ports", format!("{at}: the running gateway listens"))
        }
        (Err(error), Some(false), _) if error.kind() == ErrorKind::AddrInUse => Finding::warn(
            "ports",
            format!("{at}: the running gateway takes no connections (yet)"),
            "if it stays so, its log says why",
        ),
        // Whoever may not listen there cannot tell who does; one gateway alone can run on this data.
        (Err(error), Some(true), Some(_))
            if error.kind() == ErrorKind::PermissionDenied && takes_connections(address) =>
        {
            Finding::ok("ports", format!("{at}: the running gateway listens"))
        }
        (Err(error), _, _) if error.kind() == ErrorKind::PermissionDenied => Finding::warn(
            "ports",
            format!("{at}: this user may not listen there"),
            "CAP_NET_BIND_SERVICE gives the right, as in the unit; then this cannot tell whether it is free",
        ),
        (Err(error), _, _) => Finding::fail(
            "ports",
            format!("{at}: {}", Chain(&error)),
            "find out who listens: ss -ltnp; systemd does where latchkey.socket is active",
        ),
    }
}

fn takes_connections(address: SocketAddr) -> bool {
    let mut there = address;
    if address.ip().is_unspecified() {
        there.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    TcpStream::connect_timeout(&there, PATIENCE).is_ok()
}

/// What `/readyz` says, if it is a gateway that answers.
async fn is_ready(address: SocketAddr) -> Option<bool> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().ok()?;
    let answer = client.get(format!("http://{address}/readyz")).send().await.ok()?;
    match answer.text().await.ok()?.as_str() {
        "ready\n" => Some(true),
        "not ready\n" => Some(false),
        _ => None,
    }
}

/// How many files the gateway may have open, or what it would get from whoever asks.
pub(super) fn open_files(running: Option<u32>) -> Finding {
    let of_process = running.and_then(|process| limit_of(Path::new(&format!("/proc/{process}/limits"))));
    let (limit, whose) = match of_process {
        Some(limit) => (limit, "the running gateway"),
        None => (getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), "this shell"),
    };
    let found = format!("{limit} files may be open at once, for {whose}");
    match limit {
        0..ENOUGH => Finding::warn(
            "limits",
            found,
            format!("a connection takes two: LimitNOFILE= in the unit, or ulimit -n, {ENOUGH} at least"),
        ),
        _ => Finding::ok("limits", found),
    }
}

fn limit_of(limits: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(limits).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    match soft {
        "unlimited" => Some(u64::MAX),
        soft => soft.parse().ok(),
    }
}

/// Below this many files some hundred connections are all.
const ENOUGH: u64 = 4096;

const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_lock_is_found_and_who_waits_for_it_is_not() {
        let locks = "1: POSIX  ADVISORY  READ 812 fe:00:77 128 128\n\
                     2: FLOCK  ADVISORY  WRITE 900 fe:00:78 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 901 fe:00:78 0 EOF\n";
        assert_eq!(holder(locks, 78), Some(900));
        assert_eq!(holder(locks, 77), None);
        assert_eq!(holder("2: -> FLOCK  ADVISORY  WRITE 901 fe:00:78 0 EOF\n", 78), None);
    }
}
