//! What is to be written of a payment, as values: made by pure functions, written by the recorder.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

use super::case::{Case, Judgement, OpenAttempt, ProviderAddress};
use crate::events::{Event, EventType};
use crate::fraud::{self, Check};
use crate::ids::{AttemptId, PaymentId, uuid_at};
use crate::ledger::Journal;
use crate::ledger::journal::Parties;
use crate::money::{Money, MoneyError};
use crate::payments::{Amounts, CaptureMethod, Payment, Status, calculate_latency_ms};
use crate::queue::Lease;

/// How long a provider holds an amount when it does not say so itself.
pub const AUTHORIZED_FOR: chrono::TimeDelta = chrono::TimeDelta::days(7);
/// What the columns hold of an error's word.
const ERROR_CODE_MAX: usize = 50;

/// One step of one payment: what is written in one commit, or not at all.
#[derive(Clone, Debug)]
pub struct Record {
    /// The claim that the step is made under.
    pub lease: Lease,
    /// The payment.
    pub payment_id: PaymentId,
    /// Its `created_at`, which names its partition.
    pub created_at: DateTime<Utc>,
    /// A fraud check that was made and not yet written.
    pub check: Option<NewCheck>,
    /// An attempt that is about to be sent.
    pub sent: Option<NewAttempt>,
    /// What became of an attempt.
    pub answered: Option<Answered>,
    /// The end of the payment's wait.
    pub ended: Option<Box<Ended>>,
    /// What becomes of the work item.
    pub item: Fate,
}

/// What becomes of a work item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its worker goes on.
    Keep,
    /// It has done its work.
    Complete,
    /// It is looked at again.
    Later {
        /// Not before this has passed.
        delay: Duration,
        /// Why, for a person.
        reason: String,
    },
    /// It waits for a person.
    Park {
        /// What that person must know.
        reason: String,
    },
}

/// A fraud check to be written.
#[derive(Clone, Debug)]
pub struct NewCheck {
    pub(super) id: Uuid,
    pub(super) score: Decimal,
    pub(super) rules: Value,
    pub(super) ip_address: Option<String>,
    pub(super) device_fingerprint: Option<String>,
    pub(super) duration_ms: i32,
    pub(super) status: fraud::Status,
    pub(super) degraded: bool,
    pub(super) deadline_missed: bool,
}

impl NewCheck {
    /// The check of this payment.
    #[must_use]
    pub fn of(case: &Case, check: &Check, now: DateTime<Utc>) -> Self {
        let verdict = check.verdict.as_ref();
        Self {
            id: uuid_at(now),
            score: Judgement::from(check).score.unwrap_or_default(),
            rules: verdict.map_or_else(|| Value::Array(Vec::new()), |verdict| serde_json::json!(verdict.rules)),
            ip_address: case.payment.ip_address.clone(),
            device_fingerprint: case.payment.device_fingerprint.clone(),
            duration_ms: i32::try_from(check.duration.as_millis()).unwrap_or(i32::MAX),
            status: check.status,
            degraded: verdict.is_some_and(|verdict| verdict.degraded),
            deadline_missed: verdict.is_none(),
        }
    }
}

/// An attempt that is about to be sent.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// The idempotency key at the provider.
    pub id: AttemptId,
    /// 1, 2, … within the payment.
    pub number: i32,
    /// Where it goes.
    pub provider: ProviderAddress,
    /// Why there, for a person.
    pub route: String,
    /// When it begins.
    pub t_start: DateTime<Utc>,
}

/// What became of an open attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    pub(super) id: AttemptId,
    pub(super) state: &'static str,
    pub(super) reference: Option<String>,
    pub(super) error_code: Option<String>,
    pub(super) error_message: Option<String>,
    pub(super) t_end: Option<DateTime<Utc>>,
    pub(super) latency_ms: Option<i32>,
}

impl Answered {
    fn of(open: &OpenAttempt, state: &'static str, now: DateTime<Utc>) -> Self {
        let t_end = now.max(open.t_start);
        Self {
            id: open.id,
            state,
            reference: None,
            error_code: None,
            error_message: None,
            t_end: Some(t_end),
            latency_ms: Some(calculate_latency_ms(open.t_start, t_end)),
        }
    }

    /// The provider agreed.
    #[must_use]
    pub fn approved(open: &OpenAttempt, reference: &str, now: DateTime<Utc>) -> Self {
        Self { reference: Some(reference.to_owned()), ..Self::of(open, "APPROVED", now) }
    }

    /// The provider refused.
    #[must_use]
    pub fn declined(open: &OpenAttempt, code: &str, message: &str, now: DateTime<Utc>) -> Self {
        let (error_code, error_message) = (Some(word(code)), Some(message.to_owned()));
        Self { error_code, error_message, ..Self::of(open, "DECLINED", now) }
    }

    /// Nothing was sent.
    #[must_use]
    pub fn not_sent(open: &OpenAttempt, reason: &str, now: DateTime<Utc>) -> Self {
        Self { error_message: Some(reason.to_owned()), ..Self::of(open, "RETRYABLE", now) }
    }

