//! One payment, as far as it goes now: load → decide → act → record.
//!
//! Invariant: while a provider is called no transaction is open, and what was sent was committed as sent before.

use std::time::{Duration, Instant};

use chrono::Utc;
use runtime_contract::Settings;
use secrecy::SecretString;

use super::case::{Case, OpenAttempt, ProviderAddress};
use super::decide::{Circumstances, Conclusion, Move, conclude, decide};
use super::store::{self, AttemptOutcome, Ending, NewAttempt, Step, StoreError};
use super::worker::Worker;
use crate::fraud::Check;
use crate::ids::AttemptId;
use crate::payments::{CaptureMethod, Status};
use crate::providers::routing::{Knowledge, route};
use crate::providers::{Action, Adapter, Call, Endpoint, Outcome, adapter};
use crate::queue::{Item, backoff};

/// Where a payment stands after it was brought forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is at its end.
    Settled(Status),
    /// It needed nothing.
    Finished,
    /// It will be looked at again.
    Later,
    /// It waits for a person.
    Parked,
}

/// What one worker knows of a payment while it has it.
struct Round<'a> {
    worker: &'a Worker,
    item: &'a Item,
    /// Made in this round, and not yet recorded: the next step records it.
    check: Option<Check>,
    /// Providers that could not be reached in this round.
    tried: Vec<String>,
}

/// Brings a payment forward until it ends or has to wait.
pub(super) async fn advance(worker: &Worker, item: &Item) -> Result<Progress, StoreError> {
    let mut round = Round { worker, item, check: None, tried: Vec::new() };
    let mut case = store::load(&worker.app.pool, item).await?;
    loop {
        let settings = worker.app.settings.current();
        match round.next_move(&case, &settings) {
            Move::Finish => return round.finish(&case).await,
            Move::Park { reason } => return round.park(&case, &reason).await,
            Move::Wait { reason } => return round.wait(&case, &reason).await,
            Move::Fail { code, message } => return round.fail(&case, code, message).await,
            Move::Resume(open) => return round.resume(&case, open).await,
            Move::CheckFraud => case.fraud_status = Some(round.check_fraud(&case).await),
            Move::Attempt(provider) => {
                if let Some(progress) = round.attempt(&case, provider.into()).await? {
                    return Ok(progress);
                }
                case = store::load(&worker.app.pool, item).await?;
                // A check that was made, but not recorded because nothing was, still holds.
                case.fraud_status = case.fraud_status.or(round.check.as_ref().map(|check| check.status));
            }
        }
    }
}

