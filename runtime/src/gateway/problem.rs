//! Errors of the API, as RFC 9457 problems. The one place where a failure becomes an HTTP status.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::maintenance;
use crate::database;

/// Where each code is explained.
const TYPES: &str = "https://purser.dev/problems/";

/// Why a request was not done. It travels in the response's extensions until the outermost layer, which knows the
/// request's id and path, writes it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    param: Option<String>,
    retry_after_s: Option<u64>,
    retryable: bool,
}

/// Why a request was not done, as RFC 9457 writes it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document<'a> {
    /// Where the code is explained.
    r#type: String,
    /// The code in words.
    title: String,
    /// The HTTP status once more.
    status: u16,
    /// What was wrong with this request, for a person.
    detail: &'a str,
    /// The path that was asked for.
    instance: &'a str,
    /// The same for the same kind of problem, for programs.
    #[schema(example = "invalid_field")]
    code: &'a str,
    /// The field, parameter or header that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    /// Names the request in logs; also in the header `x-request-id`.
    request_id: &'a str,
    /// Whether the same request, with the same Idempotency-Key, may work later.
    retryable: bool,
}

impl Problem {
    /// A problem by its status, its stable code and a sentence for the one who wrote the request.
    #[must_use]
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let retryable =
            status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        Self { status, code, detail: detail.into(), param: None, retry_after_s: None, retryable }
    }

    /// The request is not one: it cannot be read.
    pub(super) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The request can be read, but what it asks for cannot be done.
    pub(super) fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// There is no such thing, or it is another merchant's, which looks the same.
    pub(super) fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// A failure that is not the client's. What it was stands in the log, beside the request's id.
    #[must_use]
    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "something went wrong here; the same request, with the same Idempotency-Key, may be sent again",
        )
    }

    /// Names the field or header that is meant.
    #[must_use]
    pub(super) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Says when the same request may work.
    #[must_use]
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Says that the same request may work later, where its status does not say so.
    #[must_use]
    pub(super) fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// The same for the same kind of problem.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// Whether a card number stands in the request, so that nothing of it may be repeated.
    pub(super) fn is_about_card_number(&self) -> bool {
        self.code == "card_number_refused"
    }

    /// The document, for a request with this id to this path.
    #[must_use]
    pub(super) fn render(&self, request_id: &str, path: &str) -> Response {
        let document = Document {
            r#type: format!("{TYPES}{}", self.code),
            title: self.code.replace('_', " "),
            status: self.status.as_u16(),
            detail: &self.detail,
            instance: path,
            code: self.code,
            param: self.param.as_deref(),
            request_id,
            retryable: self.retryable,
        };
        // A document of texts and one number cannot fail to be written.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"purser\""));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The database is away or in maintenance, which passes; or it refused a statement, which is a fault of this program.
impl From<&sqlx::Error> for Problem {
    fn from(error: &sqlx::Error) -> Self {
        if let Some(retry_after_s) = database::maintenance(error) {
            return maintenance::refused(retry_after_s);
        }
        if database::is_outage(error) {
            tracing::warn!(%error, "the database does not answer");
            let detail = "the database does not answer; send the same request again, with the same Idempotency-Key";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", detail).retry_after(1);
        }
        tracing::error!(%error, "the database refused a statement");
        Self::internal()
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::from(&error)
    }
}

/// One load failed for all who waited for it.
impl From<Arc<sqlx::Error>> for Problem {
    fn from(error: Arc<sqlx::Error>) -> Self {
        Self::from(&*error)
    }
}

/// A field that cannot be accepted, named with the reason.
impl From<(&'static str, &'static str)> for Problem {
    fn from((field, sentence): (&'static str, &'static str)) -> Self {
        Self::unprocessable("invalid_field", format!("{field} {sentence}")).param(field)
    }
}
