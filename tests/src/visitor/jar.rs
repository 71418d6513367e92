//! Which cookies does a browser keep, and send to which host?

use std::collections::BTreeMap;

use crate::answer::Answer;

/// Cookies by host and name. They are all of one host: what wants a domain is not kept.
#[derive(Debug, Clone, Default)]
pub struct Jar(BTreeMap<String, BTreeMap<String, String>>);

impl Jar {
    /// The value of a cookie.
    pub fn get(&self, host: &str, name: &str) -> Option<&str> {
        self.0.get(host)?.get(name).map(String::as_str)
    }

    /// The cookie of a session at this application.
    pub fn session(&self, app: &str) -> Option<String> {
        self.get(&crate::demo::host(app), SESSION).map(str::to_owned)
    }

    /// Puts a cookie in.
    pub fn set(&mut self, host: &str, name: &str, value: &str) {
        let of_host = self.0.entry(host.to_owned()).or_default();
        of_host.insert(name.to_owned(), value.to_owned());
    }

    /// Puts a cookie of a session in.
    pub fn set_session(&mut self, app: &str, secret: &str) {
        self.set(&crate::demo::host(app), SESSION, secret);
    }

    /// Takes a cookie out.
    pub fn remove(&mut self, host: &str, name: &str) {
        if let Some(of_host) = self.0.get_mut(host) {
            of_host.remove(name);
        }
    }

    /// Takes all cookies of a host out.
    pub fn clear(&mut self, host: &str) {
        self.0.remove(host);
    }

    /// Every cookie: host, name, value.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0.iter().flat_map(|(host, cookies)| {
            cookies
                .iter()
                .map(|(name, value)| (host.as_str(), name.as_str(), value.as_str()))
        })
    }

    /// The value of the `Cookie` field for this host.
    pub fn field(&self, host: &str) -> Option<String> {
        let of_host = self.0.get(host).filter(|cookies| !cookies.is_empty())?;
        let pairs: Vec<String> = of_host.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Some(pairs.join("; "))
    }

    /// Keeps what an answer sets, as a browser does (RFC 6265bis, section 5.7).
    pub fn take(&mut self, host: &str, answer: &Answer) {
        for (name, value) in &answer.headers {
            if name == "set-cookie" {
                self.take_one(host, value);
            }
        }
    }

    fn take_one(&mut self, host: &str, field: &str) {
        let mut parts = field.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let attributes: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
        let has = |wanted: &str| attributes.iter().any(|attribute| attribute == wanted);
        let of_domain = attributes.iter().any(|attribute| attribute.starts_with("domain="));
        if of_domain || name.starts_with("__Host-") && !(has("secure") && has("path=/")) {
            return;
        }
        match has("max-age=0") {
            true => self.remove(host, name),
            false => self.set(host, name, value),
        }
    }
}

/// The cookie that stands for a session at its host.
pub const SESSION: &str = "__Host-latchkey-session";
/// The cookie that binds what is begun at an application's host to its browser.
pub const BINDING: &str = "__Host-latchkey-binding";
/// The cookie by which the auth host tells browsers apart.
pub const BROWSER: &str = "__Host-latchkey-browser";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_kept_by_host_and_taken_away_when_they_are_over() {
        let answer = |field: &str| Answer::from_head(&format!("HTTP/1.1 200 OK\r\nSet-Cookie: {field}\r\n\r\n"));
        let mut jar = Jar::default();

        jar.take("a.localhost", &answer("__Host-a=1; Path=/; Secure; HttpOnly"));
        jar.take("a.localhost", &answer("b=2"));
        jar.take("a.localhost", &answer("__Host-c=3; Path=/c; Secure"));
        jar.take("a.localhost", &answer("d=4; Domain=localhost"));
        assert_eq!(jar.field("a.localhost").as_deref(), Some("__Host-a=1; b=2"));
        assert_eq!(jar.field("b.localhost"), None);

        jar.take("a.localhost", &answer("__Host-a=; Path=/; Secure; Max-Age=0"));
        assert_eq!(jar.field("a.localhost").as_deref(), Some("b=2"));
    }
}
