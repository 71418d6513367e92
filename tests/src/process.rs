//! How are programs started, watched and ended, so that none outlives its test?

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A running program; killed and reaped when dropped, its output shown if the test is failing.
pub struct Process {
    child: Child,
    name: String,
    /// Whether the programs that it starts end with it.
    leads: bool,
    output: Arc<Mutex<String>>,
}

impl Process {
    /// Starts the command and keeps what it prints.
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let output = Arc::new(Mutex::new(String::new()));
        keep(child.stdout.take().unwrap(), Arc::clone(&output));
        keep(child.stderr.take().unwrap(), Arc::clone(&output));
        Self {
            child,
            name,
            leads: false,
            output,
        }
    }

    /// Starts a command whose own children are killed with it.
    pub fn start_leader(command: &mut Command) -> Self {
        let mut process = Self::start(command.process_group(0));
        process.leads = true;
        process
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How much memory it holds, in octets.
    pub fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Does this, and says beside its result the most memory that it held meanwhile, in octets.
    pub fn most_memory_while<T>(&self, work: impl FnOnce() -> T) -> (T, usize) {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watched = scope.spawn(|| {
                let mut most = self.memory();
                while !until(Duration::from_millis(20), || done.load(Ordering::Relaxed)) {
                    most = most.max(self.memory());
                }
                most.max(self.memory())
            });
            let finish = Finish(&done);
            let result = work();
            drop(finish);
            (result, watched.join().unwrap())
        })
    }

    /// How long it has kept a processor busy; the system counts in hundredths of a second.
    pub fn busy(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        let ticks = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().unwrap());
        Duration::from_millis(10 * ticks.sum::<u64>())
    }

    /// Everything it has printed so far, on both streams.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until a line of the output is exactly this.
    ///
    /// # Panics
    /// When the program ends or the deadline passes first.
    pub fn wait_for_line(&mut self, line: &str, deadline: Duration) {
        let seen = until(deadline, || {
            let printed = self.output().lines().any(|printed| printed == line);
            printed || self.child.try_wait().unwrap().is_some()
        });
        let printed = self.output().lines().any(|printed| printed == line);
        assert!(
            seen && printed,
            "{} never printed `{line}`; it printed:\n{}",
            self.name,
            self.output()
        );
    }

    /// Waits for the program to end by itself; its exit code, or nothing when a signal ended it.
    pub fn wait(&mut self, deadline: Duration) -> Option<i32> {
        assert!(
            until(deadline, || self.child.try_wait().unwrap().is_some()),
            "{} does not end",
            self.name
        );
        self.child.wait().unwrap().code()
    }

    /// Ends it at once, as a power cut would (SIGKILL), and reaps it.
    pub fn kill(&mut self) {
        if self.leads {
            let group = format!("-{}", self.id());
            let _gone_already = Command::new("kill").args(["-KILL", "--", &group]).status();
        }
        let _gone_already = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Sends a signal by its name, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.id().to_string())
            .status();
        assert!(status.unwrap().success(), "cannot send {name} to {}", self.name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("---- what {} printed ----\n{}", self.name, self.output());
        }
    }
}

/// Says that something is done also when it panics.
pub(crate) struct Finish<'a>(pub(crate) &'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks again every few milliseconds until it is so; `false` when the deadline passes first.
pub fn until(deadline: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A port that is free, below those that the system hands out by itself: nobody else takes it before it is used.
///
/// # Panics
/// When none is free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000).unwrap_or_default();
    let candidates = std::iter::repeat_with(|| 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000);
    let free = |port: &u16| std::net::TcpListener::bind(loopback(*port)).is_ok();
    candidates.take(12_000).find(free).expect("a free port")
}

/// This port on the loopback address.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn keep(stream: impl Read + Send + 'static, output: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_waited_for_and_a_dropped_process_is_gone() {
        let mut process = Process::start(Command::new("sh").args(["-c", "echo before; echo ready; exec sleep 60"]));

        process.wait_for_line("ready", Duration::from_secs(5));
        let id = process.id();
        drop(process);

        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }
}
