//! What is asked, of whom, by whom on the wire? Read once; what can be read in two ways goes no further.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use pingora::http::RequestHeader;
use policies::Action;

use super::assertion::Presented;
use super::denial::{Ambiguity, Denial};
use super::source::source;
use super::target;
use crate::config::{Host, Moved, PathOptions, Spelling, Treatment, Way};
use crate::forward_auth::TrustedProxy;
use crate::front::Connection;
use crate::pages::Place;
use crate::sessions::Grip;
use crate::setup::{Served, Setup};

/// A request that can be read in one way only. The same values are routed, judged, logged and forwarded.
#[derive(Clone)]
pub(crate) struct Arrived {
    /// Names the request in the answer, the logs and towards the application: 128 random bits in hexadecimal.
    pub(crate) id: String,
    /// When its head was read, on the steady clock, to measure with.
    pub(crate) started: Instant,
    /// Where the client is: who connects, or whom a proxy of ours names.
    pub(crate) peer: IpAddr,
    /// The connection it came on; behind a proxy of others the client's with that one.
    pub(crate) connection: Arc<Connection>,
    /// The proxy of others that asks about it and passes it on by itself.
    pub(crate) proxy: Option<Arc<TrustedProxy>>,
    /// The host, in lower case, without a port.
    pub(crate) host: String,
    /// The host as the client wrote it, with its port.
    pub(crate) authority: String,
    /// Who answers there.
    pub(crate) site: Site,
    /// The method.
    pub(crate) method: Method,
    /// Where it goes if it may pass.
    pub(crate) onward: Onward,
    /// How it is treated then; there exactly if it is for an application.
    pub(crate) treatment: Option<Arc<Treatment>>,
    /// The path as received and as forwarded, without the query.
    pub(crate) path: String,
    /// The path that rules are matched against: folded where the application ignores case.
    pub(crate) matched_path: String,
    /// Whether it asks for a WebSocket.
    pub(crate) websocket: bool,
    /// Whether it asks for an event stream, which may be silent for long.
    pub(crate) event_stream: bool,
    /// Whether a person in a browser waits for a page.
    pub(crate) browser: bool,
    /// What Cedar is asked.
    pub(crate) action: Action,
    /// The assertion in its head, once it was verified.
    pub(crate) presented: Option<Presented>,
    /// What its session cookie stands for.
    pub(crate) session: Option<Arc<Grip>>,
    /// The path and query as received.
    pub(crate) target: String,
}

impl Arrived {
    /// Whether it is for the gateway itself although it came to an application's host.
    pub(crate) fn is_reserved(&self) -> bool {
        self.path.starts_with(RESERVED)
    }

    /// The host with the port at which browsers reach it, whatever port a client wrote.
    pub(crate) fn public_authority(&self, setup: &Setup) -> String {
        match self.proxy.as_ref().map(|proxy| proxy.settings.public_port) {
            None => setup.authority_of(&self.host),
            Some(443) => self.host.clone(),
            Some(port) => format!("{}:{port}", self.host),
        }
    }
}

/// Where a request goes that may pass.
#[derive(Clone)]
pub(crate) enum Onward {
    /// To the application as it came.
    AsItCame,
    /// To the application, for this target: what came in absolute-form, or has another path there.
    To(Vec<u8>),
    /// Nowhere: the client is told another place.
    Elsewhere(StatusCode, String),
}

/// Who answers a request.
#[derive(Clone)]
pub(crate) enum Site {
    /// The gateway: sign-in and enrolment.
    Auth,
    /// The gateway: the admin API.
    Admin,
    /// The gateway: devices renew their certificates.
    Device,
    /// The gateway: proxies of others ask what is decided.
    ForwardAuth,
    /// An application.
    Application(Arc<Served>),
}

impl Site {
    /// On whose host a page is that answers.
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Auth => Place::Auth,
            Self::Application(_) => Place::Application,
            Self::Admin | Self::Device | Self::ForwardAuth => Place::Elsewhere,
        }
    }

    /// What the decision log calls it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Auth => "auth",
            Self::Admin => "admin",
            Self::Device => "device",
            Self::ForwardAuth => "forward-auth",
            Self::Application(served) => &served.application.name,
        }
    }
}

/// A request that was refused on arrival: what little is known of it, for the answer and the log.
pub(crate) struct Refused {
    /// Why.
    pub(crate) denial: Denial,
    /// The request's id.
    pub(crate) id: String,
    /// Whether a person in a browser waits for a page.
    pub(crate) browser: bool,
    /// On whose host, as far as it says.
    pub(crate) place: Place,
}

