//! Payments that are tests: what stands in a provider's place. Pure.
//!
//! A payment is a test when its merchant is one, which is said when the merchant is made and never changed. It goes the way of
//! every payment, the fraud check included, up to the point where a provider would be asked: here it ends instead. No provider
//! hears of it, nothing is posted, and nothing of it can be captured or refunded. Even a release that knows nothing of tests
//! charges nobody: the tokens below are those of no provider, and a merchant that is a test can store no others.

use crate::payments::CaptureMethod;

/// What every token of a test begins with.
pub const TOKEN_PREFIX: &str = "purser_test_";
/// A payment method that pays.
pub const APPROVED: &str = "purser_test_approved";
/// A payment method that is refused.
pub const DECLINED: &str = "purser_test_declined";

/// How a payment with this token ends: well, or with a code and a sentence for the merchant.
///
/// # Errors
/// When it is refused.
pub fn answer(token: &str, capture_method: CaptureMethod) -> Result<(), (&'static str, &'static str)> {
    match (token, capture_method) {
        (APPROVED, CaptureMethod::Automatic) => Ok(()),
        (APPROVED, CaptureMethod::Manual) => Err(("test_not_held", "A test holds nothing: it is taken at once.")),
        _ => Err(("card_declined", "The test payment method was declined.")),
    }
}
