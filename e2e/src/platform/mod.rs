//! The platform of the quickstart, from nothing to a first payment: what `make up` does.

mod gateway;
pub mod install;
mod kubectl;
pub mod merchant;
pub mod narrate;
mod up;

pub use gateway::Gateway;
pub use kubectl::Kubectl;
pub use merchant::Merchant;
pub use up::{Options, down, up};

/// Where the quickstart lives.
pub const NAMESPACE: &str = "payments";
/// The quickstart's PaymentCluster.
pub const CLUSTER: &str = "payments";
/// Where the chart puts the operator.
pub const OPERATOR_NAMESPACE: &str = "purser-system";
