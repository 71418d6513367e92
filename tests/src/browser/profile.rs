//! What does a browser know before its first page: whom it trusts, who it is, how it looks at things?

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{Browser, Language};
use crate::demo::Demo;
use crate::openssl::openssl;
use crate::tls::Identity;

/// What a browser is started with: a desktop's window, light, with scripts and without a client certificate, if nothing
/// else is said. It trusts the demo's server CA.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    window: Window,
    dark: bool,
    language: Language,
    without_scripts: bool,
    identities: Vec<Identity>,
    roots: Vec<PathBuf>,
    public: Vec<SocketAddr>,
    recording: bool,
    arguments: Vec<String>,
}

/// How much of a page is seen at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Window {
    /// 1280 × 800.
    #[default]
    Desktop,
    /// 390 × 844, two pixels to each, touched instead of clicked.
    Phone,
    /// This many pixels, on a desktop.
    Of {
        /// From left to right.
        width: u16,
        /// From top to bottom.
        height: u16,
    },
}

impl Setup {
    /// In a window like this.
    pub fn in_window(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// On a phone.
    pub fn phone(self) -> Self {
        self.in_window(Window::Phone)
    }

    /// Of somebody who prefers dark pages.
    pub fn dark(mut self) -> Self {
        self.dark = true;
        self
    }

    /// Of somebody who reads German.
    pub fn german(mut self) -> Self {
        self.language = Language::German;
        self
    }

    /// In which language pages are asked for.
    pub(super) fn language(&self) -> Language {
        self.language
    }

    /// Of somebody who lets no page run scripts. The test's own scripts run still.
    pub fn without_scripts(mut self) -> Self {
        self.without_scripts = true;
        self
    }

    /// With this client certificate, shown to any of the demo's hosts that asks for it.
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identities.push(identity);
        self
    }

    /// Trusting these roots too.
    pub fn trusting(mut self, roots: &Path) -> Self {
        self.roots.push(roots.to_owned());
        self
    }

    /// Taking the server at this address for one on the Internet: its pages need the permission `loopback-network` to call
    /// the agent. Pages from the loopback are never asked for it.
    pub fn as_if_public(mut self, address: SocketAddr) -> Self {
        self.public.push(address);
        self
    }

    /// Recording what its pages send.
    pub fn recording(mut self) -> Self {
        self.recording = true;
        self
    }

    /// With one more argument for Chromium.
    pub fn with_argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts the browser.
    pub fn start(self, demo: &Demo) -> Browser {
        Browser::with(demo, &self)
    }

    /// Makes a home for the browser; what its driver is asked for.
    pub(super) fn prepare(&self, demo: &Demo, home: &Path) -> Value {
        let certificates = Certificates::create(home);
        certificates.trust(&demo.file("ca.pem"));
        self.roots.iter().for_each(|roots| certificates.trust(roots));
        self.identities
            .iter()
            .for_each(|identity| certificates.import(identity));
        json!({
            "browserName": "chrome",
            "timeouts": { "pageLoad": TIMEOUT, "script": TIMEOUT },
            "goog:loggingPrefs": { "browser": "ALL", "performance": if self.recording { "ALL" } else { "OFF" } },
            "goog:chromeOptions": {
                "args": self.all_arguments(home),
                "prefs": self.preferences(demo),
                "mobileEmulation": { "deviceMetrics": self.window.emulated() },
            },
        })
    }

    fn all_arguments(&self, home: &Path) -> Vec<String> {
        let mut all: Vec<String> = ARGUMENTS.iter().map(|argument| (*argument).to_owned()).collect();
        all.push(format!("--user-data-dir={}", home.join("profile").display()));
        all.push(format!("--accept-lang={}", self.language.tag()));
        if self.dark {
            all.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        if !self.public.is_empty() {
            let public: Vec<String> = self.public.iter().map(|address| format!("{address}=public")).collect();
            all.push(format!("--ip-address-space-overrides={}", public.join(",")));
        }
        all.extend(self.arguments.iter().cloned());
        all
    }

    fn preferences(&self, demo: &Demo) -> Value {
        // What the policy AutoSelectCertificateForUrls sets. As a preference it holds for this profile alone.
        let pattern = format!("https://[*.]localhost:{}", demo.address().port());
        let select = json!({ "pattern": pattern, "filter": {} }).to_string();
        let mut preferences = json!({
            "credentials_enable_service": false,
            "profile.managed_auto_select_certificate_for_urls": [select],
        });
        if self.without_scripts {
            preferences["profile.default_content_setting_values.javascript"] = BLOCKED.into();
        }
        preferences
    }
}

impl Window {
    /// The metrics of the device, as the driver and the developer tools call them.
    pub(super) fn emulated(self) -> Value {
        let (width, height, ratio, phone) = match self {
            Self::Desktop => (1280, 800, 1, false),
            Self::Phone => (390, 844, 2, true),
            Self::Of { width, height } => (width, height, 1, false),
        };
        json!({ "width": width, "height": height, "pixelRatio": ratio, "touch": phone, "mobile": phone })
    }
}

/// The NSS database that Chromium finds in its home.
struct Certificates {
    database: String,
}

impl Certificates {
    fn create(home: &Path) -> Self {
        let directory = home.join(".pki/nssdb");
        std::fs::create_dir_all(&directory).unwrap();
        let database = format!("sql:{}", directory.display());
        run("certutil", &["-N", "--empty-password", "-d", &database]);
        Self { database }
    }

    fn trust(&self, roots: &Path) {
        let roots = roots.display().to_string();
        let add = ["-A", "-n", &roots, "-t", "C,,", "-i", &roots, "-d", &self.database];
        run("certutil", &add);
    }

    fn import(&self, identity: &Identity) {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key, bundle] =
            [&identity.certificate, &identity.key, &folder.path().join("p12")].map(|file| file.display().to_string());
        let fixed = ["pkcs12", "-export", "-name", &certificate, "-passout", "pass:x"];
        let files = ["-in", &certificate, "-inkey", &key, "-out", &bundle];
        let made = openssl([&fixed[..], &files[..]].concat(), "");
        assert!(made.success, "{}", made.text);
        run("pk12util", &["-i", &bundle, "-W", "x", "-d", &self.database]);
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("libnss3-tools is installed");
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

/// What a browser in a test can do without: a sandbox where root runs it, a screen, and traffic of its own.
const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// The content setting that forbids.
const BLOCKED: u8 = 2;

/// Milliseconds for a page to load and for a script to end.
const TIMEOUT: u32 = 20_000;
