//! What does a caller look for? Terms such as `status eq "ACTIVE"`, joined by `and`: a part of SCIM's filters (RFC 7644, section 3.4.2.2).

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term<A> {
    /// What is compared.
    pub(super) attribute: A,
    /// How.
    pub(super) operator: Operator,
    /// With what.
    pub(super) value: String,
}

/// How two texts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    /// They are the same.
    Equals,
    /// The thing's begins with the caller's.
    StartsWith,
}

impl<A> Term<A> {
    /// Whether a thing's own text meets the condition.
    pub(super) fn holds(&self, actual: &str) -> bool {
        match self.operator {
            Operator::Equals => actual == self.value,
            Operator::StartsWith => actual.starts_with(&self.value),
        }
    }
}

/// Says what a filter has to look like.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected terms such as `{example} eq \"…\"` or `{example} sw \"…\"`, joined by `and`; attributes: {known}")]
pub(super) struct BadFilter {
    example: String,
    known: String,
}

/// Reads a filter over the named attributes.
///
/// # Errors
///
/// The text is no such filter, or names another attribute.
pub(super) fn parse<A: Copy>(text: &str, attributes: &[(&str, A)]) -> Result<Vec<Term<A>>, BadFilter> {
    terms(text, attributes).ok_or_else(|| {
        let names: Vec<&str> = attributes.iter().map(|(name, _)| *name).collect();
        BadFilter {
            example: names.first().copied().unwrap_or_default().to_owned(),
            known: names.join(", "),
        }
    })
}

fn terms<A: Copy>(text: &str, attributes: &[(&str, A)]) -> Option<Vec<Term<A>>> {
    let mut terms = Vec::new();
    let mut rest = text.trim();
    loop {
        let (name, after) = rest.split_once(' ')?;
        let (operator, after) = after.trim_start().split_once(' ')?;
        let (value, after) = quoted(after.trim_start())?;
        let attribute = attributes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1;
        terms.push(Term {
            attribute,
            operator: read_operator(operator)?,
            value,
        });
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(terms);
        }
        let (and, after) = rest.split_once(' ')?;
        if !and.eq_ignore_ascii_case("and") {
            return None;
        }
        rest = after.trim_start();
    }
}

fn read_operator(text: &str) -> Option<Operator> {
    match text.to_ascii_lowercase().as_str() {
        "eq" => Some(Operator::Equals),
        "sw" => Some(Operator::StartsWith),
        _ => None,
    }
}

/// A text in quotes, with JSON's escapes, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = values.next()?.ok()?;
    Some((value, text.get(values.byte_offset()..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Attribute {
        Status,
        Name,
    }

    const KNOWN: &[(&str, Attribute)] = &[("status", Attribute::Status), ("profile.displayName", Attribute::Name)];

    fn term(attribute: Attribute, operator: Operator, value: &str) -> Term<Attribute> {
        Term {
            attribute,
            operator,
            value: value.to_owned(),
        }
    }

    #[test]
    fn terms_are_joined_by_and() {
        let filter = parse(
            r#"status eq "ACTIVE" and profile.displayName sw "alice \"a\" and b" "#,
            KNOWN,
        )
        .unwrap();
        assert_eq!(
            filter,
            [
                term(Attribute::Status, Operator::Equals, "ACTIVE"),
                term(Attribute::Name, Operator::StartsWith, "alice \"a\" and b"),
            ]
        );
    }

    #[test]
    fn words_of_the_filter_are_read_in_any_case() {
        let filter = parse(r#"STATUS EQ "ACTIVE" AND Profile.DisplayName Sw "x""#, KNOWN).unwrap();
        assert_eq!(filter.len(), 2);
    }

    #[test]
    fn what_is_no_filter_is_refused_with_what_was_expected() {
        let bad = [
            "",
            "status",
            "status eq",
            "status eq ACTIVE",
            r#"status eq "ACTIVE"#,
            r#"status ne "ACTIVE""#,
            r#"login eq "alice""#,
            r#"status eq "ACTIVE" or status eq "SUSPENDED""#,
            r#"status eq "ACTIVE" and"#,
            r#"status eq "ACTIVE" status eq "x""#,
            r#"(status eq "ACTIVE")"#,
        ];
        for text in bad {
            let refused = parse(text, KNOWN).unwrap_err();
            assert_eq!(
                refused.to_string(),
                "expected terms such as `status eq \"…\"` or `status sw \"…\"`, joined by `and`; \
                 attributes: status, profile.displayName",
                "{text}"
            );
        }
    }

    #[test]
    fn a_term_holds_for_the_whole_text_or_its_beginning() {
        let (equals, starts) = (
            term(Attribute::Name, Operator::Equals, "alice"),
            term(Attribute::Name, Operator::StartsWith, "alice"),
        );
        assert!(equals.holds("alice") && starts.holds("alice") && starts.holds("alice-laptop"));
        assert!(!equals.holds("alice-laptop") && !starts.holds("bob-alice"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}|(status|and|eq| |\"|x){0,12}") {
            let _ = parse(&text, KNOWN);
        }

        #[test]
        fn any_value_comes_back_from_its_quotes(value in "\\PC{0,40}") {
            let filter = parse(&format!("status eq {}", serde_json::json!(value)), KNOWN).unwrap();
            prop_assert_eq!(&filter[0].value, &value);
        }
    }
}
