//! How does a user come to have everything open that can end, and how is seen what of it lives on?

use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::{Event, Thing};
use crate::agent::PASSWORD;
use crate::answer::Answer;
use crate::demo::{Demo, NOBODY, host};
use crate::device::Device;
use crate::h2::OpenStream;
use crate::push::Stream;
use crate::raw::RawClient;
use crate::visitor::{Challenge, Visitor};
use crate::websocket::{End, Socket};

/// A user with two devices, and everything open with them.
pub struct Standing<'a> {
    demo: &'a Demo,
    user: String,
    /// The device that things happen to.
    pub device: Device,
    by_device: Visitor<'a>,
    by_other: Visitor<'a>,
    by_password: Visitor<'a>,
    stepped_up: Visitor<'a>,
    by_push: Visitor<'a>,
    pushed: (Value, Option<String>),
    stream_of_pushes: Stream,
    challenged: (Visitor<'a>, Challenge),
    code: (Visitor<'a>, String),
    socket: Socket,
    stream: OpenStream,
    download: RawClient,
    certified: RawClient,
}

impl<'a> Standing<'a> {
    /// A new user of this name, who shares the first device with whoever else is on it.
    ///
    /// # Panics
    /// When something does not open.
    pub fn new(demo: &'a Demo, user: &str, shared: Option<&Device>) -> Self {
        demo.user(user, PASSWORD, &["employees"]);
        let device = enrolled(demo, user, "laptop", shared);
        let other = enrolled(demo, user, "desktop", None);
        let code = demo.totp(user);
        let (wiki, news) = (demo.url("wiki", "/"), demo.url("news", "/"));

        let mut by_device = Visitor::new(demo);
        open(by_device.fastpass(&wiki, &device).answer);
        let mut by_other = Visitor::new(demo);
        open(by_other.fastpass(&wiki, &other).answer);
        let mut by_password = Visitor::new(demo);
        let page = by_password.sign_in_with_password(&news, user, PASSWORD);
        open(by_password.with_code(page, &code).answer);
        let mut stepped_up = Visitor::new(demo);
        let page = stepped_up.sign_in_with_password(&news, user, PASSWORD);
        open(stepped_up.fastpass_at(&page, &device).answer);
        let stream_of_pushes = Stream::open(demo, &device).expect("a stream");
        let mut by_push = Visitor::new(demo);
        let page = by_push.push_page_after_password(user);
        let waiting = by_push.ask_others(&page);
        let given = device.approve(demo, &stream_of_pushes.push(), waiting.number.as_deref());
        assert_eq!(given.status, 204, "{}", given.text());
        open(by_push.go_on(&waiting).answer);

        let name = format!("{user}-laptop");
        device.keep(demo, &name);
        let mut certified = demo.raw(Some(&name), "wiki");
        open(certified.get(&host("wiki"), "/").expect("an answer"));
        let cookie = cookie(&by_device, "wiki");
        Self {
            pushed: pushed(demo, user, &stream_of_pushes),
            stream_of_pushes,
            by_push,
            challenged: challenge(demo, &wiki),
            code: code_in_flight(&by_device, &wiki),
            socket: socket(demo, &cookie),
            stream: demo
                .h2(NOBODY, "wiki")
                .open_with("/events", &[("cookie", cookie.as_str())]),
            download: download(demo, &cookie),
            demo,
            user: user.to_owned(),
            device,
            by_device,
            by_other,
            by_password,
            stepped_up,
            certified,
        }
    }

    /// Lets something happen, and says when it was answered.
    ///
    /// # Panics
    /// When it is refused.
    pub fn suffer(&mut self, event: Event) -> Instant {
        let (id, user) = (self.device.enrolled["device"].as_str().unwrap().to_owned(), &self.user);
        let lifecycle = |verb: &str| format!("/api/v1/devices/{id}/lifecycle/{verb}");
        match event {
            Event::Deactivate => self.admin("POST", &lifecycle("deactivate"), None),
            Event::Suspend => self.admin("POST", &lifecycle("suspend"), None),
            Event::Delete => {
                self.admin("POST", &lifecycle("deactivate"), None);
                self.admin("DELETE", &format!("/api/v1/devices/{id}"), None)
            }
            Event::RevokeCertificate => {
                let path = format!(
                    "/api/v1/certificates/{}/lifecycle/revoke",
                    fingerprint(&self.device.enrolled["certificate"])
                );
                self.admin("POST", &path, None)
            }
            Event::RemoveUser => {
                let enrollment = self.device.enrolled["enrollment"].as_str().unwrap();
                self.admin("DELETE", &format!("/api/v1/users/{user}/factors/{enrollment}"), None)
            }
            Event::SuspendUser => self.admin("POST", &format!("/api/v1/users/{user}/lifecycle/suspend"), None),
            Event::ChangePassword => {
                let body = json!({ "password": "another horse battery" }).to_string();
                self.admin("PUT", &format!("/api/v1/users/{user}/password"), Some(&body))
            }
            Event::SignOutEverywhere => {
                let url = self.demo.url("auth", "/sign-out-everywhere");
                let answer = self.by_other.post_form(&url, &[]);
                assert_eq!(answer.status, 303, "{}", answer.text());
                Instant::now()
            }
            Event::EndSession => {
                let session = self.first_session();
                self.admin("DELETE", &format!("/api/v1/sessions/{session}"), None)
            }
        }
    }

    /// Whether a thing lives; or how it was told that it ended.
    ///
    /// # Errors
    /// How it ended.
    pub fn lives(&mut self, thing: Thing, bound: Duration) -> Result<(), String> {
        match thing {
            Thing::FastPass => self.asks("wiki", &self.by_device),
            Thing::OtherDevice => self.asks("wiki", &self.by_other),
            Thing::Password => self.asks("news", &self.by_password),
            Thing::SteppedUp => self.asks("news", &self.stepped_up),
            Thing::Push => self.asks("news", &self.by_push),
            Thing::PushAnswer => {
                let (push, number) = &self.pushed;
                let given = self.device.approve(self.demo, push, number.as_deref());
                match given.status {
                    204 => Ok(()),
                    status => Err(format!("{status} {}", given.json()["errorCode"].as_str().unwrap())),
                }
            }
            Thing::PushStream => match self.stream_of_pushes.ends_within(bound) {
                true => Err("ended".to_owned()),
                false => Ok(()),
            },
            Thing::Challenge => self.answers(),
            Thing::Code => {
                let (browser, url) = &mut self.code;
                match browser.get(url) {
                    page if page.status == 303 => Ok(()),
                    page if page.text().contains("sign-in-over") => Err("sign-in-over".to_owned()),
                    page => Err(format!("{}: {}", page.status, page.text())),
                }
            }
            Thing::Assertion => told(&self.device.get(self.demo, NOBODY, "wiki", "/").answer),
            Thing::WebSocket => match self.socket.end_within(bound) {
                (End::Open, _) => self.socket.echo("still here").map(drop),
                (End::Closed(code), _) => Err(code.to_string()),
                (End::Cut, _) => Err("cut".to_owned()),
            },
            Thing::Http2 => match self.stream.ends_within(bound) {
                true => Err("reset".to_owned()),
                false if self.stream.goes_on() => Ok(()),
                false => Err("reset late".to_owned()),
            },
            Thing::Download => match self.download.ends_within(bound) {
                Some(_) => Err("cut".to_owned()),
                None if self.download.wait_for("data:") => Ok(()),
                None => Err("cut late".to_owned()),
            },
            Thing::Certificate => match self.certified.get(&host("wiki"), "/") {
                Some(answer) => told(&answer),
                None => Err("closed".to_owned()),
            },
        }
    }

    /// The id of the session by the device that is still the first.
    fn first_session(&self) -> String {
        let sessions = self
            .demo
            .admin("GET", &format!("/api/v1/users/{}/sessions", self.user), None)
            .json();
        let of_device = |session: &&Value| {
            session["origin"]["device"] == self.device.enrolled["device"]
                && session["factors"].as_array().is_some_and(|factors| factors.len() == 1)
        };
        let session = sessions.as_array().unwrap().iter().find(of_device);
        let session = session.unwrap_or_else(|| panic!("no session by the device in {sessions}"));
        session["id"].as_str().unwrap().to_owned()
    }

    fn admin(&self, method: &str, path: &str, body: Option<&str>) -> Instant {
        let answer = self.demo.admin(method, path, body);
        let answered = Instant::now();
        assert_eq!(answer.status, 204, "{method} {path}: {}", answer.text());
        answered
    }

    fn asks(&self, app: &str, browser: &Visitor<'_>) -> Result<(), String> {
        let field = format!("Cookie: {}", cookie(browser, app));
        told(&self.demo.curl(NOBODY, &self.demo.url(app, "/"), &["-H", &field]).answer)
    }

    fn answers(&mut self) -> Result<(), String> {
        let (browser, challenge) = &mut self.challenged;
        let claims = self.device.answer(self.demo, &challenge.claims);
        let given = self.device.give(self.demo, &challenge.claims, &claims);
        let finished = browser.finish(challenge);
        match (given.status, finished.status) {
            (200, 200) => {
                open(browser.follow_next(finished).answer);
                Ok(())
            }
            (200, status) => Err(format!("taken, but {status}: {}", finished.text())),
            (_, 200) => Err("refused, and yet signed in".to_owned()),
            (status, _) => Err(format!("{status} {}", given.json()["errorCode"].as_str().unwrap())),
        }
    }
}

fn enrolled(demo: &Demo, user: &str, kind: &str, shared: Option<&Device>) -> Device {
    let mut device = Device::default();
    if let Some(shared) = shared {
        device.instance = shared.instance.clone();
    }
    let token = demo.enrollment_token(user);
    device.enroll(demo, &token, &format!("{user}-{kind}"));
    device
}

/// A push that was sent, and the number that the browser shows.
fn pushed(demo: &Demo, user: &str, stream: &Stream) -> (Value, Option<String>) {
    let mut browser = Visitor::new(demo);
    let page = browser.push_page_after_password(user);
    let waiting = browser.ask_others(&page);
    (stream.push(), waiting.number)
}

/// A browser at the sign-in that has got a challenge.
fn challenge<'a>(demo: &'a Demo, url: &str) -> (Visitor<'a>, Challenge) {
    let mut browser = Visitor::new(demo);
    let page = browser.open(url);
    let challenge = browser.challenge(&page, json!({ "verify": false }));
    (browser, challenge)
}

