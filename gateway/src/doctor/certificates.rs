//! Which certificates and revocation lists end soon, or are not yet valid?

use std::path::{Path, PathBuf};
use std::time::Duration;

use certs::{BadStaple, Staple};
use directory::Timestamp;
use pingora_x509_parser::prelude::{FromDer, X509Certificate};
use pingora_x509_parser::revocation_list::CertificateRevocationList;
use pingora_x509_parser::time::ASN1Time;

use super::Finding;
use crate::config::{ClientAuthority, Config, ServerCertificate};

/// Looks at every certificate and list that the configuration names.
pub(super) fn examine(config: &Config, now: Timestamp) -> Vec<Finding> {
    let files = certificate_files(config);
    let spans: Vec<Span> = files.iter().flat_map(|(what, file)| spans(what, file)).collect();
    let mut findings: Vec<Finding> = spans.iter().filter_map(|span| span.problem(now)).collect();
    if findings.is_empty() {
        let next = spans.iter().map(|span| span.until).min();
        let next = next.map_or_else(String::new, |until| format!(", the first until {until}"));
        findings.push(Finding::ok(
            "certificates",
            format!("{} in their time{next}", spans.len()),
        ));
    }
    let authorities = config
        .tls
        .client_authorities
        .iter()
        .chain(&config.management.authorities)
        .chain(config.forward_proxies.iter().map(|proxy| &proxy.authority));
    findings.extend(authorities.filter_map(|authority| list(authority, now)));
    let servers = config.tls.server_certificates.iter();
    findings.extend(servers.filter_map(|server| staple(server, now)));
    findings
}

/// When a certificate counts.
struct Span {
    what: String,
    file: PathBuf,
    name: String,
    from: Timestamp,
    until: Timestamp,
}

impl Span {
    fn problem(&self, now: Timestamp) -> Option<Finding> {
        let Self { what, file, name, .. } = self;
        let named = format!("{what}, {name} in {}", file.display());
        if now < self.from {
            let found = format!("{named}: not valid before {}", self.from);
            return Some(Finding::fail(
                "certificates",
                found,
                "is the clock right? If so, wait or replace it",
            ));
        }
        match now.until(self.until) {
            None => Some(Finding::fail(
                "certificates",
                format!("{named}: over since {}", self.until),
                "replace it now",
            )),
            Some(left) if left < SOON => {
                let found = format!("{named}: until {}, {} days", self.until, left.as_secs() / 86_400);
                Some(Finding::warn(
                    "certificates",
                    found,
                    "replace it before; it is taken over while running",
                ))
            }
            Some(_) => None,
        }
    }
}

/// Every file with certificates, and what they are for.
fn certificate_files(config: &Config) -> Vec<(String, PathBuf)> {
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    let mut add = |what: &str, file: &Path| files.push((what.to_owned(), file.to_owned()));
    for server in &config.tls.server_certificates {
        add("server certificate", &server.pair.certificate);
    }
    for retired in &config.tls.retired_authorities {
        add("retired device CA", &retired.certificate);
    }
    add("device CA", &config.tls.device_authority.certificate);
    for authority in &config.tls.client_authorities {
        add("client CA", &authority.certificate);
    }
    for proxy in &config.forward_proxies {
        add(&format!("CA of the proxy {}", proxy.name), &proxy.authority.certificate);
    }
    for authority in &config.management.authorities {
        add("management CA", &authority.certificate);
    }
    if let Some(own) = &config.management.own_authority {
        add("management CA", &own.certificate);
    }
    for root in &config.attestation.roots {
        add("root of attestation", &root.certificate);
    }
    for root in config.sign_in.key_attestation.iter().flat_map(|keys| &keys.roots) {
        add("root of security keys", root);
    }
    for application in config.applications() {
        let Some(tls) = &application.upstream.tls else { continue };
        if let Some(ca) = &tls.ca {
            add(&format!("CA of {}'s servers", application.name), ca);
        }
        if let Some(pair) = &tls.client_certificate {
            add(&format!("shown to {}'s servers", application.name), &pair.certificate);
        }
    }
    files.sort();
    files.dedup();
    files
}

/// The certificates of a file; that it cannot be read is said elsewhere.
fn spans(what: &str, file: &Path) -> Vec<Span> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let certificates = certs::read_certificates(&text).unwrap_or_default();
    let spans = certificates.iter().filter_map(|der| {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Span {
            what: what.to_owned(),
            file: file.to_owned(),
            name: certificate.subject().to_string(),
            from: moment(certificate.validity().not_before),
            until: moment(certificate.validity().not_after),
        })
    });
    spans.collect()
}

/// A revocation list lives for days, not years: it is due when the last quarter of its life has begun.
fn list(authority: &ClientAuthority, now: Timestamp) -> Option<Finding> {
    let file = authority.crl.as_ref()?;
    let bytes = std::fs::read(file).ok()?;
    let der = match std::str::from_utf8(&bytes).ok().and_then(pem_block) {
        Some(der) => der,
        None => bytes,
    };
    let (_, list) = CertificateRevocationList::from_der(&der).ok()?;
    let (from, until) = (moment(list.last_update()), moment(list.next_update()?));
    let shown = file.display();
    let Some(left) = now.until(until) else {
        let found = format!("{shown}: over since {until}");
        return Some(Finding::fail(
            "revocation list",
            found,
            "fetch a new one: none of its CA's certificates counts",
        ));
    };
    Some(due("revocation list", file, (from, until), left))
}

/// So does what is stapled. What else is wrong with it would refuse a start, and is found there.
fn staple(server: &ServerCertificate, now: Timestamp) -> Option<Finding> {
    let file = server.ocsp.as_ref()?;
    let leaf = std::fs::read_to_string(&server.pair.certificate).ok();
    let leaf = certs::read_certificates(&leaf?).ok()?.into_iter().next()?;
    match Staple::read(&std::fs::read(file).ok()?, &leaf, now) {
        Ok(staple) => {
            let (from, until) = (staple.this_update(), staple.next_update());
            Some(due("OCSP response", file, (from, until), now.until(until)?))
        }
        Err(error @ BadStaple::Stale { .. }) => Some(Finding::warn(
            "OCSP response",
            format!("{}: {error}", file.display()),
            "fetch a new one: nothing is stapled",
        )),
        Err(_) => None,
    }
}

fn due(check: &'static str, file: &Path, (from, until): (Timestamp, Timestamp), left: Duration) -> Finding {
    let life = from.until(until).unwrap_or_default();
    let found = format!("{}: until {until}", file.display());
    match left < (life / 4).min(SOON) {
        true => Finding::warn(check, found, "fetch a new one before"),
        false => Finding::ok(check, found),
    }
}

fn pem_block(text: &str) -> Option<Vec<u8>> {
    use rustls::pki_types::CertificateRevocationListDer;
    use rustls::pki_types::pem::PemObject;
    let list = CertificateRevocationListDer::from_pem_slice(text.as_bytes()).ok()?;
    Some(list.as_ref().to_vec())
}

fn moment(at: ASN1Time) -> Timestamp {
    Timestamp::from_secs(at.timestamp())
}

/// What ends within this time is to be replaced.
const SOON: Duration = Duration::from_hours(24 * 30);
