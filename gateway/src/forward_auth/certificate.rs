//! Which certificate did a client show to its proxy? Read from where that proxy puts it, in the one spelling that it has there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};
use rustls::pki_types::CertificateDer;

use super::xfcc;
use crate::config::CertificatePlace;

/// What a client showed to a proxy: its leaf and what came after it, in DER. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownChain {
    /// The client's own certificate.
    pub(crate) leaf: CertificateDer<'static>,
    /// The rest.
    pub(crate) intermediates: Vec<CertificateDer<'static>>,
}

/// Says why what a proxy hands on is no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadChain {
    /// The field is there more than once.
    #[error("expected the field once at most")]
    Repeated,
    /// It has something that is no percent-encoding.
    #[error("expected percent-encoded ASCII")]
    Escapes,
    /// It is not PEM as TLS libraries write it.
    #[error("expected certificates in PEM, in lines of 64")]
    Pem,
    /// It is not base64 as RFC 4648 has it.
    #[error("expected base64 with its padding")]
    Base64,
    /// It is not as RFC 9440 has it.
    #[error("expected byte sequences between colons")]
    Sequence,
    /// It is not one element of XFCC with a certificate.
    #[error("expected one element with one `Cert` or `Chain`")]
    Element,
    /// The parts say different things.
    #[error("expected all parts to be of one certificate")]
    Contradiction,
    /// The chain is longer than any device's.
    #[error("expected at most {LONGEST} certificates")]
    TooLong,
    /// What came is no call of `ext_authz`, which alone has the certificate in it.
    #[error("expected a gRPC call of ext_authz: `certificate_from` says so")]
    NoCall,
}

impl ShownChain {
    /// Reads what a proxy put into the fields of a request; nothing where its client showed nothing.
    ///
    /// # Errors
    /// If it is not exactly what such a proxy writes.
    pub(super) fn of_fields(headers: &HeaderMap, place: CertificatePlace) -> Result<Option<Self>, BadChain> {
        match place {
            CertificatePlace::Nowhere => Ok(None),
            CertificatePlace::ExtAuthz => Err(BadChain::NoCall),
            CertificatePlace::SslClientCert => only(headers, SSL_CLIENT_CERT)?.map(Self::of_escaped_pem).transpose(),
            CertificatePlace::TlsClientCert => {
                let field = only(headers, X_FORWARDED_TLS_CLIENT_CERT)?;
                field.map(Self::of_base64_list).transpose()
            }
            CertificatePlace::ClientCert => Self::of_byte_sequences(headers),
            CertificatePlace::Xfcc => {
                let field = only(headers, X_FORWARDED_CLIENT_CERT)?;
                field.map(xfcc::read).transpose()
            }
        }
    }

    /// One certificate in percent-encoded PEM.
    pub(super) fn of_escaped_pem(text: &str) -> Result<Self, BadChain> {
        match <[_; 1]>::try_from(escaped_pem(text)?) {
            Ok([leaf]) => Ok(Self {
                leaf,
                intermediates: Vec::new(),
            }),
            Err(_) => Err(BadChain::Pem),
        }
    }

    /// A chain, leaf first.
    pub(super) fn of(certificates: Vec<CertificateDer<'static>>) -> Result<Self, BadChain> {
        if certificates.len() > LONGEST {
            return Err(BadChain::TooLong);
        }
        let mut certificates = certificates.into_iter();
        let leaf = certificates.next().ok_or(BadChain::Base64)?;
        Ok(Self {
            leaf,
            intermediates: certificates.collect(),
        })
    }

    /// Base64 of certificates, with commas between. Earlier versions of Traefik escape all of it; then nothing is left bare.
    fn of_base64_list(text: &str) -> Result<Self, BadChain> {
        let text = match text.contains('%') {
            true if text.contains(['/', '=', ',']) => return Err(BadChain::Escapes),
            true => unescape(text)?,
            false => text.to_owned(),
        };
        let certificates = text.split(',').map(decode);
        Self::of(certificates.collect::<Result<_, _>>()?)
    }

