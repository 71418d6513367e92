//! What does a person see who is not let through? One page that needs no other file: it is shown on every host.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::assets::STYLE;
use super::{ENGLISH, Texts, UNBRANDED};

/// A page that says what happened and what helps.
#[derive(Template)]
#[template(path = "message.html")]
pub(crate) struct Message<'a> {
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
    /// The request's id.
    pub(crate) request_id: &'a str,
    /// What pages say.
    pub(crate) texts: &'static Texts,
    /// Whose the page is.
    pub(crate) name: &'a str,
    /// The style sheet.
    pub(crate) css: &'static str,
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
    pub(crate) fn new(title: &'a str, detail: &'a str, request_id: &'a str) -> Self {
        Self {
            title,
            detail,
            reasons: &[],
            link: None,
            code: "",
            request_id,
            texts: &ENGLISH,
            name: UNBRANDED.name(),
            css: STYLE,
        }
    }
}

/// What the browser may do with a [`Message`]: show it, with this style and nothing else.
pub(crate) fn content_security_policy() -> &'static str {
    &CONTENT_SECURITY_POLICY
}

static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_escaped() {
        let page = Message::new("<b>", "a & b", "id").render().unwrap();
        assert!(!page.contains("<b>") && page.contains("a &#38; b"));
    }

    #[test]
    fn the_style_in_the_page_is_the_one_whose_hash_the_policy_names() {
        let page = Message::new("Title", "Detail", "id").render().unwrap();

        let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;

        let hash = STANDARD.encode(Sha256::digest(style));
        assert!(content_security_policy().contains(&format!("'sha256-{hash}'")));
    }
}
