//! What becomes of a request that may pass: where does it go, how large may it be, and how long may it take?

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode, Uri};

use super::check::Checker;
use super::paths::{PathRule, PathTree};
use super::raw::RawPath;
use super::upstream::{LONGEST, SHORTEST};
use super::values::{Expected, duration, limit, number};

/// How the requests to some paths of an application are treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Treatment {
    /// The largest request body in bytes; absent for no limit.
    pub(crate) body_limit: Option<u64>,
    /// How many octets of a body have to come each second, on an average and after a while; absent for no limit.
    pub(crate) body_rate: Option<u64>,
    /// How long a server may be silent while an answer is due.
    pub(crate) read_timeout: Duration,
    /// How long a server may take no more of a request.
    pub(crate) write_timeout: Duration,
    /// How long a request may take, from its head to the last of its answer; absent for no limit.
    pub(crate) total_timeout: Option<Duration>,
    /// Where it goes.
    pub(crate) way: Way,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the application, under the path that it has.
    Straight,
    /// To the application, under another path.
    Rewritten(Moved),
    /// Back to the client, who is told another place.
    Redirected {
        /// Which.
        to: Moved,
        /// With which status: 301, 302, 303, 307 or 308 (RFC 9110, section 15.4).
        status: StatusCode,
    },
}

/// The new place of a path, or of a tree of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    from: PathRule,
    /// What takes the place of what `from` names; without the slash at the end of a tree's.
    to: String,
}

impl Moved {
    /// The new place of a path with its query, or nothing if the path does not begin as the rule is written: then servers
    /// may read it otherwise than the rules do, and what follows the beginning is unknown.
    pub(crate) fn place(&self, path: &str, target: &str, fold_case: bool) -> Option<String> {
        let query = target.get(path.len()..)?;
        let rest = match &self.from {
            PathRule::Exact(_) => self.from.covers(path, fold_case).then_some("")?,
            PathRule::Tree(tree) => tree.rest(path, fold_case)?,
        };
        let root = if self.to.is_empty() && rest.is_empty() { "/" } else { "" };
        Some(format!("{}{root}{rest}{query}", self.to))
    }
}

/// The treatments of an application: its usual one, and those of some of its paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Treatments {
    usual: Arc<Treatment>,
    /// The one that names most of a path first.
    particular: Vec<(PathRule, Arc<Treatment>)>,
}

impl Treatments {
    /// How a request for this path is treated.
    pub(crate) fn of(&self, matched_path: &str, fold_case: bool) -> &Arc<Treatment> {
        let found = (self.particular.iter()).find(|(rule, _)| rule.covers(matched_path, fold_case));
        found.map_or(&self.usual, |(_, treatment)| treatment)
    }

    /// The same for all paths but those that `raw` names.
    pub(super) fn check(usual: Treatment, raw: &[RawPath], key: &str, checker: &mut Checker<'_>) -> Option<Self> {
        let read = raw.iter().enumerate().map(|(index, raw)| {
            let key = format!("{key}[{index}]");
            let rule = checker.value(&format!("{key}.path"), &raw.path, PathRule::parse)?;
            let treatment = check_path(raw, &rule, &usual, &key, checker)?;
            Some((rule, Arc::new(treatment)))
        });
        let read: Vec<_> = read.collect();
        check_once(raw, key, checker);
        let mut particular = read.into_iter().collect::<Option<Vec<_>>>()?;
        particular.sort_by_key(|(rule, _)| std::cmp::Reverse((rule.root().len(), matches!(rule, PathRule::Exact(_)))));
        Some(Self {
            usual: Arc::new(usual),
            particular,
        })
    }
}

