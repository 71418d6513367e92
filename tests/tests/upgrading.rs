//! Is anybody turned away while another program goes on in the place of the running one?

use std::net::TcpListener;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use latchkey_tests::cli;
use latchkey_tests::demo::{ALICE, Demo, host};
use latchkey_tests::process::{free_port, loopback, until};
use latchkey_tests::upstream::{Reply, Upstream, ok};
use latchkey_tests::websocket::{End, accepted};
use tempfile::TempDir;

#[test]
fn under_load_no_request_fails_while_a_new_program_goes_on() {
    let application = application();
    let demo = Running::in_front_of(&application, "10s");
    let mut socket = demo.websocket(ALICE, "wiki", None).expect("a WebSocket");
    let load = Load::default();
    let process = demo.process().id();

    let (before, after, parted) = std::thread::scope(|scope| {
        for client in [new_connections, real_curl, one_kept_connection, http2_connections] {
            let (demo, load) = (&demo, &load);
            scope.spawn(move || client(demo, load));
        }
        let before = load.wait_for_more();
        replace(&demo.program(), "the new program");
        demo.process().signal("USR2");
        let parted = socket.end_within(SOON);
        demo.wait_until_ready(2);
        let after = load.wait_for_more();
        load.over.store(true, Ordering::Relaxed);
        (before, after, parted)
    });

    assert_eq!(load.failed.load(Ordering::Relaxed), 0, "of {after}");
    assert!(after > before);
    assert_eq!(parted.0, End::Closed(1001));
    assert!(demo.process().output().contains("the new program"));
    assert_eq!(demo.process().id(), process);
    assert!(Path::new(&format!("/proc/{process}")).exists());
    eprintln!("requests: {after}; the longest took {:?}", load.longest());
}

#[test]
fn a_request_under_way_ends_and_one_that_comes_meanwhile_waits() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let application = Upstream::start(move |request| {
        if request.target() == "/slow" {
            let _ = released.lock().unwrap().recv_timeout(SOON * 3);
        }
        Reply::Send(ok("ok"))
    });
    let demo = Running::in_front_of(&application, "1m");

    std::thread::scope(|scope| {
        let slow = scope.spawn(|| demo.status(ALICE, "wiki", "/slow"));
        assert!(until(SOON, || application.count("/slow") == 1));
        demo.process().signal("USR2");
        let going = || {
            demo.process()
                .output()
                .contains("it goes on once open requests have ended")
        };
        assert!(until(SOON, going));
        let meanwhile = scope.spawn(|| demo.status(ALICE, "wiki", "/meanwhile"));
        assert!(
            !until(Duration::from_secs(2), || meanwhile.is_finished()),
            "it did not wait"
        );
        release.send(()).unwrap();

        assert_eq!(slow.join().unwrap(), 200);
        assert_eq!(meanwhile.join().unwrap(), 200);
    });
    demo.wait_until_ready(2);
}

#[test]
fn a_stream_that_does_not_end_holds_it_up_for_the_grace_and_no_longer() {
    let application = Upstream::start(|request| match request.target() {
        "/endless" => Reply::Endless,
        _ => Reply::Send(ok("ok")),
    });
    let demo = Running::in_front_of(&application, "3s");
    let mut stream = demo.raw(ALICE, "wiki");
    stream.send(b"GET /endless HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n");
    assert!(stream.wait_for("piece"));

    demo.process().signal("USR2");
    let ended = stream.ends_within(SOON * 2).expect("an end");
    demo.wait_until_ready(2);

    assert!(ended > Duration::from_secs(2), "{ended:?}");
    assert_eq!(demo.status(ALICE, "wiki", "/"), 200);
}

#[test]
fn a_program_that_refuses_the_configuration_does_not_begin() {
    let application = application();
    let demo = Running::in_front_of(&application, "10s");
    let fit = std::fs::read_to_string(demo.file("latchkey.yaml")).unwrap();
    std::fs::write(demo.file("latchkey.yaml"), format!("{fit}\nsecond_door: open\n")).unwrap();

    demo.process().signal("USR2");
    let refused = || {
        demo.process()
            .output()
            .contains("no upgrade: this program goes on as before")
    };
    assert!(until(SOON, refused), "{}", demo.process().output());
    let meanwhile = demo.status(ALICE, "wiki", "/");
    std::fs::write(demo.file("latchkey.yaml"), fit).unwrap();
    demo.process().signal("USR2");
    demo.wait_until_ready(2);

    assert_eq!(meanwhile, 200);
    assert_eq!(demo.status(ALICE, "wiki", "/"), 200);
}

