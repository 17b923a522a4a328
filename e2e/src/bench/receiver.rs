//! A merchant's endpoint for events, as light as it can be.

use std::sync::Arc;

use anyhow::Result;
use http::StatusCode;

use super::{connection::payment_id, track::Tracker};
use crate::endpoint::{self, Answer};

/// Listens: its port.
pub(super) async fn start(tracker: Arc<Tracker>) -> Result<u16> {
    endpoint::listen(move |_, body| {
        if let Some(payment) = payment_id(&body) {
            tracker.told(payment);
        }
        let mut taken = Answer::default();
        *taken.status_mut() = StatusCode::NO_CONTENT;
        std::future::ready(Ok(taken))
    })
    .await
}