/// Everything that a request is read from.
pub(crate) struct Arrival<'a> {
    /// The parsed head.
    pub(crate) head: &'a RequestHeader,
    /// The first line as it came, for HTTP/1: the parser drops a fragment silently.
    pub(crate) first_line: Option<&'a [u8]>,
    /// The connection.
    pub(crate) connection: &'a Arc<Connection>,
    /// The proxy of others that asks about it.
    pub(crate) proxy: Option<Arc<TrustedProxy>>,
    /// 128 random bits.
    pub(crate) random: u128,
}

impl Arrival<'_> {
    /// Reads the request.
    ///
    /// # Errors
    /// If it can be read in two ways, is not for this place, or was sent by a foreign page.
    pub(crate) fn read(self, setup: &Setup) -> Result<Arrived, Box<Refused>> {
        // A person waits for a page: a navigation, as far as Accept tells.
        let browser = accepts(self.head, "text/html");
        let id = format!("{:032x}", self.random);
        match self.try_read(setup, &id, browser) {
            Ok(arrived) => Ok(arrived),
            Err(denial) => Err(Box::new(Refused {
                denial,
                id,
                browser,
                place: self.place(setup),
            })),
        }
    }

    /// On whose host it is, whatever else is wrong with it.
    fn place(&self, setup: &Setup) -> Place {
        let answering = host_of(self.head).and_then(|(host, _)| setup.config.host(&host));
        match answering {
            Some(Host::Auth) => Place::Auth,
            Some(Host::Applications(_)) => Place::Application,
            Some(Host::Admin | Host::Device | Host::ForwardAuth) | None => Place::Elsewhere,
        }
    }

    fn try_read(&self, setup: &Setup, id: &str, browser: bool) -> Result<Arrived, Denial> {
        let head = self.head;
        let (host, authority) = host_of(head).ok_or(Denial::Ambiguous(Ambiguity::Host))?;
        if self.connection.server_name.as_deref().is_some_and(|name| name != host) {
            return Err(Denial::Misdirected);
        }
        let answering = setup.config.host(&host).ok_or(Denial::Misdirected)?;
        let options = path_options(answering);
        let target = self.target(&authority)?;
        let path = target::check(target, options).map_err(|bad| Denial::Ambiguous(Ambiguity::Target(bad)))?;
        let matched_path = target::matched(path, options);
        if !head
            .method
            .as_str()
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
        {
            return Err(Denial::Ambiguous(Ambiguity::Method));
        }
        // An upstream that implements TRACE would echo the identity it got (RFC 9110, section 9.3.8).
        if head.method == Method::TRACE {
            return Err(Denial::MethodRefused);
        }
        let site = match answering {
            Host::Auth => Site::Auth,
            Host::Admin => Site::Admin,
            Host::Device => Site::Device,
            Host::ForwardAuth => Site::ForwardAuth,
            Host::Applications(routes) => {
                let application = routes.application_for(&matched_path);
                // What is the gateway's own is there whichever paths applications have.
                let application = application.or_else(|| path.starts_with(RESERVED).then(|| routes.first())?);
                let application = application.ok_or(Denial::Misdirected)?;
                // The proxies of others ask about it and pass requests on by themselves: from here there is no way to it.
                if !application.is_served_here() && self.proxy.is_none() && !path.starts_with(RESERVED) {
                    return Err(Denial::Misdirected);
                }
                Site::Application(setup.served(application).ok_or(Denial::Misdirected)?.clone())
            }
        };
        let peer = source(self.connection.peer, &head.headers, &setup.config.proxies.forwarded_for);
        let peer = peer.map_err(|_| Denial::Ambiguous(Ambiguity::Source))?;
        let websocket = is_websocket(head);
        let action = Action::of(head.method.as_str(), websocket);
        let allowed = match &site {
            // Proxies ask with the fields of their clients, and no browser has the certificate of one.
            Site::ForwardAuth => None,
            Site::Application(served) if !path.starts_with(RESERVED) => {
                Some(served.application.allowed_origins.as_slice())
            }
            Site::Application(_) | Site::Auth | Site::Admin | Site::Device => Some(<&[String]>::default()),
        };
        let treatment = match &site {
            Site::Application(served) => Some(served.application.treatment(&matched_path).clone()),
            Site::Auth | Site::Admin | Site::Device | Site::ForwardAuth => None,
        };
        let way = treatment.as_ref().map_or(&Way::Straight, |treatment| &treatment.way);
        let onward = onward(way, path, target, head.raw_path(), options)?;
        if let Some(allowed) = allowed {
            check_origin(&head.headers, allowed, &authority, action)?;
        }
        Ok(Arrived {
            id: id.to_owned(),
            started: Instant::now(),
            peer,
            connection: self.connection.clone(),
            proxy: self.proxy.clone(),
            host,
            authority,
            site,
            method: head.method.clone(),
            onward,
            treatment,
            path: path.to_owned(),
            matched_path,
            websocket,
            event_stream: accepts(head, "text/event-stream"),
            browser,
            action,
            presented: None,
            session: None,
            target: String::from_utf8_lossy(target).into_owned(),
        })
    }

    /// The request target in origin-form; an absolute-form target has to name the same host and gives its rest.
    fn target(&self, authority: &str) -> Result<&[u8], Denial> {
        let fragment = Denial::Ambiguous(Ambiguity::Target(target::BadTarget::Fragment));
        if self.first_line.is_some_and(|line| line.contains(&b'#')) {
            return Err(fragment);
        }
        origin_form(self.head.raw_path(), authority).ok_or(Denial::Misdirected)
    }
}

