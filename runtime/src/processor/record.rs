//! What is to be written of a payment, as values: made by pure functions, written by the recorder.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use super::case::{Case, Judgement, OpenAttempt, ProviderAddress};
use super::ending::Ended;
use crate::fraud::{self, Check};
use crate::ids::{AttemptId, PaymentId, uuid_at};
use crate::payments::calculate_latency_ms;
use crate::queue::Lease;

/// What the columns hold of an error's word.
const ERROR_CODE_MAX: usize = 50;

/// An attempt that is about to be sent: written in one commit, before a byte leaves.
#[derive(Clone, Debug)]
pub struct Sending {
    /// The claim that the attempt is made under.
    pub lease: Lease,
    /// The payment.
    pub payment_id: PaymentId,
    /// Its `created_at`, which names its partition.
    pub created_at: DateTime<Utc>,
    /// A fraud check that was made and not yet written.
    pub check: Option<NewCheck>,
    /// The attempt.
    pub attempt: NewAttempt,
}

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
    pub(crate) id: Uuid,
    pub(crate) score: Decimal,
    pub(crate) rules: Value,
    pub(crate) ip_address: Option<String>,
    pub(crate) device_fingerprint: Option<String>,
    pub(crate) duration_ms: i32,
    pub(crate) status: fraud::Status,
    pub(crate) degraded: bool,
    pub(crate) deadline_missed: bool,
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

/// What was begun for a payment before it was accepted, to be written in the commit that accepts it.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The fraud check.
    pub check: NewCheck,
    /// What it came to.
    pub judgement: Judgement,
    /// The attempt that is sent next; none when there is nobody to send it to.
    pub attempt: Option<NewAttempt>,
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

/// What fits into the column.
pub(super) fn word(code: &str) -> String {
    code.chars().take(ERROR_CODE_MAX).collect()
}
