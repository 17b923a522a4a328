//! Payment methods: tokenised instruments. A card number never gets this far, see [`card_number`].

pub mod card_number;
pub mod payment_method;
pub mod store;

pub use payment_method::{Expiry, Kind, NewPaymentMethod, PaymentMethod};
