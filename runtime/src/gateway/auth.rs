//! Who calls: the merchant whose API key the request bears.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{StatusCode, header};

use super::Gateway;
use super::problem::Problem;
use crate::merchants::{self, ApiKey, Merchant, Status};

/// A merchant that was suspended takes payments for this long at most.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Far more merchants than one gateway sees within seconds; beyond it everything is looked up anew.
const ENTRIES_MAX: usize = 10_000;

/// The merchant that calls.
pub(super) struct Caller(pub(super) Merchant);

impl Caller {
    /// The merchant, if it may take payments and change things.
    ///
    /// # Errors
    /// When it may only read.
    pub(super) fn active(self) -> Result<Merchant, Problem> {
        match self.0.status {
            Status::Active => Ok(self.0),
            Status::Suspended | Status::Inactive => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "merchant_not_active",
                "this merchant may read, but takes no payments now",
            )),
        }
    }
}

impl FromRequestParts<Arc<Gateway>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let refuse =
            |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).param("Authorization");
        let given = parts.headers.get(header::AUTHORIZATION);
        let given = given.ok_or_else(|| refuse("an API key is needed: \"Authorization: Bearer psk_…\""))?;
        let (scheme, key) = given.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
        let key = ApiKey::parse(key.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"));
        // One answer for a key that is malformed, unknown or revoked: it helps nobody to guess.
        let unknown = || refuse("this API key is not known");
        let hash = key.ok_or_else(unknown)?.hash();
        gateway.callers.find(&hash, gateway).await?.map(Self).ok_or_else(unknown)
    }
}

/// Merchants seen within the last seconds, by the hash of their key.
#[derive(Default)]
pub(super) struct Callers {
    seen: Mutex<HashMap<String, (Instant, Merchant)>>,
}

impl Callers {
    async fn find(&self, hash: &str, gateway: &Gateway) -> Result<Option<Merchant>, Problem> {
        if let Some(merchant) = self.remembered(hash) {
            return Ok(Some(merchant));
        }
        let found = merchants::store::find_by_key(&gateway.app.pool, hash).await?;
        if let Some(merchant) = &found {
            self.remember(hash, merchant);
        }
        Ok(found)
    }

    fn remembered(&self, hash: &str) -> Option<Merchant> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(hash).filter(|(at, _)| at.elapsed() < REMEMBERED).map(|(_, merchant)| merchant.clone())
    }

    fn remember(&self, hash: &str, merchant: &Merchant) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= ENTRIES_MAX {
            seen.clear();
        }
        seen.insert(hash.to_owned(), (Instant::now(), merchant.clone()));
    }
}
