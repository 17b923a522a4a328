//! `/v1/admin`: what those who run the platform do to it, with a token of their own. Without a token in the secrets there
//! is no such path.

mod attempts;
mod fraud_rules;
mod merchants;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{StatusCode, header};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Gateway;
use super::problem::Problem;
use crate::administration::{Actor, AdminError};
use crate::database;
use crate::processor::error::StepError;

/// Who does it, where the request says so.
const ACTOR: &str = "x-admin-actor";
/// Why, where the request says so.
const REASON: &str = "x-admin-reason";

/// The paths.
pub(super) fn described() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(merchants::create, merchants::list))
        .routes(routes!(merchants::read, merchants::update))
        .routes(routes!(merchants::create_key, merchants::list_keys))
        .routes(routes!(merchants::rotate_key))
        .routes(routes!(merchants::revoke_key))
        .routes(routes!(attempts::providers))
        .routes(routes!(fraud_rules::list))
        .routes(routes!(fraud_rules::set, fraud_rules::enable, fraud_rules::delete))
        .routes(routes!(attempts::list))
        .routes(routes!(attempts::resolve))
        .routes(routes!(attempts::retry))
}

/// One who runs the platform.
pub(super) struct Administrator(Actor);

impl FromRequestParts<Arc<Gateway>> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        // Read anew each time: a rotated secret appears in the file of a running pod.
        let Some(token) = gateway.app.secrets.admin_token() else {
            return Err(Problem::not_found("no_such_path", "the API has no such path"));
        };
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (scheme, given) = given.split_once(' ').unwrap_or_default();
        // Hashes are compared: how long that takes tells nothing of the token.
        let same = Sha256::digest(given.trim()) == Sha256::digest(token.expose_secret());
        if !same || !scheme.eq_ignore_ascii_case("bearer") {
            let detail = "the admin token is needed: \"Authorization: Bearer …\"";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).param("Authorization"));
        }
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let name = text(ACTOR).unwrap_or_else(|| "admin token".to_owned());
        Ok(Self(Actor::new(name, text(REASON))?))
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotFound(_) => Self::not_found("not_found", error.to_string()),
            AdminError::Invalid { field, .. } => Self::unprocessable("invalid_field", error.to_string()).param(field),
            AdminError::Conflict(_) => Self::new(StatusCode::CONFLICT, "conflict", error.to_string()),
            AdminError::Database(error) => error.into(),
            AdminError::Step(StepError::Database(error)) if database::maintenance(&error).is_some() => (&*error).into(),
            AdminError::Step(StepError::Database(error)) if database::is_outage(&error) => {
                let detail = "the database does not answer; look again whether the attempt is open";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", detail).retry_after(1)
            }
            AdminError::Step(error) => {
                tracing::error!(%error, "an attempt was not resolved");
                Self::internal()
            }
        }
    }
}
