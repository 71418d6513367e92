//! What does a device hear on its stream, and what does it say to a push? Spoken by hand, rightly or not.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use device_checks::wire;
use serde_json::{Value, json};

use crate::agent::PASSWORD;
use crate::curl::CurlAnswer;
use crate::demo::{Demo, NOBODY, host};
use crate::device::{Device, Key, claims_of, now, random};
use crate::tls::{self, Connection, DEADLINE};
use crate::visitor::{Page, Visitor};

/// The stream of an account.
pub struct Stream {
    lines: Receiver<Value>,
}

/// A page that waits for an answer from another device.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The page.
    pub page: Page,
    /// The push.
    pub push: String,
    /// The number that it shows, where it shows one.
    pub number: Option<String>,
}

impl Stream {
    /// Opens the stream of this device's account.
    ///
    /// # Errors
    /// The status of an answer that is no stream.
    pub fn open(demo: &Demo, device: &Device) -> Result<Self, u16> {
        let url = demo.url("auth", &device.account(wire::PUSHES_SUFFIX));
        let field = device.field(&device.assertion(demo, "GET", &url));
        Self::open_with(demo, &device.account(wire::PUSHES_SUFFIX), &field)
    }

    /// The same at this path with this header field.
    ///
    /// # Errors
    /// The status of an answer that is no stream.
    pub fn open_with(demo: &Demo, path: &str, field: &str) -> Result<Self, u16> {
        let authority = host("auth");
        let config = demo.tls(NOBODY, &["http/1.1"]);
        let mut connection = tls::connect(demo.address(), &authority, config).unwrap();
        let port = demo.address().port();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}:{port}\r\n{field}\r\n\r\n");
        std::io::Write::write_all(&mut connection, request.as_bytes()).unwrap();
        let mut reader = BufReader::new(connection);
        let status = head(&mut reader);
        if status != 200 {
            return Err(status);
        }
        // It is there once something of it has come.
        assert_eq!(chunk(&mut reader).as_deref(), Some(&b"\n"[..]));
        reader.get_mut().sock.set_read_timeout(None).unwrap();
        let (to, lines) = channel();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            while let Some(some) = chunk(&mut reader) {
                text.extend(some);
                while let Some(end) = text.iter().position(|octet| *octet == b'\n') {
                    let line: Vec<u8> = text.drain(..=end).collect();
                    if let Ok(line) = serde_json::from_slice(&line)
                        && to.send(line).is_err()
                    {
                        return;
                    }
                }
            }
        });
        Ok(Self { lines })
    }

    /// The claims of the next push.
    ///
    /// # Panics
    /// When none comes.
    pub fn push(&self) -> Value {
        let line = self.next();
        claims_of(line["challenge"].as_str().unwrap_or_else(|| panic!("{line}")))
    }

    /// The claims of the next push, whatever was withdrawn before.
    ///
    /// # Panics
    /// When none comes.
    pub fn next_push(&self) -> Value {
        loop {
            if let Some(token) = self.next()["challenge"].as_str() {
                return claims_of(token);
            }
        }
    }

    /// What is said next.
    ///
    /// # Panics
    /// When nothing is.
    pub fn next(&self) -> Value {
        self.lines.recv_timeout(DEADLINE).expect("the gateway says something")
    }

    /// Whether it ends within this time, whatever it says before.
    pub fn ends_within(&self, bound: Duration) -> bool {
        let begun = Instant::now();
        loop {
            match self.lines.recv_timeout(bound.saturating_sub(begun.elapsed())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// Waits until it has ended; nothing else may come before.
    ///
    /// # Panics
    /// When it does not end.
    pub fn ended(&self) {
        assert_eq!(self.lines.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
    }
}

fn head(reader: &mut BufReader<Connection>) -> u16 {
    let mut status = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest.get(..3).unwrap().parse().unwrap();
        }
        if line.trim().is_empty() {
            return status;
        }
    }
}

/// The next chunk of a body; nothing once it has ended, in whatever way.
fn chunk(reader: &mut BufReader<Connection>) -> Option<Vec<u8>> {
    let mut size = String::new();
    reader.read_line(&mut size).ok()?;
    let size = usize::from_str_radix(size.trim(), 16).ok().filter(|size| *size > 0)?;
    let mut octets = vec![0; size + 2];
    reader.read_exact(&mut octets).ok()?;
    octets.truncate(size);
    Some(octets)
}

impl Device {
    /// The device's id.
    ///
    /// # Panics
    /// When it has not enrolled.
    pub fn id(&self) -> &str {
        self.enrolled["device"].as_str().unwrap()
    }

    /// The claims of an answer to a push that approves with this number.
    pub fn approval(&self, demo: &Demo, push: &Value, number: Option<&str>) -> Value {
        let mut claims = json!({
            "iss": self.enrolled["enrollment"],
            "aud": demo.url("auth", ""),
            "sub": self.enrolled["user"],
            "iat": now(),
            "exp": now() + 60,
            "jti": random(),
            "tx": push["jti"],
            "nonce": push["nonce"],
            "amr": ["fpt"],
            "keyType": "proofOfPossession",
            "outcome": "approved",
        });
        if let Some(number) = number {
            claims["number"] = number.into();
        }
        claims
    }

    /// Approves a push with this number, by the possession key.
    pub fn approve(&self, demo: &Demo, push: &Value, number: Option<&str>) -> CurlAnswer {
        give(demo, &self.possession, &self.approval(demo, push, number))
    }

    /// The same by the user-verification key, as after a PIN.
    pub fn approve_verified(&self, demo: &Demo, push: &Value, number: Option<&str>) -> CurlAnswer {
        let mut claims = self.approval(demo, push, number);
        claims["keyType"] = "userVerification".into();
        claims["amr"] = json!(["fpt", "pin"]);
        give(demo, &self.verification, &claims)
    }

    /// Says something else to a push: `denied`, `not_me`, `cancelled`.
    pub fn refuse(&self, demo: &Demo, push: &Value, outcome: &str) -> CurlAnswer {
        let mut claims = self.approval(demo, push, None);
        claims["outcome"] = outcome.into();
        give(demo, &self.possession, &claims)
    }
}

/// Gives an answer with these claims by this key.
pub fn give(demo: &Demo, key: &Key, claims: &Value) -> CurlAnswer {
    give_token(demo, &claims["tx"], &key.sign(device_checks::PUSH_ANSWER_TYPE, claims))
}

/// Gives this token as the answer to this push.
pub fn give_token(demo: &Demo, attempt: &Value, token: &str) -> CurlAnswer {
    let body = json!({ "attempt": attempt, "answer": token }).to_string();
    demo.curl(
        NOBODY,
        &demo.url("auth", wire::PUSH_ANSWERS_PATH),
        &["--data-binary", &body],
    )
}

impl Demo {
    /// One more device of a user.
    pub fn another_device(&self, login: &str) -> Device {
        let mut device = Device::default();
        let token = device.token(self, login, PASSWORD);
        device.enroll(self, &token, &format!("{login}-tablet"));
        device
    }

    /// Deactivates a device.
    pub fn shut_out(&self, device: &Device) {
        self.command(&["device", "deactivate", device.id()]);
    }

    /// The sessions of a user that count.
    pub fn sessions_of(&self, user: &str) -> Vec<Value> {
        let path = format!("/api/v1/users/{user}/sessions");
        self.admin("GET", &path, None).json().as_array().unwrap().clone()
    }

    /// The one session of a user.
    pub fn only_session(&self, user: &str) -> Value {
        let sessions = self.sessions_of(user);
        assert_eq!(sessions.len(), 1, "{sessions:?}");
        sessions[0].clone()
    }

    /// How many pushes came to nothing on this device, for this reason.
    pub fn failed_pushes(&self, device: &Device, reason: &str) -> usize {
        let events = self.events("filter=eventType%20eq%20%22user.authentication.auth_via_mfa%22");
        let matching = events.iter().filter(|event| {
            let outcome = &event["outcome"];
            outcome["result"] == "FAILURE"
                && outcome["reason"].as_str().is_some_and(|text| text.contains(reason))
                && event["target"].to_string().contains(device.id())
        });
        matching.count()
    }

    /// Has an administrator end all sessions of a user, by id or login.
    pub fn end_sessions(&self, user: &Value) {
        let path = format!("/api/v1/users/{}/sessions", user.as_str().unwrap());
        let ended = self.admin("DELETE", &path, None);
        assert_eq!(ended.status, 204, "{}", ended.text());
    }
}

impl<'a> Visitor<'a> {
    /// A browser in which the user of this device has signed in before.
    pub fn known_to(demo: &'a Demo, device: &Device) -> Self {
        let mut browser = Self::new(demo);
        browser.become_known(device);
        browser
    }
}

impl Visitor<'_> {
    /// Asks the other devices of a user, to come to the auth host's own page.
    pub fn ask_devices_of(&mut self, user: &str) -> Waiting {
        let page = self.push_page(&self.demo().url("auth", "/sign-in"), user);
        self.ask_others(&page)
    }

    /// The same, and approves on this one; where that ends.
    pub fn sign_in_by_push(&mut self, user: &str, device: &Device, stream: &Stream) -> Page {
        let waiting = self.ask_devices_of(user);
        let given = device.approve(self.demo(), &stream.push(), waiting.number.as_deref());
        assert_eq!(given.status, 204, "{}", given.text());
        self.go_on(&waiting)
    }

    /// Where another device can be asked after a password: the news take two factors.
    pub fn push_page_after_password(&mut self, user: &str) -> Page {
        let url = self.demo().url("news", "/");
        let page = self.sign_in_with_password(&url, user, PASSWORD);
        self.other_way(page)
    }

    /// Signs in by a device that is here, until an administrator ends that: from now on the user is known in this browser.
    /// Whoever signs out there is a stranger in it again.
    pub fn become_known(&mut self, device: &Device) {
        let url = self.demo().url("wiki", "/");
        let opened = self.fastpass(&url, device);
        assert_eq!(opened.status, 200, "{}", opened.text());
        self.demo().end_sessions(&device.enrolled["user"]);
    }

    /// Opens an address, types a username, and goes to where another device is asked.
    pub fn push_page(&mut self, url: &str, user: &str) -> Page {
        let page = self.identify(url, user);
        self.other_way(page)
    }

    /// Goes on from a page of a sign-in to where another device is asked.
    pub fn other_way(&mut self, page: Page) -> Page {
        match page.link("/sign-in/methods") {
            Some(methods) if page.link("/sign-in/push").is_none() => {
                let page = self.open(&methods);
                self.choose(page, "/sign-in/push")
            }
            _ => self.choose(page, "/sign-in/push"),
        }
    }

    /// Has other devices asked.
    ///
    /// # Panics
    /// When the page does not wait for them then.
    pub fn ask_others(&mut self, page: &Page) -> Waiting {
        let sent = self.submit(page, &[]);
        let page = self.follow(sent);
        assert_eq!(
            (page.status, page.path().as_str()),
            (200, "/sign-in/push/wait"),
            "{}",
            page.said()
        );
        let text = page.text();
        let number = text
            .split("class=\"match\"")
            .nth(1)
            .and_then(|rest| rest.split('>').nth(1));
        let number = number.and_then(|rest| rest.split('<').next()).map(str::to_owned);
        let hidden = page.form().unwrap().hidden;
        let (_, push) = hidden.into_iter().find(|(name, _)| name == "push").unwrap();
        Waiting { page, push, number }
    }

    /// Goes on from a page that waits; where that ends.
    pub fn go_on(&mut self, waiting: &Waiting) -> Page {
        let sent = self.submit(&waiting.page, &[]);
        self.follow(sent)
    }
}
