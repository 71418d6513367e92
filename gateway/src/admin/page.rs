//! How is a long list read? Page by page, each naming the next in one `Link` field (RFC 8288).

use std::sync::Arc;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header;
use http::request::Parts;
use serde_json::Value;
use url::Url;

use crate::api_error::ApiError;
use crate::setup::origin;
use crate::world::World;

/// The address of the list that is asked for.
pub(super) struct Listing(Url);

impl FromRequestParts<Arc<World>> for Listing {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, ApiError> {
        let setup = world.setup.load();
        let origin = origin(&setup.config, setup.config.hosts.admin.as_str());
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        Url::parse(&origin)
            .and_then(|origin| origin.join(path))
            .map(Self)
            .map_err(|_| ApiError::Fault)
    }
}

impl Listing {
    /// Answers with one page, and says where the next one is.
    pub(super) fn answer(&self, page: Vec<Value>, next: Option<String>) -> Response {
        ([(header::LINK, self.links(next.as_deref()))], Json(page)).into_response()
    }

    /// One field with both links; scripts split it at commas, so there are none in the addresses.
    fn links(&self, next: Option<&str>) -> String {
        let this = format!("<{}>; rel=\"self\"", without_commas(&self.0));
        match next {
            Some(after) => format!("{this}, <{}>; rel=\"next\"", without_commas(&self.after(after))),
            None => this,
        }
    }

    fn after(&self, after: &str) -> Url {
        let mut url = self.0.clone();
        let kept = self.0.query_pairs().filter(|(name, _)| name != "after");
        url.query_pairs_mut()
            .clear()
            .extend_pairs(kept)
            .append_pair("after", after);
        url
    }
}

/// How many things a page has.
///
/// # Errors
///
/// The number is not one to `most`.
pub(super) fn size(limit: Option<u32>, usual: u32, most: u32) -> Result<u32, ApiError> {
    let limit = limit.unwrap_or(usual);
    if (1..=most).contains(&limit) {
        Ok(limit)
    } else {
        Err(ApiError::invalid(
            "limit",
            format_args!("expected a number from 1 to {most}"),
        ))
    }
}

/// Takes one page from what is left, and the id after which the next one begins, if there is more.
pub(super) fn cut<T>(
    left: impl IntoIterator<Item = T>,
    size: u32,
    id: impl FnOnce(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut page: Vec<T> = left.into_iter().take(size.saturating_add(1)).collect();
    let more = page.len() > size;
    page.truncate(size);
    let next = page.last().filter(|_| more).map(id);
    (page, next)
}

/// How many users, devices and the like a page has when the caller does not say.
pub(super) const USUAL: u32 = 200;
/// The most of them that a page has.
pub(super) const MOST: u32 = 200;

fn without_commas(url: &Url) -> String {
    url.as_str().replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(path: &str) -> Listing {
        Listing(Url::parse("https://admin.localhost:8443").unwrap().join(path).unwrap())
    }

    #[test]
    fn a_page_names_itself_and_the_next_in_one_field() {
        let links = listing("/api/v1/devices?limit=2&after=dev1").links(Some("dev2"));
        assert_eq!(
            links,
            "<https://admin.localhost:8443/api/v1/devices?limit=2&after=dev1>; rel=\"self\", \
             <https://admin.localhost:8443/api/v1/devices?limit=2&after=dev2>; rel=\"next\""
        );
    }

    #[test]
    fn the_last_page_names_no_next() {
        assert!(!listing("/api/v1/devices").links(None).contains("next"));
    }

    #[test]
    fn no_comma_and_no_bracket_of_the_caller_splits_the_field() {
        let links = listing("/api/v1/users?search=a,b%3E&q=<x>").links(Some("c,d>"));
        assert_eq!(links.matches(',').count(), 1);
        assert_eq!((links.matches('<').count(), links.matches('>').count()), (2, 2));
        let next = links.split('<').next_back().unwrap().split('>').next().unwrap();
        let pairs: Vec<_> = Url::parse(next).unwrap().query_pairs().into_owned().collect();
        assert_eq!(
            pairs,
            [("search", "a,b>"), ("q", "<x>"), ("after", "c,d>")].map(|(a, b)| (a.into(), b.into()))
        );
    }

    #[test]
    fn pages_hold_everything_once() {
        let mut seen = Vec::new();
        let mut after = 0;
        loop {
            let (page, next) = cut((1..=5).filter(|number| *number > after), 2, ToString::to_string);
            seen.extend(page);
            match next {
                Some(next) => after = next.parse().unwrap(),
                None => break,
            }
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
        assert_eq!(cut(1..=2, 2, ToString::to_string), (vec![1, 2], None));
        assert_eq!(cut(1..1, 2, i32::to_string), (vec![], None));
    }

    #[test]
    fn a_page_of_nothing_or_too_much_is_refused() {
        assert_eq!(size(None, USUAL, MOST).unwrap(), 200);
        assert_eq!(size(Some(1), USUAL, MOST).unwrap(), 1);
        assert!(size(Some(0), USUAL, MOST).is_err());
        assert!(size(Some(201), USUAL, MOST).is_err());
    }
}
