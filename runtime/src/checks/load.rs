//! A load test: test payments at a constant rate, whatever the gateway makes of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::gateway::unique;
use super::goals::Measured;
use super::{CheckError, Gateway};
use crate::ids::PaymentMethodId;

/// The fraud check's own rules let a user pay no more often than this per minute; above it tests would be refused, rightly.
const PER_PAYER_AND_MINUTE: u32 = 12;
/// Requests under way at a time. Further ones wait, and their waiting counts.
const UNDER_WAY_MAX: usize = 4_096;
/// The answers to the last payments may come after the load: for so long they do not count against the rate.
const TAIL: Duration = Duration::from_secs(1);
/// Kinds of failure that are told.
const FAILURES_TOLD: usize = 4;

/// How much, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Payments per second.
    pub tps: u32,
    /// For how long payments begin.
    pub duration: Duration,
}

impl Load {
    /// How many users it takes for none of them to pay more often than a person would.
    #[must_use]
    pub fn payers(self) -> usize {
        let per_minute = self.tps.saturating_mul(60);
        usize::try_from(per_minute.div_ceil(PER_PAYER_AND_MINUTE)).unwrap_or(usize::MAX).max(1)
    }

    fn payments(self) -> u64 {
        let millis = u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX);
        u64::from(self.tps).saturating_mul(millis) / 1_000
    }
}

/// What became of one payment, and how long it took since it was due.
struct Paid {
    took: Duration,
    /// Why it did not end well.
    failure: Option<String>,
}

/// Makes the payments and measures them.
///
/// # Errors
/// When it cannot be measured.
pub async fn run(gateway: &Gateway, load: Load, methods: &[PaymentMethodId]) -> Result<Measured, CheckError> {
    let mut tally = Tally::new()?;
    let (gateway, begin) = (Arc::new(gateway.clone().impatient()), Instant::now());
    let mut under_way = JoinSet::new();
    for number in 0..load.payments() {
        let due = begin + Duration::from_secs_f64(number as f64 / f64::from(load.tps));
        tokio::time::sleep_until(due).await;
        while let Some(paid) = under_way.try_join_next() {
            tally.count(paid);
        }
        if under_way.len() >= UNDER_WAY_MAX
            && let Some(paid) = under_way.join_next().await
        {
            tally.count(paid);
        }
        let index = usize::try_from(number).unwrap_or_default() % methods.len().max(1);
        let method = methods.get(index).copied();
        let gateway = Arc::clone(&gateway);
        under_way.spawn(async move {
            let failure = pay(&gateway, method).await.err();
            Paid { took: due.elapsed(), failure }
        });
    }
    while let Some(paid) = under_way.join_next().await {
        tally.count(paid);
    }
    Ok(tally.measured(begin.elapsed().saturating_sub(TAIL).max(load.duration)))
}

async fn pay(gateway: &Gateway, method: Option<PaymentMethodId>) -> Result<(), String> {
    let body =
        json!({ "amount": "0.01", "currency": "USD", "payment_method_id": method, "description": "purser load" });
    let answer = gateway.post_with("/v1/payments", &body, &unique()).await?;
    match (answer.status, answer.text("/status")) {
        (StatusCode::CREATED, "SUCCESS") => Ok(()),
        _ => Err(answer.words()),
    }
}

struct Tally {
    times: Histogram<u64>,
    succeeded: u64,
    failures: HashMap<String, u64>,
}

impl Tally {
    /// From a microsecond to a minute, with three digits.
    fn new() -> Result<Self, CheckError> {
        let times =
            Histogram::new_with_bounds(1, 60_000_000, 3).map_err(|error| CheckError::Setup(error.to_string()))?;
        Ok(Self { times, succeeded: 0, failures: HashMap::new() })
    }

    fn count(&mut self, paid: Result<Paid, tokio::task::JoinError>) {
        let paid = paid.unwrap_or_else(|error| Paid { took: Duration::MAX, failure: Some(error.to_string()) });
        self.times.saturating_record(u64::try_from(paid.took.as_micros()).unwrap_or(u64::MAX));
        match paid.failure {
            None => self.succeeded += 1,
            Some(failure) => *self.failures.entry(failure).or_default() += 1,
        }
    }

    fn measured(self, elapsed: Duration) -> Measured {
        let payments = self.times.len();
        let at = |share: f64| self.times.value_at_quantile(share) as f64 / 1_000.0;
        let mut failures: Vec<_> = self.failures.into_iter().collect();
        failures.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        failures.truncate(FAILURES_TOLD);
        Measured {
            payments,
            succeeded: self.succeeded,
            tps: payments as f64 / elapsed.as_secs_f64().max(f64::EPSILON),
            p50_ms: at(0.50),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: self.times.max() as f64 / 1_000.0,
            success_rate: if payments == 0 { 0.0 } else { self.succeeded as f64 * 100.0 / payments as f64 },
            failures,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_payers_for_none_to_look_like_a_thief() {
        let load = |tps, seconds| Load { tps, duration: Duration::from_secs(seconds) };
        assert_eq!((load(50, 60).payers(), load(50, 60).payments()), (250, 3_000));
        assert_eq!((load(1, 1).payers(), load(1, 1).payments()), (5, 1));
    }

    #[test]
    fn times_are_counted_from_when_a_payment_was_due_and_failures_by_their_kind() {
        let mut tally = Tally::new().unwrap();
        for number in 1..=100 {
            let failure = (number > 97).then(|| "HTTP 503".to_owned());
            tally.count(Ok(Paid { took: Duration::from_millis(number), failure }));
        }
        let measured = tally.measured(Duration::from_secs(2));
        assert_eq!((measured.payments, measured.succeeded), (100, 97));
        assert!((measured.tps - 50.0).abs() < 1e-9 && (measured.success_rate - 97.0).abs() < 1e-9);
        assert!((measured.p95_ms - 95.0).abs() < 0.1 && (measured.p99_ms - 99.0).abs() < 0.1, "{measured:?}");
        assert_eq!(measured.failures, [("HTTP 503".to_owned(), 3)]);
    }
}
