//! Which files do pages load? A few, built in, under names that change with what is in them.

use std::sync::LazyLock;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// A file that pages load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asset {
    /// Its kind.
    pub(crate) content_type: &'static str,
    /// What is in it.
    pub(crate) body: Bytes,
    /// Its tag, quotes included.
    pub(crate) etag: String,
    /// How long a browser may keep it, as a `Cache-Control` says it.
    pub(crate) caching: &'static str,
}

/// The file of that name: `pages-0123456789abcdef.css` to be kept for ever, or `pages.css` to be asked for again.
pub(crate) fn asset(name: &str) -> Option<Asset> {
    let stored = STORED
        .iter()
        .find(|stored| stored.name == name || stored.hashed == name)?;
    Some(Asset {
        content_type: stored.content_type,
        body: Bytes::from_static(stored.body.as_bytes()),
        etag: stored.etag.clone(),
        caching: if stored.hashed == name { FOR_EVER } else { ASK_AGAIN },
    })
}

impl Asset {
    /// One under a name that changes with what is in it.
    pub(super) fn kept(content_type: &'static str, body: Bytes, hash: &str) -> Self {
        Self {
            content_type,
            body,
            etag: format!("\"{hash}\""),
            caching: FOR_EVER,
        }
    }
}

/// What goes into such a name.
pub(super) fn hash_of(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The name under which the file of that plain name may be kept for ever.
pub(super) fn hashed(name: &str) -> &str {
    let stored = STORED.iter().find(|stored| stored.name == name);
    stored.map_or(name, |stored| &stored.hashed)
}

struct Stored {
    name: &'static str,
    hashed: String,
    content_type: &'static str,
    body: &'static str,
    etag: String,
}

static STORED: LazyLock<Vec<Stored>> = LazyLock::new(|| FILES.iter().map(stored).collect());

fn stored(&(name, body): &(&'static str, &'static str)) -> Stored {
    let hash = hash_of(body.as_bytes());
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    Stored {
        name,
        hashed: format!("{stem}-{hash}.{ending}"),
        content_type: match ending {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        },
        body,
        etag: format!("\"{hash}\""),
    }
}

/// What all pages look like.
pub(super) const STYLE: &str = include_str!("../../templates/assets/pages.css");

const FILES: [(&str, &str); 11] = [
    ("pages.css", STYLE),
    ("mark.svg", include_str!("../../templates/assets/mark.svg")),
    ("copy.js", include_str!("../../templates/assets/copy.js")),
    ("device.js", include_str!("../../templates/assets/device.js")),
    ("sign-in.js", include_str!("../../templates/assets/sign-in.js")),
    ("webauthn.js", include_str!("../../templates/assets/webauthn.js")),
    ("push.js", include_str!("../../templates/assets/push.js")),
    ("enroll.js", include_str!("../../templates/assets/enroll.js")),
    ("device-test.js", include_str!("../../templates/assets/device-test.js")),
    ("renew-frame.js", include_str!("../../templates/assets/renew-frame.js")),
    ("renew.js", include_str!("../../templates/assets/renew.js")),
];

const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "public, no-cache";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_for_ever_only_under_the_name_that_changes_with_it() {
        let kept = asset(hashed("pages.css")).unwrap();
        let plain = asset("pages.css").unwrap();

        assert_eq!((kept.body.as_ref(), kept.caching), (STYLE.as_bytes(), FOR_EVER));
        assert_eq!((plain.body.as_ref(), plain.caching), (STYLE.as_bytes(), ASK_AGAIN));
        assert_eq!(kept.content_type, "text/css; charset=utf-8");
        assert_eq!(kept.etag, plain.etag);
    }

    #[test]
    fn there_are_no_other_files() {
        for name in [
            "",
            "pages",
            "pages-.css",
            "pages-0000000000000000.css",
            "../mod.rs",
            "PAGES.CSS",
        ] {
            assert_eq!(asset(name), None, "{name}");
        }
    }

    #[test]
    fn no_script_makes_code_or_markup_from_text() {
        for (name, body) in FILES.iter().filter(|(name, _)| name.ends_with(".js")) {
            for dangerous in [
                "eval(",
                "innerHTML",
                "outerHTML",
                "insertAdjacent",
                "document.write",
                "new Function",
            ] {
                assert!(!body.contains(dangerous), "{name} has {dangerous}");
            }
            assert!(body.contains("\"use strict\""), "{name} is not strict");
        }
    }
}
