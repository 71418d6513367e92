//! How does the gateway read what strangers and files say? What fuzz targets (`tests/fuzz`) call; no interface of anything.

use std::net::IpAddr;
use std::path::Path;

use directory::SecretHash;
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use pingora::http::RequestHeader;

use crate::config::{self, ConfigErrors, PathOptions, Spelling};
use crate::cookies::Cookie;
use crate::front::{self, FrameTracker};
use crate::request;

/// What of a request target is let through that applications read differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leniency {
    /// `%2f` in a path.
    pub encoded_slashes: bool,
    /// `;` in a path.
    pub path_parameters: bool,
    /// Whether paths are the same whatever their case.
    pub case_insensitive: bool,
}

/// A request target that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its path, as it is forwarded.
    pub path: String,
    /// The path that rules are matched against.
    pub matched: String,
}

/// Reads a request target; nothing where it is refused.
pub fn read_target(target: &[u8], leniency: Leniency) -> Option<Target> {
    let spelling = |pass| if pass { Spelling::Pass } else { Spelling::Refuse };
    let options = PathOptions {
        encoded_slashes: spelling(leniency.encoded_slashes),
        path_parameters: spelling(leniency.path_parameters),
        case_insensitive: leniency.case_insensitive,
    };
    let path = request::check_target(target, options).ok()?;
    Some(Target {
        path: path.to_owned(),
        matched: request::matched_path(path, options),
    })
}

/// A field of a request's head.
pub type Field = (String, Vec<u8>);

/// The head of a request, as Pingora hands it on.
#[derive(Debug)]
pub struct Head(RequestHeader);

impl Head {
    /// A head; nothing where HTTP has none such.
    pub fn new(method: &str, target: &[u8], fields: &[Field]) -> Option<Self> {
        let mut head = RequestHeader::build(method, target, None).ok()?;
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            head.append_header(name, HeaderValue::from_bytes(value).ok()?).ok()?;
        }
        Some(Self(head))
    }

    /// The host that it names, and how it was written; nothing where it names none or several.
    pub fn host(&self) -> Option<(String, String)> {
        request::host_of(&self.0)
    }

    /// The target in origin-form, seen from this authority.
    pub fn origin_form(&self, authority: &str) -> Option<&[u8]> {
        request::origin_form(self.0.raw_path(), authority)
    }

    /// Where the client is, as far as these proxies say.
    ///
    /// # Errors
    /// If what they say cannot be read.
    pub fn source(&self, peer: IpAddr, proxies: &[IpNet]) -> Result<IpAddr, Unreadable> {
        request::source(peer, &self.0.headers, proxies).map_err(|_| Unreadable)
    }

    /// What is kept of the secret in its session cookie.
    ///
    /// # Errors
    /// If there are several, or it is none of ours.
    pub fn session(&self) -> Result<Option<SecretHash>, Unreadable> {
        let secret = Cookie::Session.read(&self.0.headers).map_err(|_| Unreadable)?;
        Ok(secret.map(|secret| secret.hash()))
    }

    /// Takes out what does not go on to an application.
    pub fn strip(&mut self) {
        let websocket = request::is_websocket(&self.0);
        request::drop_nominated(&mut self.0, websocket);
        request::strip(&mut self.0);
    }

    /// All of its fields.
    pub fn fields(&self) -> Vec<Field> {
        let fields = self.0.headers.iter();
        fields
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect()
    }
}

/// Whether an application may not set the cookie of this `Set-Cookie`: it has one of our names.
pub fn sets_our_cookie(value: &[u8]) -> bool {
    HeaderValue::from_bytes(value).is_ok_and(|value| request::sets_our_cookie(&value))
}

/// Something that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// What is wrong with a configuration: the line, the key and the message.
pub type ConfigProblem = (usize, String, String);

/// Reads and checks a configuration file as a start does.
///
/// # Errors
/// With all that is wrong with it; with nothing where there is no such file.
pub fn read_configuration(file: &Path) -> Result<(), Vec<ConfigProblem>> {
    match config::load(file) {
        Ok(_) => Ok(()),
        Err(ConfigErrors::Unreadable { .. }) => Err(Vec::new()),
        Err(ConfigErrors::Refused { problems, .. }) => Err(problems
            .into_iter()
            .map(|problem| (problem.line, problem.key, problem.message))
            .collect()),
    }
}

/// Reads a header of the PROXY protocol: whom it names, and how many octets it took.
///
/// # Errors
/// If there is none, or it names nobody.
pub fn read_proxy_header(mut octets: &[u8]) -> Result<(Option<IpAddr>, usize), Unreadable> {
    let whole = octets.len();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|_| Unreadable)?;
    let named = runtime.block_on(front::read_proxy_header(&mut octets));
    named.map(|named| (named, whole - octets.len())).map_err(|_| Unreadable)
}

/// Follows the frames of a WebSocket.
#[derive(Debug, Default)]
pub struct Frames(FrameTracker);

impl Frames {
    /// From the head of the `101` on.
    pub fn begin() -> Self {
        let mut tracker = FrameTracker::default();
        tracker.begin();
        Self(tracker)
    }

    /// Takes note of bytes that were written.
    pub fn wrote(&mut self, bytes: &[u8]) {
        self.0.wrote(bytes);
    }

    /// Whether a close frame may be written now.
    pub fn at_boundary(&self) -> bool {
        self.0.at_boundary()
    }
}