#[test]
fn a_stop_that_is_asked_for_meanwhile_comes_first() {
    let application = Upstream::start(|_| Reply::Endless);
    let mut demo = Running::in_front_of(&application, "1h");
    let mut stream = demo.raw(ALICE, "wiki");
    stream.send(b"GET /endless HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n");
    assert!(stream.wait_for("piece"));

    demo.process().signal("USR2");
    let going = || {
        demo.process()
            .output()
            .contains("it goes on once open requests have ended")
    };
    assert!(until(SOON, going));
    demo.process().signal("TERM");
    drop(stream);

    assert_eq!(demo.demo.wait(SOON), Some(0));
    assert_eq!(demo.process().output().matches("ready\n").count(), 1);
}

/// With the socket held by somebody else, as systemd does, a restart turns nobody away.
#[test]
fn who_connects_during_a_restart_waits_when_the_socket_is_held_from_outside() {
    let application = Upstream::friendly();
    let mut demo = Demo::in_front_of(&application);
    demo.kill();
    let held = TcpListener::bind(demo.address()).unwrap();
    let pass = |command: &mut Command| {
        let socket = held.try_clone().unwrap();
        let mapping = FdMapping {
            parent_fd: socket.into(),
            child_fd: 3,
        };
        command.env("LISTEN_FDS", "1").fd_mappings(vec![mapping]).unwrap();
    };
    demo.run_as_configured_by(Command::new(demo.program()), pass);
    demo.wait_until_ready(1);
    assert_eq!(demo.status(ALICE, "wiki", "/"), 200);
    demo.process().signal("TERM");
    assert_eq!(demo.wait(SOON), Some(0));

    std::thread::scope(|scope| {
        let config = demo.tls(ALICE, &["http/1.1"]);
        let address = demo.address();
        let waiting = scope.spawn(move || {
            let mut client = latchkey_tests::raw::RawClient::connect(address, &host("wiki"), config).unwrap();
            client.get(&host("wiki"), "/").map(|answer| answer.status)
        });
        assert!(!until(Duration::from_millis(500), || waiting.is_finished()));
        demo.run_as_configured_by(Command::new(demo.program()), pass);
        assert_eq!(waiting.join().unwrap(), Some(200));
    });
}

#[test]
fn systemds_own_tool_starts_it_with_the_connection_that_waits() {
    let application = Upstream::friendly();
    let mut demo = Demo::in_front_of(&application);
    let activator = |demo: &Demo, address: &str| {
        let mut command = Command::new("systemd-socket-activate");
        command.args(["--listen", address]).arg(demo.program());
        command
    };

    let right = activator(&demo, &demo.address().to_string());
    demo.run_as_configured_by(right, |_| {});
    assert!(until(SOON, || demo.process().output().contains("Listening on")));
    let served = demo.status(ALICE, "wiki", "/");
    demo.process().signal("TERM");
    assert_eq!(demo.wait(SOON), Some(0));
    let elsewhere = loopback(free_port());
    let wrong = activator(&demo, &elsewhere.to_string());
    demo.run_as_configured_by(wrong, |_| {});
    assert!(until(SOON, || demo.process().output().contains("Listening on")));
    let _wakes_it = std::net::TcpStream::connect(elsewhere).unwrap();

    assert_eq!(served, 200);
    assert_eq!(demo.wait(SOON), Some(1));
    let complaint = format!(
        "systemd handed over a socket for {elsewhere}: expected {} (`listen`)",
        demo.address()
    );
    assert!(
        demo.process().output().contains(&complaint),
        "{}",
        demo.process().output()
    );
}

