//! SQL of events.

use std::borrow::Borrow;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::Event;

/// Writes [`Columns`] and what is to be delivered for them: three common table expressions, with a condition if need be.
macro_rules! recording {
    ($id:literal, $merchant:literal, $type:literal, $payment:literal, $operation:literal, $sequence:literal, $payload:literal,
     $created:literal, $condition:literal) => {
        concat!(
            " happened as (
                 select * from unnest(", $id, "::uuid[], ", $merchant, "::uuid[], ", $type, "::text[], ", $payment, "::uuid[], ",
                     $operation, "::uuid[], ", $sequence, "::int[], ", $payload, "::text[], ", $created, "::timestamptz[])
                     with ordinality as e (id, merchant_id, type, payment_id, operation_id, sequence, payload, created_at, place)
             ), kept as (
                 insert into events (id, merchant_id, type, payment_id, operation_id, sequence, payload, created_at)
                 select id, merchant_id, type, payment_id, operation_id, sequence, payload::json, created_at from happened ",
            $condition,
            "), to_deliver as (
                 insert into webhook_deliveries (endpoint_id, event_id, event_created_at, payment_id)
                 select w.id, e.id, e.created_at, e.payment_id from happened e
                 join webhook_endpoints w on w.merchant_id = e.merchant_id and w.status = 'ENABLED'
                     and (w.event_types is null or e.type = any (w.event_types)) ",
            $condition,
            " order by e.place
             ) "
        )
    };
}
pub(crate) use recording;

/// Writes events and what is to be delivered for them, in the caller's transaction.
///
/// # Errors
/// When the database refuses or does not answer; nothing was written then.
pub async fn record<E: Borrow<Event>>(connection: &mut PgConnection, events: &[E]) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(events.iter().map(Borrow::borrow));
    sqlx::query(concat!("with ", recording!("$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", ""), "select"))
        .bind(columns.id)
        .bind(columns.merchant_id)
        .bind(columns.kind)
        .bind(columns.payment_id)
        .bind(columns.operation_id)
        .bind(columns.sequence)
        .bind(columns.payload)
        .bind(columns.created_at)
        .execute(connection)
        .await?;
    Ok(())
}

/// Events, as the columns of [`recording!`], in this order.
#[derive(Default)]
pub(crate) struct Columns<'a> {
    pub(crate) id: Vec<Uuid>,
    pub(crate) merchant_id: Vec<Uuid>,
    pub(crate) kind: Vec<&'static str>,
    pub(crate) payment_id: Vec<Option<Uuid>>,
    pub(crate) operation_id: Vec<Option<Uuid>>,
    pub(crate) sequence: Vec<i32>,
    pub(crate) payload: Vec<&'a str>,
    pub(crate) created_at: Vec<DateTime<Utc>>,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(events: impl Iterator<Item = &'a Event>) -> Self {
        let mut columns = Self::default();
        for event in events {
            columns.id.push(event.id.as_uuid());
            columns.merchant_id.push(event.merchant_id.as_uuid());
            columns.kind.push(event.kind.as_str());
            columns.payment_id.push(event.payment_id.map(|id| id.as_uuid()));
            columns.operation_id.push(event.operation_id);
            columns.sequence.push(event.sequence);
            columns.payload.push(&event.payload);
            columns.created_at.push(event.id.created_at());
        }
        columns
    }
}
