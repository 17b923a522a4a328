//! The only place that speaks HTTP to a provider.

use std::time::Duration;

use reqwest::redirect::Policy;
use thiserror::Error;

use super::{Adapter, Attempt, HttpRequest, HttpResponse, Outcome};

/// A provider's answer is a few kilobytes; what is longer is not one.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// A provider that takes longer to accept a connection is as good as away, and nothing was sent to it yet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Sends requests to providers.
#[derive(Clone)]
pub struct Client(reqwest::Client);

/// Why a call gave no whole answer.
#[derive(Debug, Error)]
pub enum CallError {
    /// No byte of the request left: connection refused, no such host, TLS not agreed.
    #[error("no connection to the provider: {0}")]
    NotSent(#[source] reqwest::Error),
    /// The request may have arrived.
    #[error("no whole answer from the provider: {0}")]
    NoAnswer(#[source] reqwest::Error),
    /// The answer was longer than any answer of a provider.
    #[error("the answer is longer than {BODY_BYTES_MAX} bytes")]
    TooLong,
}

impl Client {
    /// A client that follows no redirect, since a redirected charge could be made twice.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self(client))
    }

    /// Sends one request within `limit` and says what is known afterwards.
    pub async fn call(
        &self,
        adapter: &dyn Adapter,
        attempt: &Attempt,
        base_url: &str,
        request: HttpRequest,
        limit: Duration,
    ) -> Outcome {
        match self.exchange(base_url, request, limit).await {
            Ok(response) => adapter.outcome(attempt, &response),
            Err(error @ CallError::NotSent(_)) => Outcome::Retryable { reason: chain(&error) },
            Err(error @ (CallError::NoAnswer(_) | CallError::TooLong)) => {
                Outcome::Unknown { reason: chain(&error), reference: None }
            }
        }
    }

    async fn exchange(&self, base_url: &str, request: HttpRequest, limit: Duration) -> Result<HttpResponse, CallError> {
        let HttpRequest { method, path, headers, body } = request;
        let url = format!("{}{path}", base_url.trim_end_matches('/'));
        let sent = self.0.request(method, url).headers(headers).body(body).timeout(limit).send().await;
        let mut response = sent.map_err(call_error)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| CallError::NoAnswer(error.without_url()))? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(CallError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, body })
    }
}

fn call_error(error: reqwest::Error) -> CallError {
    // A URL that cannot be built never left either.
    let not_sent = error.is_connect() || error.is_builder();
    let error = error.without_url();
    if not_sent { CallError::NotSent(error) } else { CallError::NoAnswer(error) }
}

/// The error with its causes: the outermost sentence alone never says which of them it was.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
