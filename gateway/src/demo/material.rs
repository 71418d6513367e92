//! Which keys and certificates does the demo have? Its own CAs, marked so that nobody else's gateway takes them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use certs::{Authority, Material, Purpose, Terms};
use policies::SHIPPED;

use super::{APPLICATIONS, DemoError, files, write};
use crate::clock::Clock;
use crate::private_file;

/// A year for everything: the demo renews nothing.
const LIFETIME: Duration = Duration::from_hours(24 * 365);

/// Makes the CAs, the server certificate and the policies.
pub(super) fn create(folder: &Path) -> Result<(), DemoError> {
    let tls = folder.join("tls");
    let devices =
        Authority::create("Latchkey demo device CA", Purpose::Device, Material::Demo, &terms()).map_err(bad)?;
    write(&tls.join("device-ca.pem"), &devices.certificate_pem)?;
    write_key(&tls.join("device-ca.key"), &devices.key_pem)?;

    let servers =
        Authority::create("Latchkey demo server CA", Purpose::Server, Material::Demo, &terms()).map_err(bad)?;
    let authority = Authority::load(&servers.certificate_pem, &servers.key_pem).map_err(bad)?;
    let managers =
        Authority::create("Latchkey demo management CA", Purpose::Device, Material::Demo, &terms()).map_err(bad)?;
    write(&tls.join("management-ca.pem"), &managers.certificate_pem)?;
    write_key(&tls.join("management-ca.key"), &managers.key_pem)?;
    let names: Vec<String> = APPLICATIONS
        .iter()
        .chain(&["auth", "admin", "device"])
        .map(|name| format!("{name}.localhost"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = authority.issue_server(&names, &terms()).map_err(bad)?;
    write(&tls.join("server.pem"), &server.chain_pem)?;
    write_key(&tls.join("server.key"), &server.key_pem)?;
    write(&folder.join("ca.pem"), &servers.certificate_pem)?;

    for (name, text) in SHIPPED {
        write(&folder.join("policies").join(name), text)?;
    }
    Ok(())
}

/// What the demo contributes to a certificate.
pub(super) fn terms() -> Terms {
    Terms {
        now: Clock::start().now(),
        lifetime: LIFETIME,
        random: rand::random(),
    }
}

fn write_key(path: &Path, pem: &str) -> Result<(), DemoError> {
    // What an interrupted run left behind is replaced.
    let _ = fs::remove_file(path);
    private_file::write(path, pem).map_err(files(format!("cannot write `{}`", path.display())))
}

fn bad(error: impl std::error::Error + Send + Sync + 'static) -> DemoError {
    DemoError::Material(Box::new(error))
}
