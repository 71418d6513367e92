//! What do the tests of forward-auth share? Real proxies of others before one gateway.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::curl::CurlAnswer;
use crate::demo::{Demo, host};
use crate::forward_auth::{APP, KINDS, Kind, Proxy, ProxyCa, demo_with_proxies, escaped, leaf_pem};
use crate::process::loopback;
use crate::raw::RawClient;

/// Four proxies before one gateway, for all tests of a process; ended with the last of them that holds it.
pub struct Fleet {
    /// The proxies.
    pub proxies: Vec<Proxy>,
    /// The gateway that they ask.
    pub demo: Demo,
    _ca: ProxyCa,
}

/// The one that runs, or a new one.
pub fn fleet() -> Arc<Fleet> {
    static FLEET: Mutex<Weak<Fleet>> = Mutex::new(Weak::new());
    let mut place = FLEET.lock().unwrap_or_else(PoisonError::into_inner);
    place.upgrade().unwrap_or_else(|| {
        let fleet = Arc::new(Fleet::start());
        *place = Arc::downgrade(&fleet);
        fleet
    })
}

/// Takes the application's `upstream` out of the configuration.
fn forget_where_it_is(demo: &Demo) {
    let file = demo.file("latchkey.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let (before, own) = text.split_once(&format!("  - name: {APP}\n")).expect("it is there");
    let (kept, rest) = own.split_once("    upstream:\n").expect("it says where it is");
    let (_url, rest) = rest.split_once('\n').unwrap();
    fs::write(&file, format!("{before}  - name: {APP}\n{kept}{rest}")).unwrap();
}

impl Fleet {
    fn start() -> Self {
        let (demo, ca) = demo_with_proxies();
        demo.edit(
            "latchkey.yaml",
            "  - name: payroll\n",
            "  - name: payroll\n    public_paths: [/public/]\n    paths: [{path: /moved/, redirect: /new/}]\n",
        );
        forget_where_it_is(&demo);
        demo.reload();
        demo.add_policies(
            "payroll.cedar",
            "@id(\"payroll.locked\")\n@deny_reason(\"It is locked.\")\n\
             forbid (principal is User, action in Action::\"access\", resource == App::\"payroll\")\n\
             when { context.request.path like \"/locked*\" };\n\n\
             @id(\"payroll.sockets-only\")\n@deny_reason(\"Sockets only.\")\n\
             forbid (principal is User, action == Action::\"read\", resource == App::\"payroll\")\n\
             when { context.request.path like \"/sockets-only/*\" };\n",
        );
        let proxies = KINDS.map(|kind: Kind| Proxy::start(kind, &demo, &ca)).into();
        Self { proxies, _ca: ca, demo }
    }

    /// Asks a proxy with the certificate of a device.
    pub fn curl(&self, proxy: &Proxy, device: Option<&str>, path: &str, arguments: &[&str]) -> CurlAnswer {
        proxy.curl(&self.demo, device, path, arguments)
    }

    /// A connection to a proxy, written to octet by octet.
    pub fn raw(&self, proxy: &Proxy, device: &str) -> RawClient {
        let config = self.demo.tls(Some(device), &["http/1.1"]);
        RawClient::connect(loopback(proxy.port()), &host(APP), config).unwrap()
    }

    /// A device's certificate in each way that proxies hand one on.
    pub fn certificate_fields(&self, device: &str) -> Vec<String> {
        let pem = leaf_pem(&self.demo, device);
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        vec![
            format!("Ssl-Client-Cert: {}", escaped(&pem)),
            format!("X-Forwarded-Tls-Client-Cert: {base64}"),
            format!("X-Forwarded-Tls-Client-Cert: {}", escaped(&base64)),
            format!("Client-Cert: :{base64}:"),
            format!("X-Forwarded-Client-Cert: Cert=\"{}\"", escaped(&pem)),
        ]
    }
}
