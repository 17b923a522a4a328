//! Payment providers: pure adapters for their wire formats, the client that sends, and the choice between them.

pub mod adapter;
pub mod call;
pub mod client;
pub mod health;
pub mod paypal;
pub mod routing;
pub mod stripe;
mod tokens;

pub use adapter::{Adapter, Capabilities, Login, Notice, Token, TokenError, Webhook, WebhookDelivery, WebhookError};
pub use call::{About, Action, Call, HttpRequest, HttpResponse, Outcome, Unsupported};
pub use client::{Client, Endpoint};
use runtime_contract::ProviderName;

/// The adapter that speaks to a provider, where there is one.
#[must_use]
pub fn adapter(name: ProviderName) -> Option<&'static dyn Adapter> {
    match name {
        ProviderName::Stripe => Some(&stripe::Stripe),
        ProviderName::Paypal => Some(&paypal::Paypal),
        ProviderName::Visa | ProviderName::Mastercard | ProviderName::Amex => None,
    }
}
