//! What does Envoy's `X-Forwarded-Client-Cert` say? One element of `Key=value` pairs, of which one is the certificate.

use super::certificate::{BadChain, ShownChain, escaped_pem};

/// Reads the field of a proxy that sets it anew (`SANITIZE_SET`): several elements would be several clients.
///
/// # Errors
/// If it is not one element, has no certificate, or its parts contradict each other.
pub(super) fn read(text: &str) -> Result<ShownChain, BadChain> {
    let (mut certificate, mut chain, mut hash) = (None, None, None);
    for pair in pairs(text)? {
        let place = match pair.key.to_ascii_lowercase().as_str() {
            "cert" => &mut certificate,
            "chain" => &mut chain,
            "hash" => &mut hash,
            _ => continue,
        };
        if place.replace(pair.value).is_some() {
            return Err(BadChain::Element);
        }
    }
    let leaf = certificate.map(|text| ShownChain::of_escaped_pem(&text)).transpose()?;
    let whole = chain
        .map(|text| escaped_pem(&text).and_then(ShownChain::of))
        .transpose()?;
    let shown = match (leaf, whole) {
        (Some(leaf), Some(whole)) if leaf.leaf != whole.leaf => return Err(BadChain::Contradiction),
        (_, Some(shown)) | (Some(shown), None) => shown,
        (None, None) => return Err(BadChain::Element),
    };
    let fingerprint = directory::Fingerprint::of(&shown.leaf).to_string();
    if hash.is_some_and(|hash| !hash.eq_ignore_ascii_case(&fingerprint)) {
        return Err(BadChain::Contradiction);
    }
    Ok(shown)
}

struct Pair<'a> {
    key: &'a str,
    value: String,
}

/// The pairs of the only element. A value stands between quotes where it has a comma, a semicolon or an equals sign.
fn pairs(text: &str) -> Result<Vec<Pair<'_>>, BadChain> {
    let mut pairs = Vec::new();
    let mut rest = text;
    loop {
        let (key, after) = rest.split_once('=').ok_or(BadChain::Element)?;
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(BadChain::Element);
        }
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => bare_value(after)?,
        };
        pairs.push(Pair { key, value });
        match after.strip_prefix(';') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(pairs),
            None => return Err(BadChain::Element),
        }
    }
}

/// Up to the closing quote, and what follows it.
fn quoted_value(text: &str) -> Result<(String, &str), BadChain> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                _ => return Err(BadChain::Element),
            },
            other => value.push(other),
        }
    }
    Err(BadChain::Element)
}

/// Up to the next semicolon; a comma would begin another element.
fn bare_value(text: &str) -> Result<(String, &str), BadChain> {
    let (value, after) = text.split_at(text.find(';').unwrap_or(text.len()));
    match value.contains([',', '"', '=']) {
        true => Err(BadChain::Element),
        false => Ok((value.to_owned(), after)),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn escaped(octet: u8) -> String {
        let base64 = STANDARD
            .encode([octet; 30])
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        format!("-----BEGIN%20CERTIFICATE-----%0A{base64}%0A-----END%20CERTIFICATE-----%0A")
    }

    fn hash(octet: u8) -> String {
        directory::Fingerprint::of(&[octet; 30]).to_string()
    }

    #[test]
    fn the_certificate_and_its_chain_are_read_from_among_the_rest() {
        let (leaf, issuer) = (escaped(1), escaped(2));
        for (text, certificates) in [
            (format!("Cert=\"{leaf}\""), 1),
            (
                format!(
                    "By=spiffe://a/b;Hash={};Cert=\"{leaf}\";Subject=\"CN=a,O=\\\"b\\\";c\";URI=;DNS=a.b",
                    hash(1)
                ),
                1,
            ),
            (format!("Cert=\"{leaf}\";Chain=\"{leaf}{issuer}\""), 2),
            (format!("CHAIN=\"{leaf}{issuer}\""), 2),
        ] {
            let shown = read(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(shown.leaf.as_ref(), [1; 30], "{text}");
            assert_eq!(shown.intermediates.len() + 1, certificates, "{text}");
        }
    }

    #[test]
    fn what_names_no_client_or_two_is_refused() {
        let (leaf, other) = (escaped(1), escaped(2));
        assert!(read(&format!("Hash={};Cert=\"{leaf}\"", hash(1))).is_ok());
        for (bad, why) in [
            (String::new(), BadChain::Element),
            (format!("Hash={}", hash(1)), BadChain::Element),
            (format!("Hash={};Cert=\"{leaf}\"", hash(2)), BadChain::Contradiction),
            (format!("Cert=\"{leaf}\",Cert=\"{other}\""), BadChain::Element),
            (format!("Cert=\"{leaf}\";Cert=\"{other}\""), BadChain::Element),
            (format!("Cert=\"{leaf}\";cert=\"{leaf}\""), BadChain::Element),
            (format!("Cert=\"{leaf}\";Chain=\"{other}\""), BadChain::Contradiction),
            (format!("Cert=\"{leaf}\";"), BadChain::Element),
            (format!("Cert=\"{leaf}"), BadChain::Element),
            (format!("Cert=\"{leaf}\"x"), BadChain::Element),
            (format!("Subject=\"a\\x\";Cert=\"{leaf}\""), BadChain::Element),
            (format!("Subject=a,Cert=\"{leaf}\""), BadChain::Element),
            (format!(" Cert=\"{leaf}\""), BadChain::Element),
            ("Cert=\"\"".to_owned(), BadChain::Pem),
        ] {
            assert_eq!(read(&bad), Err(why), "{bad}");
        }
    }
}
