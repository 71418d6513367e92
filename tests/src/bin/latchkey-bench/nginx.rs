//! How is nginx set up for the comparison: as the front on core 0, as upstream and auth server on core 1?

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use latchkey_tests::process::{Process, free_port, loopback, until};
use latchkey_tests::tls::Identity;

use crate::fronts::{Front, on_core};

/// How nginx as the front reaches what is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tuning {
    /// As Debian's nginx does unless told otherwise: HTTP/1.0, a new connection for every request and sub-request.
    Default,
    /// Over kept-alive connections, to the application and to the auth server.
    KeptAlive,
}

/// nginx with auth_request on core 0, and the nginx behind both fronts on core 1.
pub(crate) struct Nginx {
    tuning: Tuning,
    front: Process,
    back: Process,
    port: u16,
    upstream: u16,
    roots: PathBuf,
    identity: Identity,
}

impl Nginx {
    /// Makes certificates, writes the configurations, starts both.
    pub(crate) fn start(directory: &Path, tuning: Tuning) -> Self {
        let directory = directory.join(format!("nginx-{tuning:?}"));
        fs::create_dir_all(&directory).expect("a directory for nginx");
        certificates(&directory);
        let (port, upstream, auth) = (free_port(), free_port(), free_port());
        let settings = |template: &str| {
            template
                .replace("{DIRECTORY}", &directory.display().to_string())
                .replace("{PORT}", &port.to_string())
                .replace("{UPSTREAM}", &upstream.to_string())
                .replace("{AUTH}", &auth.to_string())
                .replace("{KILOBYTE}", &"k".repeat(1024))
        };
        let back = start(
            "1",
            &directory.join("back.conf"),
            &settings(include_str!("../../../bench/back.conf")),
        );
        let front = start(
            "0",
            &directory.join("front.conf"),
            &tuned(&settings(include_str!("../../../bench/front.conf")), tuning),
        );
        for port in [upstream, auth, port] {
            let answers = || std::net::TcpStream::connect(loopback(port)).is_ok();
            assert!(
                until(Duration::from_secs(5), answers),
                "nginx does not listen: {}{}",
                back.output(),
                front.output()
            );
        }
        let identity = Identity::named(&directory, "client");
        Self {
            tuning,
            front,
            back,
            port,
            upstream,
            roots: directory.join("ca.pem"),
            identity,
        }
    }

    /// The URL of the application behind both fronts.
    pub(crate) fn upstream(&self) -> String {
        format!("http://127.0.0.1:{}", self.upstream)
    }
}

impl Front for Nginx {
    fn name(&self) -> &'static str {
        match self.tuning {
            Tuning::Default => "nginx auth_request",
            Tuning::KeptAlive => "nginx auth_request, upstreams kept alive",
        }
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn roots(&self) -> &Path {
        &self.roots
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn process(&self) -> u32 {
        self.front.id()
    }
}

impl Drop for Nginx {
    /// Asks first: a master that is killed leaves its workers behind.
    fn drop(&mut self) {
        for process in [&mut self.front, &mut self.back] {
            process.signal("TERM");
            process.wait(Duration::from_secs(5));
        }
    }
}

/// Leaves out of the configuration what keeps connections to upstreams alive.
fn tuned(configuration: &str, tuning: Tuning) -> String {
    let keeps = [
        "keepalive 128;",
        "proxy_http_version 1.1;",
        "proxy_set_header Connection \"\";",
    ];
    let lines = configuration
        .lines()
        .filter(|line| tuning == Tuning::KeptAlive || !keeps.contains(&line.trim()));
    let configuration = lines.collect::<Vec<_>>().join("\n");
    match tuning {
        // The number of requests belongs to a keepalive that is no longer there, but for the one to the clients.
        Tuning::Default => configuration.replacen("        keepalive_requests 1000000000;\n    }", "    }", 2),
        Tuning::KeptAlive => configuration,
    }
}

fn start(core: &str, file: &Path, configuration: &str) -> Process {
    fs::write(file, configuration).expect("a configuration file");
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.exists());
    let mut command = on_core(core, program.expect("nginx is installed"));
    Process::start(command.arg("-c").arg(file).args(["-e", "stderr"]))
}

/// A CA, a server certificate and a client certificate, P-256 each, issued directly by the CA, as in the demo.
fn certificates(directory: &Path) {
    let script = include_str!("../../../bench/certificates.sh");
    let output = Command::new("sh")
        .args(["-eu", "-c", script])
        .current_dir(directory)
        .output();
    let output = output.expect("a shell");
    assert!(
        output.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
