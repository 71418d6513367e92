//! What do pages say to somebody who reads another language? As the gateway's own texts have it.

use std::collections::BTreeMap;

/// The language that a browser asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// German.
    German,
}

impl Language {
    /// What a page may say where in English it says what begins so; what the gateway does not say stands as it is.
    pub(super) fn all_of(self, english: &str) -> Vec<String> {
        let said: Vec<String> = match self {
            Self::English => Vec::new(),
            Self::German => {
                let german = read(GERMAN);
                let begin_so = read(ENGLISH).into_iter().filter(|(_, text)| text.starts_with(english));
                begin_so.filter_map(|(name, _)| german.get(&name).cloned()).collect()
            }
        };
        if said.is_empty() {
            vec![english.to_owned()]
        } else {
            said
        }
    }

    /// What Chromium calls it.
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }
}

/// The texts in the gateway's source, by page and name.
fn read(files: &[&'static str]) -> BTreeMap<(String, &'static str), String> {
    let mut texts = BTreeMap::new();
    for file in files {
        let mut page = String::new();
        for line in file.lines().map(str::trim) {
            let Some((name, rest)) = line.split_once(": ") else {
                continue;
            };
            if let Some(text) = rest.strip_prefix('"').and_then(|rest| rest.strip_suffix("\",")) {
                texts.insert(
                    (page.clone(), name),
                    text.replace("\\\"", "\"").replace("\\u{ad}", "\u{ad}"),
                );
            } else if rest.ends_with('{') {
                name.trim_start_matches("pub(super) const ").clone_into(&mut page);
            }
        }
    }
    texts
}

macro_rules! texts_of {
    ($language:literal) => {
        &[
            include_str!(concat!("../../../gateway/src/pages/texts/", $language, ".rs")),
            include_str!(concat!("../../../gateway/src/pages/texts/", $language, "/account.rs")),
            include_str!(concat!("../../../gateway/src/pages/texts/", $language, "/denials.rs")),
            include_str!(concat!("../../../gateway/src/pages/texts/", $language, "/device.rs")),
            include_str!(concat!("../../../gateway/src/pages/texts/", $language, "/sign_in.rs")),
        ]
    };
}

const ENGLISH: &[&str] = texts_of!("english");
const GERMAN: &[&str] = texts_of!("german");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_says_is_found_in_the_other_language() {
        assert_eq!(Language::German.all_of("You are signed in"), ["Sie sind angemeldet"]);
        assert!(Language::German.all_of("Password").contains(&"Passwort".to_owned()));
        assert_eq!(Language::English.all_of("Password"), ["Password"]);
        assert_eq!(Language::German.all_of("No text of ours"), ["No text of ours"]);
        assert!(read(ENGLISH).len() > 600);
        assert_eq!(read(ENGLISH).len(), read(GERMAN).len());
    }
}
