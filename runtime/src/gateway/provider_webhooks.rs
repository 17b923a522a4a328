//! `POST /v1/provider-webhooks/{resource}`: where providers tell of what happened. Their signature is their key.

use std::sync::{Arc, OnceLock};

use axum::Json;
use axum::extract::{Path, State};
use chrono::Utc;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::Gateway;
use super::body::Raw;
use super::problem::Problem;
use crate::provider_webhooks::{self, Refusal, Verifier};

/// Whom providers are asked through whether a message is theirs. Made with the first message: most gateways never get one.
#[derive(Default)]
pub(super) struct Desk(OnceLock<Verifier>);

impl Desk {
    fn verifier(&self) -> Result<&Verifier, Problem> {
        if let Some(verifier) = self.0.get() {
            return Ok(verifier);
        }
        let verifier = Verifier::new().map_err(|error| {
            tracing::error!(%error, "no HTTP client for the verification of webhooks");
            Problem::internal()
        })?;
        Ok(self.0.get_or_init(|| verifier))
    }
}

/// What became of a message.
#[derive(Serialize, ToSchema)]
pub(super) struct Receipt {
    /// That it was taken.
    received: bool,
}

/// Take a message of a provider
///
/// For providers, not for merchants. The message makes the payment that it is about due; what is true of it is then asked of
/// the provider. A message about a payment that is not known is taken too, so that it is not sent again.
#[utoipa::path(post, path = "/v1/provider-webhooks/{resource}", operation_id = "take_provider_webhook", tag = "Provider webhooks",
    params(("resource" = String, Path, description = "Name of the PaymentProvider resource")),
    request_body(content = String, content_type = "application/json", description = "The message, as its signature covers it"),
    security(()),
    responses((status = 200, description = "Taken", body = Receipt)))]
pub(super) async fn take(
    State(gateway): State<Arc<Gateway>>,
    Path(resource): Path<String>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<Receipt>, Problem> {
    let settings = gateway.app.settings.current();
    if settings.revision == 0 {
        return Err(later("settings_not_known", "the providers are not known yet".into()));
    }
    let no_such = || Problem::not_found("no_such_provider", "there is no provider of this name");
    let provider = settings.providers.iter().find(|provider| provider.resource == resource).ok_or_else(no_such)?;
    let verifier = gateway.provider_webhooks.verifier()?;
    let taken = provider_webhooks::take(&gateway.app, verifier, provider, &headers, &body, Utc::now()).await;
    match taken {
        Ok(effect) => {
            if effect == provider_webhooks::Effect::Due {
                gateway.bell.payments();
                gateway.bell.operations();
            }
            Ok(Json(Receipt { received: true }))
        }
        Err(refusal) => Err(problem(&gateway, &resource, refusal)),
    }
}

/// A provider sends it again.
fn later(code: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(5)
}

fn problem(gateway: &Gateway, resource: &str, refusal: Refusal) -> Problem {
    gateway.app.metrics.provider_webhooks.with_label_values(&[resource, "refused"]).inc();
    tracing::warn!(provider = resource, reason = %refusal, "a provider's webhook was not taken");
    match refusal {
        Refusal::Refused(why) => Problem::bad_request("invalid_webhook", why.to_string()),
        Refusal::NotSetUp(_) => later("webhook_not_set_up", "there is no secret to verify webhooks with".into()),
        Refusal::Later(_) => later("webhook_not_verified", "the provider could not be asked about this message".into()),
        Refusal::Database(error) => Problem::from(error),
    }
}
