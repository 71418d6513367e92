//! What does a caller send? Query parameters and JSON, parsed into types; whatever is unknown or malformed is said.

use std::fmt::Display;
use std::str::FromStr;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::api_error::ApiError;

/// Query parameters.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let Query(parameters) =
            Query::try_from_uri(&parts.uri).map_err(|rejection| ApiError::invalid("query", rejection.body_text()))?;
        Ok(Self(parameters))
    }
}

/// A JSON object, of whatever content type it is said to be; nothing at all stands for an object without members.
pub(super) struct Object<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Object<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        // The caller has read the body and bounded it already.
        let bytes = to_bytes(request.into_body(), LARGEST).await;
        let bytes = bytes.map_err(|_| ApiError::invalid("body", "expected at most 64 KiB of JSON"))?;
        object(&bytes).map(Self)
    }
}

/// Reads a value that is a text in the query or the body.
pub(super) fn parsed<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error| ApiError::invalid(field, error))
}

fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let text = if bytes.trim_ascii().is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(text).map_err(|error| ApiError::invalid("body", format_args!("expected JSON: {error}")))
}

const LARGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        name: Option<String>,
        tags: Option<serde_json::Value>,
    }

    fn cause(error: ApiError) -> String {
        match error {
            ApiError::Invalid(cause) => cause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_body_is_an_object_without_members() {
        let empty = Example { name: None, tags: None };
        assert_eq!(object::<Example>(b"").unwrap(), empty);
        assert_eq!(object::<Example>(b" \n").unwrap(), empty);
        assert_eq!(
            object::<Example>(b"{\"name\": \"x\"}").unwrap().name.as_deref(),
            Some("x")
        );
    }

    #[test]
    fn an_unknown_member_is_named_with_those_that_are_known() {
        let cause = cause(object::<Example>(b"{\"nmae\": 1}").unwrap_err());
        assert_eq!(
            cause,
            "body: expected JSON: unknown field `nmae`, expected `name` or `tags` at line 1 column 7"
        );
    }

    #[test]
    fn a_body_nested_without_end_is_refused() {
        let nested = |depth: usize| format!("{{\"tags\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(object::<Example>(nested(50).as_bytes()).is_ok());
        assert!(cause(object::<Example>(nested(30_000).as_bytes()).unwrap_err()).contains("recursion limit"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = object::<Example>(&bytes);
        }
    }
}
