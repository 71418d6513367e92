//! Is the request target one that nobody on the way can read differently? Ambiguous ones are refused, never repaired.

use std::borrow::Cow;

use crate::config::{PathOptions, Spelling};

/// Says why a request target is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadTarget {
    /// The request target does not begin with a slash.
    NotOriginForm,
    /// The request target is longer than is taken.
    TooLong,
    /// The request target has a fragment.
    Fragment,
    /// The request target has a control character, a space or a backslash.
    ForbiddenByte,
    /// The path has a percent sign that two hexadecimal digits do not follow.
    MalformedPercent,
    /// The path encodes a control character, a slash or a backslash.
    ForbiddenEncoding,
    /// The path encodes a character that needs no encoding.
    NeedlessEncoding,
    /// The path is not UTF-8.
    NotUtf8,
    /// The path has a semicolon.
    Parameter,
    /// The path has an empty segment.
    EmptySegment,
    /// The path has a segment that is, or ends in, a dot or an encoded space.
    DotSegment,
    /// The path is one that goes on under another, and does not begin as the rule for that is written.
    Moved,
}

/// The longest request target that is taken, in bytes.
const LONGEST: usize = 8 * 1024;

/// Checks a request target and gives back its path: everything before the query, byte for byte.
///
/// # Errors
/// If two servers might read the target differently.
pub(crate) fn check(target: &[u8], options: PathOptions) -> Result<&str, BadTarget> {
    if target.len() > LONGEST {
        return Err(BadTarget::TooLong);
    }
    if target.contains(&b'#') {
        return Err(BadTarget::Fragment);
    }
    let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    // Browsers send a backslash in a query as it is (WHATWG URL, query percent-encode set); in a path it is a slash to some.
    if target.iter().any(|&byte| byte <= b' ' || byte == 0x7f) || path.contains(&b'\\') {
        return Err(BadTarget::ForbiddenByte);
    }
    if !path.starts_with(b"/") {
        return Err(BadTarget::NotOriginForm);
    }
    if path.contains(&b';') && options.path_parameters == Spelling::Refuse {
        return Err(BadTarget::Parameter);
    }
    std::str::from_utf8(&decode(path, options)?).map_err(|_| BadTarget::NotUtf8)?;
    let path = std::str::from_utf8(path).map_err(|_| BadTarget::NotUtf8)?;
    check_segments(path)?;
    Ok(path)
}

/// The path that rules are matched against: in its one spelling, and as a server reads it that cuts parameters off, decodes
/// `%2f` or ignores case, as far as the options say that the application may be one.
pub(crate) fn matched(path: &str, options: PathOptions) -> String {
    let mut matched = path.to_owned();
    if options.path_parameters == Spelling::Pass {
        // Some servers decode before they cut.
        let parameters_plain = plain(&matched, ';', ["%3B", "%3b"]);
        let segments: Vec<&str> = parameters_plain
            .split('/')
            .map(|segment| segment.split(';').next().unwrap_or_default())
            .collect();
        matched = segments.join("/");
    }
    if options.encoded_slashes == Spelling::Pass {
        matched = plain(&matched, '/', ["%2F", "%2f"]).into_owned();
    }
    let spelled = spelled_once(&matched);
    if options.case_insensitive {
        fold_case(&spelled)
    } else {
        spelled
    }
}

/// Spells a path as every other spelling of it is spelled here: what may stand in a path for itself does (`pchar`, RFC 3986, section
/// 3.3), and all else is encoded, in capitals. Servers decode before they look for what is asked for.
fn spelled_once(path: &str) -> String {
    let mut spelled = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let encoded = byte == b'%';
        let meant = if encoded {
            hexadecimal(bytes.next(), bytes.next()).unwrap_or(b'%')
        } else {
            byte
        };
        let delimits = matches!(meant, b'/' | b';');
        if delimits && !encoded || meant.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&meant) {
            spelled.push(char::from(meant));
        } else {
            push_percent(&mut spelled, meant);
        }
    }
    spelled
}

