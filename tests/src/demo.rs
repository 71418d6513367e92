//! How is a whole gateway started for a test, asked, and told what to do?

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustls::ClientConfig;
use tempfile::TempDir;

use crate::answer::Answer;
use crate::cli::{self, CliOutput};
use crate::curl::{CurlAnswer, curl};
use crate::decision_log::DecisionLog;
use crate::h2::H2Client;
use crate::process::{Process, free_port, loopback, until};
use crate::raw::RawClient;
use crate::tls::{self, Identity};
use crate::upstream::Upstream;
use crate::websocket::Socket;

/// A `latchkey demo` with a directory and a port of its own.
pub struct Demo {
    process: Process,
    home: TempDir,
    port: u16,
    loopback_ports: Vec<u16>,
    start: Start,
}

/// What a demo is started with.
#[derive(Debug, Clone, Default)]
struct Start {
    /// In place of the program under test.
    program: Option<PathBuf>,
    upstream: Option<String>,
    tpm: bool,
    agents: bool,
}

/// The demo's device of alice: managed.
pub const ALICE: Option<&str> = Some("alice-laptop");
/// The demo's device of bob: not managed.
pub const BOB: Option<&str> = Some("bob-laptop");
/// No client certificate.
pub const NOBODY: Option<&str> = None;

impl Start {
    fn program(&self) -> PathBuf {
        self.program.clone().unwrap_or_else(cli::program)
    }
}

impl Demo {
    /// Starts a demo with its built-in applications.
    pub fn start() -> Self {
        Self::launch(Start::default())
    }

    /// Starts a demo in front of this application.
    pub fn in_front_of(upstream: &Upstream) -> Self {
        Self::start_with_upstream(&upstream.url())
    }

    /// Starts a demo in front of whatever is at this URL.
    pub fn start_with_upstream(url: &str) -> Self {
        Self::launch(Start {
            upstream: Some(url.to_owned()),
            ..Start::default()
        })
    }

    /// The same, whose laptops have agents.
    pub fn with_agents_in_front_of(url: &str) -> Self {
        Self::launch(Start {
            upstream: Some(url.to_owned()),
            agents: true,
            ..Start::default()
        })
    }

    /// Starts a demo with its software TPM and the desktop whose keys are in it.
    pub fn with_tpm() -> Self {
        Self::launch(Start {
            tpm: true,
            ..Start::default()
        })
    }

    /// Starts a demo whose laptops have agents.
    pub fn with_agents() -> Self {
        Self::launch(Start {
            agents: true,
            ..Start::default()
        })
    }

    /// The same with agents and without an application of the test's.
    pub fn with_agents_of(program: &Path) -> Self {
        Self::launch(Start {
            program: Some(program.to_owned()),
            agents: true,
            ..Start::default()
        })
    }

    /// Starts a demo with this program.
    pub fn of(program: &Path) -> Self {
        Self::launch(Start {
            program: Some(program.to_owned()),
            ..Start::default()
        })
    }

    /// The same in front of whatever is at this URL.
    pub fn of_in_front_of(program: &Path, url: &str) -> Self {
        Self::launch(Start {
            program: Some(program.to_owned()),
            upstream: Some(url.to_owned()),
            ..Start::default()
        })
    }

    fn launch(how: Start) -> Self {
        let home = tempfile::Builder::new().prefix("latchkey-test-").tempdir().unwrap();
        let port = free_port();
        let loopback_ports: Vec<u16> = std::iter::repeat_with(free_port).take(LOOPBACK_PORTS).collect();
        let process = start(home.path(), port, &loopback_ports, &how);
        Self {
            process,
            home,
            port,
            loopback_ports,
            start: how,
        }
    }

