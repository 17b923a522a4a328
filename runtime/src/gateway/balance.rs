//! `GET /v1/balance`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Gateway;
use super::auth::Caller;
use super::problem::Problem;
use crate::ledger::balance::{self, Balance, BalanceJson};

/// What the platform owes a merchant.
#[derive(Serialize, ToSchema)]
pub(super) struct Balances {
    /// One per currency in which anything ever moved.
    data: Vec<BalanceJson>,
}

/// Get the balance
///
/// What the platform owes the merchant, per currency, read from the ledger as of now.
#[utoipa::path(get, path = "/v1/balance", operation_id = "get_balance", tag = "Balance",
    responses((status = 200, description = "The balance", body = Balances)))]
pub(super) async fn read(
    State(gateway): State<Arc<Gateway>>,
    Caller(merchant): Caller,
) -> Result<Json<Balances>, Problem> {
    let balances = balance::of(&gateway.app.pool, merchant.id).await?;
    let data = balances.iter().map(Balance::json).collect::<Result<_, _>>();
    data.map(|data| Json(Balances { data })).map_err(|error| {
        tracing::error!(%error, merchant = %merchant.id, "a balance is beyond what money can hold");
        Problem::internal()
    })
}