    /// Notes that it was a person who said so, and why.
    #[must_use]
    pub fn said_by(self, who: &str, why: &str) -> Self {
        let note = format!("said by {who}: {why}");
        let error_message =
            Some(self.error_message.map_or_else(|| note.clone(), |message| format!("{message} ({note})")));
        Self { error_message, ..self }
    }

    /// Nobody knows: the attempt stays open.
    #[must_use]
    pub fn unknown(open: &OpenAttempt, reference: Option<String>, reason: &str, now: DateTime<Utc>) -> Self {
        let blank = Self { t_end: None, latency_ms: None, ..Self::of(open, "UNKNOWN", now) };
        Self { reference, error_message: Some(reason.to_owned()), ..blank }
    }
}

/// The end of a payment's wait: its row, what the ledger says of it, and what the merchant is told.
#[derive(Clone, Debug)]
pub struct Ended {
    /// As it is from now on.
    pub payment: Payment,
    /// What money moved.
    pub journal: Option<Journal>,
    /// The event, which holds the answer to whoever waits.
    pub event: Event,
}

/// Why the end of a payment cannot be written down.
#[derive(Debug, Error)]
pub enum EndingError {
    /// The fee or a sum.
    #[error("its sums: {0}")]
    Money(#[from] MoneyError),
    /// The event.
    #[error("its event: {0}")]
    Event(#[from] serde_json::Error),
    /// A status that ends nothing.
    #[error("{0} is no end")]
    Status(Status),
}

/// What a provider agreed to.
#[derive(Clone, Debug)]
pub struct Approval<'a> {
    /// The attempt that it agreed to.
    pub open: &'a OpenAttempt,
    /// The provider's name for the charge.
    pub reference: &'a str,
    /// Until when it holds the amount, if it said so.
    pub authorized_until: Option<DateTime<Utc>>,
}

impl Ended {
    /// The provider took the amount, or holds it: which of them, the payment's capture method says.
    ///
    /// # Errors
    /// When a sum is beyond bounds.
    pub fn approved(case: &Case, approval: &Approval<'_>, now: DateTime<Utc>) -> Result<Self, EndingError> {
        let Approval { open, reference, authorized_until } = approval;
        let mut payment = case.payment.clone();
        let amount = payment.amount;
        payment.payment_provider_id = Some(open.provider_id);
        payment.provider = Some(open.provider.name.to_string());
        payment.provider_reference = Some((*reference).to_owned());
        payment.amounts = Amounts { authorized: Some(amount.minor()), captured: Some(0), ..payment.amounts };
        if payment.capture_method == CaptureMethod::Manual {
            payment.status = Status::Authorized;
            payment.authorized_until = Some(authorized_until.unwrap_or(now + AUTHORIZED_FOR));
            return Self::of(case, payment, None, now);
        }
        payment.status = Status::Success;
        payment.amounts.captured = Some(amount.minor());
        let fee = amount.percentage(case.fee_percentage)?;
        payment.fee = Some(fee);
        let journal = capture(&payment, open, fee, now)?;
        Self::of(case, payment, Some(journal), now)
    }

    /// No money moved, and none will. `asked`: the provider that refused it.
    ///
    /// # Errors
    /// When the event cannot be written.
    pub fn failed(
        case: &Case,
        asked: Option<&OpenAttempt>,
        code: &str,
        message: &str,
        now: DateTime<Utc>,
    ) -> Result<Self, EndingError> {
        let mut payment = case.payment.clone();
        if let Some(open) = asked {
            payment.payment_provider_id = Some(open.provider_id);
            payment.provider = Some(open.provider.name.to_string());
        }
        payment.status = Status::Failed;
        payment.error_code = Some(word(code));
        payment.error_message = Some(message.to_owned());
        Self::of(case, payment, None, now)
    }

    fn of(
        case: &Case,
        mut payment: Payment,
        journal: Option<Journal>,
        now: DateTime<Utc>,
    ) -> Result<Self, EndingError> {
        let t_end = now.max(payment.t_start);
        payment.t_end = Some(t_end);
        payment.latency_ms = Some(calculate_latency_ms(payment.t_start, t_end));
        if let Some(judgement) = case.judgement {
            payment.fraud_status = Some(judgement.status.as_str().to_owned());
            payment.fraud_score = judgement.score;
        }
        payment.sequence += 1;
        let kind = EventType::of_status(payment.status).ok_or(EndingError::Status(payment.status))?;
        let event = Event::of_payment(kind, &payment, None, now)?;
        Ok(Self { payment, journal, event })
    }
}

fn capture(payment: &Payment, open: &OpenAttempt, fee: Money, now: DateTime<Utc>) -> Result<Journal, MoneyError> {
    let parties = Parties { user: payment.user_id, merchant: payment.merchant_id, provider: open.provider_id };
    Journal::capture(open.id.as_uuid(), payment.id, parties, payment.amount, fee, now)
}

fn word(code: &str) -> String {
    code.chars().take(ERROR_CODE_MAX).collect()
}
