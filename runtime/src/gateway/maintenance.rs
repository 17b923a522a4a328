//! Maintenance: writes are refused, and reads go on. Here early, by the live settings; where they are not known yet, the
//! database refuses, and the answer is the same.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};

use super::Gateway;
use super::payment_request::idempotency_key;
use super::problem::Problem;
use crate::idempotency::{self, IdempotencyKey};
use crate::ids::MerchantId;
use crate::limits::Class;
use crate::merchants::Merchant;

/// What the refusal is called.
pub(super) const CODE: &str = "maintenance";

/// Refuses writes while maintenance is on. Stands behind the limits, which know the merchant.
pub(super) async fn guard(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let settings = gateway.app.settings.current();
    let Some(maintenance) = &settings.maintenance else { return next.run(request).await };
    let Some(template) = request.extensions().get::<MatchedPath>() else { return next.run(request).await };
    let class = Class::of(request.method(), template.as_str());
    if !is_write(request.method()) || is_repeated(&gateway, keyed(&request)).await {
        return next.run(request).await;
    }
    gateway.app.metrics.refused_requests.with_label_values(&[CODE, class.as_str()]).inc();
    refused(u64::from(maintenance.retry_after_s)).into_response()
}

/// Why nothing is accepted.
pub(super) fn refused(retry_after_s: u64) -> Problem {
    let detail = "the platform is in maintenance and only reads are answered; send the same request again later, with the \
                  same Idempotency-Key";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, CODE, detail).retry_after(retry_after_s)
}

fn is_write(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method)
}

/// Whether the key of the request was used before: its endpoint knows the answer, and the database lets it do nothing else.
async fn is_repeated(gateway: &Gateway, keyed: Option<(MerchantId, IdempotencyKey)>) -> bool {
    let Some((merchant, key)) = keyed else { return false };
    idempotency::store::is_known(&gateway.app.pool, merchant, &key).await.unwrap_or(false)
}

fn keyed(request: &Request) -> Option<(MerchantId, IdempotencyKey)> {
    let takes_key = request.method() == Method::POST;
    let merchant = request.extensions().get::<Arc<Merchant>>().filter(|_| takes_key)?;
    Some((merchant.id, idempotency_key(request.headers()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_nothing_is_no_write() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert!(!is_write(&method), "{method}");
        }
        assert!([Method::POST, Method::PUT, Method::PATCH, Method::DELETE].iter().all(is_write));
    }
}
