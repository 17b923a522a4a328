//! A payment's next move, and what an outcome means for it. Pure: the rules that no charge may break stand here.

use chrono::{DateTime, TimeDelta, Utc};
use runtime_contract::ProviderSettings;

use super::case::{Case, OpenAttempt};
use crate::providers::routing::Route;
use crate::providers::{About, Outcome};

/// How long a payment waits for a provider that can take it. Nothing was sent to anybody until then, so giving up is safe.
pub const WAIT_FOR_PROVIDER_MAX: TimeDelta = TimeDelta::hours(24);

/// How many attempts a payment has, all of which were not sent, before it is given up: some hours of an outage.
pub const ATTEMPTS_MAX: i32 = 100;

/// Code of a payment that the fraud check refused.
pub const FRAUD_BLOCKED: &str = "fraud_blocked";
/// Code of a payment that waited in vain for a provider.
pub const NO_PROVIDER_AVAILABLE: &str = "no_provider_available";
/// Code of a payment whose amount or currency no provider takes.
pub const AMOUNT_NOT_SUPPORTED: &str = "amount_not_supported";

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub enum Move<'a> {
    /// Nothing: the payment needs no processor any more.
    Finish,
    /// Ask the provider of the open attempt what became of it.
    Resume(&'a OpenAttempt),
    /// Set the payment aside for a person.
    Park {
        /// One sentence for that person.
        reason: String,
    },
    /// Ask the fraud workload.
    CheckFraud,
    /// End a test: no provider hears of it.
    Rehearse,
    /// Begin an attempt.
    Attempt(&'a ProviderSettings),
    /// Look again later.
    Wait {
        /// One sentence for a person.
        reason: String,
    },
    /// End the payment. No money moved.
    Fail {
        /// As one word.
        code: &'static str,
        /// As a sentence for the merchant.
        message: &'static str,
    },
}

/// What the decision depends on besides the payment.
pub struct Circumstances<'route, 'a> {
    /// Where a new attempt could go.
    pub route: &'route Route<'a>,
    /// Seconds for which the provider of the open attempt knows its idempotency key.
    pub idempotency_window_s: i64,
    /// Whether the budget of retries allows another one at this provider resource.
    pub may_retry: &'route dyn Fn(&str) -> bool,
    /// The present.
    pub now: DateTime<Utc>,
}

/// The next move. The order of the questions is the safety of the money: an open attempt comes before everything
/// else, because until it is closed nobody else may be asked and nothing may be said.
#[must_use]
pub fn decide<'a>(case: &'a Case, circumstances: &Circumstances<'_, 'a>) -> Move<'a> {
    if case.payment.status.is_settled() {
        return Move::Finish;
    }
    if let Some(open) = &case.open {
        return resume(open, circumstances);
    }
    let Some(judgement) = case.judgement else {
        return Move::CheckFraud;
    };
    if judgement.status.should_block() {
        return Move::Fail { code: FRAUD_BLOCKED, message: "The fraud check refused the payment." };
    }
    if case.is_test {
        return Move::Rehearse;
    }
    let route = circumstances.route;
    if route.is_hopeless() {
        return Move::Fail { code: AMOUNT_NOT_SUPPORTED, message: "No provider takes this amount in this currency." };
    }
    let is_new = case.attempts == 0;
    let may_attempt = |provider: &&&ProviderSettings| is_new || (circumstances.may_retry)(&provider.resource);
    if case.attempts < ATTEMPTS_MAX {
        if let Some(&provider) = route.candidates.iter().find(may_attempt) {
            return Move::Attempt(provider);
        }
    } else {
        return Move::Fail { code: NO_PROVIDER_AVAILABLE, message: "No provider could be reached in many attempts." };
    }
    if circumstances.now - case.payment.t_start >= WAIT_FOR_PROVIDER_MAX {
        return Move::Fail {
            code: NO_PROVIDER_AVAILABLE,
            message: "No provider could take the payment within 24 hours.",
        };
    }
    if route.candidates.is_empty() {
        return Move::Wait { reason: format!("no provider can take it now: {}", route.explain()) };
    }
    Move::Wait { reason: "the providers that can take it have failed too often to be asked again at once".into() }
}

fn resume<'a>(open: &'a OpenAttempt, circumstances: &Circumstances<'_, '_>) -> Move<'a> {
    let age_s = (circumstances.now - open.t_start).num_seconds();
    // With a reference the question is a mere reading. Without one it is the same request again, which is safe only
    // for as long as the provider recognises its key.
    if open.reference.is_none() && age_s >= circumstances.idempotency_window_s {
        let provider = &open.provider.resource;
        let reason =
            format!("{provider} may have charged attempt {} and no longer knows its key: look there by hand", open.id);
        return Move::Park { reason };
    }
    Move::Resume(open)
}

/// What an outcome means for the attempt and its payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// The money was taken, or is held.
    Succeeded {
        /// The provider's name for the charge.
        reference: String,
        /// Until when it holds the amount, if it said so.
        authorized_until: Option<DateTime<Utc>>,
    },
    /// The money was not taken, and will not be.
    Failed {
        /// As one word.
        code: String,
        /// As a sentence for the merchant.
        message: String,
    },
    /// The provider has nothing to do with this payment: the next one may be asked.
    NothingSent {
        /// One sentence for a person.
        reason: String,
    },
    /// Nobody knows. The same provider is asked again, nobody else is, and the payment stays open.
    Open {
        /// One sentence for a person.
        reason: String,
        /// The provider's name for the charge, when it is known.
        reference: Option<String>,
    },
}

/// Draws the conclusion. `sent_before` says whether the attempt may have reached the provider before this call: then
/// an answer that speaks only of this call leaves open what became of the earlier one.
#[must_use]
pub fn conclude(outcome: Outcome, sent_before: bool) -> Conclusion {
    match outcome {
        Outcome::Approved { reference, authorized_until } => Conclusion::Succeeded { reference, authorized_until },
        Outcome::Declined { code, message, about: About::Charge } => Conclusion::Failed { code, message },
        Outcome::Declined { code, message, about: About::Request } if sent_before => {
            let reason = format!("sent before, and now the request is refused ({code}): {message}");
            Conclusion::Open { reason, reference: None }
        }
        Outcome::Declined { code, message, about: About::Request } => Conclusion::Failed { code, message },
        Outcome::Retryable { reason } if sent_before => Conclusion::Open { reason, reference: None },
        Outcome::Retryable { reason } => Conclusion::NothingSent { reason },
        Outcome::Unknown { reason, reference } => Conclusion::Open { reason, reference },
    }
}

#[cfg(test)]
mod tests;
