//! What does somebody see who comes with a browser, as far as a browser is cookies, redirects, links and forms?

mod jar;
mod page;
mod sign_in;

use std::collections::HashMap;
use std::fmt::Write;
use std::net::IpAddr;

use url::Url;

pub use self::jar::{BINDING, BROWSER, Jar, SESSION};
pub use self::page::Page;
pub use self::sign_in::Challenge;
use crate::answer::Answer;
use crate::demo::Demo;
use crate::process::loopback;
use crate::raw::RawClient;
use crate::tls;
use crate::websocket::Socket;

/// A client with cookies that keeps a connection to every host it was at, and writes down all that it sent.
pub struct Visitor<'a> {
    demo: &'a Demo,
    /// From which address of this machine it comes.
    source: Option<IpAddr>,
    /// With which device's certificate.
    certificate: Option<String>,
    /// What it keeps of cookies.
    pub jar: Jar,
    connections: HashMap<String, RawClient>,
    history: Vec<(String, Page)>,
}

/// Who caused a request, as a browser would say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initiator {
    /// A person, in the address bar, or a link or form of the same origin.
    Person,
    /// A script on a page of the same origin.
    Script,
}

impl<'a> Visitor<'a> {
    /// One without a cookie.
    pub fn new(demo: &'a Demo) -> Self {
        Self {
            demo,
            source: None,
            certificate: None,
            jar: Jar::default(),
            connections: HashMap::new(),
            history: Vec::new(),
        }
    }

    /// The same from another address of this machine.
    pub fn from(self, source: &str) -> Self {
        Self {
            source: Some(source.parse().unwrap()),
            ..self
        }
    }

    /// The same with a device's certificate.
    pub fn with_certificate(self, device: &str) -> Self {
        Self {
            certificate: Some(device.to_owned()),
            ..self
        }
    }

    /// Somebody else who has come by all of the cookies, on connections of their own.
    pub fn copy(&self) -> Self {
        Self {
            jar: self.jar.clone(),
            ..Self::new(self.demo)
        }
    }

