//! Bodies of requests, read as their handlers read them and nothing done with them: for tests that feed them any bytes.

use super::body;
use super::payment_request::PaymentRequest;
use super::problem::Problem;
use crate::payment_methods::NewPaymentMethod;
use crate::users::NewUser;
use crate::webhooks::NewEndpoint;

/// Which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `POST /v1/payments`
    Payment,
    /// `POST /v1/users`
    User,
    /// `POST /v1/payment-methods`
    PaymentMethod,
    /// `POST /v1/webhook-endpoints`
    WebhookEndpoint,
}

/// Whether the gateway would go on with this body.
///
/// # Errors
/// The code of the problem that it would answer with.
pub fn read(request: Request, bytes: &[u8]) -> Result<(), &'static str> {
    let read = match request {
        Request::Payment => body::parse::<PaymentRequest>(bytes).and_then(|body| body.check().map(drop)),
        Request::User => body::parse::<NewUser>(bytes).and_then(|body| Ok(body.check()?)),
        Request::PaymentMethod => body::parse::<NewPaymentMethod>(bytes).and_then(|body| Ok(body.check()?)),
        Request::WebhookEndpoint => {
            body::parse::<NewEndpoint>(bytes).and_then(|body| Ok(body.check(false).map(drop)?))
        }
    };
    read.map_err(|problem: Problem| problem.code())
}