/// Refuses what is said of a path again.
fn check_once(raw: &[RawPath], key: &str, checker: &mut Checker<'_>) {
    let rules: Vec<_> = raw.iter().map(|raw| PathRule::parse(&raw.path).ok()).collect();
    for (index, (raw, rule)) in raw.iter().zip(&rules).enumerate() {
        if rule.is_some() && rules.iter().take(index).any(|earlier| earlier == rule) {
            let message = format!("expected each path once, found `{}` again", raw.path);
            checker.refuse(&format!("{key}[{index}].path"), message);
        }
    }
}

/// What a path does not say is as usual.
fn check_path(
    raw: &RawPath,
    rule: &PathRule,
    usual: &Treatment,
    key: &str,
    checker: &mut Checker<'_>,
) -> Option<Treatment> {
    let at = |name: &str| format!("{key}.{name}");
    let body_limit = match &raw.body_limit {
        Some(text) => checker.value(&at("body_limit"), text, limit),
        None => Some(usual.body_limit),
    };
    let body_rate = match &raw.body_rate {
        Some(text) => checker.value(&at("body_rate"), text, limit),
        None => Some(usual.body_rate),
    };
    let mut time = |name: &str, text: &Option<String>, usual: Duration| match text {
        Some(text) => checker.value(&at(name), text, duration(SHORTEST..=LONGEST)),
        None => Some(usual),
    };
    let read_timeout = time("read_timeout", &raw.read_timeout, usual.read_timeout);
    let write_timeout = time("write_timeout", &raw.write_timeout, usual.write_timeout);
    let total_timeout = match &raw.total_timeout {
        Some(text) => checker.value(&at("total_timeout"), text, total_timeout),
        None => Some(usual.total_timeout),
    };
    let way = check_way(raw, rule, key, checker);
    Some(Treatment {
        body_limit: body_limit?,
        body_rate: body_rate?,
        read_timeout: read_timeout?,
        write_timeout: write_timeout?,
        total_timeout: total_timeout?,
        way: way?,
    })
}

fn check_way(raw: &RawPath, rule: &PathRule, key: &str, checker: &mut Checker<'_>) -> Option<Way> {
    let at = |name: &str| format!("{key}.{name}");
    if raw.redirect_status.is_some() && raw.redirect.is_none() {
        let message = "expected only with `redirect`".to_owned();
        checker.refuse(&at("redirect_status"), message);
    }
    let moved = |to: String| Moved { from: rule.clone(), to };
    match (&raw.rewrite, &raw.redirect) {
        (None, None) => Some(Way::Straight),
        (Some(to), None) => {
            let to = checker.value(&at("rewrite"), to, |text| new_path(text, rule))?;
            Some(Way::Rewritten(moved(to)))
        }
        (None, Some(to)) => {
            let to = checker.value(&at("redirect"), to, |text| new_place(text, rule));
            let status = raw.redirect_status.as_deref().unwrap_or("308");
            let status = checker.value(&at("redirect_status"), status, redirect_status);
            Some(Way::Redirected {
                to: moved(to?),
                status: status?,
            })
        }
        (Some(_), Some(_)) => {
            let message = "expected either `rewrite` or `redirect`".to_owned();
            checker.refuse(&at("redirect"), message);
            None
        }
    }
}

/// A path for a path, a tree for a tree.
fn new_path(text: &str, rule: &PathRule) -> Result<String, Expected> {
    match (PathRule::parse(text)?, rule) {
        (PathRule::Exact(path), PathRule::Exact(_)) => Ok(path),
        (PathRule::Tree(_), PathRule::Exact(_)) if text == "/" => Ok(text.to_owned()),
        (PathRule::Tree(tree), PathRule::Tree(_)) => Ok(tree.prefix().to_owned()),
        (_, PathRule::Exact(_)) => Err(Expected::new("a single path such as /new, because `path` is one")),
        (_, PathRule::Tree(_)) => Err(Expected::new(
            "a path such as /new/, because `path` ends in a slash too",
        )),
    }
}

