//! Entity tags: a client that has seen a thing asks whether it changed (`If-None-Match`), or changes it only as it was seen
//! (`If-Match`). With it, the one frame in which merchants read and change what they have made.

use std::str::FromStr;

use axum::Json;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use sqlx::postgres::PgConnection;

use super::Gateway;
use super::problem::Problem;
use crate::database::{self, Pool};
use crate::ids::{IdError, MerchantId};
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

/// What a merchant has made, reads and changes. Its tag is the time of its last change.
pub(super) trait Kept: Serialize + Sized + Send + Sync {
    /// Its id, as it stands in the path.
    type Id: FromStr<Err = IdError> + Copy + Send;
    /// What is to be different.
    type Change: Sync;
    /// The code for one that the merchant does not have, and the sentence.
    const MISSING: (&'static str, &'static str);

    /// When it was last changed.
    fn updated_at(&self) -> DateTime<Utc>;

    /// One that this merchant has.
    fn find(
        pool: &Pool,
        id: Self::Id,
        merchant: MerchantId,
    ) -> impl Future<Output = Result<Option<Self>, sqlx::Error>> + Send;

    /// The same, and nobody changes it until the transaction is over. Fails when it cannot be changed at all.
    fn hold(
        connection: &mut PgConnection,
        id: Self::Id,
        merchant: MerchantId,
    ) -> impl Future<Output = Result<Option<Self>, Problem>> + Send;

    /// Changes one that is held: how it is now.
    fn change(
        self,
        connection: &mut PgConnection,
        change: &Self::Change,
    ) -> impl Future<Output = Result<Self, Problem>> + Send;

    /// Tells whoever keeps a copy that it was changed.
    fn announce(gateway: &Gateway, id: Self::Id) -> impl Future<Output = ()> + Send;
}

/// The one of this id, with its tag, or 304 when the client has it.
///
/// # Errors
/// When the merchant has none, or the database does not answer.
pub(super) async fn read<T: Kept>(
    gateway: &Gateway,
    merchant: MerchantId,
    id: &str,
    request: &HeaderMap,
) -> Result<Response, Problem> {
    let found = T::find(&gateway.app.pool, parse::<T>(id)?, merchant).await?.ok_or_else(missing::<T>)?;
    Ok(tag(&found).answer(request, Json(&found)))
}

/// Changes the one of this id, if it is as the client saw it: how it is now, with its tag.
///
/// # Errors
/// When the merchant has none, it was changed meanwhile, it cannot be so, or the database does not answer.
pub(super) async fn patch<T: Kept>(
    gateway: &Gateway,
    merchant: MerchantId,
    id: &str,
    request: &HeaderMap,
    change: &T::Change,
) -> Result<Response, Problem> {
    let id = parse::<T>(id)?;
    let mut transaction = database::begin(&gateway.app.pool).await?;
    let before = T::hold(&mut transaction, id, merchant).await?.ok_or_else(missing::<T>)?;
    tag(&before).allows(request)?;
    let after = before.change(&mut transaction, change).await?;
    transaction.commit().await?;
    T::announce(gateway, id).await;
    Ok(tag(&after).answer(&HeaderMap::new(), Json(&after)))
}

/// An id from the path.
///
/// # Errors
/// What is no such id names nothing that the merchant has.
pub(super) fn parse<T: Kept>(id: &str) -> Result<T::Id, Problem> {
    id.parse().map_err(|error: IdError| Problem::not_found(T::MISSING.0, error.to_string()))
}

/// The merchant has none of this id.
pub(super) fn missing<T: Kept>() -> Problem {
    Problem::not_found(T::MISSING.0, T::MISSING.1)
}

fn tag(kept: &impl Kept) -> Etag {
    Etag::new(kept.updated_at().timestamp_micros())
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
