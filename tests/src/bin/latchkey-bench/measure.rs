//! What does one measurement give: requests a second, how long they took, what CPU time they cost?

use std::fmt;
use std::fs;
use std::path::Path;

use latchkey_tests::process::loopback;
use serde::Deserialize;

use crate::fronts::{Front, on_core};
use crate::modes::Mode;

/// What is put on a front.
pub(crate) struct Load<'a> {
    /// The load generator.
    pub(crate) program: &'a Path,
    /// What is sent.
    pub(crate) mode: Mode,
    /// What is asked for, where it is not what the mode asks for.
    pub(crate) path: Option<&'a str>,
    /// Requests a second; as many as are answered where there is none.
    pub(crate) rate: Option<f64>,
    /// A folder of client certificates in place of the front's own.
    pub(crate) identities: Option<&'a Path>,
    /// How long is measured.
    pub(crate) seconds: f64,
    /// Requests under way at a time.
    pub(crate) connections: usize,
}

/// What came of one measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Requests answered in a second.
    pub(crate) requests_per_second: f64,
    /// Half of them took no longer, in microseconds.
    pub(crate) p50_us: f64,
    /// Ninety-nine of a hundred took no longer, in microseconds.
    pub(crate) p99_us: f64,
    /// CPU time of the front for each request, in microseconds.
    pub(crate) cpu_us: f64,
    /// How busy the other core was with generator and upstream, 0.0 to 1.0: near 1.0 they are what was measured.
    pub(crate) other_core: f64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0}/s p50 {:.2} ms p99 {:.2} ms {:.1} µs CPU, other core {:.0} %",
            self.requests_per_second,
            self.p50_us / 1e3,
            self.p99_us / 1e3,
            self.cpu_us,
            self.other_core * 100.0
        )
    }
}

/// Puts load on a front from core 1.
///
/// # Panics
/// When more than one request in a thousand fails.
pub(crate) fn run(front: &Front, load: &Load<'_>) -> Measured {
    let (before, (busy_before, all_before)) = (cpu_seconds(front.process()), other_core());
    let mut command = on_core("1", load.program);
    command
        .args([
            "--address",
            &loopback(front.port).to_string(),
            "--host",
            "wiki.localhost",
        ])
        .args([
            "--mode",
            load.mode.sent(),
            "--path",
            load.path.unwrap_or(load.mode.path()),
        ])
        .arg("--roots")
        .arg(&front.roots)
        .args(["--seconds", &load.seconds.to_string(), "--warm-up", "0.5"])
        .args(["--connections", &load.connections.to_string()]);
    match load.identities {
        Some(folder) => command.arg("--identities").arg(folder),
        None => command
            .arg("--certificate")
            .arg(&front.identity.certificate)
            .arg("--key")
            .arg(&front.identity.key),
    };
    if let Some(rate) = load.rate {
        command.args(["--rate", &rate.to_string()]);
    }
    let output = command.output().expect("the load generator starts");
    let (cpu, (busy, all)) = (cpu_seconds(front.process()) - before, other_core());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "too many failures: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let counted: Counted = serde_json::from_str(&text).expect("one line of JSON");
    Measured {
        requests_per_second: counted.requests_per_second,
        p50_us: counted.p50_us,
        p99_us: counted.p99_us,
        cpu_us: cpu * 1e6 / counted.requests_with_warm_up as f64,
        other_core: (busy - busy_before) / (all - all_before),
    }
}
#[derive(Deserialize)]
struct Counted {
    requests_with_warm_up: u64,
    requests_per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

/// User and system time of a process and its living children, in seconds.
fn cpu_seconds(process: u32) -> f64 {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // The program's name, in parentheses, may hold spaces: the numbers begin behind it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let is_it = stat.starts_with(&format!("{process} "));
        if is_it || fields.get(PARENT) == Some(&process.to_string().as_str()) {
            ticks += [USER_TICKS, SYSTEM_TICKS]
                .iter()
                .filter_map(|at| fields.get(*at)?.parse::<u64>().ok())
                .sum::<u64>();
        }
    }
    ticks as f64 / TICKS_PER_SECOND
}

/// Ticks that core 1 was busy, and all its ticks (proc(5), /proc/stat).
fn other_core() -> (f64, f64) {
    let text = fs::read_to_string("/proc/stat").expect("/proc/stat");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("cpu1 "))
        .expect("a second core");
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    let (all, idle) = (ticks.iter().sum::<f64>(), ticks[IDLE] + ticks[IO_WAIT]);
    (all - idle, all)
}

const IDLE: usize = 3;
const IO_WAIT: usize = 4;

/// Positions in /proc/PID/stat (proc(5)), counted from the field behind the name.
const PARENT: usize = 1;
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
/// USER_HZ, the same on every Linux that Debian builds.
const TICKS_PER_SECOND: f64 = 100.0;