/// Folds case for matching only, as a server that ignores case might: ASCII, and what Unicode maps to one another.
fn fold_case(path: &str) -> String {
    let mut folded = String::with_capacity(path.len());
    let mut encoded = Vec::new();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let decoded = if byte == b'%' {
            hexadecimal(bytes.next(), bytes.next()).unwrap_or(b'%')
        } else {
            byte
        };
        if decoded >= 0x80 {
            encoded.push(decoded);
            continue;
        }
        flush(&mut encoded, &mut folded);
        if byte == b'%' {
            push_percent(&mut folded, decoded);
        } else {
            folded.push(char::from(decoded.to_ascii_lowercase()));
        }
    }
    flush(&mut encoded, &mut folded);
    folded
}

/// Decodes every percent sequence, refusing those that hide something.
fn decode(path: &[u8], options: PathOptions) -> Result<Vec<u8>, BadTarget> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let hidden = hexadecimal(bytes.next(), bytes.next()).ok_or(BadTarget::MalformedPercent)?;
        match hidden {
            b'/' if options.encoded_slashes == Spelling::Pass => {}
            0..=0x1f | 0x7f | b'/' | b'\\' => return Err(BadTarget::ForbiddenEncoding),
            b'-' | b'.' | b'_' | b'~' => return Err(BadTarget::NeedlessEncoding),
            other if other.is_ascii_alphanumeric() => return Err(BadTarget::NeedlessEncoding),
            _ => {}
        }
        decoded.push(hidden);
    }
    Ok(decoded)
}

/// Checks every segment, and what servers take for segments that decode `%2f` or cut parameters off, before or after they
/// decode `%3b`.
fn check_segments(path: &str) -> Result<(), BadTarget> {
    let path = path.get(1..).unwrap_or_default();
    let parameters_plain = plain(path, ';', ["%3B", "%3b"]);
    // Whoever cuts first sees nothing of what comes after the slash, whoever decodes first all of it.
    let hides = |segment: &str| {
        let parameters = segment.split_once(';').map(|(_, parameters)| parameters);
        parameters.is_some_and(|parameters| parameters.contains("%2F") || parameters.contains("%2f"))
    };
    if parameters_plain.split('/').any(hides) {
        return Err(BadTarget::ForbiddenEncoding);
    }
    let unified = plain(&parameters_plain, '/', ["%2F", "%2f"]);
    let mut segments = unified.split('/').peekable();
    while let Some(segment) = segments.next() {
        let bare = segment.split(';').next().unwrap_or_default();
        let last = segments.peek().is_none();
        if bare.is_empty() && !(last && segment.is_empty()) {
            return Err(BadTarget::EmptySegment);
        }
        for part in [segment, bare] {
            if part.ends_with('.') || part.ends_with("%20") {
                return Err(BadTarget::DotSegment);
            }
        }
    }
    Ok(())
}

/// A text with this character in place of its encodings; most paths have none.
fn plain<'a>(text: &'a str, character: char, encodings: [&str; 2]) -> Cow<'a, str> {
    if !encodings.iter().any(|encoding| text.contains(encoding)) {
        return Cow::Borrowed(text);
    }
    let decoded = character.to_string();
    Cow::Owned(
        encodings
            .iter()
            .fold(text.to_owned(), |text, encoding| text.replace(encoding, &decoded)),
    )
}

fn hexadecimal(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high?)? * 16 + digit(low?)?)
}

/// Folds the characters collected in `encoded` and writes them: plain where folding made ASCII of them.
fn flush(encoded: &mut Vec<u8>, folded: &mut String) {
    for character in String::from_utf8_lossy(encoded).chars() {
        // To small letters first: a capital sharp S is its own capital, and only the small one becomes two letters.
        let capitals = character.to_lowercase().flat_map(char::to_uppercase);
        for small in capitals.flat_map(char::to_lowercase) {
            if small.is_ascii() {
                folded.push(small);
            } else {
                let mut buffer = [0; 4];
                small
                    .encode_utf8(&mut buffer)
                    .bytes()
                    .for_each(|byte| push_percent(folded, byte));
            }
        }
    }
    encoded.clear();
}

