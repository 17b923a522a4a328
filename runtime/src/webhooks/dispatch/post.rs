//! Making one post: where it goes, what it carries.

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue};
use hyper::body::Bytes;
use url::Url;
use uuid::Uuid;

use super::deliveries::Due;
use super::leases::LeasedRow;
use crate::webhooks::secret::{Signer, UnreadableSecret};

/// Where the events of an endpoint go, and how they are signed.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) id: Uuid,
    pub(super) url: Url,
    signer: Signer,
}

/// What is in an endpoint's row cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the URL cannot be read: {0}")]
    Url(#[from] url::ParseError),
    #[error(transparent)]
    Secret(#[from] UnreadableSecret),
}

impl Target {
    pub(super) fn of(row: &LeasedRow) -> Result<Self, Unusable> {
        let previous = row.previous_secret.as_deref().zip(row.previous_secret_until);
        Ok(Self { id: row.id, url: row.url.parse()?, signer: Signer::new(&row.secret, previous)? })
    }

    /// The headers and the body of one delivery; none when its event is not in the database any more.
    pub(super) fn message(&self, due: &mut Due, common: &HeaderMap, now: DateTime<Utc>) -> Option<(HeaderMap, Bytes)> {
        let body = due.payload.take()?;
        let id = due.event_id.to_string();
        let signature = self.signer.sign(&id, now, body.as_bytes()).ok()?;
        let mut headers = common.clone();
        headers.insert("webhook-id", HeaderValue::try_from(id).ok()?);
        headers.insert("webhook-timestamp", HeaderValue::from(now.timestamp()));
        headers.insert("webhook-signature", HeaderValue::try_from(signature).ok()?);
        Some((headers, Bytes::from(body)))
    }
}
