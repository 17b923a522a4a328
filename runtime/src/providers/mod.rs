//! Payment providers: pure adapters for their wire formats, the client that sends, and the choice between them.

pub mod client;
pub mod provider;
pub mod routing;
pub mod stripe;

pub use client::Client;
pub use provider::{About, Adapter, Attempt, HttpRequest, HttpResponse, Outcome, Unsupported};
use runtime_contract::ProviderName;

/// The adapter that speaks to a provider, where there is one.
#[must_use]
pub fn adapter(name: ProviderName) -> Option<&'static dyn Adapter> {
    match name {
        ProviderName::Stripe => Some(&stripe::Stripe),
        ProviderName::Visa | ProviderName::Mastercard | ProviderName::Paypal | ProviderName::Amex => None,
    }
}