/// The same on this host, or on another one.
fn new_place(text: &str, rule: &PathRule) -> Result<String, Expected> {
    let Some(rest) = text.strip_prefix("https://") else {
        return match text.starts_with('/') {
            true => new_path(text, rule),
            false => Err(Expected::new(
                "a path such as /new/, or a place such as https://www.example.com/new/",
            )),
        };
    };
    let expected = || Expected::new("a place such as https://www.example.com/new/");
    let (authority, path) = rest.split_at(rest.find('/').ok_or_else(expected)?);
    let uri: Uri = text.parse().map_err(|_| expected())?;
    let is_plain = !authority.contains('@') && uri.authority().is_some_and(|of_uri| of_uri == authority);
    // What a client is told must be one header value whatever is added to it.
    if !is_plain || HeaderValue::from_str(text).is_err() {
        return Err(expected());
    }
    Ok(format!("https://{authority}{}", new_path(path, rule)?))
}

fn redirect_status(text: &str) -> Result<StatusCode, Expected> {
    let status = number(301..=308)(text)
        .ok()
        .filter(|status| [301, 302, 303, 307, 308].contains(status));
    status
        .and_then(|status: u16| StatusCode::from_u16(status).ok())
        .ok_or_else(|| Expected::new("301, 302, 303, 307 or 308"))
}

/// Reads a duration, or `none` for no limit.
pub(super) fn total_timeout(text: &str) -> Result<Option<Duration>, Expected> {
    match text {
        "none" => Ok(None),
        _ => duration(SHORTEST..=24 * LONGEST)(text)
            .map(Some)
            .map_err(|Expected(what)| Expected(format!("{what}, or `none` for no limit"))),
    }
}

impl PathTree {
    /// What follows the tree's root in a path that it covers: nothing, or what begins with a slash.
    fn rest<'a>(&self, path: &'a str, fold_case: bool) -> Option<&'a str> {
        self.covers(path, fold_case).then(|| path.get(self.prefix().len()..))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(from: &str, to: &str) -> Moved {
        let from = PathRule::parse(from).unwrap();
        let to = new_place(to, &from).unwrap();
        Moved { from, to }
    }

    fn place(moved: &Moved, target: &str) -> Option<String> {
        moved.place(target.split('?').next().unwrap(), target, false)
    }

    #[test]
    fn a_tree_moves_with_all_that_is_below_it_and_with_its_query() {
        let cases = [
            ("/old/", "/new/", "/old", Some("/new")),
            ("/old/", "/new/", "/old/", Some("/new/")),
            ("/old/", "/new/", "/old/a/b?c=/old/", Some("/new/a/b?c=/old/")),
            ("/old/", "/", "/old", Some("/")),
            ("/old/", "/", "/old?x", Some("/?x")),
            ("/old/", "/", "/old/a", Some("/a")),
            ("/", "/new/", "/", Some("/new/")),
            ("/", "/new/", "/a", Some("/new/a")),
            ("/old/", "https://b.example/", "/old", Some("https://b.example")),
            (
                "/old/",
                "https://b.example:444/n/",
                "/old/a?b",
                Some("https://b.example:444/n/a?b"),
            ),
            ("/old/", "/new/", "/older", None),
            ("/old", "/new", "/old?a", Some("/new?a")),
            ("/old", "/", "/old", Some("/")),
            ("/old", "/new", "/old/", None),
        ];
        for (from, to, target, expected) in cases {
            assert_eq!(
                place(&moved(from, to), target).as_deref(),
                expected,
                "{from} to {to}: {target}"
            );
        }
    }

    /// `matched` cuts parameters and decodes `%2f`; a path that only then begins like the rule has no clear rest.
    #[test]
    fn what_begins_otherwise_than_the_rule_is_written_is_not_moved() {
        let moved = moved("/old/", "/new/");
        for target in ["/old;x=1/a", "/%6fld/a", "/OLD/a"] {
            assert_eq!(place(&moved, target), None, "{target}");
        }
        assert_eq!(moved.place("/OLD/a", "/OLD/a?b", true).as_deref(), Some("/new/a?b"));
    }
}
