//! An answer, in either wire format, and those that both formats have.

use http::StatusCode;
use serde_json::{Value, json};

use super::book::{Charge, Dialect};
use super::{paypal, stripe};

/// A status and a body.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// Null for an answer without a body.
    pub(super) body: Value,
}

impl Reply {
    /// 200.
    pub(super) const fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body }
    }

    /// What the making of a charge is answered with.
    pub(super) fn of_making(charge: &Charge) -> Self {
        match charge.dialect {
            Dialect::Stripe => stripe::replies::of_making(charge),
            Dialect::Paypal => paypal::replies::of_making(charge),
        }
    }

    /// An answer that was kept.
    pub(super) fn stored(status: u16, body: &str) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, body: serde_json::from_str(body).unwrap_or_default() }
    }

    /// No or a wrong key.
    pub(super) fn unauthorized(dialect: Dialect) -> Self {
        let body = match dialect {
            Dialect::Stripe => {
                json!({"error": {"type": "invalid_request_error", "message": "Invalid API Key provided."}})
            }
            Dialect::Paypal => {
                json!({"error": "invalid_token", "error_description": "Token signature verification failed"})
            }
        };
        Self { status: StatusCode::UNAUTHORIZED, body }
    }

    /// Too many requests.
    pub(super) fn rate_limited(dialect: Dialect) -> Self {
        let message = "Too many requests hit the API too quickly.";
        let body = match dialect {
            Dialect::Stripe => {
                json!({"error": {"type": "invalid_request_error", "code": "rate_limit", "message": message}})
            }
            Dialect::Paypal => json!({"name": "RATE_LIMIT_REACHED", "message": message, "debug_id": "s1"}),
        };
        Self { status: StatusCode::TOO_MANY_REQUESTS, body }
    }

    /// Trouble inside.
    pub(super) fn internal(dialect: Dialect) -> Self {
        let body = match dialect {
            Dialect::Stripe => json!({"error": {"type": "api_error", "message": "An unknown error occurred."}}),
            Dialect::Paypal => {
                json!({"name": "INTERNAL_SERVER_ERROR", "message": "An internal server error occurred.", "debug_id": "s1"})
            }
        };
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, body }
    }

    /// The same key with other parameters.
    pub(super) fn key_mismatch(dialect: Dialect, key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. \
             Try using a key other than '{key}' if you meant to execute a different request."
        );
        match dialect {
            Dialect::Stripe => Self {
                status: StatusCode::BAD_REQUEST,
                body: json!({"error": {"type": "idempotency_error", "message": message}}),
            },
            Dialect::Paypal => paypal::replies::unprocessable("DUPLICATE_REQUEST_ID", &message),
        }
    }

    /// The first request with the key is still being worked on.
    pub(super) fn key_in_use(dialect: Dialect, key: &str) -> Self {
        let message = format!("There is currently another in-progress request using this idempotent key: {key}.");
        let body = match dialect {
            Dialect::Stripe => {
                json!({"error": {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": message}})
            }
            Dialect::Paypal => json!({"name": "RESOURCE_CONFLICT", "message": message, "debug_id": "s1",
                "details": [{"issue": "PREVIOUS_REQUEST_IN_PROGRESS", "description": message}]}),
        };
        Self { status: StatusCode::CONFLICT, body }
    }
}
