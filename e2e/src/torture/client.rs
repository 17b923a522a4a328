//! Merchants as they should be: whoever gets no answer asks again with the same key, until there is one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::record::{Asked, Record, Records};
use crate::{chance::Chance, processes::Seeds};

/// How long one request is tried for, kills and all. Longer is an outage.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long a payment's end is waited for before a shop goes on without it. The judge looks at it again. Less than the claim
/// of a processor that was killed lasts: a shop that waited for it would do nothing for most of a run.
const END_PATIENCE: Duration = Duration::from_secs(4);

/// A merchant that buys from itself.
pub(super) struct Shop {
    pub(super) http: reqwest::Client,
    pub(super) gateways: Vec<String>,
    pub(super) seeds: Arc<Seeds>,
    pub(super) records: Arc<Records>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) chance: Chance,
    /// Names this shop in its keys.
    pub(super) name: String,
    /// Whether it captures, refunds and cancels too.
    pub(super) operations: bool,
}

impl Shop {
    /// One payment after another, with what may follow it.
    pub(super) async fn trade(mut self) {
        let mut number = 0;
        while !self.stop.load(Ordering::Relaxed) {
            number += 1;
            self.deal(number).await;
        }
    }

    async fn deal(&mut self, number: u64) {
        let merchant = usize::try_from(self.chance.below(self.seeds.keys.len() as u64)).unwrap_or(0);
        let caller = Caller::new(self, merchant);
        let method = self.chance.one_of(&self.seeds.methods[merchant]).clone();
        let cents = 500 + self.chance.below(20_000);
        let mut body = json!({"amount": decimal(cents), "currency": "USD", "payment_method_id": method});
        if self.operations && self.chance.percent(45) {
            body["capture_method"] = json!("MANUAL");
        }
        let mut chance = self.chance.fork(number);
        let key = format!("{}-{number}", self.name);
        let Some(told) = caller.ask(&mut chance, Asked::Payment, "/v1/payments", &key, &body).await else { return };
        let Some(id) = told.text("id").map(str::to_owned) else { return };
        if !self.operations {
            return;
        }
        match caller.end_of(&mut chance, &id).await.as_deref() {
            Some("AUTHORIZED") => caller.after_authorization(&mut chance, &key, &id, cents).await,
            Some("SUCCESS") => caller.refunds(&mut chance, &key, &id, cents).await,
            _ => {}
        }
    }
}

/// One merchant's key, for one deal.
struct Caller {
    http: reqwest::Client,
    gateways: Vec<String>,
    api_key: String,
    records: Arc<Records>,
}

impl Caller {
    fn new(shop: &Shop, merchant: usize) -> Self {
        let api_key = shop.seeds.keys[merchant].clone();
        Self { http: shop.http.clone(), gateways: shop.gateways.clone(), api_key, records: Arc::clone(&shop.records) }
    }

    /// Captures, a cancel, or both at once; sometimes nothing.
    async fn after_authorization(&self, chance: &mut Chance, key: &str, id: &str, cents: u64) {
        let part = 1 + chance.below(cents);
        let (mut one, mut two) = (chance.fork(1), chance.fork(2));
        let capture = json!({"amount": decimal(part)});
        let (captures, cancel) = (format!("/v1/payments/{id}/captures"), format!("/v1/payments/{id}/cancel"));
        match chance.below(10) {
            0 => {}
            1 | 2 => drop(self.ask(&mut one, Asked::Cancel, &cancel, &format!("{key}-v"), &json!({})).await),
            3 | 4 => {
                let (first, second, nothing) = (format!("{key}-c1"), format!("{key}-v"), json!({}));
                tokio::join!(
                    self.ask(&mut one, Asked::Capture, &captures, &first, &capture),
                    self.ask(&mut two, Asked::Cancel, &cancel, &second, &nothing),
                );
            }
            _ => {
                let (first, second) = (format!("{key}-c1"), format!("{key}-c2"));
                let rest = json!({"amount": decimal(1 + chance.below(cents)), "final": true});
                let taken = self.ask(&mut one, Asked::Capture, &captures, &first, &capture).await;
                self.ask(&mut two, Asked::Capture, &captures, &second, &rest).await;
                if taken.is_some_and(|told| told.acknowledged()) {
                    self.refunds(chance, key, id, part).await;
                }
            }
        }
    }

