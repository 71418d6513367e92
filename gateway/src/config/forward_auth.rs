//! Which proxies of others may ask what the gateway decides? Each by its certificate, for some of the applications.

use directory::Fingerprint;

use super::ClientAuthority;
use super::application::Application;
use super::check::{Checker, check_authority};
use super::hosts::HostName;
use super::raw::{RawClientAuthority, RawForwardAuth, RawForwardProxy};
use super::values::{Expected, name, number, one_of};

/// A proxy of others that asks what the gateway decides, and passes requests on by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForwardProxy {
    /// What the decision log calls it.
    pub(crate) name: String,
    /// The CA that its certificate's chain ends in.
    pub(crate) authority: ClientAuthority,
    /// DNS names, one of which its certificate has; any where there are none.
    pub(crate) names: Vec<HostName>,
    /// SHA-256 of certificates, one of which is its own; any where there are none.
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// Where it puts the certificate of its client.
    pub(crate) certificate_from: CertificatePlace,
    /// The names of the applications that it stands before.
    pub(crate) applications: Vec<String>,
    /// The port at which browsers reach it.
    pub(crate) public_port: u16,
}

/// Where a proxy puts the certificate that its client showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CertificatePlace {
    /// Nowhere: it asks its clients for none.
    Nowhere,
    /// `Ssl-Client-Cert`: PEM, percent-encoded (nginx `$ssl_client_escaped_cert`).
    SslClientCert,
    /// `X-Forwarded-Tls-Client-Cert`: base64 of DER, the chain after it (Traefik).
    TlsClientCert,
    /// `Client-Cert` and `Client-Cert-Chain`: RFC 9440.
    ClientCert,
    /// `X-Forwarded-Client-Cert`: Envoy's XFCC, one element of it.
    Xfcc,
    /// The peer's certificate in a gRPC call of Envoy's `ext_authz`.
    ExtAuthz,
}

/// Reads the proxies; there is a host for them exactly where there is one of them.
pub(super) fn check_forward_auth(
    raw: &RawForwardAuth,
    host: Option<&str>,
    applications: &[(usize, Application)],
    checker: &mut Checker<'_>,
) -> Option<Vec<ForwardProxy>> {
    match (host, raw.proxies.is_empty()) {
        (Some(host), true) => checker.refuse(
            "hosts.forward_auth",
            format!("expected a proxy under `forward_auth.proxies` that this host is for, found none beside `{host}`"),
        ),
        (None, false) => checker.refuse(
            "forward_auth.proxies",
            "expected a host under `hosts.forward_auth` that these proxies ask, found none".to_owned(),
        ),
        (Some(_), false) | (None, true) => {}
    }
    let mut proxies = Vec::new();
    for (index, proxy) in raw.proxies.iter().enumerate() {
        let key = format!("forward_auth.proxies[{index}]");
        if raw.proxies.iter().take(index).any(|earlier| earlier.name == proxy.name) {
            let message = format!("expected another name, found `{}` again", proxy.name);
            checker.refuse(&format!("{key}.name"), message);
        }
        proxies.push(check_proxy(proxy, &key, applications, checker));
    }
    for (index, application) in applications {
        let asks = |proxy: &RawForwardProxy| proxy.applications.contains(&application.name);
        if !application.is_served_here() && !raw.proxies.iter().any(asks) {
            let message =
                "expected where requests go, or a proxy under `forward_auth.proxies` that asks about this one";
            checker.refuse(&format!("applications[{index}].upstream"), message.to_owned());
        }
    }
    proxies.into_iter().collect()
}

fn check_proxy(
    raw: &RawForwardProxy,
    key: &str,
    applications: &[(usize, Application)],
    checker: &mut Checker<'_>,
) -> Option<ForwardProxy> {
    let at = |name: &str| format!("{key}.{name}");
    if raw.names.is_empty() && raw.fingerprints.is_empty() {
        let message = "expected `names` or `fingerprints`: not everything that a CA issues is this proxy";
        checker.refuse(key, message.to_owned());
    }
    let name = checker.value(&at("name"), &raw.name, name);
    let authority = RawClientAuthority {
        certificate: raw.certificate_authority.clone(),
        crl: raw.crl.clone(),
        on_stale: raw.on_stale.clone(),
    };
    let authority = check_authority(&authority, &at("certificate_authority"), key, checker);
    let names = checker.all(&at("names"), &raw.names, HostName::parse);
    let fingerprints = checker.all(&at("fingerprints"), &raw.fingerprints, fingerprint);
    let certificate_from = checker.value(&at("certificate_from"), &raw.certificate_from, one_of(&PLACES));
    let known = |text: &str| match applications.iter().any(|(_, one)| one.name == text) {
        true => Ok(text.to_owned()),
        false => Err(Expected::new("the name of an application")),
    };
    let applications = checker.some(&at("applications"), &raw.applications, known);
    let port = raw.public_port.as_deref().unwrap_or("443");
    let public_port = checker.value(&at("public_port"), port, number(1..=u16::MAX));
    Some(ForwardProxy {
        name: name?,
        authority: authority?,
        names: names?,
        fingerprints: fingerprints?,
        certificate_from: certificate_from?,
        applications: applications?,
        public_port: public_port?,
    })
}

fn fingerprint(text: &str) -> Result<Fingerprint, Expected> {
    let expected = || Expected::new("the SHA-256 of a certificate's DER: 64 lowercase hexadecimal digits");
    let parsed: Fingerprint = text.parse().map_err(|_| expected())?;
    if parsed.to_string() == text {
        Ok(parsed)
    } else {
        Err(expected())
    }
}

const PLACES: [(&str, CertificatePlace); 6] = [
    ("ssl-client-cert", CertificatePlace::SslClientCert),
    ("x-forwarded-tls-client-cert", CertificatePlace::TlsClientCert),
    ("client-cert", CertificatePlace::ClientCert),
    ("x-forwarded-client-cert", CertificatePlace::Xfcc),
    ("ext-authz", CertificatePlace::ExtAuthz),
    ("nowhere", CertificatePlace::Nowhere),
];
