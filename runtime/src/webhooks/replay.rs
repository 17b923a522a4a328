//! Events once more, for an endpoint that missed them.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::WebhookEndpoint;
use crate::ids::EventId;

/// Deliveries that one replay makes at most.
pub const REPLAY_MAX: i64 = 10_000;

/// A span of events to be sent again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// From this time on.
    pub from: DateTime<Utc>,
    /// Before this time.
    pub to: DateTime<Utc>,
    /// Only these types, of those that the endpoint wants.
    pub types: Option<Vec<String>>,
}

/// Queues the merchant's events of a span for an endpoint once more, oldest first, at most [`REPLAY_MAX`]. Returns how many,
/// and the time of the last one when there may be more.
///
/// # Errors
/// When the database does not answer.
pub async fn replay(
    executor: impl PgExecutor<'_>,
    endpoint: &WebhookEndpoint,
    replay: &Replay,
) -> Result<(i64, Option<DateTime<Utc>>), sqlx::Error> {
    let (count, last): (i64, Option<DateTime<Utc>>) = sqlx::query_as(
        "with wanted as (
             select id, created_at, payment_id from events
             where merchant_id = $2 and created_at >= $3 and created_at < $4 and id >= $5
                 and ($6::text[] is null or type = any ($6)) and ($7::text[] is null or type = any ($7))
             order by id limit $8
         ), queued as (
             insert into webhook_deliveries (endpoint_id, event_id, event_created_at, payment_id)
             select $1, id, created_at, payment_id from wanted order by id
         )
         select count(*), max(created_at) from wanted",
    )
    .bind(endpoint.id)
    .bind(endpoint.merchant_id)
    .bind(replay.from)
    .bind(replay.to)
    .bind(first_id(replay.from))
    .bind(&endpoint.event_types)
    .bind(&replay.types)
    .bind(REPLAY_MAX)
    .fetch_one(executor)
    .await?;
    Ok((count, last.filter(|_| count == REPLAY_MAX)))
}

/// The lowest id of this millisecond, so that the index on ids serves a search by time.
fn first_id(time: DateTime<Utc>) -> Uuid {
    let id = EventId::at(time).as_uuid();
    let mut bytes = *id.as_bytes();
    bytes[6..].fill(0);
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn no_id_of_a_time_is_below_the_first_one() {
        let now = Utc::now();
        assert!(first_id(now) <= EventId::at(now).as_uuid());
        assert!(first_id(now) > EventId::at(now - TimeDelta::milliseconds(1)).as_uuid());
    }
}
