//! One payment, as far as it goes now: decide → act → record, until it ends or has to wait.
//!
//! Invariant: while a provider is called no transaction is open, and what was sent was committed as sent before.

use std::time::{Duration, Instant};

use chrono::Utc;
use runtime_contract::{Environment, ProviderSettings, Settings};
use secrecy::ExposeSecret;

use super::case::{Case, Judgement, OpenAttempt};
use super::decide::{Circumstances, Conclusion, Move, decide};
use super::ending::{Approval, Ended, EndingError};
use super::error::StepError;
use super::record::{Answered, Begun, Fate, NewAttempt, NewCheck, Record, Sending};
use super::test_mode;
use super::worker::Worker;
use crate::ids::AttemptId;
use crate::payments::Status;
use crate::providers::routing::{Knowledge, Route, route};
use crate::providers::{Adapter, adapter};
use crate::queue::{Item, backoff};

/// Where a payment stands after it was brought forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Its wait is at its end.
    Settled(Status),
    /// It needed nothing.
    Finished,
    /// It will be looked at again.
    Later,
    /// It waits for a person.
    Parked,
}

/// What one worker knows of a payment while it has it.
pub(super) struct Round<'a> {
    pub(super) worker: &'a Worker,
    item: &'a Item,
    pub(super) case: Case,
    /// Made in this round, and not yet recorded: the next record carries it.
    check: Option<NewCheck>,
    /// Providers that could not be reached in this round.
    pub(super) tried: Vec<String>,
}

/// Brings a payment forward until it ends or has to wait. `unsent`: an attempt that is committed and yet to be sent.
pub(super) async fn advance(
    worker: &Worker,
    item: &Item,
    case: Case,
    unsent: Option<OpenAttempt>,
) -> Result<Progress, StepError> {
    let mut round = Round { worker, item, case, check: None, tried: Vec::new() };
    if let Some(attempt) = unsent {
        round.pay_from_budget(&attempt.provider.resource, true);
        if let Some(progress) = round.first_call(attempt).await? {
            return Ok(progress);
        }
    }
    loop {
        if let Some(progress) = round.step().await? {
            return Ok(progress);
        }
    }
}

/// What a payment is begun with before it is accepted, when there is a place for it: everything up to the first call.
pub(super) async fn begin(worker: &Worker, case: &mut Case) -> Begun {
    let (judgement, check) = check_fraud(worker, case).await;
    case.judgement = Some(judgement);
    let settings = worker.app.settings.current();
    let route = route_of(worker, case, &[], &settings);
    let attempt = match next_move(worker, case, &route) {
        Move::Attempt(provider) => {
            let now = Utc::now();
            let (id, route) = (AttemptId::at(now), route.reasons_for(&provider.resource));
            Some(NewAttempt { id, number: 1, provider: provider.into(), route, t_start: now })
        }
        _ => None,
    };
    Begun { check, judgement, attempt }
}

async fn check_fraud(worker: &Worker, case: &Case) -> (Judgement, NewCheck) {
    let check = worker.fraud.check(&case.check_request()).await;
    if counts(worker, case) {
        worker.app.figures.fraud_check(check.duration);
    }
    if check.verdict.is_none() {
        worker.app.metrics.fraud_deadline_missed.inc();
        tracing::warn!(payment = %case.payment.id, policy = %check.status, "no fraud verdict in time: the policy decides");
    }
    (Judgement::from(&check), NewCheck::of(case, &check, Utc::now()))
}

/// Whether a payment counts in the figures by which a release is judged. In staging tests are all that there is to judge by; in
/// production they would speak well of a release that nobody can pay through. A test that is to be declined is no failure.
fn counts(worker: &Worker, case: &Case) -> bool {
    let is_staging = worker.app.config.environment == Environment::Staging;
    !case.is_test || (is_staging && case.token.expose_secret() != test_mode::DECLINED)
}

fn route_of<'s>(worker: &Worker, case: &Case, tried: &[String], settings: &'s Settings) -> Route<'s> {
    let has_credential = |resource: &str| worker.credential(resource).is_ok();
    let standing = |provider: &ProviderSettings| worker.health().standing(provider, Instant::now());
    let knowledge = Knowledge { adapter, has_credential: &has_credential, tried, standing: &standing };
    route(&settings.providers, &case.payment.amount, &knowledge)
}

fn next_move<'a>(worker: &Worker, case: &'a Case, route: &Route<'a>) -> Move<'a> {
    let open_adapter = case.open.as_ref().and_then(|open| adapter(open.provider.name));
    let idempotency_window_s = open_adapter.map_or(i64::MAX, Adapter::idempotency_window_s);
    let may_retry = |resource: &str| worker.budget().may_spend(resource, Instant::now());
    decide(case, &Circumstances { route, idempotency_window_s, may_retry: &may_retry, now: Utc::now() })
}

