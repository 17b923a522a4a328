//! The document that describes the API, OpenAPI 3.1: generated from the handlers, and served beside a page for people.
//!
//! A handler says what is its own: what it takes, what it answers with, and the problems that only it has.
//! What all have in common (the key, the headers, the other problems) is added by [`common`]; which answer leads where, by [`links`].

mod common;
mod links;
mod page;

use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

use crate::events::EventType;
use crate::ids::{
    AttemptId, CaptureId, EventId, MerchantId, PaymentId, PaymentMethodId, RefundId, UserId, VoidId, WebhookEndpointId,
};
use crate::money::Currency;

/// How long an answer may wait for the end.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header, names("Prefer"))]
#[allow(dead_code, reason = "describes a header, which is read elsewhere")]
pub(super) struct Prefer(
    /// `wait=N`: how many seconds the answer may wait for the end, 0 to 30; 5 if absent.
    #[param(pattern = "^wait=([0-9]|[12][0-9]|30)$", example = "wait=10")]
    Option<String>,
);

/// Where the document is.
pub(super) const PATH: &str = "/v1/openapi.json";

/// The document before any handler is in it.
pub(super) fn begin() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Purser")
        .version(concat!("v", env!("CARGO_PKG_VERSION")))
        .description(Some(include_str!("introduction.md")))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    // Types that stand in paths and queries alone would be referred to and not be there.
    let ids = ComponentsBuilder::new()
        .schema_from::<PaymentId>()
        .schema_from::<AttemptId>()
        .schema_from::<CaptureId>()
        .schema_from::<RefundId>()
        .schema_from::<VoidId>()
        .schema_from::<UserId>()
        .schema_from::<PaymentMethodId>()
        .schema_from::<MerchantId>()
        .schema_from::<EventId>()
        .schema_from::<WebhookEndpointId>()
        .schema_from::<Currency>()
        .schema_from::<EventType>()
        .build();
    OpenApiBuilder::new().info(info).components(Some(ids)).build()
}

/// The whole document, from what the handlers say of themselves.
fn complete(described: &OpenApi) -> Value {
    // Texts and numbers cannot fail to be written.
    let mut document = serde_json::to_value(described).unwrap_or_else(|_| json!({}));
    common::add(&mut document);
    links::add(&mut document);
    document
}

/// Serves the document and the page.
pub(super) fn served<S: Clone + Send + Sync + 'static>(described: &OpenApi) -> Router<S> {
    let document = complete(described);
    let text = page::render(&document);
    Router::new()
        .route(PATH, get(async move || Json(document.clone())))
        .route("/docs", get(async move || html(text.clone())))
}

fn html(text: String) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // The page is one file and runs no script.
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// Every operation of a document: path, method and operation.
fn operations(document: &mut Value) -> impl Iterator<Item = (&String, &String, &mut Value)> {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let item = item.as_object_mut().into_iter().flatten();
        item.filter(|(_, operation)| operation.get("responses").is_some())
            .map(move |(method, operation)| (path, method, operation))
    })
}
