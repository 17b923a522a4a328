//! One operation, as far as it goes now: load → decide → act → record.
//!
//! Invariant: while the provider is called no transaction is open, and what is sent was committed as sent before.

use std::iter;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::case::{Case, Charged};
use super::decide::{Conclusion, Move, conclude, decide};
use super::store::{self, Step, StoreError};
use crate::app::App;
use crate::operations::OperationStatus;
use crate::operations::outcome::Outcome as End;
use crate::processor::error::StepError;
use crate::processor::settled::Settled;
use crate::providers::{Adapter, Client, Endpoint, Outcome, adapter};
use crate::queue::{Item, backoff};

/// Where an operation stands after it was brought forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is at its end.
    Ended(OperationStatus),
    /// It needed nothing.
    Finished,
    /// It will be looked at again.
    Later,
    /// It waits for a person.
    Parked,
}

/// How the provider of an operation is spoken to.
struct Line<'a> {
    adapter: &'static dyn Adapter,
    charged: &'a Charged,
    credential: SecretString,
}

/// What an operation is brought forward with.
#[derive(Clone, Copy)]
struct Means<'a> {
    app: &'a App,
    providers: &'a Client,
    settled: &'a Settled,
}

/// Brings an operation forward until it ends or has to wait.
///
/// # Errors
/// When a step could not be recorded, or the operation is not to be understood.
pub async fn advance(app: &App, providers: &Client, settled: &Settled, item: &Item) -> Result<Progress, StepError> {
    Ok(forward(Means { app, providers, settled }, item).await?)
}

async fn forward(means: Means<'_>, item: &Item) -> Result<Progress, StoreError> {
    let case = store::load(&means.app.pool, item).await?;
    let speaks = case.charged.as_ref().and_then(|charged| adapter(charged.name));
    let window_s = speaks.map_or(i64::MAX, Adapter::idempotency_window_s);
    let now = Utc::now();
    match decide(&case, window_s, now) {
        Move::Finish => finish(means, item).await,
        Move::Park { reason } => park(means, item, &case, &reason).await,
        Move::Send => match line(means, &case) {
            Ok(line) => {
                let sent = send(means, item, &case, now).await?;
                ask(means, item, &sent, &line, false).await
            }
            Err(reason) => wait(means, item, &case, &reason).await,
        },
        Move::Ask => match line(means, &case) {
            Ok(line) => ask(means, item, &case, &line, true).await,
            Err(reason) => wait(means, item, &case, &reason).await,
        },
    }
}

/// The adapter and the credential, or why there is none.
fn line<'a>(means: Means<'_>, case: &'a Case) -> Result<Line<'a>, String> {
    let charged = case.charged.as_ref().ok_or("no approved attempt is known")?;
    let adapter = adapter(charged.name).ok_or_else(|| format!("there is no adapter for {}", charged.name))?;
    let credential = means.app.secrets.provider(&charged.resource).map_err(|error| error.to_string())?;
    Ok(Line { adapter, charged, credential })
}

/// Commits that it is sent.
async fn send(means: Means<'_>, item: &Item, case: &Case, now: DateTime<Utc>) -> Result<Case, StoreError> {
    let mut step = Step::begin(&means.app.pool, item).await?;
    step.send(&case.operation, now).await?;
    step.commit().await?;
    let mut sent = case.clone();
    sent.operation.sent_at = Some(now);
    Ok(sent)
}

async fn ask(
    means: Means<'_>,
    item: &Item,
    case: &Case,
    line: &Line<'_>,
    sent_before: bool,
) -> Result<Progress, StoreError> {
    let began = Instant::now();
    let endpoint = Endpoint {
        resource: &line.charged.resource,
        base_url: &line.charged.api_endpoint,
        credential: &line.credential,
        limit: Duration::from_millis(u64::from(line.charged.max_latency_ms)),
    };
    let mut call = case.call(Utc::now());
    if !sent_before {
        call.age_s = 0;
    }
    let outcome = means.providers.call(line.adapter, &call, sent_before, &endpoint).await;
    observe(means, case, &outcome, began);
    record(means, item, case, conclude(outcome, sent_before)).await
}

async fn record(means: Means<'_>, item: &Item, case: &Case, conclusion: Conclusion) -> Result<Progress, StoreError> {
    let mut step = Step::begin(&means.app.pool, item).await?;
    match conclusion {
        Conclusion::Ended(outcome) => return end(means, case, step, outcome).await,
        Conclusion::Unsent { reason } => {
            tracing::warn!(operation = id(case), reason, "provider not reached");
            step.unsend(&case.operation).await?;
            step.retry_later(delay(item), &reason).await?;
        }
        Conclusion::Open { reason, reference } => {
            tracing::warn!(operation = id(case), reason, "outcome unknown");
            if let Some(reference) = &reference {
                step.named(&case.operation, reference).await?;
            }
            step.retry_later(delay(item), &reason).await?;
        }
    }
    step.commit().await?;
    Ok(Progress::Later)
}

async fn end(means: Means<'_>, case: &Case, mut step: Step, outcome: End) -> Result<Progress, StoreError> {
    let change = step.end(case, outcome, Utc::now()).await?;
    step.commit().await?;
    // Told after the commit and outside of it: whoever is told must be able to read it.
    means.settled.announce(iter::once(change.operation.id.into()));
    means.app.deliveries.ring([change.payment.merchant_id]);
    let (kind, status) = (change.operation.kind.as_str(), change.operation.status);
    means.app.metrics.operations.with_label_values(&[kind, status.as_str()]).inc();
    Ok(Progress::Ended(status))
}

async fn finish(means: Means<'_>, item: &Item) -> Result<Progress, StoreError> {
    let mut step = Step::begin(&means.app.pool, item).await?;
    step.complete().await?;
    step.commit().await?;
    Ok(Progress::Finished)
}

async fn park(means: Means<'_>, item: &Item, case: &Case, reason: &str) -> Result<Progress, StoreError> {
    tracing::error!(operation = id(case), reason, "an operation waits for a person");
    let mut step = Step::begin(&means.app.pool, item).await?;
    step.park(reason).await?;
    step.commit().await?;
    Ok(Progress::Parked)
}

async fn wait(means: Means<'_>, item: &Item, case: &Case, reason: &str) -> Result<Progress, StoreError> {
    tracing::warn!(operation = id(case), reason, "an operation waits");
    let mut step = Step::begin(&means.app.pool, item).await?;
    step.retry_later(delay(item), reason).await?;
    step.commit().await?;
    Ok(Progress::Later)
}

fn observe(means: Means<'_>, case: &Case, outcome: &Outcome, began: Instant) {
    let labels = [case.operation.kind.as_str(), outcome.as_str()];
    means.app.metrics.operation_seconds.with_label_values(&labels).observe(began.elapsed().as_secs_f64());
}

fn id(case: &Case) -> String {
    case.operation.kind.id_text(case.operation.id)
}

fn delay(item: &Item) -> Duration {
    backoff::delay(item.attempt.unsigned_abs(), rand::random())
}