/// A request target in origin-form: as it is, or the rest of one in absolute-form that names this very authority.
pub(crate) fn origin_form<'a>(target: &'a [u8], authority: &str) -> Option<&'a [u8]> {
    let Some(rest) = target
        .strip_prefix(b"https://")
        .or_else(|| target.strip_prefix(b"http://"))
    else {
        return Some(target);
    };
    rest.strip_prefix(authority.as_bytes())
        .filter(|rest| rest.starts_with(b"/"))
}

/// Whether the request opens a WebSocket (RFC 6455, section 4.1). Other upgrades are not offered.
pub(crate) fn is_websocket(head: &RequestHeader) -> bool {
    let mut upgrades = head.headers.get_all(header::UPGRADE).iter();
    head.method == Method::GET
        && head.version == http::Version::HTTP_11
        && upgrades
            .next()
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && upgrades.next().is_none()
}

/// The one host a request names, canonical, and how the client wrote it.
pub(crate) fn host_of(head: &RequestHeader) -> Option<(String, String)> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let field = hosts.next().map(|value| value.to_str());
    let pseudo = head.uri.authority().map(http::uri::Authority::as_str);
    let authority = match (field, pseudo, hosts.next()) {
        (Some(Ok(field)), None, None) => field,
        (Some(Ok(field)), Some(pseudo), None) if field == pseudo => field,
        (None, Some(pseudo), None) => pseudo,
        _ => return None,
    };
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (authority, None),
    };
    let clean = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' || byte == b'_';
    let named = !name.is_empty() && name.bytes().all(clean) && !name.starts_with('.') && !name.ends_with('.');
    let ported = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    (named && ported).then(|| (name.to_ascii_lowercase(), authority.to_owned()))
}

/// Where a request for this path goes if it may pass.
fn onward(way: &Way, path: &str, target: &[u8], came: &[u8], options: PathOptions) -> Result<Onward, Denial> {
    let moved = |to: &Moved| {
        let target = String::from_utf8_lossy(target);
        let place = to.place(path, &target, options.case_insensitive);
        place.ok_or(Denial::Ambiguous(Ambiguity::Target(target::BadTarget::Moved)))
    };
    Ok(match way {
        // What is ours stays here, whichever paths are moved.
        _ if path.starts_with(RESERVED) => Onward::AsItCame,
        Way::Straight if target == came => Onward::AsItCame,
        Way::Straight => Onward::To(target.to_vec()),
        Way::Rewritten(to) => Onward::To(moved(to)?.into_bytes()),
        Way::Redirected { to, status } => Onward::Elsewhere(*status, moved(to)?),
    })
}

fn path_options(answering: Host<'_>) -> PathOptions {
    match answering {
        Host::Applications(routes) => routes.paths,
        Host::Auth | Host::Admin | Host::Device | Host::ForwardAuth => PathOptions {
            encoded_slashes: Spelling::Refuse,
            path_parameters: Spelling::Refuse,
            case_insensitive: false,
        },
    }
}

