//! How long does a push take to an agent among many that are connected, and what does one of them cost the gateway?

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use device_checks::wire::{NONCE_PATH, PUSHES_SUFFIX};
use latchkey_tests::demo::{Demo, NOBODY, host};
use latchkey_tests::device::Device;
use latchkey_tests::tls::DEADLINE;
use latchkey_tests::visitor::Visitor;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use crate::enrolling::{GATEWAYS_CORE, OTHER_CORE, pin};
use crate::signing_in::{ask, devices, quantile, resident};

/// Connects so many agents, and has some of their users asked.
pub(crate) fn measure(program: &Path, agents: usize) -> String {
    raise_limit();
    pin(GATEWAYS_CORE);
    let demo = Demo::of(program);
    pin(OTHER_CORE);
    let devices = devices(&demo, agents);
    let mut browsers: Vec<(Visitor<'_>, &Device)> = devices
        .iter()
        .take(PUSHES)
        .map(|device| {
            let mut browser = Visitor::new(&demo);
            browser.become_known(device);
            (browser, device)
        })
        .collect();
    let before = resident(demo.process());
    let runtime = Runtime::new().expect("a runtime");
    let (heard, hears) = channel();
    connect(&demo, &runtime, &devices, &heard);
    let after = resident(demo.process());
    let mut took = Vec::new();
    for (browser, device) in &mut browsers {
        let user = demo.device(&device.enrolled["device"])["resourceDisplayName"]["value"].clone();
        let user = user.as_str().expect("a name").trim_end_matches("-laptop").to_owned();
        let page = browser.push_page(&demo.url("auth", "/sign-in"), &user);
        let asked = Instant::now();
        browser.submit(&page, &[]);
        let arrived = hears.recv_timeout(DEADLINE).expect("the push arrives");
        took.push(arrived.saturating_duration_since(asked));
    }
    format!(
        "Push, from the page's request to the agent, {} agents connected, one core: p50 {:.1} ms, p95 {:.1} ms of {}.\n\
         A connected agent costs {:.1} KB (resident memory of the gateway: {:.0} MB, then {:.0} MB).",
        devices.len(),
        quantile(&took, 50).as_secs_f64() * 1e3,
        quantile(&took, 95).as_secs_f64() * 1e3,
        took.len(),
        (after - before) / 1e3 / f64::from(u32::try_from(devices.len()).unwrap_or(u32::MAX)),
        before / 1e6,
        after / 1e6,
    )
}

/// Opens a stream for each device, and says when something comes on any of them.
fn connect(demo: &Demo, runtime: &Runtime, devices: &[Device], heard: &Sender<Instant>) {
    let (address, connector) = (demo.address(), connector(demo));
    let (at_once, open) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Mutex::new(0_usize)));
    let authority = host("auth");
    let mut client = demo.raw(NOBODY, "auth");
    for device in devices {
        let path = device.account(PUSHES_SUFFIX);
        let nonce = ask(demo, &mut client, "auth", &format!("POST {NONCE_PATH}"), &[], "").json();
        let nonce = nonce["nonce"].as_str().expect("a nonce").to_owned();
        let field = device.field(&device.assertion_with(demo, "GET", &demo.url("auth", &path), nonce));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}:{}\r\n{field}\r\n\r\n",
            address.port()
        );
        let (connector, heard, open) = (connector.clone(), heard.clone(), Arc::clone(&open));
        let place = runtime.block_on(Arc::clone(&at_once).acquire_owned()).expect("a place");
        runtime.spawn(async move {
            let mut stream = stream(address, connector).await;
            stream.write_all(request.as_bytes()).await.expect("the request is sent");
            let begun = read(&mut stream).await;
            assert!(
                begun.starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(&begun)
            );
            *open.lock().expect("nobody panicked") += 1;
            drop(place);
            loop {
                let some = read(&mut stream).await;
                if some.is_empty() {
                    return;
                }
                if some.windows(9).any(|part| part == b"challenge") {
                    let _ = heard.send(Instant::now());
                }
            }
        });
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while *open.lock().expect("nobody panicked") < devices.len() {
        assert!(Instant::now() < deadline, "not every agent is connected");
        std::thread::yield_now();
    }
}

async fn stream(address: SocketAddr, connector: TlsConnector) -> tokio_rustls::client::TlsStream<TcpStream> {
    let socket = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::try_from(host("auth")).expect("a name");
    connector.connect(name, socket).await.expect("TLS")
}

async fn read(stream: &mut tokio_rustls::client::TlsStream<TcpStream>) -> Vec<u8> {
    let mut some = vec![0; 4096];
    let read = stream.read(&mut some).await.unwrap_or_default();
    some.truncate(read);
    some
}

fn connector(demo: &Demo) -> TlsConnector {
    TlsConnector::from(Arc::new(demo.tls(NOBODY, &["http/1.1"])))
}

/// As many files as may be open: both sides of every connection are of this machine. What is started from now on has the limit
/// too.
pub(crate) fn raise_limit() {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("/proc");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let most = line.and_then(|line| line.split_whitespace().nth(1)).expect("a limit");
    let id = std::process::id().to_string();
    let raised = std::process::Command::new("prlimit")
        .args([&format!("--nofile={most}:{most}"), "--pid", &id])
        .status();
    assert!(raised.is_ok_and(|status| status.success()), "prlimit is installed");
}

/// How many users are asked.
const PUSHES: usize = 200;

/// How many connect at a time.
const AT_ONCE: usize = 32;
