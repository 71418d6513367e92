//! Which application stands behind the gateway, and what is particular about it?

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::Checker;
use super::headers::{HeaderRules, header_name, header_value};
use super::hosts::HostPattern;
use super::limits::Limits;
use super::paths::{PathRule, PathTree};
use super::raw::{RawApplication, RawHeaderRules};
use super::treatment::{Treatment, Treatments, Way, total_timeout};
use super::upstream::{Protocol, Upstream};
use super::values::{label, limit, name, number, one_of, origin};

/// One protected application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Application {
    /// What policies, tokens and the decision log call it.
    pub(crate) name: String,
    /// The hosts that it answers to.
    pub(crate) hosts: Vec<HostPattern>,
    /// The parts of those hosts that are its own.
    pub(crate) path_prefixes: Vec<PathTree>,
    /// Whether its hosts ask for a client certificate; the same for all applications of a host.
    pub(crate) client_certificate: ClientCertificate,
    /// The servers behind it.
    pub(crate) upstream: Upstream,
    /// How requests that may pass are treated.
    pub(crate) treatments: Treatments,
    /// Paths that anybody may reach, unknown or not.
    pub(crate) public_paths: Vec<PathRule>,
    /// What is done to request headers on their way to the server.
    pub(crate) request_headers: HeaderRules,
    /// What is done to response headers on their way back.
    pub(crate) response_headers: HeaderRules,
    /// What its answers carry unless they say otherwise.
    pub(crate) security_headers: SecurityHeaders,
    /// The application groups that it is in.
    pub(crate) groups: Vec<String>,
    /// What else policies may know of it.
    pub(crate) tags: BTreeMap<String, String>,
    /// How much is at stake, 0 to 3: the highest of all applications that it shares a host with.
    pub(crate) sensitivity: u8,
    /// Foreign origins whose pages may write to it.
    pub(crate) allowed_origins: Vec<String>,
    /// How its paths are read; the same for all applications of a host.
    pub(crate) paths: PathOptions,
}

impl Application {
    /// How a request for this path is treated if it may pass.
    pub(crate) fn treatment(&self, matched_path: &str) -> &Arc<Treatment> {
        self.treatments.of(matched_path, self.paths.case_insensitive)
    }

    /// Whether requests can go to it from here; otherwise only proxies of others ask about it.
    pub(crate) fn is_served_here(&self) -> bool {
        !self.upstream.servers.is_empty()
    }

    /// Whether anybody may reach this path.
    pub(crate) fn is_public(&self, path: &str) -> bool {
        self.public_paths
            .iter()
            .any(|rule| rule.covers(path, self.paths.case_insensitive))
    }
}

/// Whether a host asks for a client certificate in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientCertificate {
    /// It does not ask.
    Off,
    /// It asks, and goes on without one.
    Optional,
    /// It asks, and ends the handshake without one.
    Required,
}

impl ClientCertificate {
    /// The word that the configuration has for it.
    pub(super) fn as_str(self) -> &'static str {
        CLIENT_CERTIFICATES
            .iter()
            .find(|(_, mode)| *mode == self)
            .map_or("", |(word, _)| word)
    }
}

/// Whether answers get the header fields that make browsers careful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecurityHeaders {
    /// Where the application does not set them itself: TLS from now on, no guessing of types.
    Add,
    /// They go as they came.
    Leave,
}

/// How the paths of a host are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PathOptions {
    /// `%2f` in a path.
    pub(crate) encoded_slashes: Spelling,
    /// `;` in a path.
    pub(crate) path_parameters: Spelling,
    /// Whether upper and lower case are the same where paths are matched.
    pub(crate) case_insensitive: bool,
}

/// What becomes of a spelling that servers disagree about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// The request is refused.
    Refuse,
    /// It goes to the application as it is.
    Pass,
}

impl Application {
    pub(super) fn check(raw: &RawApplication, key: &str, limits: &Limits, checker: &mut Checker<'_>) -> Option<Self> {
        let at = |name: &str| format!("{key}.{name}");
        let name = checker.value(&at("name"), &raw.name, name);
        let hosts = checker.some(&at("hosts"), &raw.hosts, HostPattern::parse);
        let path_prefixes = match &raw.path_prefixes {
            Some(prefixes) => checker.some(&at("path_prefixes"), prefixes, PathTree::parse),
            None => checker.some(&at("path_prefixes"), &["/".to_owned()], PathTree::parse),
        };
        let client_certificate = raw.client_certificate.as_deref().unwrap_or("optional");
        let client_certificate = checker.value(
            &at("client_certificate"),
            client_certificate,
            one_of(&CLIENT_CERTIFICATES),
        );
        let upstream = Upstream::check(raw.upstream.as_ref(), &at("upstream"), checker);
        let treatments = upstream.as_ref();
        let treatments = treatments.and_then(|upstream| check_treatments(raw, key, limits, upstream, checker));
        let paths = check_paths(raw, key, checker);
        let public_paths = checker.all(&at("public_paths"), &raw.public_paths, PathRule::parse);
        if let (Some(prefixes), Some(paths)) = (&path_prefixes, paths) {
            let mut own = |rule: &PathRule, key: &str| check_own(rule, prefixes, paths, key, checker);
            for (index, rule) in public_paths.iter().flatten().enumerate() {
                own(rule, &at(&format!("public_paths[{index}]")));
            }
            for (index, rule) in (raw.paths.iter()).enumerate() {
                if let Ok(rule) = PathRule::parse(&rule.path) {
                    own(&rule, &at(&format!("paths[{index}].path")));
                }
            }
        }
        let request_headers = check_headers(&raw.request_headers, &at("request_headers"), checker);
        let response_headers = check_headers(&raw.response_headers, &at("response_headers"), checker);
        let security_headers = raw.security_headers.as_deref().unwrap_or("add");
        let security_headers = checker.value(&at("security_headers"), security_headers, one_of(&SECURITY_HEADERS));
        let groups = checker.all(&at("groups"), &raw.groups, label);
        let tags = check_tags(&raw.tags, &at("tags"), checker);
        let sensitivity = raw.sensitivity.as_deref().unwrap_or("1");
        let sensitivity = checker.value(&at("sensitivity"), sensitivity, number(0..=3));
        let allowed_origins = checker.all(&at("allowed_origins"), &raw.allowed_origins, origin);
        Some(Self {
            name: name?,
            hosts: hosts?,
            path_prefixes: path_prefixes?,
            client_certificate: client_certificate?,
            upstream: upstream?,
            treatments: treatments?,
            public_paths: public_paths?,
            request_headers: request_headers?,
            response_headers: response_headers?,
            security_headers: security_headers?,
            groups: groups?,
            tags: tags?,
            sensitivity: sensitivity?,
            allowed_origins: allowed_origins?,
            paths: paths?,
        })
    }
}