    /// RFC 9440: the leaf, and the rest in a field of its own. No octets between the colons are no certificate: what is
    /// written by a template comes so where there is none.
    fn of_byte_sequences(headers: &HeaderMap) -> Result<Option<Self>, BadChain> {
        let leaf = only(headers, CLIENT_CERT)?.map(byte_sequence).transpose()?;
        let fields = headers.get_all(CLIENT_CERT_CHAIN).iter();
        let mut intermediates = Vec::new();
        for field in fields {
            let field = field.to_str().map_err(|_| BadChain::Sequence)?;
            for member in field.split(',') {
                intermediates.extend(byte_sequence(member.trim_matches([' ', '\t']))?);
            }
        }
        if intermediates.len() >= LONGEST {
            return Err(BadChain::TooLong);
        }
        match leaf.flatten() {
            Some(leaf) => Ok(Some(Self { leaf, intermediates })),
            None if intermediates.is_empty() => Ok(None),
            None => Err(BadChain::Contradiction),
        }
    }
}

/// The fields in which proxies put certificates: none of them is the client's to write.
pub(super) fn is_certificate_field(name: &HeaderName) -> bool {
    [
        SSL_CLIENT_CERT,
        X_FORWARDED_TLS_CLIENT_CERT,
        X_FORWARDED_CLIENT_CERT,
        CLIENT_CERT,
        CLIENT_CERT_CHAIN,
    ]
    .contains(&name.as_str())
}

/// All certificates of a percent-encoded PEM text, one at least.
pub(super) fn escaped_pem(text: &str) -> Result<Vec<CertificateDer<'static>>, BadChain> {
    let text = unescape(text)?;
    let mut rest = text.as_str();
    let mut certificates = Vec::new();
    while !rest.is_empty() {
        let (body, after) = rest
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.split_once(END))
            .ok_or(BadChain::Pem)?;
        let lines: String = body.split('\n').collect();
        let certificate = decode(&lines).map_err(|_| BadChain::Pem)?;
        if body != in_lines(&lines) {
            return Err(BadChain::Pem);
        }
        certificates.push(certificate);
        // The last line may lack its end.
        rest = match after.strip_prefix('\n') {
            Some(rest) => rest,
            None if after.is_empty() => after,
            None => return Err(BadChain::Pem),
        };
    }
    match certificates.len() {
        0 => Err(BadChain::Pem),
        1..=LONGEST => Ok(certificates),
        _ => Err(BadChain::TooLong),
    }
}

/// The value of a field that is there once; nothing where it is absent or empty.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, BadChain> {
    let mut fields = headers.get_all(name).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(BadChain::Repeated);
    }
    let field = field.to_str().map_err(|_| BadChain::Escapes)?;
    Ok(Some(field).filter(|field| !field.is_empty()))
}

/// Takes percent-encoding away (RFC 3986, section 2.1). A bare `+` is refused: to some it is a space.
fn unescape(text: &str) -> Result<String, BadChain> {
    let mut bytes = text.bytes();
    let mut plain = String::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => hexadecimal(bytes.next(), bytes.next()).ok_or(BadChain::Escapes)?,
            b'+' => return Err(BadChain::Escapes),
            other => other,
        };
        match byte {
            b'\n' | b' '..=b'~' => plain.push(char::from(byte)),
            _ => return Err(BadChain::Escapes),
        }
    }
    Ok(plain)
}

fn hexadecimal(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high?)? * 16 + digit(low?)?)
}

fn decode(text: &str) -> Result<CertificateDer<'static>, BadChain> {
    let der = STANDARD.decode(text).map_err(|_| BadChain::Base64)?;
    if der.is_empty() {
        return Err(BadChain::Base64);
    }
    Ok(der.into())
}

/// A byte sequence of structured fields (RFC 9651, section 3.3.5); nothing where it has no octets.
fn byte_sequence(text: &str) -> Result<Option<CertificateDer<'static>>, BadChain> {
    let inner = text.strip_prefix(':').and_then(|text| text.strip_suffix(':'));
    let inner = inner.ok_or(BadChain::Sequence)?;
    match inner.is_empty() {
        true => Ok(None),
        false => decode(inner).map(Some),
    }
}

/// Base64 as PEM has it: an end after each 64 characters, and after the last.
fn in_lines(base64: &str) -> String {
    let mut lines = String::with_capacity(base64.len() + base64.len() / 64 + 1);
    let mut rest = base64;
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        lines.push_str(line);
        lines.push('\n');
        rest = after;
    }
    lines
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----\n";
const END: &str = "-----END CERTIFICATE-----";

