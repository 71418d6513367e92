//! How does a request's method, host or path compare with a literal in a policy?

use cedar_policy::pst::PatternElem;

use crate::facts::RequestFacts;
use crate::reads::Field;

/// A comparison with a literal: all that a decision reads of that text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TextTest {
    pub(crate) field: TextField,
    pub(crate) literal: Literal,
}

/// A text of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TextField {
    Method,
    Host,
    Path,
}

/// What it is compared with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Literal {
    /// `==` this.
    Whole(String),
    /// `like` this: texts with anything, or nothing, between one and the next.
    Pieces(Vec<String>),
}

impl TextTest {
    /// Whether the request passes the test.
    pub(crate) fn holds(&self, request: &RequestFacts) -> bool {
        let value = match self.field {
            TextField::Method => &request.method,
            TextField::Host => &request.host,
            TextField::Path => &request.path,
        };
        match &self.literal {
            Literal::Whole(literal) => value == literal,
            Literal::Pieces(pieces) => is_like(value, pieces),
        }
    }
}

impl TextField {
    /// The part of the context it is.
    pub(crate) const fn field(self) -> Field {
        match self {
            Self::Method => Field::Method,
            Self::Host => Field::Host,
            Self::Path => Field::Path,
        }
    }
}

impl Literal {
    /// The literal right of a `like`.
    pub(crate) fn pattern(elements: &[PatternElem]) -> Self {
        let pieces = elements
            .split(|element| *element == PatternElem::Wildcard)
            .map(|piece| {
                let characters = piece.iter().filter_map(|element| match element {
                    PatternElem::Char(character) => Some(*character),
                    PatternElem::Wildcard => None,
                });
                characters.collect()
            });
        Self::Pieces(pieces.collect())
    }
}

/// The first piece must begin the text and the last must end it; those between are found from left to right.
fn is_like(value: &str, pieces: &[String]) -> bool {
    let Some((first, rest)) = pieces.split_first() else {
        return value.is_empty();
    };
    let Some((last, between)) = rest.split_last() else {
        return value == first;
    };
    let Some(mut rest) = value.strip_prefix(first.as_str()) else {
        return false;
    };
    for piece in between {
        let Some((_, after)) = rest.split_once(piece.as_str()) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use cedar_policy::{Context, Entities, EvalResult, Expression, Request, eval_expression};
    use proptest::prelude::*;

    use super::*;
    use crate::schema::Kind;

    proptest! {
        /// Whatever the text and the pattern, the answer is Cedar's.
        #[test]
        fn a_pattern_matches_what_cedar_says_it_matches(value in "[a/é*]{0,8}", pattern in "[a/é*]{0,6}") {
            let elements: Vec<_> = pattern
                .chars()
                .map(|c| if c == '*' { PatternElem::Wildcard } else { PatternElem::Char(c) })
                .collect();

            let ours = matches!(Literal::pattern(&elements), Literal::Pieces(pieces) if is_like(&value, &pieces));

            prop_assert_eq!(ours, cedars_answer(&value, &pattern));
        }
    }

    fn cedars_answer(value: &str, pattern: &str) -> bool {
        let uid = Kind::User.named("x");
        let request = Request::new(uid.clone(), uid.clone(), uid, Context::empty(), None).unwrap();
        let expression: Expression = format!("\"{value}\" like \"{pattern}\"").parse().unwrap();
        let answer = eval_expression(&request, &Entities::empty(), &expression).unwrap();
        answer == EvalResult::Bool(true)
    }
}
