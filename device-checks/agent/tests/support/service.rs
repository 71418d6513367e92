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
    /// Starts `run`, asking by this command, and waits until it listens.
    pub(crate) fn start(agent: &Agent, gateway: &FakeGateway, prompt: Option<&str>) -> (Self, Page) {
        let mut words = vec!["run"];
        words.extend(prompt.iter().flat_map(|prompt| ["--prompt", prompt]));
        let mut service = Self::spawn(agent, &words, |_| {});
        let page = service.page(gateway);
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

    /// A page of the gateway's that found it.
    pub(crate) fn page(&mut self, gateway: &FakeGateway) -> Page {
        let line = self.wait_for("listening on the loopback");
        let port = line.split("port=").nth(1).unwrap();
        let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
        Page {
            port: digits.parse().unwrap(),
            origin: gateway.url(),
        }
    }

    /// Reads until a line has this in it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "expected `{text}`, found: {}", self.said);
            self.said.push_str(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Ends it as service managers do; gives everything it said.
    pub(crate) fn stop(mut self) -> String {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(told.success());
        self.end().1
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
