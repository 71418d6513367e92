//! What may a browser do with a page? Load our files, reach our host and the agent's ports, and nothing else.

use std::fmt;

/// A content security policy.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Policy<'a> {
    /// The ports of 127.0.0.1 that the page asks for an agent.
    pub(crate) ports: &'a [u16],
    /// The origin of the application that forms lead back to.
    ///
    /// A browser asks `form-action` about where a form's answer redirects to, as well.
    pub(crate) application: Option<&'a str>,
    /// The one origin whose pages may frame this one.
    pub(crate) framed_by: Option<&'a str>,
}

impl fmt::Display for Policy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'")?;
        for port in self.ports {
            write!(f, " http://127.0.0.1:{port}")?;
        }
        f.write_str("; form-action 'self'")?;
        if let Some(origin) = self.application.and_then(source) {
            write!(f, " {origin}")?;
        }
        let framed_by = self.framed_by.and_then(source).unwrap_or("'none'");
        write!(f, "; base-uri 'none'; frame-ancestors {framed_by}")
    }
}

/// The origin, if it is one: nothing that could begin a new source or directive.
fn source(origin: &str) -> Option<&str> {
    let name = origin.strip_prefix("https://")?;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    (!name.is_empty() && name.bytes().all(known)).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_each_port_and_the_application() {
        let policy = Policy {
            ports: &[47_600, 47_601],
            application: Some("https://wiki.localhost:8443"),
            framed_by: None,
        };

        assert_eq!(
            policy.to_string(),
            "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self' \
             http://127.0.0.1:47600 http://127.0.0.1:47601; form-action 'self' https://wiki.localhost:8443; \
             base-uri 'none'; frame-ancestors 'none'"
        );
    }

    #[test]
    fn a_frame_names_its_one_parent() {
        let policy = Policy {
            framed_by: Some("https://wiki.localhost:8443"),
            ..Policy::default()
        };

        assert!(
            policy
                .to_string()
                .ends_with("frame-ancestors https://wiki.localhost:8443")
        );
    }

    #[test]
    fn what_is_no_origin_is_left_out() {
        for text in [
            "https://a.example; script-src *",
            "https://a *",
            "https://",
            "*",
            "http://a.example",
            "https://a/b",
        ] {
            let policy = Policy {
                ports: &[],
                application: Some(text),
                framed_by: Some(text),
            };

            assert!(policy.to_string().contains("form-action 'self';"), "{text}");
            assert!(policy.to_string().ends_with("frame-ancestors 'none'"), "{text}");
        }
    }
}
