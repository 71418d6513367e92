//! The agent as a service: started, read line by line, and ended with the value.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

use super::agent::Agent;
use super::gateway::FakeGateway;
use super::page::Page;

/// `latchkey-agent run`, or another command that goes on.
pub(crate) struct Service {
    child: Child,
    lines: BufReader<ChildStderr>,
    said: String,
}

impl Service {
    /// Starts `run`, asking by this command, and waits until it listens and has reported once.
    pub(crate) fn start(agent: &Agent, gateway: &FakeGateway, prompt: Option<&str>) -> (Self, Page) {
        Self::start_with(agent, gateway, prompt, |_| {})
    }

    /// The same, with this change to how it is run.
    pub(crate) fn start_with(
        agent: &Agent,
        gateway: &FakeGateway,
        prompt: Option<&str>,
        change: impl FnOnce(&mut Command),
    ) -> (Self, Page) {
        let mut words = vec!["run"];
        words.extend(prompt.iter().flat_map(|prompt| ["--prompt", prompt]));
        let mut service = Self::spawn(agent, &words, change);
        // Either may come first.
        service.wait_for_all(&["listening on the loopback", "reported"]);
        let page = Page {
            port: service.port(),
            origin: gateway.url(),
        };
        (service, page)
    }

    /// Starts a command, without a desktop unless the change brings one.
    pub(crate) fn spawn(agent: &Agent, words: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey-agent"));
        command
            .args(words)
            .arg("--state")
            .arg(agent.state())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            // The session of whoever runs this test is not asked either.
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("DBUS_SESSION_BUS_ADDRESS");
        change(&mut command);
        let mut child = command.spawn().unwrap();
        Self {
            lines: BufReader::new(child.stderr.take().unwrap()),
            child,
            said: String::new(),
        }
    }

    /// A page of the gateway's that finds it, once it listens.
    pub(crate) fn page(&mut self, gateway: &FakeGateway) -> Page {
        self.wait_for("listening on the loopback");
        Page {
            port: self.port(),
            origin: gateway.url(),
        }
    }

    /// The port that it said last.
    fn port(&self) -> u16 {
        let port = self.said.rsplit("port=").next().unwrap();
        let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }

    /// Reads until a line has this in it.
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.wait_for_all(&[text]);
    }

    /// The first line from here on that has this in it.
    pub(crate) fn line(&mut self, text: &str) -> String {
        self.wait_for(text);
        self.said.lines().next_back().unwrap().to_owned()
    }

    /// Reads until each of these was in a line.
    fn wait_for_all(&mut self, texts: &[&str]) {
        let mut missing = texts.to_vec();
        while !missing.is_empty() {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "expected {missing:?}, found: {}", self.said);
            missing.retain(|text| !line.contains(text));
            self.said.push_str(&line);
        }
    }

    /// Ends it as service managers do; gives everything it said.
    pub(crate) fn stop(mut self) -> String {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(told.success());
        self.end().1
    }

    /// Ends it as a user does at the keyboard.
    pub(crate) fn interrupt(&self) {
        let told = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(told.success());
    }

    /// Waits until it ends by itself: its exit code, and everything it said.
    pub(crate) fn end(&mut self) -> (i32, String) {
        std::io::Read::read_to_string(&mut self.lines, &mut self.said).unwrap();
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or(-1), self.said.clone())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
