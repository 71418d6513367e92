//! Who answers at a host and a path? Built once, when the configuration is checked; asked on every request.

use std::collections::HashMap;
use std::sync::Arc;

use super::OwnHosts;
use super::application::{Application, PathOptions};
use super::check::Checker;
use super::hosts::HostPattern;
use super::paths::PathTree;

/// What answers at a host.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Host<'a> {
    /// The gateway's own: sign-in and enrolment.
    Auth,
    /// The gateway's own: the admin API.
    Admin,
    /// The gateway's own: devices renew their certificates.
    Device,
    /// The gateway's own: proxies of others ask what is decided.
    ForwardAuth,
    /// Applications.
    Applications(&'a HostRoutes),
}

/// The applications of one host.
#[derive(Debug)]
pub(crate) struct HostRoutes {
    /// How its paths are read.
    pub(crate) paths: PathOptions,
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Route {
    prefix: PathTree,
    application: Arc<Application>,
}

impl HostRoutes {
    /// The application whose prefix covers most of this path.
    pub(crate) fn application_for(&self, path: &str) -> Option<&Arc<Application>> {
        let covers = |route: &&Route| route.prefix.covers(path, self.paths.case_insensitive);
        self.routes.iter().find(covers).map(|route| &route.application)
    }

    /// One of its applications.
    pub(crate) fn first(&self) -> Option<&Arc<Application>> {
        self.routes.first().map(|route| &route.application)
    }
}

/// All hosts.
#[derive(Debug)]
pub(super) struct Routes {
    applications: Vec<Arc<Application>>,
    auth: String,
    admin: String,
    device: Option<String>,
    forward_auth: Option<String>,
    exact: HashMap<String, HostRoutes>,
    wildcard: HashMap<String, HostRoutes>,
}

impl Routes {
    pub(super) fn applications(&self) -> &[Arc<Application>] {
        &self.applications
    }

    pub(super) fn host(&self, name: &str) -> Option<Host<'_>> {
        if let Some(routes) = self.exact.get(name) {
            return Some(Host::Applications(routes));
        }
        if name == self.auth {
            return Some(Host::Auth);
        }
        if name == self.admin {
            return Some(Host::Admin);
        }
        if self.device.as_deref() == Some(name) {
            return Some(Host::Device);
        }
        if self.forward_auth.as_deref() == Some(name) {
            return Some(Host::ForwardAuth);
        }
        let (_, parent) = name.split_once('.').filter(|(label, _)| !label.is_empty())?;
        self.wildcard.get(parent).map(Host::Applications)
    }

    /// Builds the routes from the applications and their places in the file.
    pub(super) fn check(applications: Vec<(usize, Application)>, own: &OwnHosts, checker: &mut Checker<'_>) -> Self {
        check_own_hosts(&applications, own, checker);
        check_names(&applications, checker);
        check_shared_hosts(&applications, checker);
        let mut applications: Vec<_> = applications.into_iter().map(|(_, application)| application).collect();
        share_sensitivity(&mut applications);
        let applications: Vec<_> = applications.into_iter().map(Arc::new).collect();
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        for application in &applications {
            for host in &application.hosts {
                match host {
                    HostPattern::Exact(name) => add(&mut exact, name.as_str(), application),
                    HostPattern::Wildcard(parent) => add(&mut wildcard, parent.as_str(), application),
                }
            }
        }
        let (auth, admin) = (own.auth.to_string(), own.admin.to_string());
        let device = own.device.as_ref().map(ToString::to_string);
        let forward_auth = own.forward_auth.as_ref().map(ToString::to_string);
        Self {
            applications,
            auth,
            admin,
            device,
            forward_auth,
            exact,
            wildcard,
        }
    }
}

/// Adds an application's prefixes to a host, the longest first.
fn add(hosts: &mut HashMap<String, HostRoutes>, name: &str, application: &Arc<Application>) {
    let host = hosts.entry(name.to_owned()).or_insert_with(|| HostRoutes {
        paths: application.paths,
        routes: Vec::new(),
    });
    let routes = application.path_prefixes.iter().cloned();
    host.routes.extend(routes.map(|prefix| Route {
        prefix,
        application: Arc::clone(application),
    }));
    host.routes.sort_by_key(|route| std::cmp::Reverse(route.prefix.depth()));
}

