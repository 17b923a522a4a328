//! What everybody knows after the storm.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{provider::Charge, receiver::Received, record::Record};
use crate::processes::Platform;

/// A payment as the database has it. Amounts in hundredths.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct PaymentRow {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) amount: i64,
    pub(super) authorized: Option<i64>,
    pub(super) captured: Option<i64>,
    pub(super) refunded: i64,
    pub(super) on_its_way: i64,
    pub(super) sequence: i64,
}

/// An operation as the database has it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct OperationRow {
    pub(super) id: String,
    pub(super) payment: String,
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) amount: i64,
}

/// An event as the database has it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct EventRow {
    pub(super) id: String,
    pub(super) payment: String,
    pub(super) sequence: i64,
}

/// Which payment a key stands for.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct KeyRow {
    pub(super) key: String,
    pub(super) payment: Option<String>,
    pub(super) operation: Option<String>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) payments: Vec<PaymentRow>,
    /// By payment.
    pub(super) operations: BTreeMap<String, Vec<OperationRow>>,
    pub(super) events: Vec<EventRow>,
    pub(super) keys: Vec<KeyRow>,
    /// What providers hold by our ledger, per payment, in hundredths.
    pub(super) clearing: HashMap<String, i64>,
    /// Currencies whose lines do not sum to zero.
    pub(super) unbalanced: Vec<String>,
    /// Work that is not done, with its reason.
    pub(super) leftovers: Vec<String>,
    pub(super) charges: Vec<Charge>,
    pub(super) records: Vec<Record>,
    pub(super) received: Vec<Received>,
}

/// Reads what the database knows.
pub(super) async fn of_database(platform: &Platform) -> Result<Evidence> {
    let payments = rows(platform, PAYMENTS).await?;
    let mut operations: BTreeMap<String, Vec<OperationRow>> = BTreeMap::new();
    for row in rows::<OperationRow>(platform, OPERATIONS).await? {
        operations.entry(row.payment.clone()).or_default().push(row);
    }
    let events = rows(platform, EVENTS).await?;
    let keys = rows(platform, KEYS).await?;
    let clearing: Vec<(String, i64)> = rows(platform, CLEARING).await?;
    let unbalanced = lines(&platform.sql(UNBALANCED).await?);
    let leftovers = lines(&platform.sql(LEFTOVERS).await?);
    let clearing = clearing.into_iter().collect();
    Ok(Evidence { payments, operations, events, keys, clearing, unbalanced, leftovers, ..Evidence::default() })
}

/// What is left to do, one line each; nothing when everything has come to its end.
pub(super) async fn leftovers(platform: &Platform) -> Result<Vec<String>> {
    Ok(lines(&platform.sql(LEFTOVERS).await?))
}

async fn rows<T: DeserializeOwned>(platform: &Platform, sql: &str) -> Result<Vec<T>> {
    let printed = platform.sql(sql).await?;
    printed.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn lines(printed: &str) -> Vec<String> {
    printed.lines().map(str::to_owned).collect()
}

const PAYMENTS: &str = "select json_build_object(
    'id', 'pay_' || replace(id::text, '-', ''), 'status', status, 'amount', (amount * 100)::bigint,
    'authorized', (amount_authorized * 100)::bigint, 'captured', (amount_captured * 100)::bigint,
    'refunded', (amount_refunded * 100)::bigint, 'on_its_way', ((amount_capturing + amount_refunding) * 100)::bigint,
    'sequence', sequence) from transactions";

const OPERATIONS: &str = "select json_build_object(
    'id', case kind when 'CAPTURE' then 'cap_' when 'REFUND' then 'ref_' else 'void_' end || replace(id::text, '-', ''),
    'payment', 'pay_' || replace(payment_id::text, '-', ''), 'kind', kind, 'status', status,
    'amount', (amount * 100)::bigint) from operations";

const EVENTS: &str = "select json_build_object(
    'id', 'evt_' || replace(id::text, '-', ''), 'payment', 'pay_' || replace(payment_id::text, '-', ''),
    'sequence', sequence) from events where payment_id is not null order by payment_id, sequence";

const KEYS: &str = "select json_build_object('key', key, 'payment', 'pay_' || replace(payment_id::text, '-', ''),
    'operation', replace(operation_id::text, '-', '')) from idempotency_keys";

const CLEARING: &str =
    "select json_build_array('pay_' || replace(payment_id::text, '-', ''), (sum(amount) * 100)::bigint)
    from ledger_entries where account = 'PROVIDER_CLEARING' group by payment_id";

const UNBALANCED: &str =
    "select currency || ' ' || sum(amount) from ledger_entries group by currency having sum(amount) <> 0
    union all
    select 'journal ' || journal_id || ' ' || currency || ' ' || sum(amount) from ledger_entries
    group by journal_id, currency having sum(amount) <> 0";

const LEFTOVERS: &str =
    "select 'payment ' || payment_id || case when parked_at is null then ' waits: ' else ' is parked: ' end
        || coalesce(last_error, 'no error') from work_items
    union all
    select 'operation ' || operation_id || case when parked_at is null then ' waits: ' else ' is parked: ' end
        || coalesce(last_error, 'no error') from operation_items
    union all
    select 'event ' || event_id || ' is not delivered: ' || coalesce(last_error, 'no error') from webhook_deliveries";