/// How many certificates are read of one client.
const LONGEST: usize = 10;

const SSL_CLIENT_CERT: &str = "ssl-client-cert";
const X_FORWARDED_TLS_CLIENT_CERT: &str = "x-forwarded-tls-client-cert";
const X_FORWARDED_CLIENT_CERT: &str = "x-forwarded-client-cert";
const CLIENT_CERT: &str = "client-cert";
const CLIENT_CERT_CHAIN: &str = "client-cert-chain";

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn read(place: CertificatePlace, said: &[(&'static str, &str)]) -> Result<Option<ShownChain>, BadChain> {
        ShownChain::of_fields(&fields(said), place)
    }

    fn chain(of: &[&[u8]]) -> ShownChain {
        ShownChain::of(of.iter().map(|der| CertificateDer::from(der.to_vec())).collect()).unwrap()
    }

    fn pem(der: &[u8]) -> String {
        format!("{BEGIN}{}{END}\n", in_lines(&STANDARD.encode(der)))
    }

    /// As nginx and Envoy escape: everything but what is never special.
    fn escaped(text: &str) -> String {
        let escape = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        text.bytes().map(escape).collect()
    }

    #[test]
    fn each_proxy_hands_on_its_clients_certificate_in_its_own_way() {
        let (leaf, other) = ([7u8; 100].as_slice(), [9u8; 60].as_slice());
        let (one, two) = (STANDARD.encode(leaf), STANDARD.encode(other));

        let nginx = read(
            CertificatePlace::SslClientCert,
            &[(SSL_CLIENT_CERT, &escaped(&pem(leaf)))],
        );
        assert_eq!(nginx, Ok(Some(chain(&[leaf]))));
        let list = format!("{one},{two}");
        for traefik in [list.clone(), escaped(&list)] {
            let read = read(
                CertificatePlace::TlsClientCert,
                &[(X_FORWARDED_TLS_CLIENT_CERT, &traefik)],
            );
            assert_eq!(read, Ok(Some(chain(&[leaf, other]))), "{traefik}");
        }
        let (first, rest) = (format!(":{one}:"), format!(":{two}:, :{two}:"));
        let rfc = read(
            CertificatePlace::ClientCert,
            &[(CLIENT_CERT, &first), (CLIENT_CERT_CHAIN, &rest)],
        );
        assert_eq!(rfc, Ok(Some(chain(&[leaf, other, other]))));
        let element = format!("By=a;Cert=\"{}\";Subject=\"CN=a,O=b\"", escaped(&pem(leaf)));
        let envoy = read(CertificatePlace::Xfcc, &[(X_FORWARDED_CLIENT_CERT, &element)]);
        assert_eq!(envoy, Ok(Some(chain(&[leaf]))));
    }

    #[test]
    fn no_certificate_is_none() {
        for place in [
            CertificatePlace::SslClientCert,
            CertificatePlace::TlsClientCert,
            CertificatePlace::ClientCert,
            CertificatePlace::Xfcc,
            CertificatePlace::Nowhere,
        ] {
            assert_eq!(read(place, &[]), Ok(None), "{place:?}");
        }
        assert_eq!(
            read(CertificatePlace::SslClientCert, &[(SSL_CLIENT_CERT, "")]),
            Ok(None)
        );
        assert_eq!(read(CertificatePlace::ClientCert, &[(CLIENT_CERT, "::")]), Ok(None));
    }

    /// Only the field that the configuration names is read.
    #[test]
    fn what_stands_elsewhere_counts_for_nothing() {
        let value = escaped(&pem(&[7; 100]));
        assert!(
            read(CertificatePlace::SslClientCert, &[(SSL_CLIENT_CERT, &value)])
                .unwrap()
                .is_some()
        );
        for place in [
            CertificatePlace::Nowhere,
            CertificatePlace::ClientCert,
            CertificatePlace::Xfcc,
        ] {
            assert_eq!(read(place, &[(SSL_CLIENT_CERT, &value)]), Ok(None), "{place:?}");
        }
    }

    #[test]
    fn what_no_such_proxy_writes_is_refused() {
        let good = pem(&[7; 100]);
        let base64 = STANDARD.encode([7; 100]);
        let nginx = |text: &str| read(CertificatePlace::SslClientCert, &[(SSL_CLIENT_CERT, text)]);
        assert!(nginx(&escaped(&good)).is_ok());
        assert!(
            nginx(&escaped(good.trim_end())).is_ok(),
            "the last line may lack its end"
        );
        for bad in [
            good.replace('\n', " "),
            escaped(&format!("{good}{good}")),
            escaped(&format!("x{good}")),
            escaped(&format!("{good}x")),
            escaped(&good.replace("CERTIFICATE", "TRUSTED CERTIFICATE")),
            escaped(&good.replace("-----\nB", "-----\n\nB")),
            escaped(&good.replace('\n', "\r\n")),
            escaped(&good).replace("%2B", "+").replace("%20", "+"),
            escaped(&good).replace("%0A", "%0"),
            escaped(&good).replace("%0A", "%zz"),
            format!("{}%00", escaped(&good)),
        ] {
            assert!(nginx(&bad).is_err(), "{bad}");
        }
        let repeated = [(SSL_CLIENT_CERT, escaped(&good)), (SSL_CLIENT_CERT, escaped(&good))];
        let repeated = repeated.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_eq!(
            read(CertificatePlace::SslClientCert, &repeated),
            Err(BadChain::Repeated)
        );

        let traefik = |text: &str| read(CertificatePlace::TlsClientCert, &[(X_FORWARDED_TLS_CLIENT_CERT, text)]);
        assert!(traefik(&base64).is_ok());
        for bad in [
            format!("{base64},"),
            format!("{base64} ,{base64}"),
            format!("{base64}%2C{base64}"),
            base64.trim_end_matches('=').to_owned(),
            [base64.as_str(); 11].join(","),
        ] {
            assert!(traefik(&bad).is_err(), "{bad}");
        }

        let rfc = |text: &str| read(CertificatePlace::ClientCert, &[(CLIENT_CERT, text)]);
        assert!(rfc(&format!(":{base64}:")).is_ok());
        for bad in [
            base64.clone(),
            format!(":{base64}"),
            format!(":{base64}:;a=1"),
            format!(":{base64}:, :{base64}:"),
            format!(": {base64}:"),
            ":".to_owned(),
        ] {
            assert!(rfc(&bad).is_err(), "{bad}");
        }
        let chain_alone = format!(":{base64}:");
        assert_eq!(
            read(CertificatePlace::ClientCert, &[(CLIENT_CERT_CHAIN, &chain_alone)]),
            Err(BadChain::Contradiction)
        );
    }

    proptest! {
        /// Whatever comes, there is an answer.
        #[test]
        fn arbitrary_values_never_panic(text in "[ -~]{0,300}", place in 0..5usize) {
            let places = [
                (CertificatePlace::SslClientCert, SSL_CLIENT_CERT),
                (CertificatePlace::TlsClientCert, X_FORWARDED_TLS_CLIENT_CERT),
                (CertificatePlace::ClientCert, CLIENT_CERT),
                (CertificatePlace::Xfcc, X_FORWARDED_CLIENT_CERT),
                (CertificatePlace::ClientCert, CLIENT_CERT_CHAIN),
            ];
            let (place, name) = places[place];
            let _ = read(place, &[(name, &text)]);
        }

        #[test]
        fn a_spelling_that_was_tampered_with_is_the_same_certificate_or_none(
            der in prop::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), with in "[ -~]",
        ) {
            let value = escaped(&pem(&der));
            prop_assert_eq!(ShownChain::of_escaped_pem(&value), Ok(chain(&[&der])));
            let mut tampered = value.clone();
            tampered.insert_str(at.index(value.len()), &with);
            prop_assert!(ShownChain::of_escaped_pem(&tampered).is_err(), "{}", tampered);
        }

        #[test]
        fn octets_that_are_no_text_are_refused(octets in prop::collection::vec(0x80u8..=0xff, 1..50)) {
            let mut headers = HeaderMap::new();
            headers.append(SSL_CLIENT_CERT, HeaderValue::from_bytes(&octets).unwrap());
            prop_assert_eq!(ShownChain::of_fields(&headers, CertificatePlace::SslClientCert), Err(BadChain::Escapes));
        }
    }
}
