//! Which cookies does a browser have? All of them, of every host, those that scripts cannot read too.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Browser;

/// A cookie as the browser keeps it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The host that it goes to; with a dot before it, that domain's other hosts too.
    pub domain: String,
    /// Below which path it is sent.
    pub path: String,
    /// When it ends, in seconds since 1970; -1 for one that ends with the browser.
    pub expires: f64,
    /// Whether scripts cannot read it.
    pub http_only: bool,
    /// Whether it is sent over TLS alone.
    pub secure: bool,
    /// `Strict`, `Lax` or `None`, if it says so.
    pub same_site: Option<String>,
}

impl Cookie {
    /// One for this host alone, over TLS alone, not for scripts, until the browser ends.
    pub fn new(host: &str, name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: host.to_owned(),
            path: "/".to_owned(),
            expires: -1.0,
            http_only: true,
            secure: true,
            same_site: None,
        }
    }

    fn parameters(&self) -> Value {
        let host = self.domain.trim_start_matches('.');
        let scheme = if self.secure { "https" } else { "http" };
        let mut parameters = json!({
            "name": self.name,
            "value": self.value,
            "url": format!("{scheme}://{host}{}", self.path),
            "path": self.path,
            "httpOnly": self.http_only,
            "secure": self.secure,
        });
        if self.domain.starts_with('.') {
            parameters["domain"] = self.domain.as_str().into();
        }
        if self.expires >= 0.0 {
            parameters["expires"] = self.expires.into();
        }
        if let Some(same_site) = &self.same_site {
            parameters["sameSite"] = same_site.as_str().into();
        }
        parameters
    }
}

impl Browser {
    /// Every cookie of every host.
    pub fn cookies(&self) -> Vec<Cookie> {
        let answer = self.cdp("Storage.getCookies", &json!({}));
        serde_json::from_value(answer["cookies"].clone()).unwrap()
    }

    /// The cookie of this name that this host (or `.domain`) set.
    pub fn cookie(&self, host: &str, name: &str) -> Option<Cookie> {
        let is_it = |cookie: &Cookie| cookie.domain == host && cookie.name == name;
        self.cookies().into_iter().find(is_it)
    }

    /// Puts a cookie there, whoever it was set for before.
    ///
    /// # Panics
    /// When the browser does not take it: `__Host-` and `__Secure-` mean what they say.
    pub fn set_cookie(&self, cookie: &Cookie) {
        let set = self.cdp("Network.setCookie", &cookie.parameters());
        assert_eq!(set["success"], true, "{cookie:?}");
    }

    /// Takes a host's cookie away.
    pub fn delete_cookie(&self, host: &str, name: &str) {
        self.cdp("Network.deleteCookies", &json!({ "name": name, "domain": host }));
    }

    /// Takes every cookie away.
    pub fn clear_cookies(&self) {
        self.cdp("Network.clearBrowserCookies", &json!({}));
    }
}