fn push_percent(text: &mut String, byte: u8) {
    let digit = |value: u8| {
        char::from_digit(u32::from(value), 16)
            .unwrap_or('0')
            .to_ascii_uppercase()
    };
    text.push('%');
    text.push(digit(byte >> 4));
    text.push(digit(byte & 15));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STRICT: PathOptions = PathOptions {
        encoded_slashes: Spelling::Refuse,
        path_parameters: Spelling::Refuse,
        case_insensitive: false,
    };
    const LAX: PathOptions = PathOptions {
        encoded_slashes: Spelling::Pass,
        path_parameters: Spelling::Pass,
        case_insensitive: false,
    };

    #[test]
    fn clear_targets_pass_unchanged() {
        for target in [
            "/",
            "/a",
            "/a/",
            "/a/b.html?x=%&y=a/../b",
            "/%C3%A9/%E6%97%A5",
            "/a%3Ab",
            "/a%20b",
            "/...x",
            "/é",
        ] {
            let path = target.split('?').next().unwrap();
            assert_eq!(check(target.as_bytes(), STRICT), Ok(path), "{target}");
        }
    }

    #[test]
    fn ambiguous_targets_are_refused() {
        let cases = [
            ("", BadTarget::NotOriginForm),
            ("*", BadTarget::NotOriginForm),
            ("http://a/b", BadTarget::NotOriginForm),
            ("/a#b", BadTarget::Fragment),
            ("/a\\b", BadTarget::ForbiddenByte),
            ("/a b", BadTarget::ForbiddenByte),
            ("/a\0b", BadTarget::ForbiddenByte),
            ("/a\x7fb", BadTarget::ForbiddenByte),
            ("/%", BadTarget::MalformedPercent),
            ("/%2", BadTarget::MalformedPercent),
            ("/%zz", BadTarget::MalformedPercent),
            ("/%+1", BadTarget::MalformedPercent),
            ("/%00", BadTarget::ForbiddenEncoding),
            ("/%0d%0a", BadTarget::ForbiddenEncoding),
            ("/%2f", BadTarget::ForbiddenEncoding),
            ("/%5C", BadTarget::ForbiddenEncoding),
            ("/%61", BadTarget::NeedlessEncoding),
            ("/%2e%2e/a", BadTarget::NeedlessEncoding),
            ("/%7E", BadTarget::NeedlessEncoding),
            ("/%c0%ae", BadTarget::NotUtf8),
            ("/%ff", BadTarget::NotUtf8),
            ("/%ed%a0%80", BadTarget::NotUtf8),
            ("/a;b", BadTarget::Parameter),
            ("//", BadTarget::EmptySegment),
            ("//a", BadTarget::EmptySegment),
            ("/a//b", BadTarget::EmptySegment),
            ("/a//", BadTarget::EmptySegment),
            ("/.", BadTarget::DotSegment),
            ("/..", BadTarget::DotSegment),
            ("/a/../b", BadTarget::DotSegment),
            ("/a./b", BadTarget::DotSegment),
            ("/a%20/b", BadTarget::DotSegment),
            ("/a%20", BadTarget::DotSegment),
            ("/a/..%3Bx/b", BadTarget::DotSegment),
            ("/.%3b", BadTarget::DotSegment),
            ("/a/%3Bx/b", BadTarget::EmptySegment),
        ];
        for (target, expected) in cases {
            assert_eq!(check(target.as_bytes(), STRICT), Err(expected), "{target:?}");
        }
        assert_eq!(check("/x".repeat(LONGEST).as_bytes(), STRICT), Err(BadTarget::TooLong));
    }

    #[test]
    fn options_let_through_what_they_name_and_no_more() {
        assert!(check(b"/a%2fb", LAX).is_ok());
        assert!(check(b"/a;v=1/b", LAX).is_ok());
        for target in ["/a%2f%2fb", "/%2fa", "/;/a", "/;x", "/a/;x/b", "/a%2f;x"] {
            assert_eq!(check(target.as_bytes(), LAX), Err(BadTarget::EmptySegment), "{target}");
        }
        for target in [
            "/a%2f..%2fb",
            "/a%2F..",
            "/..;x/a",
            "/a/..%2fb",
            "/.%2f",
            "/a%20;x=1/b",
            "/a/..;",
        ] {
            assert_eq!(check(target.as_bytes(), LAX), Err(BadTarget::DotSegment), "{target}");
        }
        for target in ["/a;%2Fadmin", "/a%3B%2fadmin", "/a;x%2f..%2fb/c", "/a%3bx/b;y%2Fc"] {
            assert_eq!(
                check(target.as_bytes(), LAX),
                Err(BadTarget::ForbiddenEncoding),
                "{target}"
            );
        }
        for control in ["/a;x/admin", "/a%2Fadmin;x", "/a%3bx/b%2fc"] {
            assert!(check(control.as_bytes(), LAX).is_ok(), "{control}");
        }
    }

    #[test]
    fn rules_are_matched_against_what_a_lenient_server_reads() {
        assert_eq!(matched("/admin;x=1/a;b", LAX), "/admin/a");
        assert_eq!(matched("/admin%3Bx=1/a%3bb;c", LAX), "/admin/a");
        assert_eq!(matched("/admin%3bx", STRICT), "/admin%3Bx");
        assert_eq!(matched("/admin%2fx", LAX), "/admin/x");
        assert_eq!(matched("/admin;x=1/%2F", STRICT), "/admin;x=1/%2F");
        assert_eq!(
            matched(
                "/Admin%2FX;y",
                PathOptions {
                    case_insensitive: true,
                    ..LAX
                }
            ),
            "/admin/x"
        );
    }

    #[test]
    fn rules_are_matched_against_one_spelling() {
        for (spellings, spelled) in [
            (&["/a:b", "/a%3Ab", "/a%3ab"][..], "/a:b"),
            (&["/a@b", "/a%40b"], "/a@b"),
            (&["/caf\u{e9}", "/caf%C3%A9", "/caf%c3%a9"], "/caf%C3%A9"),
            (&["/a{b}", "/a%7Bb%7d"], "/a%7Bb%7D"),
            (&["/a%25b"], "/a%25b"),
            (&["/a%3Bb"], "/a%3Bb"),
        ] {
            for spelling in spellings {
                assert!(check(spelling.as_bytes(), STRICT).is_ok(), "{spelling}");
                assert_eq!(matched(spelling, STRICT), spelled, "{spelling}");
            }
        }
    }

    #[test]
    fn folding_makes_equal_what_a_server_without_case_takes_for_equal() {
        assert_eq!(fold_case("/Admin/X"), "/admin/x");
        assert_eq!(fold_case("/%c3%89"), fold_case("/%C3%A9"));
        assert_eq!(fold_case("/%E2%84%AAey"), "/key");
        assert_eq!(fold_case("/%C5%BFecret"), "/secret");
        assert_eq!(fold_case("/a%3a"), "/a%3A");
        for sharp in ["/stra%C3%9Fe", "/STRA%E1%BA%9EE", "/Stra\u{df}e", "/STRA\u{1e9e}E"] {
            assert_eq!(fold_case(sharp), "/strasse", "{sharp}");
        }
    }

    proptest! {
        #[test]
        fn whatever_passes_has_one_reading(target in "/[ -~é日ßẞİıſ]{0,40}") {
            if let Ok(path) = check(target.as_bytes(), STRICT) {
                let decoded = decode(path.as_bytes(), STRICT).unwrap();
                let text = String::from_utf8(decoded).unwrap();
                prop_assert!(!text.contains('\\') && !text.contains("//"));
                prop_assert!(text.split('/').all(|segment| segment != "." && segment != ".."));
                prop_assert_eq!(fold_case(&fold_case(path)), fold_case(path));
            }
        }

        #[test]
        fn no_bytes_at_all_upset_the_check(target in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = check(&target, STRICT);
            let _ = check(&target, LAX);
            let _ = fold_case(&String::from_utf8_lossy(&target));
        }
    }
}