    /// Up to three at once, which together may be too much.
    async fn refunds(&self, chance: &mut Chance, key: &str, id: &str, cents: u64) {
        let count = chance.below(4);
        let asks = (0..count).map(|number| {
            let mut own = chance.fork(100 + number);
            let body = json!({"payment_id": id, "amount": decimal(1 + own.below(cents))});
            let key = format!("{key}-r{number}");
            async move { self.ask(&mut own, Asked::Refund, "/v1/refunds", &key, &body).await }
        });
        futures::future::join_all(asks).await;
    }

    /// Sends a request until it is answered, notes the answer, and sometimes asks for it again.
    async fn ask(&self, chance: &mut Chance, asked: Asked, path: &str, key: &str, body: &Value) -> Option<Record> {
        let begin = Instant::now();
        let wait = *chance.one_of(&[0, 1, 3]);
        let Some((status, bytes)) = self.until_answered(chance, path, key, body, wait, begin).await else {
            self.records.unanswered(key.to_owned());
            return None;
        };
        let answer = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let record = Record { asked, key: key.to_owned(), request: format!("{path} {body}"), status, answer };
        self.records.add(record.clone());
        if record.acknowledged() && chance.percent(25) {
            self.compare_replay(chance, path, key, body, status, &bytes).await;
        }
        Some(record)
    }

    async fn compare_replay(
        &self,
        chance: &mut Chance,
        path: &str,
        key: &str,
        body: &Value,
        status: u16,
        first: &[u8],
    ) {
        let again = self.until_answered(chance, path, key, body, 0, Instant::now()).await;
        if let Some((again_status, again)) = again
            && (again_status, again.as_slice()) != (status, first)
        {
            self.records.wrong(format!(
                "key {key}: first {status} {}, then {again_status} {}",
                String::from_utf8_lossy(first),
                String::from_utf8_lossy(&again)
            ));
        }
    }

    async fn until_answered(
        &self,
        chance: &mut Chance,
        path: &str,
        key: &str,
        body: &Value,
        wait: u64,
        begin: Instant,
    ) -> Option<(u16, Vec<u8>)> {
        while begin.elapsed() < PATIENCE {
            let url = format!("{}{path}", chance.one_of(&self.gateways));
            let request = self.http.post(url).bearer_auth(&self.api_key).header("Idempotency-Key", key);
            let request = request.header("Prefer", format!("wait={wait}")).json(body);
            if let Ok(answer) = request.send().await {
                let status = answer.status().as_u16();
                if let Ok(bytes) = answer.bytes().await
                    && is_final(status, &bytes)
                {
                    return Some((status, bytes.to_vec()));
                }
            }
            sleep(Duration::from_millis(20 + chance.below(80))).await;
        }
        None
    }

    /// The status in which a payment comes to rest.
    async fn end_of(&self, chance: &mut Chance, id: &str) -> Option<String> {
        let begin = Instant::now();
        while begin.elapsed() < END_PATIENCE {
            let url = format!("{}/v1/payments/{id}", chance.one_of(&self.gateways));
            if let Ok(answer) = self.http.get(url).bearer_auth(&self.api_key).send().await {
                let status = answer.status().as_u16();
                let payment: Value = answer.json().await.unwrap_or(Value::Null);
                match payment["status"].as_str() {
                    Some("PENDING" | "PROCESSING") => {}
                    Some(status) => return Some(status.to_owned()),
                    None if status == 404 => {
                        self.records.wrong(format!("payment {id} was acknowledged, and is not there"));
                        return None;
                    }
                    None => {}
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        None
    }
}

/// Whether a merchant need not ask again.
fn is_final(status: u16, body: &[u8]) -> bool {
    if status >= 500 || status == 429 {
        return false;
    }
    let retryable = || serde_json::from_slice::<Value>(body).is_ok_and(|body| body["retryable"] == json!(true));
    status < 400 || !retryable()
}

fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merchant_asks_again_until_the_answer_is_final() {
        assert!(is_final(201, b"{}") && is_final(422, b"{\"retryable\":false}"));
        assert!(!is_final(503, b"") && !is_final(429, b"") && !is_final(409, b"{\"retryable\":true}"));
        assert_eq!(decimal(705), "7.05");
    }
}