impl Round<'_> {
    fn next_move<'a>(&self, case: &'a Case, settings: &'a Settings) -> Move<'a> {
        let has_credential = |resource: &str| self.worker.app.secrets.provider(resource).is_ok();
        let knowledge = Knowledge { adapter, has_credential: &has_credential, tried: &self.tried };
        let route = route(&settings.providers, &case.money, &knowledge);
        let open_adapter = case.open.as_ref().and_then(|open| adapter(open.provider.name));
        let idempotency_window_s = open_adapter.map_or(i64::MAX, Adapter::idempotency_window_s);
        decide(case, &Circumstances { route: &route, idempotency_window_s, now: Utc::now() })
    }

    async fn check_fraud(&mut self, case: &Case) -> crate::fraud::Status {
        let check = self.worker.fraud.check(&case.check_request()).await;
        if check.verdict.is_none() {
            self.worker.app.metrics.fraud_deadline_missed.inc();
            tracing::warn!(payment = %case.payment_id, policy = %check.status, "no fraud verdict in time: the policy decides");
        }
        let status = check.status;
        self.check = Some(check);
        status
    }

    /// Nothing when the provider could not be reached: then the next one may be asked.
    async fn attempt(&mut self, case: &Case, provider: ProviderAddress) -> Result<Option<Progress>, StoreError> {
        let id = AttemptId::at(Utc::now());
        let call = charge(case, id, None, 0);
        // The request is tried before anything is written: what cannot be sent need not be remembered as sent.
        let ready = self.prepare(&provider).and_then(|(adapter, credential)| {
            adapter.request(&call, &credential).map_err(|error| error.to_string())?;
            Ok((adapter, credential))
        });
        let (adapter, credential) = match ready {
            Ok(ready) => ready,
            Err(reason) => {
                tracing::warn!(payment = %case.payment_id, provider = provider.resource, reason, "provider left out");
                self.tried.push(provider.resource);
                return Ok(None);
            }
        };
        let t_start = Utc::now();
        let mut step = self.begin(case).await?;
        let number = case.attempts + 1;
        let release = &self.worker.app.release;
        let ProviderAddress { resource, api_endpoint, .. } = &provider;
        let new = NewAttempt { id, number, resource, api_endpoint, release, t_start };
        step.send(case, &new).await?;
        step.commit().await?;
        self.check = None;
        let outcome = self.call(adapter, &call, false, &provider, &credential).await;
        let open = OpenAttempt { id, t_start, reference: None, provider };
        self.record(case, &open, conclude(outcome, false)).await
    }

    async fn resume(&mut self, case: &Case, open: &OpenAttempt) -> Result<Progress, StoreError> {
        let age_s = (Utc::now() - open.t_start).num_seconds().max(1);
        let call = charge(case, open.id, open.reference.clone(), age_s);
        let conclusion = match self.prepare(&open.provider) {
            Ok((adapter, credential)) => {
                conclude(self.call(adapter, &call, true, &open.provider, &credential).await, true)
            }
            Err(reason) => Conclusion::Open { reason, reference: None },
        };
        let progress = self.record(case, open, conclusion).await?;
        // A resumed attempt is never concluded as unsent, so there always is progress; waiting is right in any case.
        Ok(progress.unwrap_or(Progress::Later))
    }

    /// The adapter and the credential, or why there is none.
    fn prepare(&self, provider: &ProviderAddress) -> Result<(&'static dyn Adapter, SecretString), String> {
        let adapter = adapter(provider.name).ok_or_else(|| format!("there is no adapter for {}", provider.name))?;
        let credential = self.worker.app.secrets.provider(&provider.resource).map_err(|error| error.to_string())?;
        Ok((adapter, credential))
    }

    async fn call(
        &self,
        adapter: &dyn Adapter,
        call: &Call,
        inquiry: bool,
        provider: &ProviderAddress,
        credential: &SecretString,
    ) -> Outcome {
        let began = Instant::now();
        let limit = Duration::from_millis(u64::from(provider.max_latency_ms));
        let endpoint = Endpoint { resource: &provider.resource, base_url: &provider.api_endpoint, credential, limit };
        let outcome = self.worker.providers.call(adapter, call, inquiry, &endpoint).await;
        let word = outcome.as_str();
        let seconds = began.elapsed().as_secs_f64();
        self.worker.app.metrics.attempt_seconds.with_label_values(&[provider.resource.as_str(), word]).observe(seconds);
        outcome
    }

    async fn record(
        &mut self,
        case: &Case,
        open: &OpenAttempt,
        conclusion: Conclusion,
    ) -> Result<Option<Progress>, StoreError> {
        let t_end = Utc::now();
        let blank = AttemptOutcome {
            state: "UNKNOWN",
            reference: None,
            error_code: None,
            error_message: None,
            t_start: open.t_start,
            t_end,
        };
        let mut step = self.begin(case).await?;
        match &conclusion {
            Conclusion::Succeeded { reference } => {
                let reference = Some(reference.as_str());
                step.attempt_outcome(open.id, &AttemptOutcome { state: "APPROVED", reference, ..blank }).await?;
                let fee = case.money.percentage(case.fee_percentage);
                let fee = fee.map_err(|error| StoreError::Inconsistent(format!("the fee: {error}")))?;
                let ending = Ending { status: Status::Success, t_end, fee: Some(fee), reference, error: None };
                self.settle(case, step, &ending).await.map(Some)
            }
            Conclusion::Failed { code, message } => {
                let (error_code, error_message) = (Some(code.as_str()), Some(message.as_str()));
                let declined = AttemptOutcome { state: "DECLINED", error_code, error_message, ..blank };
                step.attempt_outcome(open.id, &declined).await?;
                let error = Some((code.as_str(), message.as_str()));
                let ending = Ending { status: Status::Failed, t_end, fee: None, reference: None, error };
                self.settle(case, step, &ending).await.map(Some)
            }
            Conclusion::NothingSent { reason } => {
                tracing::warn!(payment = %case.payment_id, provider = open.provider.resource, reason, "provider not reached");
                let outcome = AttemptOutcome { state: "RETRYABLE", error_message: Some(reason), ..blank };
                step.attempt_outcome(open.id, &outcome).await?;
                step.commit().await?;
                self.tried.push(open.provider.resource.clone());
                Ok(None)
            }
            Conclusion::Open { reason, reference } => {
                tracing::warn!(payment = %case.payment_id, attempt = %open.id, provider = open.provider.resource, reason, "outcome unknown");
                let outcome = AttemptOutcome { reference: reference.as_deref(), error_message: Some(reason), ..blank };
                step.attempt_outcome(open.id, &outcome).await?;
                step.retry_later(self.delay(), reason).await?;
                step.commit().await?;
                Ok(Some(Progress::Later))
            }
        }
    }

    async fn finish(&self, case: &Case) -> Result<Progress, StoreError> {
        let mut step = self.begin(case).await?;
        step.complete().await?;
        step.commit().await?;
        Ok(Progress::Finished)
    }

    async fn park(&self, case: &Case, reason: &str) -> Result<Progress, StoreError> {
        tracing::error!(payment = %case.payment_id, reason, "a payment waits for a person");
        let mut step = self.begin(case).await?;
        step.park(reason).await?;
        step.commit().await?;
        Ok(Progress::Parked)
    }

    async fn wait(&self, case: &Case, reason: &str) -> Result<Progress, StoreError> {
        tracing::warn!(payment = %case.payment_id, reason, "a payment waits");
        let mut step = self.begin(case).await?;
        step.retry_later(self.delay(), reason).await?;
        step.commit().await?;
        Ok(Progress::Later)
    }

    async fn fail(&self, case: &Case, code: &str, message: &str) -> Result<Progress, StoreError> {
        let step = self.begin(case).await?;
        let error = Some((code, message));
        let ending = Ending { status: Status::Failed, t_end: Utc::now(), fee: None, reference: None, error };
        self.settle(case, step, &ending).await
    }

    async fn settle(&self, case: &Case, mut step: Step, ending: &Ending<'_>) -> Result<Progress, StoreError> {
        step.settle(case, ending).await?;
        step.commit().await?;
        // Told after the commit and outside of it: whoever is told must be able to read it.
        self.worker.settled.announce(case.payment_id);
        let status = ending.status.as_str();
        let seconds = (ending.t_end - case.t_start).as_seconds_f64().max(0.0);
        self.worker.app.metrics.payments.with_label_values(&[status]).inc();
        self.worker.app.metrics.payment_seconds.with_label_values(&[status]).observe(seconds);
        Ok(Progress::Settled(ending.status))
    }

    async fn begin(&self, case: &Case) -> Result<Step, StoreError> {
        Step::begin(&self.worker.app.pool, self.item, case, self.check.as_ref(), &self.worker.app.release).await
    }

    fn delay(&self) -> Duration {
        backoff::delay(self.item.attempt.unsigned_abs(), rand::random())
    }
}

fn charge(case: &Case, id: AttemptId, reference: Option<String>, age_s: i64) -> Call {
    let (capture, token) = (CaptureMethod::Automatic, case.token.clone());
    Call {
        id: id.as_uuid(),
        payment_id: case.payment_id,
        money: case.money,
        action: Action::Charge { capture, token, multiple_captures: false },
        charge: None,
        capture: None,
        reference,
        age_s,
    }
}
