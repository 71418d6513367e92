//! What does a person see who is not let through? One page that brings its style along: it is shown on every host.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::{StatusCode, header};

use super::Shell;

/// A page that says what happened and what helps.
#[derive(Template)]
#[template(path = "message.html")]
pub(crate) struct Message<'a> {
    /// What every page has.
    pub(crate) shell: Shell<'a>,
    /// What happened, in a few words.
    pub(crate) title: &'a str,
    /// What happened and what helps.
    pub(crate) detail: &'a str,
    /// Why, where policies said no.
    pub(crate) reasons: &'a [PageReason<'a>],
    /// Where to go from here.
    pub(crate) link: Option<Link<'a>>,
    /// The denial's code; empty where there is none.
    pub(crate) code: &'a str,
}

/// One reason, for a person.
pub(crate) struct PageReason<'a> {
    /// What the policy says.
    pub(crate) message: &'a str,
    /// What would help.
    pub(crate) help: Option<String>,
    /// The policy's id.
    pub(crate) policy: &'a str,
}

/// Where to go from here.
pub(crate) struct Link<'a> {
    /// The address.
    pub(crate) href: &'a str,
    /// What it says.
    pub(crate) text: &'a str,
}

impl<'a> Message<'a> {
    /// A page with a title and a sentence.
    pub(crate) fn new(title: &'a str, detail: &'a str, shell: Shell<'a>) -> Self {
        Self {
            shell,
            title,
            detail,
            reasons: &[],
            link: None,
            code: "",
        }
    }

    /// What the browser may do with it: show it with this style and the logo, choose another language, and nothing else.
    pub(crate) fn policy(&self) -> String {
        let style = &self.shell.brand.inline().source;
        let pictures = if self.shell.logo().is_some() {
            "; img-src 'self'"
        } else {
            ""
        };
        let forms = if self.shell.offers() { "'self'" } else { "'none'" };
        format!(
            "default-src 'none'; style-src {style}{pictures}; base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
        )
    }

    /// Sends it.
    pub(crate) fn respond(&self, status: StatusCode) -> Response {
        match self.render() {
            Ok(html) => {
                let fields = [
                    (header::CONTENT_SECURITY_POLICY, self.policy()),
                    (header::REFERRER_POLICY, FORMS_KEEP_THEIR_ORIGIN.to_owned()),
                ];
                (status, self.shell.language_fields(), fields, Html(html)).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "a page could not be made");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// Under `no-referrer` the forms of a page would be sent with `Origin: null`.
pub(crate) const FORMS_KEEP_THEIR_ORIGIN: &str = "same-origin";

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::config::{Branding, Color, Logo, LogoKind};
    use crate::pages::{Brand, Place, UNBRANDED};

    #[test]
    fn what_is_shown_is_escaped() {
        let shell = Shell::new("id", &UNBRANDED);
        let page = Message::new("<b>", "a & b", shell).render().unwrap();
        assert!(!page.contains("<b>") && page.contains("a &#38; b"));
    }

    #[test]
    fn the_style_in_the_page_is_the_one_whose_hash_the_policy_names() {
        for brand in [&*UNBRANDED, &branded()] {
            let message = Message::new("Title", "Detail", Shell::new("id", brand));
            let page = message.render().unwrap();

            let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;

            let hash = STANDARD.encode(Sha256::digest(style));
            assert!(message.policy().contains(&format!("style-src 'sha256-{hash}'")));
        }
    }

    #[test]
    fn a_logo_and_a_choice_are_there_only_where_they_lead_somewhere() {
        let brand = branded();
        for (place, logo, form) in [
            (Place::Auth, Some("/assets/brand-"), Some("action=\"/language\"")),
            (
                Place::Application,
                Some("/.latchkey/assets/brand-"),
                Some("action=\"/.latchkey/language\""),
            ),
            (Place::Elsewhere, None, None),
        ] {
            let shell = Shell {
                place,
                offers_languages: true,
                ..Shell::new("id", &brand)
            };
            let message = Message::new("Title", "Detail", shell);
            let (page, policy) = (message.render().unwrap(), message.policy());

            let has = |what: &str| page.contains(what);
            assert!(logo.is_none_or(|logo| has(&format!("src=\"{logo}"))), "{page}");
            assert!(form.is_none_or(has), "{page}");
            assert_eq!(has("<img"), logo.is_some(), "{page}");
            assert_eq!(has("<form"), form.is_some(), "{page}");
            assert_eq!(policy.contains("img-src 'self'"), logo.is_some(), "{policy}");
            assert_eq!(policy.contains("form-action 'self'"), form.is_some(), "{policy}");
        }
    }

    fn branded() -> Brand {
        let logo = Logo {
            kind: LogoKind::Svg,
            bytes: b"<svg/>".to_vec(),
        };
        Brand::new(&Branding {
            logo: Some(logo),
            color: Some(Color([0x0a, 0x6e, 0x5c])),
            ..Branding::default()
        })
    }
}
