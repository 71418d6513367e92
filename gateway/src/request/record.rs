//! What was decided, and why? One JSON line per decision, in the file within 100 ms.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use directory::{DeviceId, Revision, Timestamp};
use policies::PolicyId;
use serde::Serialize;
use tracing::error;

/// One line of the decision log.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'a> {
    /// When it was decided (RFC 3339, UTC).
    #[serde(serialize_with = "as_text")]
    pub(crate) time: Timestamp,
    /// The request's id, the same as in the answer.
    pub(crate) request_id: &'a str,
    /// The user's login, once known.
    pub(crate) user: Option<&'a str>,
    /// The device, once known.
    pub(crate) device: Option<DeviceId>,
    /// The application, `auth` or `admin`.
    pub(crate) app: Option<&'a str>,
    /// The request's method.
    pub(crate) method: &'a str,
    /// The request's path, as received and as forwarded; without the query.
    pub(crate) path: &'a str,
    /// What was asked of Cedar: `read`, `write` or `connect`.
    pub(crate) action: &'a str,
    /// `allow` or `deny`.
    pub(crate) decision: Decision,
    /// `allowed`, `cut`, or the denial's code.
    pub(crate) code: &'a str,
    /// The ids of the policies that determined it.
    #[serde(serialize_with = "as_names")]
    pub(crate) policies: &'a [PolicyId],
    /// Every signal it rests on, with its value.
    pub(crate) signals: Option<&'a Signals>,
    /// The policy set it was judged by.
    pub(crate) policy_version: &'a str,
    /// The directory's revision it was judged by.
    pub(crate) revision: Revision,
    /// How long deciding took, in microseconds: from the request's head, or for a cut from when it was judged again.
    pub(crate) latency_us: u64,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Decision {
    /// The request passes.
    Allow,
    /// It does not, or no longer.
    Deny,
}

/// What was known of the device and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Signals {
    /// Its enrolled key proved itself.
    pub(crate) registered: bool,
    /// A management certificate or a current report of a configured MDM.
    pub(crate) managed: bool,
    /// Attested secure hardware.
    #[serde(rename = "secureHardware")]
    pub(crate) secure_hardware: bool,
    /// The possession key is attested to live in hardware.
    #[serde(rename = "hardwareKey")]
    pub(crate) hardware_key: bool,
    /// Where the key is said to live.
    #[serde(rename = "keyStore")]
    pub(crate) key_store: &'static str,
    /// Whether the device proved itself on this very request, and how.
    pub(crate) proof: &'static str,
}

/// Writes the decision log from a thread of its own.
#[derive(Debug)]
pub(crate) struct DecisionLog {
    lines: Option<SyncSender<Vec<u8>>>,
    reopen: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
}

/// Lines that may wait for the disk. A full queue makes requests wait: no decision goes unrecorded.
const QUEUE: usize = 16 * 1024;

/// How often the writer looks whether it has to open its file again.
const IDLE: Duration = Duration::from_millis(200);

impl DecisionLog {
    /// Opens the file for appending, making it if need be (mode 0600), and starts the writer.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        let (lines, queue) = sync_channel(QUEUE);
        let reopen = Arc::new(AtomicBool::new(false));
        let task = Writer {
            file,
            path: path.to_owned(),
            reopen: reopen.clone(),
        };
        let writer = std::thread::Builder::new()
            .name("decision-log".into())
            .spawn(move || task.run(&queue))?;
        Ok(Self {
            lines: Some(lines),
            reopen,
            writer: Some(writer),
        })
    }

    /// Hands one line to the writer.
    pub(crate) fn write(&self, record: &Record<'_>) {
        let mut line = Vec::with_capacity(640);
        if let Err(error) = serde_json::to_writer(&mut line, record) {
            error!(%error, "a decision could not be written down");
            return;
        }
        line.push(b'\n');
        let Some(lines) = &self.lines else { return };
        match lines.try_send(line) {
            Ok(()) => {}
            Err(TrySendError::Full(line)) => {
                metrics::counter!("latchkey_decision_log_waits_total").increment(1);
                let _ = lines.send(line);
            }
            Err(TrySendError::Disconnected(_)) => error!("the decision log's writer is gone"),
        }
    }

    /// Lets the writer open its file again: what `logrotate` asks for with SIGHUP.
    pub(crate) fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
    }
}

impl Drop for DecisionLog {
    fn drop(&mut self) {
        drop(self.lines.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

struct Writer {
    file: File,
    path: PathBuf,
    reopen: Arc<AtomicBool>,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Vec<u8>>) {
        let mut batch = Vec::with_capacity(64 * 1024);
        loop {
            match queue.recv_timeout(IDLE) {
                Ok(line) => batch.extend_from_slice(&line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while batch.len() < 64 * 1024
                && let Ok(line) = queue.try_recv()
            {
                batch.extend_from_slice(&line);
            }
            self.reopen_if_asked();
            self.write(&batch);
            batch.clear();
        }
    }

    fn reopen_if_asked(&mut self) {
        if self.reopen.swap(false, Ordering::Relaxed) {
            match open(&self.path) {
                Ok(file) => self.file = file,
                Err(error) => error!(path = %self.path.display(), %error, "cannot open the decision log again"),
            }
        }
    }

    fn write(&mut self, batch: &[u8]) {
        if let Err(error) = self.file.write_all(batch) {
            metrics::counter!("latchkey_decision_log_errors_total").increment(1);
            error!(path = %self.path.display(), %error, "cannot write to the decision log");
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn as_names<S: serde::Serializer>(policies: &[PolicyId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(policies.iter().map(PolicyId::as_str))
}

fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str) -> Record<'_> {
        Record {
            time: Timestamp::from_secs(0),
            request_id: "r1",
            user: Some("alice"),
            device: None,
            app: Some("wiki"),
            method: "GET",
            path,
            action: "read",
            decision: Decision::Allow,
            code: "allowed",
            policies: &[],
            signals: None,
            policy_version: "v",
            revision: Revision(3),
            latency_us: 12,
        }
    }

    #[test]
    fn every_decision_is_one_line_of_json_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let log = DecisionLog::open(&path).unwrap();

        for number in 0..1000 {
            log.write(&record(&format!("/{number}\n\"")));
        }
        drop(log);

        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 1000);
        assert_eq!(lines[999]["path"], "/999\n\"");
        assert_eq!(lines[0]["time"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn after_a_rotation_lines_go_to_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let log = DecisionLog::open(&path).unwrap();

        std::fs::rename(&path, folder.path().join("old")).unwrap();
        log.reopen();
        log.write(&record("/"));
        drop(log);

        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    }
}
