//! SQL of events.

use std::borrow::Borrow;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::Event;

/// Writes events and what is to be delivered for them, in the caller's transaction.
///
/// # Errors
/// When the database refuses or does not answer; nothing was written then.
pub async fn record<E: Borrow<Event>>(connection: &mut PgConnection, events: &[E]) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let events: Vec<&Event> = events.iter().map(Borrow::borrow).collect();
    let column = |of: fn(&&Event) -> Uuid| events.iter().map(of).collect::<Vec<Uuid>>();
    sqlx::query(
        "with happened as (
             select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::int[], $7::text[], $8::timestamptz[])
                 with ordinality as e (id, merchant_id, type, payment_id, operation_id, sequence, payload, created_at, place)
         ), kept as (
             insert into events (id, merchant_id, type, payment_id, operation_id, sequence, payload, created_at)
             select id, merchant_id, type, payment_id, operation_id, sequence, payload::json, created_at from happened
         )
         insert into webhook_deliveries (endpoint_id, event_id, event_created_at, payment_id)
         select w.id, e.id, e.created_at, e.payment_id from happened e
         join webhook_endpoints w on w.merchant_id = e.merchant_id and w.status = 'ENABLED'
             and (w.event_types is null or e.type = any (w.event_types))
         order by e.place",
    )
    .bind(column(|event| event.id.as_uuid()))
    .bind(column(|event| event.merchant_id.as_uuid()))
    .bind(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.payment_id.map(|id| id.as_uuid())).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.operation_id).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.sequence).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.payload.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.id.created_at()).collect::<Vec<DateTime<Utc>>>())
    .execute(connection)
    .await?;
    Ok(())
}
