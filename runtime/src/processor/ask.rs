//! Asking a provider: a new attempt, or what became of an open one.

use std::time::{Duration, Instant};

use chrono::Utc;
use secrecy::SecretString;

use super::advance::{Progress, Round};
use super::case::{OpenAttempt, ProviderAddress};
use super::decide::{Conclusion, conclude};
use super::error::StepError;
use super::record::NewAttempt;
use crate::ids::AttemptId;
use crate::providers::{Action, Adapter, Call, Endpoint, Outcome, adapter};

impl Round<'_> {
    /// Nothing when the provider could not be reached: then the next one may be asked.
    pub(super) async fn attempt(
        &mut self,
        provider: ProviderAddress,
        route: String,
    ) -> Result<Option<Progress>, StepError> {
        let (id, t_start) = (AttemptId::at(Utc::now()), Utc::now());
        // The request is tried before anything is written: what cannot be sent need not be remembered as sent.
        if let Err(reason) = self.ready(id, &provider) {
            tracing::warn!(payment = %self.case.payment.id, provider = provider.resource, reason, "provider left out");
            self.tried.push(provider.resource);
            return Ok(None);
        }
        let number = self.case.attempts + 1;
        self.pay_from_budget(&provider.resource, number == 1);
        let sent = NewAttempt { id, number, provider: provider.clone(), route, t_start };
        let provider_id = self.send(sent).await?;
        self.case.attempts = number;
        self.first_call(OpenAttempt { id, t_start, reference: None, provider_id, provider }).await
    }

    /// Sends an attempt that was committed and that nobody has sent. Nothing when the provider could not be reached.
    pub(super) async fn first_call(&mut self, open: OpenAttempt) -> Result<Option<Progress>, StepError> {
        let conclusion = match self.ready(open.id, &open.provider) {
            Ok((adapter, credential, call)) => {
                conclude(self.call(adapter, &call, false, &open.provider, &credential).await, false)
            }
            Err(reason) => Conclusion::NothingSent { reason },
        };
        self.conclude(&open, conclusion).await
    }

    /// What a first call needs, or why there is none.
    fn ready(
        &self,
        id: AttemptId,
        provider: &ProviderAddress,
    ) -> Result<(&'static dyn Adapter, SecretString, Call), String> {
        let (adapter, credential) = self.prepare(provider)?;
        let call = self.charge(id, None, 0);
        adapter.request(&call, &credential).map_err(|error| error.to_string())?;
        Ok((adapter, credential, call))
    }

    pub(super) async fn resume(&mut self, open: OpenAttempt) -> Result<Progress, StepError> {
        let age_s = (Utc::now() - open.t_start).num_seconds().max(1);
        let call = self.charge(open.id, open.reference.clone(), age_s);
        let conclusion = match self.prepare(&open.provider) {
            Ok(_) if !self.pay_from_budget(&open.provider.resource, false) => {
                let reason = format!("{} is asked again as often as its budget allows", open.provider.resource);
                Conclusion::Open { reason, reference: None }
            }
            Ok((adapter, credential)) => {
                conclude(self.call(adapter, &call, true, &open.provider, &credential).await, true)
            }
            Err(reason) => Conclusion::Open { reason, reference: None },
        };
        let progress = self.conclude(&open, conclusion).await?;
        // A resumed attempt is never concluded as unsent, so there always is progress; waiting is right in any case.
        Ok(progress.unwrap_or(Progress::Later))
    }

    /// A first attempt earns, everything after it spends. Whether there was enough.
    pub(super) fn pay_from_budget(&self, resource: &str, is_first: bool) -> bool {
        let (mut budget, now) = (self.worker.budget(), Instant::now());
        if is_first {
            budget.earn(resource, now);
            return true;
        }
        budget.spend(resource, now)
    }

    /// The adapter and the credential, or why there is none.
    fn prepare(&self, provider: &ProviderAddress) -> Result<(&'static dyn Adapter, SecretString), String> {
        let adapter = adapter(provider.name).ok_or_else(|| format!("there is no adapter for {}", provider.name))?;
        Ok((adapter, self.worker.credential(&provider.resource)?))
    }

    fn charge(&self, id: AttemptId, reference: Option<String>, age_s: i64) -> Call {
        let payment = &self.case.payment;
        let (capture, token) = (payment.capture_method, self.case.token.clone());
        Call {
            id: id.as_uuid(),
            payment_id: payment.id,
            money: payment.amount,
            action: Action::Charge { capture, token, multiple_captures: true },
            charge: None,
            capture: None,
            reference,
            age_s,
        }
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
        self.worker.health().begin(&provider.resource, limit, began);
        let outcome = self.worker.providers.call(adapter, call, inquiry, &endpoint).await;
        self.worker.health().record(&provider.resource, &outcome, began.elapsed(), Instant::now());
        let labels = [provider.resource.as_str(), outcome.as_str()];
        self.worker.app.metrics.attempt_seconds.with_label_values(&labels).observe(began.elapsed().as_secs_f64());
        outcome
    }
}
