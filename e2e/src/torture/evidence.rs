//! What everybody knows after the storm.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, Result};
use runtime_contract::ProviderName;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{messages::Tally, provider::Book, receiver::Received, record::Record};
use crate::processes::Platform;

/// A payment as the database has it. Amounts in hundredths.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct PaymentRow {
    pub(super) id: String,
    pub(super) status: String,
    /// The one that was asked last.
    pub(super) provider: Option<ProviderName>,
    pub(super) amount: i64,
    pub(super) authorized: Option<i64>,
    pub(super) captured: Option<i64>,
    pub(super) refunded: i64,
    pub(super) on_its_way: i64,
    pub(super) sequence: i64,
}

/// An attempt as the database has it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct AttemptRow {
    pub(super) id: String,
    pub(super) payment: String,
    pub(super) provider: ProviderName,
    pub(super) state: String,
}

/// What a provider holds by our ledger. In hundredths.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ClearingRow {
    pub(super) payment: String,
    pub(super) provider: ProviderName,
    pub(super) amount: i64,
}

/// Work that is not done.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Leftover {
    /// The payment that has no end, when it is one.
    pub(super) payment: Option<String>,
    /// Its attempt that may have been sent.
    pub(super) attempt: Option<String>,
    pub(super) parked: bool,
    /// A sentence with the reason.
    pub(super) what: String,
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
    pub(super) attempts: Vec<AttemptRow>,
    pub(super) clearing: Vec<ClearingRow>,
    /// Currencies whose lines do not sum to zero.
    pub(super) unbalanced: Vec<String>,
    pub(super) leftovers: Vec<Leftover>,
    /// Those of all providers.
    pub(super) books: Book,
    /// What became of the providers' messages.
    pub(super) messages: Tally,
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
    let attempts = rows(platform, ATTEMPTS).await?;
    let clearing = rows(platform, CLEARING).await?;
    let unbalanced = platform.sql(UNBALANCED).await?.lines().map(str::to_owned).collect();
    let leftovers = rows(platform, LEFTOVERS).await?;
    let found = Evidence { payments, operations, events, keys, attempts, clearing, ..Evidence::default() };
    Ok(Evidence { unbalanced, leftovers, ..found })
}

/// What is left to do; nothing when everything has come to its end.
pub(super) async fn leftovers(platform: &Platform) -> Result<Vec<Leftover>> {
    rows(platform, LEFTOVERS).await
}

impl Leftover {
    /// Whether it is open by right: the provider keeps an error for the key of its attempt, and can say for a day only that
    /// it finds nothing. Whoever called that an end would be guessing.
    pub(super) fn must_wait(&self, silent: &HashSet<String>) -> bool {
        !self.parked && self.attempt.as_ref().is_some_and(|attempt| silent.contains(attempt))
    }
}

async fn rows<T: DeserializeOwned>(platform: &Platform, sql: &str) -> Result<Vec<T>> {
    let printed = platform.sql(sql).await?;
    printed.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

const PAYMENTS: &str = "select json_build_object(
    'id', 'pay_' || replace(id::text, '-', ''), 'status', status, 'amount', (amount * 100)::bigint,
    'provider', (select name from payment_providers p where p.id = payment_provider_id),
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

const ATTEMPTS: &str = "select json_build_object(
    'id', a.id, 'payment', 'pay_' || replace(payment_id::text, '-', ''), 'provider', p.name, 'state', a.state)
    from payment_attempts a join payment_providers p on p.id = a.payment_provider_id";

const CLEARING: &str = "select json_build_object(
    'payment', 'pay_' || replace(payment_id::text, '-', ''), 'provider', p.name, 'amount', (sum(amount) * 100)::bigint)
    from ledger_entries join payment_providers p on p.id = payment_provider_id
    where account = 'PROVIDER_CLEARING' group by payment_id, p.name";

const UNBALANCED: &str =
    "select currency || ' ' || sum(amount) from ledger_entries group by currency having sum(amount) <> 0
    union all
    select 'journal ' || journal_id || ' ' || currency || ' ' || sum(amount) from ledger_entries
    group by journal_id, currency having sum(amount) <> 0";

const LEFTOVERS: &str =
    "with item as (
        select 'pay_' || replace(payment_id::text, '-', '') as payment, parked_at, last_error, 'payment ' || payment_id as what,
            (select a.id from payment_attempts a where a.payment_id = w.payment_id and state in ('SENT', 'UNKNOWN')) as attempt
        from work_items w
        union all
        select null, parked_at, last_error, 'operation ' || operation_id, null from operation_items
        union all
        select null, null, last_error, 'event ' || event_id, null from webhook_deliveries
    )
    select json_build_object('payment', payment, 'attempt', attempt, 'parked', parked_at is not null,
        'what', what || case when parked_at is null then ' waits: ' else ' is parked: ' end || coalesce(last_error, 'no error'))
    from item";
