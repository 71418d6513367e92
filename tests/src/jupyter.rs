//! How is a real JupyterLab started behind a gateway, and what do the scripts of its page ask of it?

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::demo::host;
use crate::process::{Process, free_port, loopback, until};
use crate::visitor::{Initiator, Page, Visitor, origin_of};
use crate::websocket::{End, Socket};

/// A JupyterLab without a token or password of its own, set up as docs/operating.md says; ended when dropped, and its kernels
/// with it.
pub struct Jupyter {
    process: Process,
    port: u16,
    _home: TempDir,
}

/// The WebSocket of a kernel, by which cells are run.
pub struct Kernel(Socket);

impl Jupyter {
    /// Starts one that `scripts/install test` put in place, and waits until it answers.
    ///
    /// # Panics
    /// When it never does.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with the extension that renews proofs.
    pub fn that_renews() -> Self {
        let extensions = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/jupyterlab");
        Self::with(&[&format!("--LabApp.extra_labextensions_path={extensions}")])
    }

    fn with(arguments: &[&str]) -> Self {
        let home = tempfile::Builder::new().prefix("latchkey-jupyter-").tempdir().unwrap();
        let port = free_port();
        let program = program();
        assert!(program.exists(), "no {}: run scripts/install test", program.display());
        let mut command = Command::new(program);
        command.args(BEHIND_A_GATEWAY).args(arguments);
        command.args(["--no-browser", "--allow-root", "--log-level=DEBUG", "--port-retries=0"]);
        command.arg(format!("--port={port}"));
        // Nothing of whoever runs the tests has a say in it.
        for name in [
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR",
            "JUPYTER_TOKEN",
            "JUPYTER_PATH",
        ] {
            command.env_remove(name);
        }
        command.env("HOME", home.path()).current_dir(home.path());
        let process = Process::start(&mut command);
        assert!(until(READY, || answers(port)), "{}", process.output());
        Self {
            process,
            port,
            _home: home,
        }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many requests such as `GET /api/kernels` it has answered, by its own log.
    pub fn answered(&self, request: &str) -> usize {
        let line = format!(" {request} (");
        self.process.output().lines().filter(|it| it.contains(&line)).count()
    }
}

impl Visitor<'_> {
    /// Calls Jupyter's API as the scripts of its page do; a body is JSON.
    pub fn jupyter(&mut self, app: &str, method: &str, path: &str, body: &str) -> Page {
        let url = self.demo().url(app, path);
        let origin = origin_of(&url);
        let token = self.jar.get(&host(app), "_xsrf").unwrap_or_default().to_owned();
        let fields = [
            ("Content-Type", "application/json"),
            ("Origin", origin.as_str()),
            ("X-XSRFToken", token.as_str()),
        ];
        self.ask(method, &url, Initiator::Script, &fields, body)
    }

    /// Has Jupyter start a kernel; its id.
    ///
    /// # Panics
    /// When it does not.
    pub fn start_kernel(&mut self, app: &str) -> String {
        let started = self.jupyter(app, "POST", "/api/kernels", r#"{"name": "python3"}"#);
        assert_eq!(started.status, 201, "{}", started.text());
        started.json()["id"].as_str().unwrap().to_owned()
    }

    /// Opens the WebSocket of a kernel.
    ///
    /// # Errors
    /// The status that was answered instead of 101.
    pub fn kernel(&self, app: &str, id: &str) -> Result<Kernel, u16> {
        let path = format!("/api/kernels/{id}/channels");
        self.socket_at(app, &path).map(Kernel)
    }
}

impl Kernel {
    /// What a cell with this code results in.
    ///
    /// # Errors
    /// Why there is no result.
    pub fn run(&mut self, code: &str) -> Result<String, String> {
        let begun = Instant::now();
        let id = format!("{:032x}", u128::from_be_bytes(random()));
        self.0.send(&execute(&id, code))?;
        while let Some(left) = PATIENCE.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            let message: Value = serde_json::from_str(&self.0.next_within(left)?).unwrap();
            if message["parent_header"]["msg_id"] != *id {
                continue;
            }
            match message["msg_type"].as_str() {
                Some("execute_result") => {
                    let text = message["content"]["data"]["text/plain"].as_str();
                    return Ok(text.unwrap_or_default().to_owned());
                }
                Some("error") => return Err(message["content"].to_string()),
                _ => {}
            }
        }
        Err(format!("no result of {code}"))
    }

    /// How its WebSocket ends within this time, and after how long.
    pub fn end_within(&mut self, deadline: Duration) -> (End, Duration) {
        self.0.end_within(deadline)
    }
}

/// The message that runs a cell (Jupyter's messaging protocol 5.3).
fn execute(id: &str, code: &str) -> String {
    json!({
        "channel": "shell",
        "header": {
            "msg_id": id, "msg_type": "execute_request", "version": "5.3",
            "username": "", "session": id, "date": "2026-01-01T00:00:00Z",
        },
        "parent_header": {},
        "metadata": {},
        "content": {
            "code": code, "silent": false, "store_history": true,
            "user_expressions": {}, "allow_stdin": false, "stop_on_error": true,
        },
        "buffers": [],
    })
    .to_string()
}

fn random() -> [u8; 16] {
    let mut octets = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut octets).unwrap();
    octets
}

fn program() -> PathBuf {
    crate::browser::target().join("jupyterlab/bin/jupyter-lab")
}

fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(loopback(port))?;
        stream.write_all(b"GET /api HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}

/// The settings that docs/operating.md shows.
const BEHIND_A_GATEWAY: &[&str] = &[
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.base_url=/",
    "--ServerApp.allow_remote_access=True",
    "--ServerApp.trust_xheaders=True",
    "--IdentityProvider.token=",
    "--PasswordIdentityProvider.hashed_password=",
];

/// Python reads a great many files at a first start.
const READY: Duration = Duration::from_secs(90);

const PATIENCE: Duration = Duration::from_secs(30);
