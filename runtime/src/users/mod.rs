//! Users: those who pay. Each belongs to the merchant that made it.

pub mod change;
pub mod figures;
pub mod store;
pub mod user;

pub use change::UserChange;
pub use figures::UserFigures;
pub use user::{NewUser, RiskLevel, Status, User};
