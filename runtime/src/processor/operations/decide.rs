//! An operation's next move, and what an answer of its provider means for it. Pure.

use chrono::{DateTime, Utc};

use super::case::Case;
use crate::operations::outcome::Outcome as End;
use crate::operations::{Kind, OperationStatus};
use crate::providers::{About, Outcome};

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Nothing: it is at its end.
    Finish,
    /// Send it, having said so before.
    Send,
    /// It may have been sent: ask what became of it.
    Ask,
    /// Set it aside for a person.
    Park {
        /// One sentence for that person.
        reason: String,
    },
}

/// The next move. `window_s`: for how many seconds the provider knows the key of a call whose reference is not known.
pub(super) fn decide(case: &Case, window_s: i64, now: DateTime<Utc>) -> Move {
    let operation = &case.operation;
    if operation.status != OperationStatus::Pending {
        return Move::Finish;
    }
    let Some(charged) = &case.charged else {
        return Move::Park { reason: "no approved attempt of its payment is known: look there by hand".into() };
    };
    if operation.sent_at.is_none() {
        return Move::Send;
    }
    // Whether a hold is gone can be read, and ending it twice does nothing: a void needs no key.
    let needs_key = operation.kind != Kind::Void && operation.provider_reference.is_none();
    if needs_key && case.age_s(now) >= window_s {
        let (id, provider) = (operation.kind.id_text(operation.id), &charged.resource);
        return Move::Park {
            reason: format!("{provider} may have done {id} and no longer knows its key: look there by hand"),
        };
    }
    Move::Ask
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Conclusion {
    /// It is at its end.
    Ended(End),
    /// No byte of it was ever sent: the same again later.
    Unsent {
        /// One sentence for a person.
        reason: String,
    },
    /// Nobody knows: the same provider is asked again, with the same key.
    Open {
        /// One sentence for a person.
        reason: String,
        /// The provider's name for it, when it is known.
        reference: Option<String>,
    },
}

/// Draws the conclusion. `sent_before`: an answer that speaks only of this request leaves open what became of the one
/// before.
pub(super) fn conclude(outcome: Outcome, sent_before: bool) -> Conclusion {
    match outcome {
        Outcome::Approved { reference, .. } => Conclusion::Ended(End::Done { reference }),
        Outcome::Declined { code, message, about: About::Request } if sent_before => {
            let reason = format!("sent before, and now the request is refused ({code}): {message}");
            Conclusion::Open { reason, reference: None }
        }
        Outcome::Declined { code, message, .. } => Conclusion::Ended(End::Refused { code, message }),
        Outcome::Retryable { reason } if sent_before => Conclusion::Open { reason, reference: None },
        Outcome::Retryable { reason } => Conclusion::Unsent { reason },
        Outcome::Unknown { reason, reference } => Conclusion::Open { reason, reference },
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use runtime_contract::ProviderName;
    use rust_decimal::Decimal;
    use uuid::Uuid;

    use super::super::case::Charged;
    use super::*;
    use crate::ids::{MerchantId, PaymentId};
    use crate::money::Money;
    use crate::operations::Operation;

    const WINDOW_S: i64 = 3600;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap()
    }

    fn case(sent: Option<TimeDelta>, reference: Option<&str>) -> Case {
        let operation = Operation {
            id: Uuid::nil(),
            kind: Kind::Refund,
            payment_id: PaymentId::at(now()),
            merchant_id: MerchantId::at(now()),
            amount: Money::from_minor(100, "USD".parse().unwrap()),
            is_final: false,
            capture_id: None,
            status: OperationStatus::Pending,
            reason: None,
            sent_at: sent.map(|ago| now() - ago),
            provider_reference: reference.map(Into::into),
            error_code: None,
            error_message: None,
            release: "0.1.0".into(),
            created_at: now(),
            t_end: None,
        };
        let charged = Charged {
            reference: Some("pi_1".into()),
            resource: "stripe".into(),
            name: ProviderName::Stripe,
            api_endpoint: "https://provider.test".into(),
            max_latency_ms: 1000,
        };
        Case { operation, fee_percentage: Decimal::ONE, charged: Some(charged), capture: None }
    }

    #[test]
    fn what_may_have_been_sent_is_asked_about_while_the_key_is_known() {
        let next = |sent, reference| decide(&case(sent, reference), WINDOW_S, now());
        assert_eq!(next(None, None), Move::Send);
        assert_eq!(next(Some(TimeDelta::seconds(3599)), None), Move::Ask);
        assert!(matches!(next(Some(TimeDelta::seconds(3600)), None), Move::Park { .. }));
        assert_eq!(next(Some(TimeDelta::days(9)), Some("re_1")), Move::Ask, "a mere reading");
        let over =
            |case: Case| Case { operation: Operation { status: OperationStatus::Failed, ..case.operation }, ..case };
        assert_eq!(decide(&over(case(None, None)), WINDOW_S, now()), Move::Finish);
        let void = case(Some(TimeDelta::days(9)), None);
        let void = Case { operation: Operation { kind: Kind::Void, ..void.operation }, ..void };
        assert_eq!(decide(&void, WINDOW_S, now()), Move::Ask, "whether a hold is gone can be read");
        let nowhere = Case { charged: None, ..case(None, None) };
        assert!(matches!(decide(&nowhere, WINDOW_S, now()), Move::Park { .. }));
    }

    #[test]
    fn only_an_answer_about_the_operation_itself_ends_one_that_was_sent_before() {
        let declined = |about| Outcome::Declined { code: "c".into(), message: "m".into(), about };
        let refused = Conclusion::Ended(End::Refused { code: "c".into(), message: "m".into() });
        assert_eq!(conclude(declined(About::Charge), true), refused);
        assert_eq!(conclude(declined(About::Charge), false), refused);
        assert_eq!(conclude(declined(About::Request), false), refused);
        assert!(matches!(conclude(declined(About::Request), true), Conclusion::Open { .. }));
    }

    #[test]
    fn an_unknown_outcome_stays_open_and_an_unsent_one_is_unsent_only_the_first_time() {
        let reason = || "no route".to_owned();
        let retryable = || Outcome::Retryable { reason: reason() };
        assert_eq!(conclude(retryable(), false), Conclusion::Unsent { reason: reason() });
        assert_eq!(conclude(retryable(), true), Conclusion::Open { reason: reason(), reference: None });
        let unknown = Outcome::Unknown { reason: reason(), reference: Some("re_1".into()) };
        let open = Conclusion::Open { reason: reason(), reference: Some("re_1".into()) };
        assert_eq!((conclude(unknown.clone(), false), conclude(unknown, true)), (open.clone(), open));
    }
}
