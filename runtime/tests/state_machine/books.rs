//! What the database and the provider say.

use std::collections::HashMap;

use runtime::ids::PaymentId;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::stage::Provider;

/// Sums of a payment, in cents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Sums {
    pub(crate) authorized: Option<i64>,
    pub(crate) captured: Option<i64>,
    pub(crate) capturing: i64,
    pub(crate) refunded: i64,
    pub(crate) refunding: i64,
}

/// A payment, and what there is of it in the other tables.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(crate) struct PaymentRow {
    pub(crate) id: PaymentId,
    pub(crate) status: String,
    pub(crate) sequence: i32,
    #[sqlx(flatten)]
    pub(crate) sums: Sums,
    pub(crate) attempts: i64,
    pub(crate) open_attempts: i64,
    pub(crate) items: i64,
    pub(crate) journals: i64,
    /// What the provider holds for us by the ledger, in cents.
    pub(crate) clearing: i64,
    pub(crate) balanced: bool,
}

const PAYMENTS: &str = "
select t.id, t.status, t.sequence, (t.amount_authorized * 100)::bigint as authorized, (t.amount_captured * 100)::bigint as captured,
    (t.amount_capturing * 100)::bigint as capturing, (t.amount_refunded * 100)::bigint as refunded,
    (t.amount_refunding * 100)::bigint as refunding,
    (select count(*) from payment_attempts a where a.payment_id = t.id) as attempts,
    (select count(*) from payment_attempts a where a.payment_id = t.id and a.state in ('SENT', 'UNKNOWN')) as open_attempts,
    (select count(*) from work_items w where w.payment_id = t.id) as items,
    l.journals, (l.clearing * 100)::bigint as clearing, l.balance = 0 as balanced
from transactions t cross join lateral (
    select count(distinct journal_id) as journals, coalesce(sum(amount), 0) as balance,
        coalesce(sum(amount) filter (where account = 'PROVIDER_CLEARING'), 0) as clearing
    from ledger_entries where payment_id = t.id
) l
where t.id = any ($1) order by t.id";

/// A capture, refund or void.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(crate) struct OperationRow {
    pub(crate) id: Uuid,
    pub(crate) payment_id: PaymentId,
    pub(crate) kind: String,
    pub(crate) cents: i64,
    pub(crate) is_final: bool,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) items: i64,
    pub(crate) parked: i64,
}

const OPERATIONS: &str = "
select o.id, o.payment_id, o.kind, (o.amount * 100)::bigint as cents, o.final as is_final, o.status, o.reason,
    (select count(*) from operation_items i where i.operation_id = o.id) as items,
    (select count(*) from operation_items i where i.operation_id = o.id and i.parked_at is not null) as parked
from operations o where o.payment_id = any ($1) order by o.id";

/// An event that a merchant is told.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(crate) struct Told {
    pub(crate) payment_id: PaymentId,
    pub(crate) sequence: i32,
    pub(crate) kind: String,
    pub(crate) operation_id: Option<Uuid>,
}

const EVENTS: &str = "
select payment_id, sequence, type as kind, operation_id from events where payment_id = any ($1) order by payment_id, sequence";

/// All that the database says of some payments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Books {
    pub(crate) payments: Vec<PaymentRow>,
    pub(crate) operations: Vec<OperationRow>,
    pub(crate) events: Vec<Told>,
}

impl Books {
    pub(crate) async fn read(pool: &PgPool, ids: &[PaymentId]) -> Self {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
        Self {
            payments: sqlx::query_as(PAYMENTS).bind(&ids).fetch_all(pool).await.unwrap(),
            operations: sqlx::query_as(OPERATIONS).bind(&ids).fetch_all(pool).await.unwrap(),
            events: sqlx::query_as(EVENTS).bind(&ids).fetch_all(pool).await.unwrap(),
        }
    }
}

impl OperationRow {
    /// Whether it was done, once that is known.
    pub(crate) fn done(&self) -> Option<bool> {
        match self.status.as_str() {
            "PENDING" => None,
            "SUCCEEDED" => Some(true),
            _ => Some(false),
        }
    }
}

/// What the provider did, by its own account.
pub(crate) struct Account(HashMap<String, Vec<Value>>);

impl Account {
    pub(crate) async fn read(provider: &Provider) -> Self {
        let mut charges: HashMap<String, Vec<Value>> = HashMap::new();
        for charge in provider.ledger().await {
            if charge["state"] != "declined" {
                let payment = charge["metadata"]["purser_payment_id"].as_str().unwrap().to_owned();
                charges.entry(payment).or_default().push(charge);
            }
        }
        Self(charges)
    }

    /// Charges that it agreed to, held or taken.
    pub(crate) fn charges(&self, id: PaymentId) -> &[Value] {
        self.0.get(&id.to_string()).map_or(&[], Vec::as_slice)
    }

    /// What it did under a key, in cents: nothing, or once.
    pub(crate) fn moved(&self, id: PaymentId, what: &str, key: Uuid) -> Option<i64> {
        let movements = self.charges(id).iter().flat_map(|charge| charge[what].as_array().unwrap());
        let mut of_key = movements.filter(|movement| movement["idempotency_key"] == key.to_string());
        let cents = of_key.next().map(|movement| movement["amount"].as_i64().unwrap());
        assert!(of_key.next().is_none(), "{id}: {key} was done twice");
        cents
    }

    /// All that it did, in cents.
    pub(crate) fn total(&self, id: PaymentId, what: &str) -> i64 {
        let movements = self.charges(id).iter().flat_map(|charge| charge[what].as_array().unwrap());
        movements.map(|movement| movement["amount"].as_i64().unwrap()).sum()
    }
}