    /// The gateway that is visited.
    pub fn demo(&self) -> &'a Demo {
        self.demo
    }

    /// The WebSocket of a page of this application's in this browser.
    ///
    /// # Errors
    /// The status that was answered instead of 101.
    pub fn socket(&self, app: &str) -> Result<Socket, u16> {
        self.socket_from(app, &self.demo.url(app, ""))
    }

    /// The same at this path.
    ///
    /// # Errors
    /// The status that was answered instead of 101.
    pub fn socket_at(&self, app: &str, path: &str) -> Result<Socket, u16> {
        self.open_socket(app, path, &self.demo.url(app, ""))
    }

    /// The same of a page of another origin.
    ///
    /// # Errors
    /// The status that was answered instead of 101.
    pub fn socket_from(&self, app: &str, origin: &str) -> Result<Socket, u16> {
        self.open_socket(app, "/ws", origin)
    }

    fn open_socket(&self, app: &str, path: &str, origin: &str) -> Result<Socket, u16> {
        let host = crate::demo::host(app);
        let cookies = self.jar.field(&host).unwrap_or_default();
        let config = self.demo.tls(self.certificate.as_deref(), &["http/1.1"]);
        let fields = [("origin", origin), ("cookie", cookies.as_str())];
        Socket::open_with(self.demo.address(), &host, path, config, &fields)
    }

    /// Every request so far, head and body, and its answer.
    pub fn history(&self) -> &[(String, Page)] {
        &self.history
    }

    /// Opens a page, and goes wherever it sends to.
    pub fn open(&mut self, url: &str) -> Page {
        let page = self.get(url);
        self.follow(page)
    }

    /// Asks for a page and goes nowhere else.
    pub fn get(&mut self, url: &str) -> Page {
        self.ask("GET", url, Initiator::Person, &[], "")
    }

    /// Goes wherever an answer sends to, until none does.
    ///
    /// # Panics
    /// When it goes round.
    pub fn follow(&mut self, page: Page) -> Page {
        let mut page = page;
        for _ in 0..MOST_REDIRECTS {
            let Some(location) = page.location() else { return page };
            page = self.get(&location);
        }
        panic!("sent round and round: {:?}", page.answer)
    }

    /// Fills the form of a page in and sends it, with what is hidden in it; goes nowhere else.
    pub fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let form = page
            .form()
            .unwrap_or_else(|| panic!("no form at {}: {}", page.url, page.text()));
        let url = page.absolute(&form.action);
        let hidden = form.hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = hidden.chain(fields.iter().copied()).collect();
        self.post_form(&url, &all)
    }

    /// Sends a form to an address.
    pub fn post_form(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let origin = origin_of(url);
        let fields = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Origin", origin.as_str()),
        ];
        self.ask("POST", url, Initiator::Person, &fields, &body)
    }

    /// Sends JSON as a script of the same origin does.
    pub fn post_json(&mut self, url: &str, body: &serde_json::Value) -> Page {
        let origin = origin_of(url);
        let fields = [("Content-Type", "application/json"), ("Origin", origin.as_str())];
        self.ask("POST", url, Initiator::Script, &fields, &body.to_string())
    }

    /// Asks with these further fields and this body; what the answer sets is kept.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn ask(&mut self, method: &str, url: &str, by: Initiator, fields: &[(&str, &str)], body: &str) -> Page {
        let place = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        let host = place.host_str().unwrap_or_default().to_owned();
        let port = place.port_or_known_default().unwrap_or_default();
        assert_eq!(place.scheme(), "https", "{url}");
        let mut request = format!(
            "{method} {} HTTP/1.1\r\nHost: {host}:{port}\r\n",
            &place[url::Position::BeforePath..url::Position::AfterQuery],
        );
        for (name, value) in by.fields().iter().chain(fields) {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        if let Some(cookies) = self.jar.field(&host) {
            let _ = write!(request, "Cookie: {cookies}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            let _ = write!(request, "Content-Length: {}\r\n", body.len());
        }
        let _ = write!(request, "\r\n{body}");
        let answer = self.exchange(&host, port, &request);
        self.jar.take(&host, &answer);
        let page = Page {
            url: url.to_owned(),
            answer,
        };
        self.history.push((request, page.clone()));
        page
    }

    /// Sends it on the connection to this host; on a new one where the one that was kept has ended.
    fn exchange(&mut self, host: &str, port: u16, request: &str) -> Answer {
        let place = format!("{host}:{port}");
        if let Some(kept) = self.connections.get_mut(&place) {
            kept.send(request.as_bytes());
            if let Some(answer) = kept.answer() {
                return self.done(&place, answer);
            }
        }
        let config = self.demo.tls(self.certificate.as_deref(), &["http/1.1"]);
        let connection = tls::connect_from(self.source, loopback(port), host, config).unwrap();
        let mut client = RawClient::on(connection);
        client.send(request.as_bytes());
        let answer = client.answer();
        self.connections.insert(place.clone(), client);
        let answer = answer.unwrap_or_else(|| panic!("no answer to {request}"));
        self.done(&place, answer)
    }

    fn done(&mut self, place: &str, answer: Answer) -> Answer {
        if answer.header("connection") == Some("close") {
            self.connections.remove(place);
        }
        answer
    }
}

impl Initiator {
    fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Person => &[
                ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
                ("Sec-Fetch-Site", "same-origin"),
                ("Sec-Fetch-Mode", "navigate"),
                ("Sec-Fetch-Dest", "document"),
                ("User-Agent", USER_AGENT),
            ],
            Self::Script => &[
                ("Accept", "*/*"),
                ("Sec-Fetch-Site", "same-origin"),
                ("Sec-Fetch-Mode", "cors"),
                ("Sec-Fetch-Dest", "empty"),
                ("User-Agent", USER_AGENT),
            ],
        }
    }
}

/// The origin of a URL.
pub fn origin_of(url: &str) -> String {
    Url::parse(url).unwrap().origin().ascii_serialization()
}

const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0";
const MOST_REDIRECTS: usize = 12;
