//! In which language does somebody read? As they chose on a page, else as their browser prefers, else as configured.

use std::cmp::Reverse;

use http::{HeaderMap, HeaderValue, header};

use super::{ENGLISH, GERMAN, Texts};
use crate::cookies;

/// A language that pages speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Language {
    /// English.
    #[default]
    English,
    /// German.
    German,
}

impl Language {
    /// Each of them.
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::German];

    /// What pages say in it.
    pub(crate) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
        }
    }

    /// Its tag (RFC 5646): `en`.
    pub(crate) fn tag(self) -> &'static str {
        self.texts().common.language
    }

    /// The one with that tag, exactly.
    pub(crate) fn of(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// The one that a request asks for; `usual` where it asks for none that we speak.
    pub(crate) fn asked(headers: &HeaderMap, usual: Self) -> Self {
        Self::chosen(headers)
            .or_else(|| preferred(headers, usual))
            .unwrap_or(usual)
    }

    /// What was chosen on a page of this host. A cookie that is there twice or names no language of ours chooses nothing.
    pub(crate) fn chosen(headers: &HeaderMap) -> Option<Self> {
        let mut values = cookies::values(headers, COOKIE);
        let tag = std::str::from_utf8(values.next()?).ok()?;
        match values.next() {
            Some(_) => None,
            None => Self::of(tag),
        }
    }

    /// The field that has the browser remember the choice.
    pub(crate) fn remember(self) -> HeaderValue {
        let text = format!(
            "{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={LIFETIME}",
            self.tag()
        );
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// What the browser prefers (RFC 9110, section 12.5.4): the greatest weight wins, the first of those with the same.
fn preferred(headers: &HeaderMap, usual: Language) -> Option<Language> {
    let fields = headers.get_all(header::ACCEPT_LANGUAGE).iter();
    let items = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','));
    let ranges: Vec<Range<'_>> = items.filter_map(Range::parse).take(MOST_RANGES).collect();
    let others = Language::ALL.into_iter().filter(|language| *language != usual);
    let languages = [usual].into_iter().chain(others);
    let wanted = languages.filter_map(|language| Some((language, wish(&ranges, language)?)));
    // The first of equals is kept: the usual one where `*` is all that there is.
    wanted.min_by_key(|(_, wish)| *wish).map(|(language, _)| language)
}

/// How much a language is wished for, the most first: by weight, then by place; nothing if it is not wished for.
fn wish(ranges: &[Range<'_>], language: Language) -> Option<(Reverse<u16>, usize)> {
    let of = |means: &dyn Fn(&Range<'_>) -> bool| {
        let named = ranges.iter().enumerate().filter(|(_, range)| means(range));
        named.map(|(place, range)| (Reverse(range.weight), place)).min()
    };
    // What is named is not meant by `*`, even to say that it is not wished for.
    let wish = of(&|range| range.means(language)).or_else(|| of(&|range| range.tag == "*"));
    wish.filter(|(Reverse(weight), _)| *weight > 0)
}

/// One item of the field: a language range and its weight, in thousandths.
struct Range<'a> {
    tag: &'a str,
    weight: u16,
}

impl<'a> Range<'a> {
    /// Nothing for what is no item: it wishes for nothing.
    fn parse(item: &'a str) -> Option<Self> {
        let (tag, weight) = match item.split_once(';') {
            Some((tag, weight)) => (tag, parse_weight(weight)?),
            None => (item, WHOLE),
        };
        let tag = tag.trim_matches([' ', '\t']);
        let is_range = !tag.is_empty()
            && tag
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'*'));
        is_range.then_some(Self { tag, weight })
    }

    /// Whether it is the language, as spoken anywhere: `de-AT` is German.
    fn means(&self, language: Language) -> bool {
        let primary = self.tag.split('-').next().unwrap_or_default();
        primary.eq_ignore_ascii_case(language.tag())
    }
}