fn check_paths(raw: &RawApplication, key: &str, checker: &mut Checker<'_>) -> Option<PathOptions> {
    let mut spelling = |name: &str, text: &Option<String>| {
        checker.value(
            &format!("{key}.{name}"),
            text.as_deref().unwrap_or("refuse"),
            one_of(&SPELLINGS),
        )
    };
    let encoded_slashes = spelling("encoded_slashes", &raw.encoded_slashes);
    let path_parameters = spelling("path_parameters", &raw.path_parameters);
    Some(PathOptions {
        encoded_slashes: encoded_slashes?,
        path_parameters: path_parameters?,
        case_insensitive: raw.case_insensitive_paths,
    })
}

/// The usual treatment, and those of single paths.
fn check_treatments(
    raw: &RawApplication,
    key: &str,
    limits: &Limits,
    upstream: &Upstream,
    checker: &mut Checker<'_>,
) -> Option<Treatments> {
    let body_limit = match &raw.body_limit {
        Some(text) => checker.value(&format!("{key}.body_limit"), text, limit),
        None => Some(limits.body_limit),
    };
    let body_rate = match &raw.body_rate {
        Some(text) => checker.value(&format!("{key}.body_rate"), text, limit),
        // What is streamed both ways rests for as long as it likes.
        None if upstream.protocol == Protocol::Http2 => Some(None),
        None => Some(limits.body_rate),
    };
    let total = raw.total_timeout.as_deref().unwrap_or("none");
    let total_timeout = checker.value(&format!("{key}.total_timeout"), total, total_timeout);
    // The paths are checked whatever is wrong here.
    let usual = Treatment {
        body_limit: body_limit.flatten(),
        body_rate: body_rate.flatten(),
        read_timeout: upstream.read_timeout,
        write_timeout: upstream.write_timeout,
        total_timeout: total_timeout.flatten(),
        way: Way::Straight,
    };
    let treatments = Treatments::check(usual, &raw.paths, &format!("{key}.paths"), checker);
    (body_limit.is_some() && body_rate.is_some() && total_timeout.is_some()).then_some(treatments?)
}

/// Refuses a path that no request to this application has.
fn check_own(rule: &PathRule, prefixes: &[PathTree], paths: PathOptions, key: &str, checker: &mut Checker<'_>) {
    let is_own = |prefix: &PathTree| prefix.covers(rule.root(), paths.case_insensitive);
    if !prefixes.iter().any(is_own) {
        let message = format!(
            "expected a path below one of this application's, found `{}`",
            rule.root()
        );
        checker.refuse(key, message);
    }
}

fn check_headers(raw: &RawHeaderRules, key: &str, checker: &mut Checker<'_>) -> Option<HeaderRules> {
    let mut set = Vec::new();
    for (name, value) in &raw.set {
        let key = format!("{key}.set.{name}");
        let (name, value) = (
            checker.value(&key, name, header_name),
            checker.value(&key, value, header_value),
        );
        set.push(name.zip(value));
    }
    let remove = checker.all(&format!("{key}.remove"), &raw.remove, header_name);
    Some(HeaderRules {
        set: set.into_iter().collect::<Option<_>>()?,
        remove: remove?,
    })
}

fn check_tags(
    raw: &BTreeMap<String, String>,
    key: &str,
    checker: &mut Checker<'_>,
) -> Option<BTreeMap<String, String>> {
    let mut tags = Vec::new();
    for (name, value) in raw {
        let key = format!("{key}.{name}");
        let (name, value) = (checker.value(&key, name, label), checker.value(&key, value, label));
        tags.push(name.zip(value));
    }
    tags.into_iter().collect()
}

const SECURITY_HEADERS: [(&str, SecurityHeaders); 2] =
    [("add", SecurityHeaders::Add), ("leave", SecurityHeaders::Leave)];

const CLIENT_CERTIFICATES: [(&str, ClientCertificate); 3] = [
    ("off", ClientCertificate::Off),
    ("optional", ClientCertificate::Optional),
    ("required", ClientCertificate::Required),
];

const SPELLINGS: [(&str, Spelling); 2] = [("refuse", Spelling::Refuse), ("pass", Spelling::Pass)];
