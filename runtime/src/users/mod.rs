//! Users: those who pay. Each belongs to the merchant that made it.

pub mod store;
pub mod user;

pub use user::{NewUser, RiskLevel, Status, User};