/// `q=0.8` in thousandths: at most three decimals, at most one (RFC 9110, section 12.4.2).
fn parse_weight(text: &str) -> Option<u16> {
    let (name, value) = text.trim_matches([' ', '\t']).split_once('=')?;
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    let fits =
        name.eq_ignore_ascii_case("q") && decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok().filter(|_| fits)?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(WHOLE),
        _ => None,
    }
}

/// Bound to its host by its name; it says nothing of who reads.
const COOKIE: &str = "__Host-latchkey-language";
const LIFETIME: u32 = 400 * 24 * 60 * 60;
const WHOLE: u16 = 1000;
const MOST_RANGES: usize = 64;

#[cfg(test)]
mod tests {
    use super::Language::{English, German};
    use super::*;

    fn asked(fields: &[(header::HeaderName, &str)], usual: Language) -> Language {
        let fields = fields.iter().cloned();
        let fields = fields.map(|(name, value)| (name, HeaderValue::from_str(value).unwrap()));
        Language::asked(&fields.collect(), usual)
    }

    fn accepting(field: &str, usual: Language) -> Language {
        asked(&[(header::ACCEPT_LANGUAGE, field)], usual)
    }

    #[test]
    fn the_greatest_weight_wins_and_the_first_of_equals() {
        for (field, language) in [
            ("de", German),
            ("DE-at", German),
            ("de-DE,de;q=0.9,en;q=0.8", German),
            ("en;q=0.8, de;q=0.9", German),
            ("en;q=0.899, de;q=0.9", German),
            ("fr, de;q=0.1", German),
            ("de, en", German),
            ("de ; q=1.000 , en", German),
            ("en-GB;q=0.5, de;q=0.4, en;q=0.1", English),
            ("en, de", English),
            ("*;q=0.1, de;q=0.2", German),
            ("en;q=0, *", German),
        ] {
            assert_eq!(accepting(field, English), language, "{field}");
        }
    }

    #[test]
    fn where_nothing_of_ours_is_asked_for_it_is_the_usual_language() {
        for field in ["", "fr", "fr, *", "*", "*;q=0", "den", "de;q=0, en;q=0", "deu", ",;,"] {
            for usual in Language::ALL {
                assert_eq!(accepting(field, usual), usual, "{field}");
            }
        }
        assert_eq!(asked(&[], German), German);
    }

    #[test]
    fn what_is_no_item_wishes_for_nothing() {
        for field in [
            "de;q=1.1",
            "de;q=2",
            "de;q=0.9999",
            "de;q=-1",
            "de;q",
            "de;x=1",
            "de;q=.5",
            "de;q=0,5",
            "d e",
            "de;q=1;q=1",
            "\"de\"",
        ] {
            assert_eq!(accepting(field, English), English, "{field}");
        }
        assert_eq!(accepting("de;q=1.1, de;q=0.5", English), German, "control");
    }

    #[test]
    fn several_fields_are_one_list() {
        let fields = [(header::ACCEPT_LANGUAGE, "en;q=0.5"), (header::ACCEPT_LANGUAGE, "de")];
        assert_eq!(asked(&fields, English), German);
    }

    #[test]
    fn a_choice_comes_first_and_only_one_of_ours_is_one() {
        let with = |cookie: &str| asked(&[(header::ACCEPT_LANGUAGE, "en"), (header::COOKIE, cookie)], English);

        assert_eq!(with("a=1; __Host-latchkey-language=de"), German);
        for cookie in [
            "__Host-latchkey-language=fr",
            "__Host-latchkey-language=DE",
            "__Host-latchkey-language=\"de\"",
            "__Host-latchkey-language=",
            "latchkey-language=de",
            "__Host-latchkey-language=de; __Host-latchkey-language=de",
        ] {
            assert_eq!(with(cookie), English, "{cookie}");
        }
    }

    #[test]
    fn each_language_has_a_tag_of_its_own_and_is_remembered_by_it() {
        for language in Language::ALL {
            assert_eq!(Language::of(language.tag()), Some(language));
            let set = language.remember();
            let cookie = set.to_str().unwrap().split(';').next().unwrap();
            assert_eq!(asked(&[(header::COOKIE, cookie)], English), language);
        }
    }
}