    /// Kills the gateway at once and starts it again on the same directory and port.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = start(self.home.path(), self.port, &self.loopback_ports, &self.start);
    }

    /// Kills the gateway and runs it on the demo's configuration as that is now: the demo would write it anew. Applications
    /// have to be in front of an upstream of the test's.
    pub fn run_as_configured(&mut self) {
        self.run_as_configured_within(READY);
    }

    /// The same with a directory that takes longer to read.
    pub fn run_as_configured_within(&mut self, deadline: Duration) {
        self.run_as_configured_by(Command::new(self.start.program()), |_| {});
        self.process.wait_for_line("ready", deadline);
    }

    /// The same by a program that is given `run` and the configuration, however it is set up further; is not waited for.
    pub fn run_as_configured_by(&mut self, mut command: Command, set_up: impl FnOnce(&mut Command)) {
        self.process.kill();
        command.arg("run").arg("--config").arg(self.file("latchkey.yaml"));
        set_up(&mut command);
        self.process = Process::start(&mut command);
    }

    /// The program that it is started with.
    pub fn program(&self) -> PathBuf {
        self.start.program()
    }

    /// Waits until the running program has said so often that it is ready.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_until_ready(&self, times: usize) {
        let ready = || self.process.output().lines().filter(|line| *line == "ready").count();
        assert!(until(READY, || ready() >= times), "{}", self.process.output());
    }

    /// Kills the gateway as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Waits until the gateway has ended by itself; its exit code.
    pub fn wait(&mut self, deadline: Duration) -> Option<i32> {
        self.process.wait(deadline)
    }

    /// The running program.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Everything that the demo made: `ca.pem`, `devices/`, `policies/` and the rest.
    pub fn directory(&self) -> PathBuf {
        self.home.path().join("demo")
    }

    /// A file of the demo.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// The database of the directory.
    pub fn database(&self) -> PathBuf {
        self.file("data/directory.sqlite")
    }

    /// Replaces text in a file of the demo.
    ///
    /// # Panics
    /// When the text is not there.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.file(name)).unwrap();
        assert!(text.contains(from), "`{from}` is not in {name}:\n{text}");
        std::fs::write(self.file(name), text.replacen(from, to, 1)).unwrap();
    }

    /// Sets a key of `latchkey.yaml` that is there already, wherever it stands.
    pub fn set(&self, key: &str, value: &str) {
        let file = self.file("latchkey.yaml");
        std::fs::write(&file, with_value(&std::fs::read_to_string(&file).unwrap(), key, value)).unwrap();
    }

    /// Adds lines (indented as they are to stand) to a section of `latchkey.yaml`, making the section if need be.
    /// The running gateway reads the file again by itself.
    pub fn configure(&self, section: &str, lines: &str) {
        let file = self.file("latchkey.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        let heading = format!("\n{section}:\n");
        let text = if text.contains(&heading) {
            text.replacen(&heading, &format!("{heading}{lines}\n"), 1)
        } else {
            format!("{text}{heading}{lines}\n")
        };
        std::fs::write(file, text).unwrap();
    }

    /// Has the gateway read everything again, and waits until it did.
    pub fn reload(&self) {
        let reloads = || self.metric("latchkey_reloads_total").unwrap_or_default();
        let before = reloads();
        self.process.signal("HUP");
        assert!(until(PATIENCE, || reloads() > before), "{}", self.process.output());
    }

    /// The values of a metric at `/metrics`, added up over the labels; nothing when there is none.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metric_with(name, "")
    }

    /// The same of an application.
    pub fn metric_of(&self, name: &str, application: &str) -> Option<f64> {
        self.metric_with(name, &format!("application=\"{application}\""))
    }

    /// The same where the labels have this text.
    pub fn metric_with(&self, name: &str, label: &str) -> Option<f64> {
        let text = std::fs::read_to_string(self.file("latchkey.yaml")).unwrap();
        let address = text
            .lines()
            .find_map(|line| line.strip_prefix("metrics_listen:"))
            .expect("metrics_listen is set");
        let answer = self.curl(NOBODY, &format!("http://{}/metrics", address.trim()), &[]);
        assert_eq!(answer.status, 200, "{}", answer.error);
        let text = answer.text();
        let of_name = text
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name) && line.contains(label));
        let values: Vec<f64> = of_name
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// A directory beside the demo's, for the test's own files.
    pub fn scratch(&self) -> &Path {
        self.home.path()
    }

    /// Where the gateway listens.
    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }

    /// Where its pages look for agents on 127.0.0.1.
    pub fn loopback_ports(&self) -> &[u16] {
        &self.loopback_ports
    }

    /// `https://APP.localhost:PORT/PATH`.
    pub fn url(&self, app: &str, path: &str) -> String {
        format!("https://{app}.localhost:{}{path}", self.port)
    }

    /// The decision log.
    pub fn decisions(&self) -> DecisionLog {
        DecisionLog::at(&self.file("log/decisions.jsonl"))
    }

    /// A device's certificate and key.
    pub fn identity(&self, device: &str) -> Identity {
        Identity::named(&self.file("devices"), device)
    }

    /// Asks with curl: GET, or what the further arguments say.
    pub fn curl(&self, device: Option<&str>, url: &str, arguments: &[&str]) -> CurlAnswer {
        let identity = device.map(|device| self.identity(device));
        let mut all: Vec<std::ffi::OsString> = arguments.iter().map(Into::into).collect();
        if let Some(identity) = identity {
            all.extend([
                "--cert".into(),
                identity.certificate.into(),
                "--key".into(),
                identity.key.into(),
            ]);
        }
        all.push(url.into());
        curl(&self.file("ca.pem"), all)
    }

    /// The status that curl gets for a GET.
    pub fn status(&self, device: Option<&str>, app: &str, path: &str) -> u16 {
        self.curl(device, &self.url(app, path), &[]).status
    }

    /// Calls the admin API with the demo's token through curl; a body, if any, is JSON.
    pub fn admin(&self, method: &str, path: &str, body: Option<&str>) -> CurlAnswer {
        self.admin_as(&format!("SSWS {}", self.admin_token()), method, path, body)
    }

    /// The same with this `Authorization`.
    pub fn admin_as(&self, authorization: &str, method: &str, path: &str, body: Option<&str>) -> CurlAnswer {
        let field = format!("Authorization: {authorization}");
        let mut arguments = vec!["-X", method, "-H", &field];
        if let Some(body) = body {
            arguments.extend(["-H", "Content-Type: application/json", "--data-binary", body]);
        }
        self.curl(NOBODY, &self.url("admin", path), &arguments)
    }

    /// The admin token the demo made.
    pub fn admin_token(&self) -> String {
        std::fs::read_to_string(self.file("admin-token"))
            .unwrap()
            .trim()
            .to_owned()
    }

    /// What `latchkey config check` says of the demo's configuration.
    pub fn check_configuration(&self) -> CliOutput {
        let file = self.file("latchkey.yaml");
        cli::latchkey(["config".as_ref(), "check".as_ref(), file.as_os_str()])
    }

    /// Runs `latchkey … --dir DIR`.
    pub fn latchkey(&self, arguments: &[&str]) -> CliOutput {
        let directory = self.directory();
        let all = arguments
            .iter()
            .map(std::ffi::OsStr::new)
            .chain(["--dir".as_ref(), directory.as_os_str()]);
        cli::run(&self.start.program(), all)
    }

    /// The same, which must succeed.
    pub fn command(&self, arguments: &[&str]) -> CliOutput {
        let output = self.latchkey(arguments);
        assert!(output.success, "latchkey {arguments:?}: {output:?}");
        output
    }

    /// The id of a device by its name.
    pub fn device_id(&self, name: &str) -> String {
        let devices = self.admin("GET", "/api/v1/devices", None).json();
        let device = devices
            .as_array()
            .unwrap()
            .iter()
            .find(|device| device.to_string().contains(&format!("\"{name}\"")));
        device
            .and_then(|device| device["id"].as_str())
            .unwrap_or_else(|| panic!("no {name} in {devices}"))
            .to_owned()
    }

    /// A TLS configuration for a client with this device's certificate.
    pub fn tls(&self, device: Option<&str>, alpn: &[&str]) -> ClientConfig {
        tls::client_config(
            &self.file("ca.pem"),
            device.map(|device| self.identity(device)).as_ref(),
            alpn,
        )
    }

    /// A kept HTTP/1.1 connection to an application's host.
    pub fn raw(&self, device: Option<&str>, app: &str) -> RawClient {
        let config = self.tls(device, &["http/1.1"]);
        RawClient::connect(self.address(), &host(app), config).unwrap()
    }

    /// One GET on a connection of its own, without curl's opinions on the target.
    pub fn raw_get(&self, device: Option<&str>, app: &str, path: &str) -> Option<Answer> {
        self.raw(device, app).get(&host(app), path)
    }

    /// A kept HTTP/2 connection.
    pub fn h2(&self, device: Option<&str>, app: &str) -> H2Client {
        H2Client::connect(self.address(), &host(app), self.tls(device, &["h2"]))
    }

    /// An open WebSocket.
    ///
    /// # Errors
    /// The status that was answered instead.
    pub fn websocket(&self, device: Option<&str>, app: &str, origin: Option<&str>) -> Result<Socket, u16> {
        Socket::open_from(
            self.address(),
            &host(app),
            "/ws",
            self.tls(device, &["http/1.1"]),
            origin,
        )
    }
}