#[test]
fn systemd_is_told_when_it_is_ready_upgrades_and_stops() {
    let application = Upstream::friendly();
    let mut demo = Demo::in_front_of(&application);
    let place = demo.scratch().join("notify");
    let systemd = UnixDatagram::bind(&place).unwrap();
    systemd.set_read_timeout(Some(SOON * 6)).unwrap();
    let told = || {
        let mut buffer = [0; 512];
        let length = systemd.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        text.lines().next().unwrap_or_default().to_owned()
    };

    demo.run_as_configured_by(Command::new(demo.program()), |command| {
        command.env("NOTIFY_SOCKET", &place);
    });
    let started = told();
    demo.process().signal("USR2");
    let upgraded = [told(), told()];
    demo.process().signal("TERM");
    let stopped = told();

    assert_eq!(started, "READY=1");
    assert_eq!(upgraded, ["RELOADING=1", "READY=1"]);
    assert_eq!(stopped, "STOPPING=1");
    assert_eq!(demo.wait(SOON), Some(0));
}

/// What clients did.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    done: AtomicUsize,
    failed: AtomicUsize,
    longest_ms: AtomicUsize,
}

impl Load {
    /// Asks until it is over, and counts how it went.
    fn keep_asking(&self, mut ask: impl FnMut() -> bool) {
        while !self.over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            if !ask() {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            let took = usize::try_from(begun.elapsed().as_millis()).unwrap();
            self.longest_ms.fetch_max(took, Ordering::Relaxed);
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until some more requests are done; how many there are then.
    fn wait_for_more(&self) -> usize {
        let enough = self.done.load(Ordering::Relaxed) + 40;
        assert!(until(SOON * 6, || self.done.load(Ordering::Relaxed) >= enough));
        self.done.load(Ordering::Relaxed)
    }

    fn longest(&self) -> Duration {
        Duration::from_millis(self.longest_ms.load(Ordering::Relaxed) as u64)
    }
}

fn new_connections(demo: &Demo, load: &Load) {
    load.keep_asking(|| {
        demo.raw_get(ALICE, "wiki", "/new")
            .is_some_and(|answer| answer.status == 200)
    });
}

fn real_curl(demo: &Demo, load: &Load) {
    load.keep_asking(|| demo.status(ALICE, "wiki", "/curl") == 200);
}

/// Keeps its connection until an answer says that it is the last.
fn one_kept_connection(demo: &Demo, load: &Load) {
    let mut connection = demo.raw(ALICE, "wiki");
    load.keep_asking(|| {
        let answer = connection.get(&host("wiki"), "/kept");
        let is_last = |answer: &latchkey_tests::answer::Answer| answer.header("connection") == Some("close");
        if answer.as_ref().is_none_or(is_last) {
            connection = demo.raw(ALICE, "wiki");
        }
        answer.is_some_and(|answer| answer.status == 200)
    });
}

/// Several requests on each of many connections.
fn http2_connections(demo: &Demo, load: &Load) {
    load.keep_asking(|| {
        let connection = demo.h2(ALICE, "wiki");
        connection.get("/h2").is_some_and(|answer| answer.status == 200)
    });
}

/// A running gateway whose program the test can replace.
struct Running {
    demo: Demo,
    _program: TempDir,
}

impl Deref for Running {
    type Target = Demo;

    fn deref(&self) -> &Demo {
        &self.demo
    }
}

impl Running {
    fn in_front_of(application: &Upstream, grace: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("latchkey-test-").tempdir().unwrap();
        let program = folder.path().join("latchkey");
        std::os::unix::fs::symlink(cli::program(), &program).unwrap();
        let mut demo = Demo::of_in_front_of(&program, &application.url());
        demo.set("shutdown_grace", grace);
        demo.run_as_configured();
        Self { demo, _program: folder }
    }
}

/// Answers everything, and takes up WebSockets.
fn application() -> Upstream {
    Upstream::start(|request| match request.fields("sec-websocket-key").first() {
        Some(key) => Reply::Send(accepted(key)),
        None => Reply::Send(ok("ok")),
    })
}

/// Puts a program in the place of the one that runs: the same, which says something first.
fn replace(program: &Path, says: &str) {
    let next = program.with_extension("next");
    let script = format!("#!/bin/sh\necho '{says}'\nexec {} \"$@\"\n", cli::program().display());
    std::fs::write(&next, script).unwrap();
    std::fs::set_permissions(&next, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::rename(next, program).unwrap();
}

const SOON: Duration = Duration::from_secs(10);
