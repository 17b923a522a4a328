//! What a provider really did, by its own book.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, Result};
use runtime_contract::ProviderName;
use serde::{Deserialize, de::DeserializeOwned};

use crate::processes::{Platform, Provider};

/// A provider's book, or those of several.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    /// Every charge that it agreed to.
    pub(super) charges: Vec<Charge>,
    /// Keys that answer with an error, and made no charge, not even a declined one: nobody can learn what became of them.
    pub(super) silent: HashSet<String>,
}

/// One charge. Amounts in hundredths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    /// The provider's name for it.
    pub(super) id: String,
    /// Whose book it is in.
    pub(super) provider: ProviderName,
    /// The payment that it was made for.
    pub(super) payment: String,
    /// The key that it was asked for with: an attempt's id.
    pub(super) attempt: String,
    /// Held or taken.
    pub(super) authorized: i64,
    /// Taken.
    pub(super) captured: i64,
    /// Given back.
    pub(super) refunded: i64,
    /// Still held.
    pub(super) held: i64,
    /// What was taken or given back later, by the key that it was asked for with: an operation's id.
    pub(super) movements: Vec<(String, i64)>,
}

/// Makes the next answers go wrong.
pub(super) async fn fault(port: u16, fault: &str, count: u64) -> Result<()> {
    let order = serde_json::json!({"fault": fault, "count": count});
    let request = reqwest::Client::new().post(url(port, "faults")).json(&order);
    request.send().await?.error_for_status()?;
    Ok(())
}

/// Nothing goes wrong any more.
pub(super) async fn heal(platform: &Platform) -> Result<()> {
    let http = reqwest::Client::new();
    for provider in &platform.providers {
        for what in ["faults", "plan"] {
            http.delete(url(provider.port, what)).send().await?.error_for_status()?;
        }
    }
    Ok(())
}

/// The books of all providers.
pub(super) async fn books(platform: &Platform) -> Result<Book> {
    let mut all = Book::default();
    for provider in &platform.providers {
        let Book { charges, silent } =
            book(provider).await.with_context(|| format!("the book of {}", provider.name))?;
        all.charges.extend(charges);
        all.silent.extend(silent);
    }
    Ok(all)
}

async fn book(provider: &Provider) -> Result<Book> {
    let Ledger { charges } = read(provider.port, "ledger").await?;
    let Errors { errors } = read(provider.port, "errors").await?;
    let made: HashSet<&str> = charges.iter().filter_map(|kept| kept.idempotency_key.as_deref()).collect();
    let silent = errors.into_iter().map(|error| error.idempotency_key).filter(|key| !made.contains(key.as_str()));
    let silent = silent.collect();
    let agreed = charges.into_iter().filter(|kept| kept.state != "declined");
    Ok(Book { charges: agreed.map(|kept| kept.charge(provider.name)).collect::<Result<_>>()?, silent })
}

async fn read<T: DeserializeOwned>(port: u16, what: &str) -> Result<T> {
    Ok(reqwest::get(url(port, what)).await?.error_for_status()?.json().await?)
}

fn url(port: u16, what: &str) -> String {
    format!("http://127.0.0.1:{port}/simulator/{what}")
}

#[derive(Deserialize)]
struct Ledger {
    charges: Vec<Kept>,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<KeptError>,
}

#[derive(Deserialize)]
struct KeptError {
    idempotency_key: String,
}

/// A charge as the simulator shows it.
#[derive(Deserialize)]
struct Kept {
    charge: String,
    amount: i64,
    state: String,
    metadata: BTreeMap<String, String>,
    idempotency_key: Option<String>,
    captures: Vec<Movement>,
    refunds: Vec<Movement>,
}

#[derive(Deserialize)]
struct Movement {
    amount: i64,
    idempotency_key: Option<String>,
}

impl Kept {
    fn charge(self, provider: ProviderName) -> Result<Charge> {
        let Self { charge: id, amount, state, metadata, idempotency_key, captures, refunds } = self;
        // PayPal has one field for both ids: the payment's, a colon, the attempt's.
        let named = metadata.values().find(|value| value.starts_with("pay_"));
        let payment = named.with_context(|| format!("charge {id} names no payment"))?;
        let payment = payment.split(':').next().unwrap_or_default().to_owned();
        let attempt = idempotency_key.with_context(|| format!("charge {id} came without a key"))?;
        let sum = |movements: &[Movement]| movements.iter().map(|movement| movement.amount).sum::<i64>();
        let (captured, refunded) = (sum(&captures), sum(&refunds));
        let keyed = captures.into_iter().chain(refunds).map(|movement| {
            let key = movement.idempotency_key.with_context(|| format!("{id} was moved without a key"))?;
            Ok((key, movement.amount))
        });
        let mut movements: Vec<(String, i64)> = keyed.collect::<Result<_>>()?;
        // What is taken at once has no operation.
        movements.retain(|(key, _)| *key != attempt);
        let held = if state == "held" { amount - captured } else { 0 };
        Ok(Charge { id, provider, payment, attempt, authorized: amount, captured, refunded, held, movements })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn charge(kept: serde_json::Value, provider: ProviderName) -> Charge {
        serde_json::from_value::<Kept>(kept).unwrap().charge(provider).unwrap()
    }

    #[test]
    fn the_books_of_both_formats_are_read_alike() {
        let stripe = charge(
            json!({"charge": "ch_1", "amount": 1000, "state": "taken", "idempotency_key": "a-1",
                "metadata": {"purser_call_id": "a-1", "purser_payment_id": "pay_1"},
                "captures": [{"amount": 1000, "idempotency_key": "a-1"}],
                "refunds": [{"amount": 300, "idempotency_key": "r-1"}]}),
            ProviderName::Stripe,
        );
        assert_eq!((stripe.payment.as_str(), stripe.attempt.as_str()), ("pay_1", "a-1"));
        assert_eq!((stripe.captured, stripe.refunded, stripe.held), (1000, 300, 0));
        assert_eq!(stripe.movements, [("r-1".to_owned(), 300)]);
        let paypal = charge(
            json!({"charge": "3C6", "amount": 1000, "state": "held", "idempotency_key": "a-2",
                "metadata": {"custom_id": "pay_2:a-2", "invoice_id": "a-2"},
                "captures": [{"amount": 400, "idempotency_key": "c-1"}], "refunds": []}),
            ProviderName::Paypal,
        );
        assert_eq!((paypal.payment.as_str(), paypal.attempt.as_str()), ("pay_2", "a-2"));
        assert_eq!((paypal.captured, paypal.refunded, paypal.held), (400, 0, 600));
        assert_eq!(paypal.movements, [("c-1".to_owned(), 400)]);
    }
}
