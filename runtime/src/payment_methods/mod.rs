//! Payment methods: tokenised instruments. A card number never gets this far, see [`card_number`].

pub mod card_number;
pub mod change;
pub mod json;
pub mod payment_method;
pub mod store;

pub use change::PaymentMethodChange;
pub use json::PaymentMethodJson;
pub use payment_method::{Expiry, Kind, NewPaymentMethod, PaymentMethod};