/// No application answers where the gateway itself does.
fn check_own_hosts(applications: &[(usize, Application)], own: &OwnHosts, checker: &mut Checker<'_>) {
    if own.auth == own.admin {
        checker.refuse(
            "hosts.admin",
            format!("expected another host than `hosts.auth`, found `{}`", own.admin),
        );
    }
    for other in [&own.auth, &own.admin] {
        if own.device.as_ref() == Some(other) {
            checker.refuse(
                "hosts.device",
                format!("expected another host than `hosts.auth` and `hosts.admin`, found `{other}`"),
            );
        }
    }
    for other in [Some(&own.auth), Some(&own.admin), own.device.as_ref()]
        .into_iter()
        .flatten()
    {
        if own.forward_auth.as_ref() == Some(other) {
            checker.refuse(
                "hosts.forward_auth",
                format!("expected another host than the gateway's others, found `{other}`"),
            );
        }
    }
    for (index, application) in applications {
        for (place, host) in application.hosts.iter().enumerate() {
            let key = format!("applications[{index}].hosts[{place}]");
            for (role, name) in own.all() {
                if host.covers(name) {
                    let message = format!("expected no host that covers the {role} host `{name}`, found `{host}`");
                    checker.refuse(&key, message);
                }
            }
        }
    }
}

fn check_names(applications: &[(usize, Application)], checker: &mut Checker<'_>) {
    for (place, (index, application)) in applications.iter().enumerate() {
        if applications
            .iter()
            .take(place)
            .any(|(_, earlier)| earlier.name == application.name)
        {
            let message = format!("expected another name, found `{}` again", application.name);
            checker.refuse(&format!("applications[{index}].name"), message);
        }
    }
}

/// Applications of one host agree on everything that is settled before their path is known, and no two own the same path.
fn check_shared_hosts(applications: &[(usize, Application)], checker: &mut Checker<'_>) {
    let mut seen: HashMap<&HostPattern, Vec<&Application>> = HashMap::new();
    for (index, application) in applications {
        let key = format!("applications[{index}]");
        check_own_prefixes(application, &key, checker);
        for (place, host) in application.hosts.iter().enumerate() {
            let neighbours = seen.entry(host).or_default();
            if neighbours.last().is_some_and(|last| std::ptr::eq(*last, application)) {
                checker.refuse(
                    &format!("{key}.hosts[{place}]"),
                    format!("expected each host once, found `{host}` again"),
                );
                continue;
            }
            if let Some(first) = neighbours.first() {
                check_neighbour(application, first, host, &key, checker);
            }
            for neighbour in neighbours.iter() {
                check_prefixes(application, neighbour, host, &key, checker);
            }
            neighbours.push(application);
        }
    }
}

fn check_own_prefixes(application: &Application, key: &str, checker: &mut Checker<'_>) {
    for (place, prefix) in application.path_prefixes.iter().enumerate() {
        let mut earlier = application.path_prefixes.iter().take(place);
        if earlier.any(|earlier| same_root(earlier, prefix, application.paths)) {
            let message = format!("expected each prefix once, found `{}` again", prefix.root());
            checker.refuse(&format!("{key}.path_prefixes[{place}]"), message);
        }
    }
}

fn check_neighbour(one: &Application, first: &Application, host: &HostPattern, key: &str, checker: &mut Checker<'_>) {
    let other = format!("as for the application `{}` on the same host `{host}`", first.name);
    if one.client_certificate != first.client_certificate {
        let message = format!("expected `{}`, {other}", first.client_certificate.as_str());
        checker.refuse(&format!("{key}.client_certificate"), message);
    }
    if one.paths != first.paths {
        let options = "the same `encoded_slashes`, `path_parameters` and `case_insensitive_paths`";
        checker.refuse(key, format!("expected {options} {other}"));
    }
}

fn check_prefixes(one: &Application, other: &Application, host: &HostPattern, key: &str, checker: &mut Checker<'_>) {
    for (place, prefix) in one.path_prefixes.iter().enumerate() {
        if other
            .path_prefixes
            .iter()
            .any(|taken| same_root(taken, prefix, one.paths))
        {
            let message = format!(
                "expected a prefix that `{host}` has not yet, found `{}`, which the application `{}` has",
                prefix.root(),
                other.name
            );
            checker.refuse(&format!("{key}.path_prefixes[{place}]"), message);
        }
    }
}

fn same_root(one: &PathTree, other: &PathTree, paths: PathOptions) -> bool {
    one.depth() == other.depth() && one.covers(other.root(), paths.case_insensitive)
}

/// A page of one application can act as any other of its host: all of them count as the most sensitive one.
fn share_sensitivity(applications: &mut [Application]) {
    loop {
        let mut highest: HashMap<HostPattern, u8> = HashMap::new();
        for application in applications.iter() {
            for host in &application.hosts {
                let known = highest.entry(host.clone()).or_default();
                *known = application.sensitivity.max(*known);
            }
        }
        let mut settled = true;
        for application in applications.iter_mut() {
            let shared = application
                .hosts
                .iter()
                .filter_map(|host| highest.get(host))
                .max()
                .copied();
            settled &= shared <= Some(application.sensitivity);
            application.sensitivity = shared.unwrap_or_default().max(application.sensitivity);
        }
        if settled {
            return;
        }
    }
}
