//! Is a text fit to be stored, shown and sent on in a header?

use std::collections::{BTreeMap, BTreeSet};

use super::Refusal;

/// A name for people to read: 1 to 255 characters, no control characters, no space at either end.
pub(super) fn name(field: &'static str, text: &str) -> Result<(), Refusal> {
    let fits = !text.is_empty() && text.trim() == text && is_short_and_clean(text);
    check(
        fits,
        field,
        "1 to 255 characters, none of them a control character, no space at either end",
    )
}

/// A text for people to read, which may be empty.
pub(super) fn note(field: &'static str, text: &str) -> Result<(), Refusal> {
    check(
        is_short_and_clean(text),
        field,
        "at most 255 characters, none of them a control character",
    )
}

/// A group's name: applications get them joined by commas.
pub(super) fn group_name(field: &'static str, text: &str) -> Result<(), Refusal> {
    name(field, text)?;
    check(!text.contains(','), field, "a name without a comma")
}

/// A login: applications get it in a header.
pub(super) fn login(field: &'static str, text: &str) -> Result<(), Refusal> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "@._+-".contains(character);
    let fits = (1..=100).contains(&text.len()) && text.chars().all(allowed);
    check(fits, field, "1 to 100 letters, digits and any of `@._+-`")
}

/// An e-mail address: applications get it in a header.
pub(super) fn email(field: &'static str, text: &str) -> Result<(), Refusal> {
    let allowed = |character: char| character.is_ascii_graphic() && !",;:<>()[]\"\\`".contains(character);
    let one_at = text
        .split_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    check(
        one_at && text.len() <= 254 && text.chars().all(allowed),
        field,
        "an e-mail address such as name@example.com",
    )
}

/// What policies read of a user by name.
pub(super) fn user_tags(field: &'static str, tags: &BTreeMap<String, BTreeSet<String>>) -> Result<(), Refusal> {
    check(tags.len() <= MOST_TAGS, field, "at most 100 tags")?;
    check(
        !tags.contains_key(FACTORS_TAG),
        field,
        "tags other than `factors`, which the gateway sets itself",
    )?;
    for (key, values) in tags {
        name(field, key)?;
        check(values.len() <= MOST_TAGS, field, "at most 100 values for each tag")?;
        values.iter().try_for_each(|value| note(field, value))?;
    }
    Ok(())
}

/// What policies read of a device by name.
pub(super) fn device_tags(field: &'static str, tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    check(tags.len() <= MOST_TAGS, field, "at most 100 tags")?;
    tags.iter()
        .try_for_each(|(key, value)| name(field, key).and_then(|()| note(field, value)))
}

/// The device groups that policies see a device in.
pub(super) fn device_groups(field: &'static str, groups: &BTreeSet<String>) -> Result<(), Refusal> {
    check(groups.len() <= MOST_TAGS, field, "at most 100 groups")?;
    groups.iter().try_for_each(|group| group_name(field, group))
}

/// Refuses what does not fit, saying what would.
pub(super) fn check(fits: bool, field: &'static str, expected: &'static str) -> Result<(), Refusal> {
    if fits {
        Ok(())
    } else {
        Err(Refusal::Invalid { field, expected })
    }
}

fn is_short_and_clean(text: &str) -> bool {
    text.chars().count() <= 255 && !text.chars().any(char::is_control)
}

const MOST_TAGS: usize = 100;

/// The user tag that says which factors a user has.
const FACTORS_TAG: &str = "factors";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_short_and_has_no_control_characters() {
        for good in ["alice-laptop", "Ålice's  laptop", &"ä".repeat(255)] {
            assert_eq!(name("name", good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " ",
            " laptop",
            "laptop ",
            "lap\ntop",
            "lap\u{0}top",
            "lap\u{85}top",
            &"a".repeat(256),
        ] {
            assert!(name("name", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_group_name_has_no_comma() {
        assert_eq!(group_name("name", "finance"), Ok(()));
        assert!(group_name("name", "finance,admins").is_err());
    }

    #[test]
    fn a_login_is_safe_in_a_header() {
        for good in ["alice", "alice.b+c_d-e@example.com", &"a".repeat(100)] {
            assert_eq!(login("login", good), Ok(()), "{good}");
        }
        for bad in ["", "al ice", "alice\r\nx: y", "alicé", "a,b", &"a".repeat(101)] {
            assert!(login("login", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_email_address_has_one_at_sign_and_nothing_that_could_be_two() {
        for good in ["a@b", "alice.b+c@example.com", "o'hara@example.com"] {
            assert_eq!(email("email", good), Ok(()), "{good}");
        }
        let bad = [
            "",
            "alice",
            "@b",
            "a@",
            "a@b@c",
            "a@b,c@d",
            "a@b\r\nx: y",
            "a b@c",
            "<a@b>",
            "é@b",
            "a@b;c",
        ];
        for bad in bad {
            assert!(email("email", bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_goes_into_a_header_is_visible_ascii(text in "\\PC{0,12}|[ -~]{0,12}|.{0,12}") {
            if login("login", &text).is_ok() || email("email", &text).is_ok() {
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
            }
        }
    }
}
