//! What the provider really did, by its own ledger.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// One charge. Amounts in hundredths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    /// The provider's name for it.
    pub(super) id: String,
    /// The payment that it was made for.
    pub(super) payment: String,
    /// Held or taken.
    pub(super) authorized: i64,
    /// Taken.
    pub(super) captured: i64,
    /// Given back.
    pub(super) refunded: i64,
}

/// Makes the next answers go wrong.
pub(super) async fn fault(port: u16, fault: &str, count: u64) -> Result<()> {
    let order = serde_json::json!({"fault": fault, "count": count});
    let request = reqwest::Client::new().post(format!("http://127.0.0.1:{port}/simulator/faults")).json(&order);
    request.send().await?.error_for_status()?;
    Ok(())
}

/// No more faults.
pub(super) async fn heal(port: u16) -> Result<()> {
    let request = reqwest::Client::new().delete(format!("http://127.0.0.1:{port}/simulator/faults"));
    request.send().await?.error_for_status()?;
    Ok(())
}

/// Every charge.
pub(super) async fn charges(port: u16) -> Result<Vec<Charge>> {
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/simulator/charges")).await?.error_for_status()?;
    let document: Value = answer.json().await?;
    document["charges"].as_array().context("no charges")?.iter().map(charge).collect()
}

fn charge(charge: &Value) -> Result<Charge> {
    let id = charge["id"].as_str().context("a charge without an id")?.to_owned();
    let metadata = charge["metadata"].as_object().context("a charge without metadata")?;
    let payment = metadata.values().filter_map(Value::as_str).find(|value| value.starts_with("pay_"));
    let payment = payment.with_context(|| format!("charge {id} names no payment"))?.to_owned();
    let amount = charge["amount"].as_i64().context("a charge without an amount")?;
    Ok(Charge {
        id,
        payment,
        authorized: amount,
        captured: charge["amount_captured"].as_i64().unwrap_or(amount),
        refunded: charge["amount_refunded"].as_i64().unwrap_or(0),
    })
}
