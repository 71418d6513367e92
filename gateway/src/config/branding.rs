//! What does the configuration say of the pages? Their language, and whose they are: a name, a logo, a colour, where help is.

use std::fmt;
use std::io::Read;

use super::check::Checker;
use super::raw::{RawBranding, RawPages};
use super::values::{Expected, one_of};
use crate::pages::Language;

/// Whose the pages are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Branding {
    /// The name in place of the product's.
    pub(crate) name: Option<String>,
    /// The picture beside the name.
    pub(crate) logo: Option<Logo>,
    /// The colour of buttons and links.
    pub(crate) color: Option<Color>,
    /// Where somebody finds help.
    pub(crate) help: Option<Help>,
}

/// A picture as it was in its file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Logo {
    /// What kind of picture it is.
    pub(crate) kind: LogoKind,
    /// The picture.
    pub(crate) bytes: Vec<u8>,
}

/// The kinds of pictures that every browser shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogoKind {
    /// `image/svg+xml`.
    Svg,
    /// `image/png`.
    Png,
}

/// A colour, on which white can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Color(pub(crate) [u8; 3]);

/// Where somebody finds help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Help {
    /// A `https:` or `mailto:` address.
    Link(String),
    /// Something to read, such as a telephone number.
    Text(String),
}

pub(super) fn check_pages(raw: &RawPages, checker: &mut Checker<'_>) -> Option<Language> {
    let languages = Language::ALL.map(|language| (language.tag(), language));
    let usual = raw.language.as_deref().unwrap_or(Language::default().tag());
    checker.value("pages.language", usual, one_of(&languages))
}

pub(super) fn check_branding(raw: &RawBranding, checker: &mut Checker<'_>) -> Option<Branding> {
    let name = checker.optional("branding.name", raw.name.as_deref(), name);
    let logo = raw
        .logo
        .as_deref()
        .map_or(Some(None), |file| check_logo(file, checker).map(Some));
    let color = checker.optional("branding.color", raw.color.as_deref(), legible);
    let help = checker.optional("branding.help", raw.help.as_deref(), help);
    Some(Branding {
        name: name?,
        logo: logo?,
        color: color?,
        help: help?,
    })
}

fn name(text: &str) -> Result<String, Expected> {
    line(text, MOST_NAME).ok_or_else(|| Expected(format!("a name of 1 to {MOST_NAME} characters in one line")))
}

fn help(text: &str) -> Result<Help, Expected> {
    let expected = || {
        Expected(format!(
            "a https: or mailto: link, or a line of at most {MOST_HELP} characters"
        ))
    };
    let line = line(text, MOST_HELP).ok_or_else(expected)?;
    let lower = line.to_ascii_lowercase();
    if lower.starts_with("https://") || lower.starts_with("mailto:") {
        return match url::Url::parse(&line) {
            Ok(_) if !line.contains(' ') => Ok(Help::Link(line)),
            _ => Err(expected()),
        };
    }
    // Somebody meant a link, which would not be one.
    match lower.contains("://") || lower.starts_with("javascript:") || lower.starts_with("data:") {
        true => Err(expected()),
        false => Ok(Help::Text(line)),
    }
}

/// A text that is one line, without space around it.
fn line(text: &str, most: usize) -> Option<String> {
    let fits = (1..=most).contains(&text.chars().count()) && text.trim() == text && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// Buttons are white on it, and links are written with it on white.
fn legible(text: &str) -> Result<Color, Expected> {
    let color = Color::parse(text).ok_or_else(|| Expected::new("a colour such as #0a6e5c"))?;
    let contrast = color.contrast(Color::WHITE);
    match contrast >= LEAST_CONTRAST {
        true => Ok(color),
        false => Err(Expected(format!(
            "a colour whose contrast to white is {LEAST_CONTRAST} or more (here {contrast:.1}): a darker one"
        ))),
    }
}

fn check_logo(text: &str, checker: &mut Checker<'_>) -> Option<Logo> {
    let key = "branding.logo";
    let path = checker.file(key, text)?;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(&path).and_then(|file| file.take(MOST_LOGO + 1).read_to_end(&mut bytes));
    let wrong = match (read, LogoKind::of(&bytes)) {
        (Err(error), _) => format!("a file that can be read, found `{}` ({})", path.display(), error.kind()),
        (Ok(_), _) if u64::try_from(bytes.len()).is_ok_and(|length| length > MOST_LOGO) => {
            format!("at most {} KiB, found more in `{}`", MOST_LOGO / 1024, path.display())
        }
        (Ok(_), Some(kind)) => return Some(Logo { kind, bytes }),
        (Ok(_), None) => format!("a picture, SVG or PNG, found `{}`", path.display()),
    };
    checker.refuse(key, format!("expected {wrong}"));
    None
}

impl LogoKind {
    /// By what is in the file: PNG's signature, or text with an `svg` element first.
    fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Some(Self::Png);
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let starts = ["<svg", "<?xml", "<!--", "<!DOCTYPE svg"];
        let begins = starts
            .iter()
            .any(|start| text.trim_start_matches('\u{feff}').trim_start().starts_with(start));
        (begins && text.contains("<svg")).then_some(Self::Svg)
    }
}