/// The same browser once more at the application, as if it had lost the cookie there, up to the code.
fn code_in_flight<'a>(browser: &Visitor<'a>, url: &str) -> (Visitor<'a>, String) {
    let mut again = browser.copy();
    again.jar.remove(&host("wiki"), crate::visitor::SESSION);
    let mut page = again.get(url);
    loop {
        let location = page.location();
        let location = location.unwrap_or_else(|| panic!("no code at {}: {}", page.url, page.text()));
        if location.contains("/.latchkey/session?code=") {
            return (again, location);
        }
        page = again.get(&location);
    }
}

fn socket(demo: &Demo, cookie: &str) -> Socket {
    let origin = demo.url("wiki", "");
    let fields = [("cookie", cookie), ("origin", origin.as_str())];
    let config = demo.tls(NOBODY, &["http/1.1"]);
    let opened = Socket::open_with(demo.address(), &host("wiki"), "/ws", config, &fields);
    opened.unwrap_or_else(|status| panic!("the WebSocket was refused with {status}"))
}

fn download(demo: &Demo, cookie: &str) -> RawClient {
    let mut client = demo.raw(NOBODY, "wiki");
    client.send(format!("GET /events HTTP/1.1\r\nHost: wiki.localhost\r\nCookie: {cookie}\r\n\r\n").as_bytes());
    assert!(client.wait_for("data:"), "an event");
    client
}

fn cookie(browser: &Visitor<'_>, app: &str) -> String {
    let secret = browser.jar.session(app).expect("a session");
    format!("{}={secret}", crate::visitor::SESSION)
}

/// SHA-256 of the leaf in lower-case hex.
fn fingerprint(pem: &Value) -> String {
    let leaf = CertificateDer::from_pem_slice(pem.as_str().unwrap().as_bytes()).unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, &leaf);
    digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

fn open(answer: Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn told(answer: &Answer) -> Result<(), String> {
    match answer.status {
        200 => Ok(()),
        _ => Err(answer.code()),
    }
}
