//! Are secrets kept from others, and is there room and right to write? Judged for whoever asks: best the gateway's own user.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfs, access, statfs, statvfs};

use super::{Finding, Status};
use crate::config::{Config, MailWay};
use crate::logs::Chain;

/// Looks at keys, the folder of the database, and the decision log.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let data = std::fs::metadata(&config.data_dir).ok();
    let owner = data.as_ref().map_or_else(current_user, MetadataExt::uid);
    let mut findings = keys(config, owner);
    findings.extend(data_dir(&config.data_dir, data.as_ref()));
    findings.push(decision_log(&config.decision_log));
    findings
}

fn current_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn keys(config: &Config, owner: u32) -> Vec<Finding> {
    let keys = secret_files(config);
    let problems: Vec<Finding> = keys.iter().filter_map(|key| problem_of(key, owner)).collect();
    if problems.is_empty() {
        return vec![Finding::ok(
            "keys",
            format!("{} files, each for its owner alone", keys.len()),
        )];
    }
    problems
}

/// Every file that the gateway keeps secrets in, or reads them from.
fn secret_files(config: &Config) -> BTreeSet<PathBuf> {
    let pairs = config.tls.server_certificates.iter().map(|server| &server.pair);
    let pairs = pairs
        .chain([&config.tls.device_authority])
        .chain(&config.tls.retired_authorities)
        .chain(&config.management.own_authority);
    let upstreams = config.applications().iter();
    let upstreams = upstreams.filter_map(|application| application.upstream.tls.as_ref()?.client_certificate.as_ref());
    let mut files: BTreeSet<PathBuf> = pairs.chain(upstreams).map(|pair| pair.key.clone()).collect();
    let own = ["assertion.key", "challenge.key", "directory.sqlite"];
    files.extend(
        own.iter()
            .map(|name| config.data_dir.join(name))
            .filter(|file| file.exists()),
    );
    if let Some(MailWay::Server(server)) = config.mail.as_ref().map(|mail| &mail.way) {
        files.extend(server.login.as_ref().map(|login| login.password_file.clone()));
    }
    files.extend(config.telemetry.iter().filter_map(|otlp| otlp.headers_file.clone()));
    files
}

fn problem_of(key: &Path, owner: u32) -> Option<Finding> {
    let shown = key.display();
    let found = match std::fs::metadata(key) {
        Ok(found) => found,
        Err(error) => {
            let advice = "run this as the gateway's user or as root";
            return Some(Finding::fail("keys", format!("{shown}: {}", Chain(&error)), advice));
        }
    };
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let found = format!("{shown} is open to others (mode {mode:04o})");
        return Some(Finding::fail("keys", found, format!("chmod 600 {shown}")));
    }
    (found.uid() != owner).then(|| {
        let found = format!(
            "{shown} belongs to user {}, the gateway's data to user {owner}",
            found.uid()
        );
        Finding::fail("keys", found, format!("chown {owner} {shown}"))
    })
}

fn data_dir(folder: &Path, found: Option<&Metadata>) -> Vec<Finding> {
    let shown = folder.display();
    let Some(found) = found else {
        return vec![Finding::ok("data", format!("{shown}: made at the first start"))];
    };
    let mut findings = Vec::new();
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        let found = format!("{shown}: others may write there (mode {mode:04o})");
        findings.push(Finding::fail("data", found, format!("chmod 700 {shown}")));
    }
    if let Err(error) = access(folder, Access::WRITE_OK | Access::READ_OK | Access::EXEC_OK) {
        let found = format!("{shown}: {}", Chain(&error));
        findings.push(Finding::fail(
            "data",
            found,
            "run this as the gateway's user, who has to own it",
        ));
    }
    findings.extend(file_system(folder));
    if findings.is_empty() {
        findings.push(Finding::ok("data", format!("{shown}: on a local file system")));
    }
    findings.push(space("data", folder));
    findings
}

/// SQLite relies on locks, which network file systems do not always keep; what is in memory is gone after a restart.
fn file_system(folder: &Path) -> Option<Finding> {
    let kind = statfs(folder).ok()?.f_type;
    let shown = folder.display();
    if REMOTE.iter().any(|remote| i128::from(*remote) == i128::from(kind)) {
        let found = format!("{shown} is on a network file system");
        return Some(Finding::fail("data", found, "put `data_dir` on a local one"));
    }
    (i128::from(kind) == i128::from(TMPFS)).then(|| {
        let found = format!("{shown} is in memory: nothing in it outlives the machine");
        Finding::warn("data", found, "put `data_dir` on a disk")
    })
}

fn space(check: &'static str, folder: &Path) -> Finding {
    let shown = folder.display();
    let StatVfs { f_bavail, f_frsize, .. } = match statvfs(folder) {
        Ok(found) => found,
        Err(error) => {
            return Finding::warn(
                check,
                format!("{shown}: {}", Chain(&error)),
                "look whether it is mounted",
            );
        }
    };
    let free = f_bavail.saturating_mul(f_frsize) >> 20;
    let found = format!("{shown}: {free} MiB free");
    match free {
        0..FULL => Finding::fail(check, found, "make room: no change can be written down without"),
        FULL..SCARCE => Finding::warn(check, found, "make room"),
        _ => Finding::ok(check, found),
    }
}

fn decision_log(file: &Path) -> Finding {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let (target, needed) = match file.exists() {
        true => (file, Access::WRITE_OK),
        false => (folder, Access::WRITE_OK | Access::EXEC_OK),
    };
    let shown = file.display();
    if let Err(error) = access(target, needed) {
        let found = format!("{shown}: {}", Chain(&error));
        let advice = "give the gateway's user the right to write there; run this as that user";
        return Finding::fail("decision log", found, advice);
    }
    let space = space("decision log", folder);
    match space.status {
        Status::Ok => Finding::ok("decision log", format!("{shown}: can be written")),
        Status::Warn | Status::Fail => space,
    }
}

/// NFS, SMB (three), FUSE, 9P, AFS and Ceph, as `statfs(2)` numbers them.
const REMOTE: [i64; 8] = [
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x6573_5546,
    0x0102_1997,
    0x5346_414f,
    0x00c3_6400,
];

const TMPFS: i64 = 0x0102_1994;

/// In MiB.
const FULL: u64 = 100;
const SCARCE: u64 = 1024;
