//! Answers in Stripe's format.

use http::StatusCode;
use serde_json::{Value, json};

use super::card::Decline;
use super::ledger::Intent;

/// A status and a body.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Reply {
    /// The PaymentIntent, or the card error that a failed one is told by.
    pub(super) fn of_confirmation(intent: &Intent) -> Self {
        match &intent.last_payment_error {
            None => Self { status: StatusCode::OK, body: intent_json(intent) },
            Some(error) => {
                let mut error = error.clone();
                error["payment_intent"] = intent_json(intent);
                Self { status: StatusCode::PAYMENT_REQUIRED, body: json!({ "error": error }) }
            }
        }
    }

    /// An existing PaymentIntent.
    pub(super) fn of_intent(intent: &Intent) -> Self {
        Self { status: StatusCode::OK, body: intent_json(intent) }
    }

    /// A wrong request.
    pub(super) fn invalid(code: &str, param: &str, message: impl Into<String>) -> Self {
        let error = json!({"type": "invalid_request_error", "code": code, "param": param, "message": message.into()});
        Self { status: StatusCode::BAD_REQUEST, body: json!({ "error": error }) }
    }

    /// No such object.
    pub(super) fn missing(id: &str) -> Self {
        let message = format!("No such payment_intent: '{id}'");
        Self { status: StatusCode::NOT_FOUND, ..Self::invalid("resource_missing", "intent", message) }
    }

    /// No or a wrong key.
    pub(super) fn unauthorized() -> Self {
        let message = "Invalid API Key provided.";
        Self {
            status: StatusCode::UNAUTHORIZED,
            body: json!({"error": {"type": "invalid_request_error", "message": message}}),
        }
    }

    /// Too many requests.
    pub(super) fn rate_limited() -> Self {
        let error = json!({"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests hit the API too quickly."});
        Self { status: StatusCode::TOO_MANY_REQUESTS, body: json!({ "error": error }) }
    }

    /// Trouble inside.
    pub(super) fn internal() -> Self {
        let error = json!({"type": "api_error", "message": "An unknown error occurred."});
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, body: json!({ "error": error }) }
    }

    /// The same key with other parameters.
    pub(super) fn key_mismatch(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. \
             Try using a key other than '{key}' if you meant to execute a different request."
        );
        Self {
            status: StatusCode::BAD_REQUEST,
            body: json!({"error": {"type": "idempotency_error", "message": message}}),
        }
    }

    /// The first request with the key is still being worked on.
    pub(super) fn key_in_use(key: &str) -> Self {
        let message = format!("There is currently another in-progress request using this idempotent key: {key}.");
        let error = json!({"type": "idempotency_error", "code": "idempotency_key_in_use", "message": message});
        Self { status: StatusCode::CONFLICT, body: json!({ "error": error }) }
    }
}

/// What an intent's `last_payment_error` says of a decline.
pub(super) fn decline_json(decline: &Decline, charge: &str) -> Value {
    json!({
        "type": "card_error",
        "charge": charge,
        "code": decline.code,
        "decline_code": decline.decline_code,
        "doc_url": format!("https://stripe.com/docs/error-codes/{}", decline.code.replace('_', "-")),
        "message": decline.message,
    })
}

fn intent_json(intent: &Intent) -> Value {
    json!({
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": 0,
        "amount_received": intent.amount_received(),
        "capture_method": "automatic",
        "client_secret": format!("{}_secret_{}", intent.id, &intent.latest_charge[3..]),
        "confirmation_method": "automatic",
        "created": intent.created,
        "currency": intent.currency,
        "last_payment_error": intent.last_payment_error,
        "latest_charge": intent.latest_charge,
        "livemode": false,
        "metadata": intent.metadata,
        "payment_method": intent.payment_method,
        "payment_method_types": ["card"],
        "status": intent.status,
    })
}
