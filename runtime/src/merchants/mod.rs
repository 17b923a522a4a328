//! Merchants: those who receive payments, and the API keys by which they are known.

pub mod api_key;
pub mod merchant;
pub mod store;

pub use api_key::ApiKey;
pub use merchant::{Merchant, Status};