/// A configuration in which every `key:` has this value.
///
/// # Panics
/// When the key is not there.
pub fn with_value(text: &str, key: &str, value: &str) -> String {
    let key = format!("{key}:");
    assert!(
        text.lines().any(|line| line.trim_start().starts_with(&key)),
        "no {key} in {text}"
    );
    let set = |line: &str| match line.trim_start().starts_with(&key) {
        true => format!("{}{key} {value}\n", &line[..line.len() - line.trim_start().len()]),
        false => format!("{line}\n"),
    };
    text.lines().map(set).collect()
}

/// The host of an application.
pub fn host(app: &str) -> String {
    format!("{app}.localhost")
}

fn start(home: &Path, port: u16, loopback_ports: &[u16], how: &Start) -> Process {
    let mut command = Command::new(how.program());
    command
        .arg("demo")
        .arg("--dir")
        .arg(home.join("demo"))
        .arg("--port")
        .arg(port.to_string());
    if let Some(url) = &how.upstream {
        command.arg("--upstream").arg(url);
    }
    if !how.tpm {
        command.arg("--without-tpm");
    }
    let ports: Vec<String> = loopback_ports.iter().map(u16::to_string).collect();
    command.arg("--loopback-ports").arg(ports.join(","));
    if !how.agents {
        command.arg("--without-agents");
    }
    let mut process = Process::start(&mut command);
    process.wait_for_line("ready", READY);
    process
}

/// A debug build on a machine that compiles something else meanwhile.
const READY: Duration = Duration::from_secs(60);

const PATIENCE: Duration = Duration::from_secs(15);

/// How many ports agents have.
const LOOPBACK_PORTS: usize = 3;
