//! How does a blocking test speak with chromedriver?

#![expect(clippy::result_large_err, reason = "an error is the driver's own, and ends its test")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::Value;
use tokio::runtime::Runtime;
use url::{ParseError, Url};

use crate::process::{Process, free_port};

/// A chromedriver of one's own, and the browser that it started.
pub(super) struct Driver {
    client: Client,
    runtime: Runtime,
    process: Process,
}

impl Driver {
    /// Starts both in this home.
    pub(super) fn start(home: &Path, capabilities: &Value) -> Self {
        let port = free_port();
        let mut command = Command::new("chromedriver");
        command
            .arg(format!("--port={port}"))
            .env("HOME", home)
            .env("TMPDIR", home);
        ELSEWHERE.iter().for_each(|name| _ = command.env_remove(name));
        let mut process = Process::start_leader(&mut command);
        process.wait_for_line(
            &format!("ChromeDriver was started successfully on port {port}."),
            DEADLINE,
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        let address = format!("http://127.0.0.1:{port}");
        let connected = runtime.block_on(async { tokio::time::timeout(DEADLINE, builder.connect(&address)).await });
        let client = connected.expect("Chromium starts in time").expect("Chromium starts");
        Self {
            client,
            runtime,
            process,
        }
    }

    /// What the driver's commands are given to.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for the answer to a command.
    pub(super) fn attempt<T>(&self, answer: impl Future<Output = Result<T, CmdError>>) -> Result<T, CmdError> {
        let bounded = async { tokio::time::timeout(DEADLINE, answer).await };
        let late = |_| CmdError::Lost(std::io::Error::from(std::io::ErrorKind::TimedOut));
        self.runtime.block_on(bounded).map_err(late).flatten()
    }

    /// The same, which must be a good one.
    pub(super) fn wait<T>(&self, answer: impl Future<Output = Result<T, CmdError>>) -> T {
        self.attempt(answer)
            .unwrap_or_else(|error| panic!("the browser says: {error}"))
    }

    /// Gives a command that the client has no function for.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, CmdError> {
        let (path, body) = (path.to_owned(), body.to_string());
        self.attempt(self.client.issue_cmd(Post { path, body }))
    }

    /// Ends both at once, with every process of the browser.
    pub(super) fn kill(&mut self) {
        self.process.kill();
    }
}

/// A command to a path of the session.
#[derive(Debug)]
struct Post {
    path: String,
    body: String,
}

impl WebDriverCompatibleCommand for Post {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.clone()))
    }
}

/// Where else a browser would look for what is in its home.
const ELSEWHERE: &[&str] = &["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "CHROMIUM_FLAGS"];

/// Longer than a page and a script may take by the driver's own measure: its answer says more.
const DEADLINE: Duration = Duration::from_secs(30);
