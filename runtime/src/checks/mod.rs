//! What a release has to show before, and in staging after, it gets traffic: a warm cache, test payments, a load test.
//!
//! Every payment made here is that of the test merchant (see [`crate::processor::test_mode`]): no provider hears of it, and no
//! money moves. A health check charges nobody, whatever is wrong with the release.

mod error;
mod gateway;
pub mod goals;
pub mod load;
mod merchant;
pub mod smoke;
pub mod warm;

pub use error::CheckError;
pub use gateway::Gateway;
pub use merchant::TestMerchant;
