//! Who calls: the merchant whose API key the request bears.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};

use super::Gateway;
use super::problem::Problem;
use crate::merchants::{ApiKey, Merchant, Status};

/// The merchant that calls.
pub(super) struct Caller(pub(super) Merchant);

impl Caller {
    /// The merchant, if it may take payments and change things.
    ///
    /// # Errors
    /// When it may not.
    pub(super) fn active(self) -> Result<Merchant, Problem> {
        match self.0.status {
            Status::Active => Ok(self.0),
            Status::Suspended | Status::Inactive => Err(not_active(self.0.status)),
        }
    }

    /// The merchant, if it may give back what it took and give free what it holds. Its customers have a right to both for
    /// as long as it is a merchant at all.
    ///
    /// # Errors
    /// When it may only read.
    pub(super) fn giving_back(self) -> Result<Merchant, Problem> {
        match self.0.status {
            Status::Active | Status::Suspended => Ok(self.0),
            Status::Inactive => Err(not_active(self.0.status)),
        }
    }
}

fn not_active(status: Status) -> Problem {
    let detail = match status {
        Status::Suspended => "this merchant is suspended: it may refund, cancel and read, and nothing else",
        Status::Active | Status::Inactive => "this merchant may only read",
    };
    Problem::new(StatusCode::FORBIDDEN, "merchant_not_active", detail)
}

impl FromRequestParts<Arc<Gateway>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        // Looked up on the way here already.
        if let Some(merchant) = parts.extensions.get::<Arc<Merchant>>() {
            return Ok(Self(merchant.as_ref().clone()));
        }
        let refuse =
            |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).param("Authorization");
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Err(refuse("an API key is needed: \"Authorization: Bearer psk_…\""));
        }
        // One answer for a key that is malformed, unknown or revoked: it helps nobody to guess.
        let unknown = || refuse("this API key is not known");
        let key = api_key(&parts.headers).ok_or_else(unknown)?;
        let merchant = gateway.app.copies.merchant(key.hash()).await?;
        Ok(Self(merchant.ok_or_else(unknown)?.as_ref().clone()))
    }
}

/// The API key that a request bears, if it is formed like one.
pub(super) fn api_key(headers: &HeaderMap) -> Option<ApiKey> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    ApiKey::parse(key.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"))
}
