//! How the wait for a payment ends: its row, its journal and its event, made together so that they say the same. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret;
use thiserror::Error;

use super::case::{Case, OpenAttempt};
use super::record::word;
use super::test_mode;
use crate::events::{Event, EventType};
use crate::ledger::Journal;
use crate::ledger::journal::Parties;
use crate::money::{Money, MoneyError};
use crate::payments::{Amounts, CaptureMethod, Payment, Status, calculate_latency_ms};

/// How long a provider holds an amount when it does not say so itself.
pub const AUTHORIZED_FOR: TimeDelta = TimeDelta::days(7);

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

    /// A test: it ends as its payment method says, and no money moved.
    ///
    /// # Errors
    /// When the event cannot be written.
    pub fn rehearsed(case: &Case, now: DateTime<Utc>) -> Result<Self, EndingError> {
        match test_mode::answer(case.token.expose_secret(), case.payment.capture_method) {
            Ok(()) => {
                let mut payment = case.payment.clone();
                payment.status = Status::Success;
                // Nothing was taken: so nothing can be refunded either, and there is nothing to post.
                payment.amounts = Amounts { authorized: Some(0), captured: Some(0), ..payment.amounts };
                Self::of(case, payment, None, now)
            }
            Err((code, message)) => Self::failed(case, None, code, message, now),
        }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fraud;
    use crate::processor::case::Judgement;
    use crate::processor::fixtures;

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap()
    }

    fn case(capture_method: CaptureMethod) -> Case {
        let mut case = fixtures::case(Status::Pending, start());
        case.payment.capture_method = capture_method;
        case.judgement = Some(Judgement { status: fraud::Status::Passed, score: Some("10.00".parse().unwrap()) });
        case
    }

    fn approved(case: &Case, authorized_until: Option<DateTime<Utc>>) -> Ended {
        let open = fixtures::open(start());
        let approval = Approval { open: &open, reference: "pi_1", authorized_until };
        Ended::approved(case, &approval, start() + TimeDelta::milliseconds(250)).unwrap()
    }

    fn told(ended: &Ended) -> Value {
        serde_json::from_str(&ended.event.payload).unwrap()
    }

    #[test]
    fn an_automatic_payment_is_taken_whole_with_its_fee_and_journal() {
        let ended = approved(&case(CaptureMethod::Automatic), None);
        let Payment { status, amounts, fee, latency_ms, sequence, .. } = &ended.payment;
        assert_eq!((*status, *latency_ms, *sequence), (Status::Success, Some(250), 1));
        assert_eq!((amounts.authorized, amounts.captured), (Some(1050), Some(1050)));
        // 2.9 % of 10.50 are 0.3045.
        assert_eq!(fee.map(Money::minor), Some(30));
        let journal = ended.journal.as_ref().unwrap();
        assert_eq!(
            journal.lines.iter().map(|line| line.amount.minor()).collect::<Vec<_>>(),
            [1050, -1050, 1050, -1020, -30]
        );
        let told = told(&ended);
        assert_eq!((&told["type"], &told["sequence"]), (&json!("payment.succeeded"), &json!(1)));
        assert_eq!(told["data"]["payment"]["amount_captured"], "10.50");
        assert_eq!(told["data"]["payment"]["fraud"], json!({"status": "PASSED", "score": "10.00"}));
        assert_eq!(told["data"]["payment"]["provider"], "STRIPE");
    }

    #[test]
    fn a_manual_payment_is_held_and_moves_no_money() {
        let ended = approved(&case(CaptureMethod::Manual), None);
        assert_eq!(
            (ended.payment.status, ended.payment.fee, ended.journal.is_none()),
            (Status::Authorized, None, true)
        );
        assert_eq!((ended.payment.amounts.authorized, ended.payment.amounts.captured), (Some(1050), Some(0)));
        let a_week_later = start() + TimeDelta::milliseconds(250) + AUTHORIZED_FOR;
        assert_eq!(ended.payment.authorized_until, Some(a_week_later));
        assert_eq!(told(&ended)["type"], "payment.authorized");
    }

    #[test]
    fn the_provider_says_how_long_it_holds_an_amount() {
        let until = start() + TimeDelta::days(3);
        assert_eq!(approved(&case(CaptureMethod::Manual), Some(until)).payment.authorized_until, Some(until));
    }

    #[test]
    fn a_failure_moves_nothing_and_says_why_in_words_that_fit() {
        let ended = Ended::failed(&case(CaptureMethod::Automatic), None, &"x".repeat(60), "Refused.", start()).unwrap();
        assert!(
            ended.journal.is_none() && ended.payment.amounts.captured.is_none() && ended.payment.provider.is_none()
        );
        assert_eq!(ended.payment.error_code.as_deref().map(str::len), Some(50));
        assert_eq!((told(&ended)["type"].as_str(), ended.payment.status), (Some("payment.failed"), Status::Failed));
    }

    #[test]
    fn a_test_ends_as_its_token_says_and_moves_nothing() {
        let rehearsed = |token: &str| {
            let mut case = case(CaptureMethod::Automatic);
            case.is_test = true;
            case.token = token.to_owned().into();
            Ended::rehearsed(&case, start() + TimeDelta::milliseconds(5)).unwrap()
        };
        let approved = rehearsed(test_mode::APPROVED);
        let Payment { status, amounts, fee, payment_provider_id, latency_ms, .. } = &approved.payment;
        assert_eq!((*status, *fee, *payment_provider_id, *latency_ms), (Status::Success, None, None, Some(5)));
        assert_eq!((amounts.authorized, amounts.captured), (Some(0), Some(0)));
        assert!(approved.journal.is_none());
        assert_eq!(told(&approved)["data"]["payment"]["amount_captured"], "0.00");
        for token in [test_mode::DECLINED, "pm_card_visa", ""] {
            let declined = rehearsed(token);
            assert_eq!((declined.payment.status, declined.journal.is_none()), (Status::Failed, true), "{token}");
        }
    }

    #[test]
    fn a_clock_that_stepped_back_gives_no_negative_time() {
        let ended =
            Ended::failed(&case(CaptureMethod::Automatic), None, "code", "Refused.", start() - TimeDelta::hours(1));
        let payment = ended.unwrap().payment;
        assert_eq!((payment.t_end, payment.latency_ms), (Some(start()), Some(0)));
    }
}
