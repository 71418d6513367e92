//! What was decided, and why? One JSON line per decision, in the file within 100 ms.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use directory::{DeviceId, Revision, Risk, SessionId, Timestamp};
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
    /// The session, where one names the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<SessionId>,
    /// How unusual the sign-in was that the session rests on: the score's parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) risk: Option<Risk>,
    /// The application, `auth` or `admin`.
    pub(crate) app: Option<&'a str>,
    /// The proxy of others that asked, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxy: Option<&'a str>,
    /// The request's method.
    pub(crate) method: &'a str,
    /// The request's path, as received and as forwarded; without the query.
    pub(crate) path: &'a str,
    /// What was asked of Cedar: `read`, `write` or `connect`.
    pub(crate) action: &'a str,
    /// `allow` or `deny`.
    pub(crate) decision: Decision,
    /// `allowed`, or the denial's code.
    pub(crate) code: &'a str,
    /// The ids of the policies that determined it.
    #[serde(serialize_with = "as_names")]
    pub(crate) policies: &'a [PolicyId],
    /// Whether a request that had been allowed was cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cut: bool,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
    pending: Arc<Pending>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Lines on their way to the file. The writer is woken for the first of a batch only: on a busy core a wake-up for each
/// line would cost more than the line.
#[derive(Debug, Default)]
struct Pending {
    lines: Mutex<Lines>,
    arrived: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    reopen: bool,
    closed: bool,
}

thread_local! {
    /// The line being made on this thread; kept, so that making one allocates nothing.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How long the writer lets lines gather after the first of a batch.
const GATHERED: Duration = Duration::from_millis(20);

/// Bytes that may wait for the disk. Beyond them requests wait: no decision goes unrecorded.
const QUEUE: usize = 8 * 1024 * 1024;

impl DecisionLog {
    /// Opens the file for appending, making it if need be (mode 0600), and starts the writer.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        let pending = Arc::new(Pending::default());
        let writer = Writer {
            file,
            path: path.to_owned(),
            pending: pending.clone(),
            unwritten: Vec::new(),
        };
        let writer = std::thread::Builder::new()
            .name("decision-log".into())
            .spawn(move || writer.run())?;
        Ok(Self {
            pending,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Hands one line to the writer.
    pub(crate) fn write(&self, record: &Record<'_>) {
        LINE.with_borrow_mut(|line| {
            line.clear();
            if let Err(error) = serde_json::to_writer(&mut *line, record) {
                error!(%error, "a decision could not be written down");
                return;
            }
            line.push(b'\n');
            self.append(line);
        });
    }

    fn append(&self, line: &[u8]) {
        let mut lines = self.pending.lock();
        if lines.bytes.len() > QUEUE {
            metrics::counter!("latchkey_decision_log_waits_total").increment(1);
            let full = |lines: &mut Lines| lines.bytes.len() > QUEUE;
            lines = self
                .pending
                .written
                .wait_while(lines, full)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let first = lines.bytes.is_empty();
        lines.bytes.extend_from_slice(line);
        drop(lines);
        if first {
            self.pending.arrived.notify_one();
        }
    }

    /// Waits until all lines are written; none that comes later is.
    pub(crate) fn close(&self) {
        self.pending.lock().closed = true;
        self.pending.arrived.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }

    /// Lets the writer open its file again: what `logrotate` asks for with SIGHUP.
    pub(crate) fn reopen(&self) {
        self.pending.lock().reopen = true;
        self.pending.arrived.notify_one();
    }
}

impl Drop for DecisionLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do and takes all of it, leaving `spare` in its place.
    fn take(&self, spare: Vec<u8>) -> Lines {
        let idle = |lines: &mut Lines| lines.bytes.is_empty() && !lines.reopen && !lines.closed;
        let lines = self
            .arrived
            .wait_while(self.lock(), idle)
            .unwrap_or_else(PoisonError::into_inner);
        let closed = lines.closed;
        drop(lines);
        if !closed {
            std::thread::sleep(GATHERED);
        }
        let mut lines = self.lock();
        let taken = Lines {
            bytes: std::mem::replace(&mut lines.bytes, spare),
            reopen: lines.reopen,
            closed: lines.closed,
        };
        lines.reopen = false;
        taken
    }
}

struct Writer {
    file: File,
    path: PathBuf,
    pending: Arc<Pending>,
    unwritten: Vec<u8>,
}

impl Writer {
    fn run(mut self) {
        let mut spare = Vec::new();
        loop {
            let Lines {
                mut bytes,
                reopen,
                closed,
            } = self.pending.take(spare);
            if reopen {
                self.reopen();
            }
            self.write(&bytes);
            self.pending.written.notify_all();
            if closed {
                return;
            }
            bytes.clear();
            spare = bytes;
        }
    }

    fn reopen(&mut self) {
        match open(&self.path) {
            Ok(file) => self.file = file,
            Err(error) => error!(path = %self.path.display(), %error, "cannot open the decision log again"),
        }
    }

    /// Writes what is left of earlier batches and this one. What the disk does not take stays for the next try, so that no
    /// line is torn; beyond a bound it is dropped, and said to be.
    fn write(&mut self, lines: &[u8]) {
        self.unwritten.extend_from_slice(lines);
        while !self.unwritten.is_empty() {
            match self.file.write(&self.unwritten) {
                Ok(written) => drop(self.unwritten.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    metrics::counter!("latchkey_decision_log_errors_total").increment(1);
                    error!(path = %self.path.display(), %error, "cannot write to the decision log");
                    break;
                }
            }
        }
        if self.unwritten.len() > QUEUE {
            error!(
                bytes = self.unwritten.len(),
                "decisions go unrecorded: the decision log takes no more"
            );
            self.unwritten.clear();
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
            session: None,
            risk: None,
            app: Some("wiki"),
            proxy: None,
            method: "GET",
            path,
            action: "read",
            decision: Decision::Allow,
            code: "allowed",
            policies: &[],
            cut: false,
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
