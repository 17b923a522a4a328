//! Stripe's test payment methods, and what each of them does.

/// What a charge to a payment method comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Card {
    /// Pays.
    Pays,
    /// Is declined.
    Declines(Decline),
}

/// Stripe's words for a decline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decline {
    /// `error.code`.
    pub(super) code: &'static str,
    /// `error.decline_code`, which not every code has.
    pub(super) decline_code: Option<&'static str>,
    /// `error.message`.
    pub(super) message: &'static str,
}

const PAYING: &[&str] = &[
    "visa",
    "visa_debit",
    "mastercard",
    "mastercard_debit",
    "mastercard_prepaid",
    "amex",
    "discover",
    "diners",
    "jcb",
    "unionpay",
];

/// The payment method of a token, or none when there is no such payment method.
pub(super) fn card(token: &str) -> Option<Card> {
    let name = token.strip_prefix("pm_card_")?;
    if PAYING.contains(&name) {
        return Some(Card::Pays);
    }
    // Stripe's documentation has the declining ones under both names.
    let name = name.strip_prefix("visa_").unwrap_or(name);
    decline(name).map(Card::Declines)
}

/// The decline of that name, among them those of a fault plan.
pub(super) fn decline(name: &str) -> Option<Decline> {
    Some(match name {
        "chargeDeclined" => declined("generic_decline", "Your card was declined."),
        "chargeDeclinedInsufficientFunds" => declined("insufficient_funds", "Your card has insufficient funds."),
        "chargeDeclinedLostCard" => declined("lost_card", "Your card was declined."),
        "chargeDeclinedStolenCard" => declined("stolen_card", "Your card was declined."),
        "chargeDeclinedFraudulent" => declined("fraudulent", "Your card was declined."),
        "chargeDeclinedVelocityLimitExceeded" => declined(
            "card_velocity_exceeded",
            "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
        ),
        "chargeDeclinedExpiredCard" => plain("expired_card", "Your card has expired."),
        "chargeDeclinedIncorrectCvc" => plain("incorrect_cvc", "Your card's security code is incorrect."),
        "chargeDeclinedProcessingError" => {
            plain("processing_error", "An error occurred while processing your card. Try again in a little bit.")
        }
        // We say that nobody is there to authenticate, so a card that insists is a card that declines.
        "authenticationRequired" | "threeDSecureRequired" | "threeDSecure2Required" => Decline {
            code: "authentication_required",
            decline_code: Some("authentication_required"),
            message: "Your card was declined. This transaction requires authentication.",
        },
        _ => return None,
    })
}

/// The decline that a fault plan asks for by Stripe's decline code.
pub(super) fn decline_by_code(code: &str) -> Decline {
    const NAMES: &[&str] = &[
        "chargeDeclinedInsufficientFunds",
        "chargeDeclinedLostCard",
        "chargeDeclinedStolenCard",
        "chargeDeclinedFraudulent",
        "chargeDeclinedVelocityLimitExceeded",
        "chargeDeclinedExpiredCard",
        "chargeDeclinedIncorrectCvc",
        "chargeDeclinedProcessingError",
    ];
    let named = |decline: &Decline| decline.decline_code.unwrap_or(decline.code) == code;
    let known = NAMES.iter().filter_map(|name| decline(name)).find(named);
    known.unwrap_or(declined("generic_decline", "Your card was declined."))
}

const fn declined(decline_code: &'static str, message: &'static str) -> Decline {
    Decline { code: "card_declined", decline_code: Some(decline_code), message }
}

const fn plain(code: &'static str, message: &'static str) -> Decline {
    Decline { code, decline_code: None, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declining_card_has_the_same_reason_under_both_of_its_names() {
        assert_eq!(card("pm_card_visa_chargeDeclinedLostCard"), card("pm_card_chargeDeclinedLostCard"));
        assert!(
            matches!(card("pm_card_chargeDeclinedLostCard"), Some(Card::Declines(d)) if d.decline_code == Some("lost_card"))
        );
    }

    #[test]
    fn visa_pays_and_an_invented_token_is_no_payment_method() {
        assert_eq!(card("pm_card_visa"), Some(Card::Pays));
        assert_eq!(card("pm_card_paysTwice"), None);
        assert_eq!(card("tok_visa"), None);
    }
}