/// Refuses unsafe requests and upgrades that a page of another origin sent; a sibling host is another origin.
fn check_origin(headers: &HeaderMap, allowed: &[String], authority: &str, action: Action) -> Result<(), Denial> {
    if action == Action::Read {
        return Ok(());
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = origins.next();
    if origins.next().is_some() {
        return Err(Denial::Ambiguous(Ambiguity::Origin));
    }
    if let Some(origin) = origin {
        let listed = allowed.iter().any(|listed| listed.as_bytes() == origin.as_bytes());
        let own = origin.to_str().is_ok_and(|origin| is_own_origin(origin, authority));
        return if own || listed { Ok(()) } else { Err(Denial::CrossSite) };
    }
    match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Denial::CrossSite),
    }
}

/// Whether an origin is the one that the request itself went to; 443 may be left out on either side.
fn is_own_origin(origin: &str, authority: &str) -> bool {
    let without_default = |authority: &str| {
        let authority = authority.to_ascii_lowercase();
        authority.strip_suffix(":443").map(str::to_owned).unwrap_or(authority)
    };
    origin
        .strip_prefix("https://")
        .is_some_and(|origin| without_default(origin) == without_default(authority))
}

/// Whether Accept names a media type first or among others.
fn accepts(head: &RequestHeader, media_type: &str) -> bool {
    let accepted = head.headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let named = range.split(';').next().unwrap_or_default().trim();
            named.eq_ignore_ascii_case(media_type)
        })
}

/// What on an application's host is the gateway's own.
const RESERVED: &str = "/.latchkey/";

/// Fetch Metadata: who initiated the request.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build("POST", b"/", None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    fn verdict(fields: &[(&'static str, &str)]) -> Result<(), Denial> {
        check_origin(&head(fields).headers, &[], "wiki.localhost:8443", Action::Write)
    }

    /// own origin and no origin pass; foreign, sibling, null and plain-text origins do not.
    #[test]
    fn unsafe_requests_are_taken_from_own_pages_only() {
        assert_eq!(verdict(&[]), Ok(()));
        assert_eq!(verdict(&[("origin", "https://wiki.localhost:8443")]), Ok(()));
        assert_eq!(verdict(&[("sec-fetch-site", "same-origin")]), Ok(()));
        for origin in [
            "https://evil.test",
            "https://payroll.localhost:8443",
            "https://wiki.localhost",
            "http://wiki.localhost:8443",
            "https://wiki.localhost:8443.evil.test",
            "null",
            "",
        ] {
            assert_eq!(verdict(&[("origin", origin)]), Err(Denial::CrossSite), "{origin}");
        }
        for site in ["cross-site", "same-site", "SAME-ORIGIN", ""] {
            assert_eq!(verdict(&[("sec-fetch-site", site)]), Err(Denial::CrossSite), "{site}");
        }
        let twice = [
            ("origin", "https://wiki.localhost:8443"),
            ("origin", "https://evil.test"),
        ];
        assert_eq!(verdict(&twice), Err(Denial::Ambiguous(Ambiguity::Origin)));
    }

    #[test]
    fn the_default_port_may_be_left_out() {
        assert!(is_own_origin("https://wiki.example.com", "wiki.example.com:443"));
        assert!(is_own_origin("https://wiki.example.com:443", "WIKI.example.com"));
        assert!(!is_own_origin("https://wiki.example.com:8443", "wiki.example.com"));
    }

    #[test]
    fn a_host_is_one_clean_name_or_nothing() {
        let of = |fields: &[(&'static str, &str)]| host_of(&head(fields)).map(|(host, _)| host);
        assert_eq!(
            of(&[("host", "Wiki.LOCALHOST:8443")]),
            Some("wiki.localhost".to_owned())
        );
        for bad in [
            "",
            "wiki.localhost.",
            ".wiki",
            "wiki localhost",
            "wiki/",
            "a@b",
            "wiki:",
            "wiki:x",
            "[::1]",
        ] {
            assert_eq!(of(&[("host", bad)]), None, "{bad}");
        }
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("host", "a"), ("host", "a")]), None);
    }

    #[test]
    fn only_a_websocket_is_an_upgrade() {
        let get = |fields: &[(&'static str, &str)]| {
            let mut head = head(fields);
            head.set_method(Method::GET);
            is_websocket(&head)
        };
        assert!(get(&[("upgrade", "WebSocket"), ("connection", "upgrade")]));
        assert!(!get(&[("upgrade", "h2c")]));
        assert!(!get(&[("upgrade", "websocket"), ("upgrade", "h2c")]));
        assert!(!get(&[("upgrade", "websocket, h2c")]));
    }
}