impl Round<'_> {
    /// Nothing when there is more to be done now.
    async fn step(&mut self) -> Result<Option<Progress>, StepError> {
        let settings = self.worker.app.settings.current();
        let route = route_of(self.worker, &self.case, &self.tried, &settings);
        match next_move(self.worker, &self.case, &route) {
            Move::Finish => self.finish().await.map(Some),
            Move::Park { reason } => self.park(reason).await.map(Some),
            Move::Wait { reason } => self.wait(reason).await.map(Some),
            Move::Fail { code, message } => self.fail(code, message).await.map(Some),
            Move::Rehearse => self.rehearse().await.map(Some),
            Move::Resume(open) => {
                let open = open.clone();
                self.resume(open).await.map(Some)
            }
            Move::CheckFraud => {
                self.check_fraud().await;
                Ok(None)
            }
            Move::Attempt(provider) => {
                let why = route.reasons_for(&provider.resource);
                self.attempt(provider.into(), why).await
            }
        }
    }

    async fn check_fraud(&mut self) {
        let (judgement, check) = check_fraud(self.worker, &self.case).await;
        self.case.judgement = Some(judgement);
        self.check = Some(check);
    }

    pub(super) async fn conclude(
        &mut self,
        open: &OpenAttempt,
        conclusion: Conclusion,
    ) -> Result<Option<Progress>, StepError> {
        let now = Utc::now();
        let payment = self.case.payment.id;
        match conclusion {
            Conclusion::Succeeded { reference, authorized_until } => {
                let approval = Approval { open, reference: &reference, authorized_until };
                let ended = self.ended(Ended::approved(&self.case, &approval, now))?;
                self.settle(Some(Answered::approved(open, &reference, now)), ended).await.map(Some)
            }
            Conclusion::Failed { code, message } => {
                let ended = self.ended(Ended::failed(&self.case, Some(open), &code, &message, now))?;
                self.settle(Some(Answered::declined(open, &code, &message, now)), ended).await.map(Some)
            }
            Conclusion::NothingSent { reason } => {
                tracing::warn!(%payment, provider = open.provider.resource, reason, "provider not reached");
                let answered = Some(Answered::not_sent(open, &reason, now));
                self.write(Record { answered, ..self.record() }).await?;
                self.tried.push(open.provider.resource.clone());
                Ok(None)
            }
            Conclusion::Open { reason, reference } => {
                tracing::warn!(%payment, attempt = %open.id, provider = open.provider.resource, reason, "outcome unknown");
                let answered = Some(Answered::unknown(open, reference, &reason, now));
                let item = Fate::Later { delay: self.delay(), reason };
                self.write(Record { answered, item, ..self.record() }).await?;
                Ok(Some(Progress::Later))
            }
        }
    }

    async fn finish(&mut self) -> Result<Progress, StepError> {
        self.write(Record { item: Fate::Complete, ..self.record() }).await?;
        Ok(Progress::Finished)
    }

    async fn park(&mut self, reason: String) -> Result<Progress, StepError> {
        tracing::error!(payment = %self.case.payment.id, reason, "a payment waits for a person");
        self.write(Record { item: Fate::Park { reason }, ..self.record() }).await?;
        Ok(Progress::Parked)
    }

    async fn wait(&mut self, reason: String) -> Result<Progress, StepError> {
        tracing::warn!(payment = %self.case.payment.id, reason, "a payment waits");
        let item = Fate::Later { delay: self.delay(), reason };
        self.write(Record { item, ..self.record() }).await?;
        Ok(Progress::Later)
    }

    async fn fail(&mut self, code: &str, message: &str) -> Result<Progress, StepError> {
        let ended = self.ended(Ended::failed(&self.case, None, code, message, Utc::now()))?;
        self.settle(None, ended).await
    }

    async fn rehearse(&mut self) -> Result<Progress, StepError> {
        let ended = self.ended(Ended::rehearsed(&self.case, Utc::now()))?;
        self.settle(None, ended).await
    }

    async fn settle(&mut self, answered: Option<Answered>, ended: Ended) -> Result<Progress, StepError> {
        let (status, t_start) = (ended.payment.status, ended.payment.t_start);
        let seconds = f64::from(ended.payment.latency_ms.unwrap_or(0)) / 1000.0;
        let ended = Some(Box::new(ended));
        self.write(Record { answered, ended, item: Fate::Complete, ..self.record() }).await?;
        if !counts(self.worker, &self.case) {
            return Ok(Progress::Settled(status));
        }
        self.worker.app.metrics.payments.with_label_values(&[status.as_str()]).inc();
        self.worker.app.metrics.payment_seconds.with_label_values(&[status.as_str()]).observe(seconds);
        // A release is judged by what it handled from the beginning, not by what another one or an earlier try has left lying.
        let app = &self.worker.app;
        let is_earlier = app.config.since_ms.is_some_and(|since_ms| t_start.timestamp_millis() < since_ms);
        if self.item.release == app.release && !is_earlier {
            app.figures.payment(status, Utc::now() - t_start);
        }
        Ok(Progress::Settled(status))
    }

    /// A record of nothing yet, with the check that was not recorded so far.
    pub(super) fn record(&self) -> Record {
        Record {
            lease: self.item.lease(),
            payment_id: self.case.payment.id,
            created_at: self.item.payment_created_at,
            check: self.check.clone(),
            answered: None,
            ended: None,
            item: Fate::Keep,
        }
    }

    pub(super) async fn write(&mut self, record: Record) -> Result<(), StepError> {
        self.worker.recorder.write(record).await?;
        self.check = None;
        Ok(())
    }

    /// The id of its provider in `payment_providers`.
    pub(super) async fn send(&mut self, attempt: NewAttempt) -> Result<i32, StepError> {
        let Record { lease, payment_id, created_at, check, .. } = self.record();
        let provider_id = self.worker.recorder.send(Sending { lease, payment_id, created_at, check, attempt }).await?;
        self.check = None;
        Ok(provider_id)
    }

    fn ended(&self, ended: Result<Ended, EndingError>) -> Result<Ended, StepError> {
        ended.map_err(|error| StepError::Inconsistent(format!("{}: {error}", self.case.payment.id)))
    }

    fn delay(&self) -> Duration {
        backoff::delay(self.item.attempt.unsigned_abs(), rand::random())
    }
}
