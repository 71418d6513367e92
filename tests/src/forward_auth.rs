//! How is a real proxy of others put before an application, so that it asks the gateway? By what docs/forward-auth.md shows.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};

use crate::curl::CurlAnswer;
use crate::demo::{Demo, host};
use crate::process::{Process, free_port, loopback, until};
use crate::tls::{Identity, connect};
use crate::upstream::Upstream;

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// nginx with `auth_request`.
    Nginx,
    /// Traefik with `forwardAuth`.
    Traefik,
    /// Caddy with `forward_auth`.
    Caddy,
    /// Envoy with `ext_authz` over gRPC.
    Envoy,
}

/// All of them.
pub const KINDS: [Kind; 4] = [Kind::Nginx, Kind::Traefik, Kind::Caddy, Kind::Envoy];

/// The application that they stand before.
pub const APP: &str = "payroll";

/// The host where they ask: one that every resolver knows.
pub const ASKED: &str = "localhost";

/// A running proxy before an application of its own; ended when dropped.
pub struct Proxy {
    /// Which it is.
    pub kind: Kind,
    /// What stands behind it, and nowhere else.
    pub upstream: Upstream,
    process: Process,
    port: u16,
}

/// A CA of proxies, which no device's certificate is of, and the certificates that it issued.
pub struct ProxyCa {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Kind {
    /// What the decision log calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
        }
    }

    fn certificate_from(self) -> &'static str {
        match self {
            Self::Nginx => "ssl-client-cert",
            Self::Traefik => "x-forwarded-tls-client-cert",
            Self::Caddy => "client-cert",
            Self::Envoy => "ext-authz",
        }
    }

    /// Its main file, as the documentation calls it.
    fn file(self) -> &'static str {
        match self {
            Self::Nginx => "/etc/nginx/conf.d/wiki.conf",
            Self::Traefik => "/etc/traefik/wiki.yaml",
            Self::Caddy => "/etc/caddy/wiki.caddyfile",
            Self::Envoy => "/etc/envoy/envoy.yaml",
        }
    }
}

