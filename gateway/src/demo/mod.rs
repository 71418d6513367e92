//! How does a newcomer see it work? A whole installation on this machine, made on the first run and kept.

mod installation;
mod material;
mod people;
mod tpm;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use url::Url;

use crate::demo_apps;
use crate::run::{Prepared, StartError, prepare};

use installation::Installation;
use tpm::{SoftwareTpm, note};

/// Where the demo lives and what it stands in front of.
pub(crate) struct Demo {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// The port on 127.0.0.1.
    pub(crate) port: u16,
    /// An application of one's own, in place of the built-in ones.
    pub(crate) upstream: Option<Url>,
    /// Whether it gets a software TPM and a desktop with keys in it.
    pub(crate) with_tpm: bool,
    /// Where pages look for agents, in place of the usual ports.
    pub(crate) loopback_ports: Vec<u16>,
    /// Whether its laptops get agents.
    pub(crate) with_agents: bool,
}

/// Says why the demo cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The folder holds something else.
    #[error("`{}` is neither empty nor a demo's folder: name another one with --dir", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
    },
    /// An earlier version made the folder.
    #[error("`{}` was made by an earlier version: remove it, or name another one with --dir", folder.display())]
    Earlier {
        /// The folder.
        folder: PathBuf,
    },
    /// Something cannot be written or opened.
    #[error("{what}")]
    Files {
        /// What was to be done.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Certificates cannot be made.
    #[error("making the demo's certificates")]
    Material(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The gateway does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The demo's users and devices cannot be made.
    #[error("making the demo's users and devices")]
    People(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The applications of the demo.
const APPLICATIONS: [&str; 4] = ["wiki", "news", "payroll", "vault"];

/// The file whose presence says that the folder is a demo's.
const CONFIGURATION: &str = "latchkey.yaml";

impl Demo {
    /// Makes what is not there yet, and serves. Prints `ready` and what to try.
    ///
    /// # Errors
    /// If the folder is something else's, or the gateway does not start.
    pub(crate) fn run(self) -> Result<(), DemoError> {
        let fresh = self.make_folders()?;
        if fresh {
            material::create(&self.folder)?;
        }
        let upstreams = match &self.upstream {
            Some(url) => APPLICATIONS
                .map(|_| url.as_str().trim_end_matches('/').to_owned())
                .to_vec(),
            None => start_applications()?,
        };
        let tpm = match self.with_tpm {
            true => SoftwareTpm::start(&self.folder, self.port)?,
            false => None,
        };
        if self.with_tpm && tpm.is_none() {
            note("swtpm is not installed: the desktop with keys in hardware is left out.\n");
        }
        self.write_configuration(&upstreams)?;
        let prepared = prepare(&self.folder.join(CONFIGURATION))?;
        people::create(&prepared.world, &self.folder, self.with_agents)?;
        self.serve(prepared, tpm)
    }

    /// Makes the folders; whether anything of the demo was missing.
    fn make_folders(&self) -> Result<bool, DemoError> {
        let folder = &self.folder;
        let known = folder.join(CONFIGURATION).exists() || folder.join(UNFINISHED).exists();
        let empty = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
        if folder.join(CONFIGURATION).exists() && !folder.join("tls/management-ca.pem").exists() {
            return Err(DemoError::Earlier { folder: folder.clone() });
        }
        if !known && !empty {
            return Err(DemoError::Foreign { folder: folder.clone() });
        }
        for part in ["", "agents", "devices", "policies", "log", "data", "tls", "users"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(files(format!("cannot make `{}`", path.display())))?;
        }
        if !folder.join(CONFIGURATION).exists() {
            // A demo whose making was interrupted is made again, from the start.
            write(&folder.join(UNFINISHED), "")?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Writes the configuration anew: the applications have other ports at each start.
    fn write_configuration(&self, upstreams: &[String]) -> Result<(), DemoError> {
        let metrics = free_port(self.port)?;
        let mut text = format!(
            "# The demo's configuration, written anew at each start. For your own, see docs/operating.md.\n\
             demo: true\n\
             listen: 127.0.0.1:{port}\n\
             metrics_listen: 127.0.0.1:{metrics}\n\
             data_dir: data\n\
             policies: policies\n\
             decision_log: log/decisions.jsonl\n\
             shutdown_grace: 1s\n\
             hosts:\n  auth: auth.localhost\n  admin: admin.localhost\n  device: device.localhost\n\
             tls:\n  server_certificates:\n    - certificate: tls/server.pem\n      key: tls/server.key\n  \
             device_certificate_authority:\n    certificate: tls/device-ca.pem\n    key: tls/device-ca.key\n\
             enrollment:\n  certificate_lifetime: 365d\n\
             mdm:\n  sources: [{MDM}]\n\
             mail:\n  folder: outbox\n\
             management:\n  certificate_authority:\n    certificate: tls/management-ca.pem\n    \
             key: tls/management-ca.key\n",
            port = self.port,
        );
        if !self.loopback_ports.is_empty() {
            text.push_str(&format!("sign_in:\n  loopback_ports: {:?}\n", self.loopback_ports));
        }
        if self.folder.join(tpm::ROOT).exists() {
            text.push_str(&format!(
                "attestation:\n  roots:\n    - certificate: {}\n      class: test\n",
                tpm::ROOT
            ));
        }
        text.push_str("applications:\n");
        for (name, url) in APPLICATIONS.iter().zip(upstreams) {
            let (sensitivity, fold) = match *name {
                "news" => (0, ""),
                "wiki" => (1, "    case_insensitive_paths: true\n"),
                "payroll" => (2, ""),
                _ => (3, ""),
            };
            text.push_str(&format!(
                "  - name: {name}\n    hosts: [{name}.localhost]\n    sensitivity: {sensitivity}\n{fold}    security_headers: leave\n    upstream:\n      url: {url}\n"
            ));
        }
        write(&self.folder.join(CONFIGURATION), &text)?;
        let _ = fs::remove_file(self.folder.join(UNFINISHED));
        Ok(())
    }

    fn serve(self, prepared: Prepared, tpm: Option<SoftwareTpm>) -> Result<(), DemoError> {
        prepared.serve(move || {
            // The TPM ends with this process: it is never dropped.
            let tpm = tpm.map(std::mem::ManuallyDrop::new);
            let installations = |wanted: &[Installation]| wanted.iter().all(|one| one.enroll(&self.folder, self.port));
            let desktop = tpm.as_ref().map(|tpm| Installation::desktop(tpm.tcti()));
            let desktop = desktop.filter(|desktop| installations(std::slice::from_ref(desktop)));
            let with_agents = self.with_agents && installations(&Installation::laptops());
            crate::cli::print("ready\n");
            crate::cli::print(&self.greeting(desktop.as_ref(), with_agents));
        })
    }

    fn greeting(&self, desktop: Option<&Installation>, with_agents: bool) -> String {
        let (dir, port) = (self.folder.display(), self.port);
        let program = std::env::args().next().unwrap_or_else(|| "latchkey".to_owned());
        let alice = format!("--cert {dir}/devices/alice-laptop.pem --key {dir}/devices/alice-laptop.key");
        let bob = format!("--cert {dir}/devices/bob-laptop.pem --key {dir}/devices/bob-laptop.key");
        let tries = [
            ("alice's managed laptop reads the wiki: 200", &alice, "wiki", "/"),
            ("and the payroll: 200", &alice, "payroll", "/"),
            (
                "but not the vault, which wants a key in hardware: 403",
                &alice,
                "vault",
                "/",
            ),
            ("bob's laptop reads the wiki: 200", &bob, "wiki", "/"),
            ("but not the payroll, for two reasons: 403", &bob, "payroll", "/"),
            ("nor the wiki's administration: 403", &bob, "wiki", "/admin/x"),
            ("without a certificate: 401", &String::new(), "wiki", "/"),
        ];
        let mut text = format!("\nLatchkey stands on https://*.localhost:{port}, its data in {dir}. Try:\n");
        for (what, who, app, path) in tries {
            let space = if who.is_empty() { "" } else { " " };
            text.push_str(&format!(
                "\n# {what}\ncurl --cacert {dir}/ca.pem {who}{space}https://{app}.localhost:{port}{path}\n"
            ));
        }
        if let (Some(desktop), Some(agent)) = (desktop, installation::agent()) {
            text.push_str(&format!(
                "\n# carol's desktop has its keys in a TPM (a software one, whose root counts in this demo alone), so the \
                 vault opens: 200\ncurl --cacert {dir}/ca.pem -H \"$({agent} assert --state {state} --method GET \
                 --url https://vault.localhost:{port}/)\" https://vault.localhost:{port}/\n",
                agent = agent.display(),
                state = desktop.state(&self.folder).display(),
            ));
        }
        if let (true, Some(agent)) = (with_agents, installation::agent()) {
            text.push_str(&format!(
                "\n# with a browser: start the agent of alice's laptop, open the payroll, and be in without a password\n\
                 {agent} run --state {dir}/agents/alice-laptop\n\
                 # https://payroll.localhost:{port}/  (trust {dir}/ca.pem in the browser)\n",
                agent = agent.display(),
            ));
        }
        text.push_str(&format!(
            "\n# shut alice's laptop out, then try her lines again: 403 device-deactivated\n\
             {program} device deactivate alice-laptop --dir {dir}\n\n\
             Ctrl-C stops it. {dir}/log/decisions.jsonl has a line for each decision.\n"
        ));
        text
    }
}

/// The demo's MDM.
const MDM: &str = "demo-mdm";

/// Marks a folder in which a demo is being made.
const UNFINISHED: &str = ".unfinished";

/// Starts the built-in applications on ports of their own; their addresses.
fn start_applications() -> Result<Vec<String>, DemoError> {
    let mut addresses = Vec::new();
    for name in APPLICATIONS {
        let listener = listen()?;
        let address = listener
            .local_addr()
            .map_err(files("cannot start the demo's applications".to_owned()))?;
        addresses.push(format!("http://{address}"));
        std::thread::Builder::new()
            .name(format!("app-{name}"))
            .spawn(move || serve_application(name, listener))
            .map_err(files("cannot start the demo's applications".to_owned()))?;
    }
    Ok(addresses)
}

fn serve_application(name: &str, listener: TcpListener) {
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| {
            runtime.block_on(async {
                listener.set_nonblocking(true)?;
                demo_apps::serve(name, tokio::net::TcpListener::from_std(listener)?).await
            })
        });
    if let Err(error) = served {
        tracing::error!(%error, application = name, "a demo application ended");
    }
}

/// A free port for the metrics, below those that the system hands out by itself: nobody else takes it before it is used.
fn free_port(near: u16) -> Result<u16, DemoError> {
    let candidates = (0..METRICS_PORTS).map(|step| 20_000 + (near % METRICS_PORTS + step) % METRICS_PORTS);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let none = || files("cannot find a free port".to_owned())(io::ErrorKind::AddrInUse.into());
    candidates.filter(|port| *port != near).find(free).ok_or_else(none)
}

/// How many ports from 20000 on may serve the metrics.
const METRICS_PORTS: u16 = 12_000;

fn listen() -> Result<TcpListener, DemoError> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .map_err(files("cannot listen on 127.0.0.1".to_owned()))
}

fn write(path: &Path, text: &str) -> Result<(), DemoError> {
    fs::write(path, text).map_err(files(format!("cannot write `{}`", path.display())))
}

fn files(what: String) -> impl FnOnce(io::Error) -> DemoError {
    move |source| DemoError::Files { what, source }
}