impl Color {
    /// White.
    pub(crate) const WHITE: Self = Self([255; 3]);

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        let is_color = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_color)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    /// How well one can be read on the other: 1 to 21 (WCAG 2.2, contrast ratio).
    pub(crate) fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// WCAG 2.2, relative luminance.
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// With so much of another in it, in percent.
    pub(crate) fn mixed(self, other: Self, percent: u8) -> Self {
        let part = u16::from(percent.min(100));
        let (Self([red, green, blue]), Self([r, g, b])) = (self, other);
        let mix = |one: u8, other: u8| {
            let sum = u16::from(one) * (100 - part) + u16::from(other) * part;
            u8::try_from(sum / 100).unwrap_or(u8::MAX)
        };
        Self([mix(red, r), mix(green, g), mix(blue, b)])
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl fmt::Debug for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {} bytes", self.kind, self.bytes.len())
    }
}

const MOST_NAME: usize = 60;
const MOST_HELP: usize = 200;
const MOST_LOGO: u64 = 256 * 1024;

/// WCAG 2.2, level AA.
const LEAST_CONTRAST: f64 = 4.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_as_the_guidelines_count_it() {
        let color = |text: &str| Color::parse(text).unwrap();
        assert!((color("#000000").contrast(Color::WHITE) - 21.0).abs() < 0.001);
        assert!((Color::WHITE.contrast(Color::WHITE) - 1.0).abs() < 0.001);
        // The two greys on either side of the limit.
        assert!(legible("#767676").is_ok());
        assert!(legible("#777777").is_err());
    }

    #[test]
    fn a_colour_has_one_spelling() {
        assert_eq!(
            Color::parse("#0A6e5c").map(|color| color.to_string()).as_deref(),
            Some("#0a6e5c")
        );
        for text in ["0a6e5c", "#0a6e5", "#0a6e5cf", "#+a6e5c", "#0a6e5g", "teal", "", "#"] {
            assert_eq!(Color::parse(text), None, "{text}");
        }
    }

    #[test]
    fn help_is_a_link_only_if_it_leads_somewhere_safe() {
        for text in ["https://help.example.com/?a=1", "mailto:help@example.com"] {
            assert_eq!(help(text), Ok(Help::Link(text.to_owned())));
        }
        for text in ["Call 1234", "Helpdesk: 1234"] {
            assert_eq!(help(text), Ok(Help::Text(text.to_owned())));
        }
        for text in [
            "",
            " x",
            "a\nb",
            "http://x.example",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "https://",
            "https://a b",
        ] {
            assert!(help(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_picture_is_known_by_what_is_in_it() {
        for text in [
            "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            "<?xml version=\"1.0\"?>\n<svg/>",
            "\u{feff} <svg/>",
        ] {
            assert_eq!(LogoKind::of(text.as_bytes()), Some(LogoKind::Svg), "{text}");
        }
        assert_eq!(LogoKind::of(b"\x89PNG\r\n\x1a\nrest"), Some(LogoKind::Png));
        for bytes in [
            &b""[..],
            b"<html><svg/></html>",
            b"<?xml version=\"1.0\"?>",
            b"GIF89a",
            b"\xff\xd8\xff",
            b"PNG",
        ] {
            assert_eq!(LogoKind::of(bytes), None, "{bytes:?}");
        }
    }
}