impl ProxyCa {
    /// A CA whose files are in this folder.
    pub fn create(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Proxies");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
        Self {
            folder: folder.to_owned(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Issues a certificate for this name, for clients and servers; its files.
    pub fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.serial_number = Some(serial(name));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let identity = Identity::named(&self.folder, name);
        fs::write(&identity.certificate, certificate.pem()).unwrap();
        write_key(&identity.key, &key.serialize_pem());
        identity
    }

    /// Publishes its list of the certificates with these names, good for so long from now on; its file.
    pub fn list(&self, revoked: &[&str], good_for: Duration) -> PathBuf {
        let now = SystemTime::now();
        let before = (now - Duration::from_secs(60)).into();
        let revoked = revoked.iter().map(|name| RevokedCertParams {
            serial_number: serial(name),
            revocation_time: before,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: before,
            next_update: (now + good_for).into(),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let file = self.folder.join("ca.crl");
        fs::write(&file, list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        file
    }

    /// The CA's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }
}

/// A demo that four proxies may ask about one application, and the CA of their certificates.
pub fn demo_with_proxies() -> (Demo, ProxyCa) {
    let demo = Demo::start();
    let ca = ProxyCa::create(&demo.scratch().join("proxies"));
    let asked = ca.issue(ASKED);
    let mut proxies = String::from("\nforward_auth:\n  proxies:\n");
    for kind in KINDS {
        let name = kind.name();
        ca.issue(&edge(kind));
        proxies.push_str(&format!(
            "    - name: {name}\n      certificate_authority: {}\n      names: [{}]\n      certificate_from: {}\n      \
             applications: [{APP}]\n      public_port: {}\n",
            ca.certificate().display(),
            edge(kind),
            kind.certificate_from(),
            port_of(kind),
        ));
    }
    let file = demo.file("latchkey.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let certificates = "\n  server_certificates:\n";
    let (certificate, key) = (asked.certificate.display(), asked.key.display());
    let text = text
        .replacen("\nhosts:\n", &format!("\nhosts:\n  forward_auth: {ASKED}\n"), 1)
        .replacen(
            certificates,
            &format!("{certificates}    - certificate: {certificate}\n      key: {key}\n"),
            1,
        );
    fs::write(&file, text + &proxies + "\nproxies:\n  forwarded_for: [127.0.0.0/8]\n").unwrap();
    demo.reload();
    (demo, ca)
}

impl Proxy {
    /// Starts one as the documentation shows it, and waits until it answers.
    ///
    /// # Panics
    /// When it never does.
    pub fn start(kind: Kind, demo: &Demo, ca: &ProxyCa) -> Self {
        Self::start_with(kind, demo, ca, &[])
    }

    /// The same with some of that text replaced.
    ///
    /// # Panics
    /// When it never answers, or there is no such text.
    pub fn start_with(kind: Kind, demo: &Demo, ca: &ProxyCa, edits: &[(&str, &str)]) -> Self {
        let upstream = Upstream::friendly();
        let folder = demo.scratch().join(kind.name());
        fs::create_dir_all(folder.join("tls")).unwrap();
        lay_out(&folder.join("tls"), demo, ca, kind);
        let port = port_of(kind);
        let place = Place {
            folder: &folder,
            port,
            gateway: demo.address().port(),
            upstream: upstream.url(),
            edits,
        };
        let process = Process::start(&mut place.command(kind));
        let proxy = Self {
            kind,
            upstream,
            process,
            port,
        };
        let answers = || connect(loopback(port), &host(APP), demo.tls(None, &["http/1.1"])).is_ok();
        assert!(until(READY, answers), "{}", proxy.process.output());
        proxy
    }

    /// `https://APP.localhost:PORT/PATH`, at the proxy.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}:{}{path}", host(APP), self.port)
    }

    /// Asks the proxy with curl, without curl's own opinion of paths.
    pub fn curl(&self, demo: &Demo, device: Option<&str>, path: &str, arguments: &[&str]) -> CurlAnswer {
        let all: Vec<&str> = ["--path-as-is"].iter().chain(arguments).copied().collect();
        demo.curl(device, &self.url(path), &all)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `APP.localhost:PORT`, as a client writes it.
    pub fn authority(&self) -> String {
        format!("{}:{}", host(APP), self.port)
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        self.process.output()
    }
}

/// Where a proxy of a test stands, in place of what the documentation says.
struct Place<'a> {
    folder: &'a Path,
    port: u16,
    gateway: u16,
    upstream: String,
    edits: &'a [(&'a str, &'a str)],
}

impl Place<'_> {
    /// What the documentation shows, with this place's names, ports and files.
    fn text(&self, file: &str) -> String {
        let shown = shown(file);
        let folder = self.folder.display().to_string();
        let (gateway, port) = (format!("127.0.0.1:{}", self.gateway), self.port.to_string());
        let upstream = self.upstream.trim_start_matches("http://");
        let (upstream_host, upstream_port) = upstream.split_once(':').unwrap();
        let mut text = shown
            .replace("/etc/nginx", &folder)
            .replace("/etc/traefik", &folder)
            .replace("/etc/caddy", &folder)
            .replace("/etc/envoy", &folder)
            .replace(
                "https://forward-auth.example.com:443/",
                &format!("https://{ASKED}:{}/", self.gateway),
            )
            .replace("gateway.example.com:443", &gateway)
            .replace(
                "{address: gateway.example.com, port_value: 443}",
                &address("127.0.0.1", &self.gateway.to_string()),
            )
            .replace("{address: 0.0.0.0, port_value: 443}", &address("127.0.0.1", &port))
            .replace(
                "{address: 127.0.0.1, port_value: 8080}",
                &address(upstream_host, upstream_port),
            )
            .replace("127.0.0.1:8080", upstream)
            .replace("wiki.example.com:443", &format!("{}:{port}", host(APP)))
            .replace("listen 443", &format!("listen 127.0.0.1:{port}"));
        for (from, to) in [
            ("wiki.example.com", host(APP).as_str()),
            ("forward-auth.example.com", ASKED),
        ] {
            text = text.replace(from, to);
        }
        assert!(!text.contains("example.com") && !text.contains("/etc/"), "{text}");
        text
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        file
    }

    /// Writes its files; what starts it.
    fn command(&self, kind: Kind) -> Command {
        let mut text = self.text(kind.file());
        for (from, to) in self.edits {
            assert!(text.contains(from), "`{from}` is not in {text}");
            text = text.replacen(from, to, 1);
        }
        match kind {
            Kind::Nginx => {
                self.write("latchkey-ask.conf", &self.text("/etc/nginx/latchkey-ask.conf"));
                let site = self.write("conf.d/wiki.conf", &text);
                let folder = self.folder.display();
                let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .map(|of| format!("{of}_temp_path {folder}/{of};\n"))
                    .concat();
                let main = self.write(
                    "nginx.conf",
                    &format!(
                        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr warn;\nevents {{}}\n\
                         http {{\naccess_log off;\n{temporary}include {};\n}}\n",
                        site.display()
                    ),
                );
                let mut command = Command::new("/usr/sbin/nginx");
                command.arg("-p").arg(self.folder).arg("-c").arg(main);
                command
            }
            Kind::Traefik => {
                let dynamic = self.write("wiki.yaml", &text);
                let main = self.write(
                    "traefik.yaml",
                    &format!(
                        "entryPoints:\n  websecure:\n    address: \"127.0.0.1:{}\"\nproviders:\n  file:\n    filename: {}\n\
                         global: {{checkNewVersion: false, sendAnonymousUsage: false}}\n",
                        self.port,
                        dynamic.display()
                    ),
                );
                let mut command = Command::new(program("traefik"));
                command.arg(format!("--configfile={}", main.display()));
                command
            }
            Kind::Caddy => {
                let file = self.write("Caddyfile", &format!("{{\n\tadmin off\n\tauto_https off\n}}\n{text}"));
                let mut command = Command::new(program("caddy"));
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
                command
            }
            Kind::Envoy => {
                let file = self.write("envoy.yaml", &text);
                let mut command = Command::new(envoy());
                command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn", "-c"]).arg(file);
                command
            }
        }
        .into_home(self.folder)
    }
}

trait IntoHome {
    /// Keeps what it writes by itself in this folder.
    fn into_home(self, folder: &Path) -> Self;
}

impl IntoHome for Command {
    fn into_home(mut self, folder: &Path) -> Self {
        self.env("HOME", folder)
            .env("XDG_DATA_HOME", folder)
            .env("XDG_CONFIG_HOME", folder);
        self.current_dir(folder);
        self
    }
}

fn address(host: &str, port: &str) -> String {
    format!("{{address: {host}, port_value: {port}}}")
}

/// The file of this name that the documentation shows.
///
/// # Panics
/// When it shows none.
fn shown(file: &str) -> String {
    let documentation = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/forward-auth.md")).unwrap();
    let first = format!("# {file}\n");
    let mut blocks = documentation.split("\n```").skip(1).step_by(2);
    let block = blocks.find_map(|block| block.split_once('\n').filter(|(_, text)| text.starts_with(&first)));
    let (_, text) = block.unwrap_or_else(|| panic!("docs/forward-auth.md shows no {file}"));
    format!("{text}\n")
}

/// The keys and certificates that a proxy has.
fn lay_out(tls: &Path, demo: &Demo, ca: &ProxyCa, kind: Kind) {
    let copy = |from: &Path, to: &str| {
        if to.ends_with(".key") {
            write_key(&tls.join(to), &fs::read_to_string(from).unwrap());
        } else {
            fs::copy(from, tls.join(to)).unwrap();
        }
    };
    copy(&demo.file("tls/server.pem"), "wiki.pem");
    copy(&demo.file("tls/server.key"), "wiki.key");
    copy(&demo.file("tls/device-ca.pem"), "device-ca.pem");
    let own = Identity::named(&ca.folder, &edge(kind));
    copy(&own.certificate, "edge.pem");
    copy(&own.key, "edge.key");
    // The host where proxies ask has a certificate of another CA than the demo's others.
    let both = [demo.file("ca.pem"), ca.certificate()].map(|file| fs::read_to_string(file).unwrap());
    fs::write(tls.join("gateway-ca.pem"), both.concat()).unwrap();
}

/// The first certificate of a device's file.
pub fn leaf_pem(demo: &Demo, device: &str) -> String {
    let chain = fs::read_to_string(demo.identity(device).certificate).unwrap();
    let end = "-----END CERTIFICATE-----\n";
    chain.split_inclusive(end).next().unwrap().to_owned()
}

/// Percent-encodes all that may be special.
pub fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn write_key(file: &Path, pem: &str) {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(file).unwrap().write_all(pem.as_bytes()).unwrap();
}

/// What certificates of this name are numbered.
fn serial(name: &str) -> SerialNumber {
    SerialNumber::from_slice(name.as_bytes())
}

/// The name in a proxy's certificate.
pub fn edge(kind: Kind) -> String {
    format!("{}.example", kind.name())
}

/// Where a proxy listens, in all tests of a process: the gateway is told before it is started.
fn port_of(kind: Kind) -> u16 {
    static PORTS: std::sync::OnceLock<[u16; 4]> = std::sync::OnceLock::new();
    let ports = PORTS.get_or_init(|| KINDS.map(|_| free_port()));
    KINDS
        .iter()
        .zip(ports)
        .find(|(one, _)| **one == kind)
        .map(|(_, port)| *port)
        .unwrap()
}

fn program(name: &str) -> PathBuf {
    let program = crate::browser::target().join("proxies/bin").join(name);
    assert!(program.exists(), "no {}: run scripts/install test", program.display());
    program
}

/// Envoy itself: what is in `bin` starts it from Python.
fn envoy() -> PathBuf {
    let library = crate::browser::target().join("proxies/lib");
    let python = fs::read_dir(&library).into_iter().flatten().flatten().next();
    let python = python.unwrap_or_else(|| panic!("nothing in {}: run scripts/install test", library.display()));
    python.path().join("site-packages/envoy/_bin/envoy")
}

/// Traefik takes a while on a machine that compiles something else meanwhile.
const READY: Duration = Duration::from_secs(60);
