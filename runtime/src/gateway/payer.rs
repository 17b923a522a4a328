//! Who pays, if this payment method and its user may. Looked up in copies that are kept current, so that a payment costs no
//! statement for it.

use chrono::NaiveDate;

use super::payment_request::Checked;
use super::problem::Problem;
use crate::cache::Copies;
use crate::ids::{MerchantId, UserId};
use crate::payment_methods::payment_method::mask_card_number;
use crate::users::Status;

/// The user who pays.
///
/// # Errors
/// When the payment method or its user may not be used, or the database is asked and does not answer.
pub(super) async fn of(
    copies: &Copies,
    merchant: MerchantId,
    request: &Checked,
    today: NaiveDate,
) -> Result<UserId, Problem> {
    let missing = || {
        Problem::unprocessable("payment_method_not_found", "this merchant has no such payment method")
            .param("payment_method_id")
    };
    let method = copies.instrument(request.payment_method_id).await?.ok_or_else(missing)?;
    let user = copies.user(method.user_id).await?;
    // Another merchant's does not exist for this one.
    let user = user.filter(|user| user.merchant_id == merchant).ok_or_else(missing)?;
    let of_user = |code, detail: &str| Problem::unprocessable(code, detail).param("user_id");
    if request.user_id.is_some_and(|user| user != method.user_id) {
        return Err(of_user("user_mismatch", "the payment method belongs to another user"));
    }
    match user.status {
        Status::Active => {}
        Status::Suspended => return Err(of_user("user_suspended", "this user is suspended")),
        Status::Blocked => return Err(of_user("user_blocked", "this user is blocked")),
    }
    if method.is_expired(today) {
        let detail = format!("the payment method {} is expired", mask_card_number(method.last_four.as_deref()));
        return Err(Problem::unprocessable("payment_method_expired", detail).param("payment_method_id"));
    }
    Ok(method.user_id)
}
