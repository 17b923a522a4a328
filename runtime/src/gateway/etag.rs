//! Entity tags: a client that has seen a thing asks whether it changed (`If-None-Match`), or changes it only as it was seen
//! (`If-Match`).

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::problem::Problem;
use crate::payments::Payment;

/// The tag of a thing as it stands.
pub(super) struct Etag(String);

impl Etag {
    /// From what changes whenever the thing does. Without quotation marks.
    pub(super) fn new(version: impl std::fmt::Display) -> Self {
        Self(format!("\"{version}\""))
    }

    /// Of a payment: whatever is shown of it changes with its events, or with its status.
    pub(super) fn of_payment(payment: &Payment) -> Self {
        Self::new(format_args!("{}-{}", payment.sequence, payment.status))
    }

    /// The document with its tag, or 304 when the client has it.
    pub(super) fn answer(&self, request: &HeaderMap, document: impl IntoResponse) -> Response {
        let mut response =
            if stands_in(request, header::IF_NONE_MATCH, |given| given.strip_prefix("W/").unwrap_or(given) == self.0) {
                StatusCode::NOT_MODIFIED.into_response()
            } else {
                document.into_response()
            };
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::try_from(self.0.as_str()) {
            headers.insert(header::ETAG, tag);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        response
    }

    /// Whether the client may change the thing as it stands.
    ///
    /// # Errors
    /// When it was changed since the client saw it.
    pub(super) fn allows(&self, request: &HeaderMap) -> Result<(), Problem> {
        // A weak tag never holds here: RFC 9110, 13.1.1.
        if !request.contains_key(header::IF_MATCH) || stands_in(request, header::IF_MATCH, |given| given == self.0) {
            return Ok(());
        }
        let detail = "it was changed since you read it; read it again";
        Err(Problem::new(StatusCode::PRECONDITION_FAILED, "changed_meanwhile", detail).param("If-Match"))
    }
}

/// Whether one of the tags in a header is this one; `*` is any.
fn stands_in(headers: &HeaderMap, name: header::HeaderName, is_this: impl Fn(&str) -> bool) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).any(|tag| tag == "*" || is_this(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let tag = Etag::new("3-SUCCESS");
        for (given, status) in [
            ("\"3-SUCCESS\"", 304),
            ("W/\"3-SUCCESS\"", 304),
            ("\"1\", \"3-SUCCESS\"", 304),
            ("*", 304),
            ("\"2-SUCCESS\"", 200),
            ("3-SUCCESS", 200),
        ] {
            let response = tag.answer(&headers("if-none-match", given), "document");
            assert_eq!(response.status(), status, "{given}");
            assert_eq!(response.headers()["etag"], "\"3-SUCCESS\"");
        }
        assert_eq!(tag.answer(&HeaderMap::new(), "document").status(), 200);
    }

    #[test]
    fn what_was_changed_meanwhile_is_not_changed_by_one_who_has_not_seen_it() {
        let tag = Etag::new(7);
        assert!(tag.allows(&HeaderMap::new()).is_ok());
        assert!(tag.allows(&headers("if-match", "\"7\"")).is_ok());
        assert!(tag.allows(&headers("if-match", "*")).is_ok());
        for stale in ["\"6\"", "W/\"7\"", "7", ""] {
            assert!(tag.allows(&headers("if-match", stale)).is_err(), "{stale}");
        }
    }
}
