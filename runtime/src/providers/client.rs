//! The only place that speaks HTTP to a provider.

use std::time::{Duration, Instant};

use http::StatusCode;
use reqwest::redirect::Policy;
use secrecy::SecretString;
use thiserror::Error;

use super::tokens::Tokens;
use super::{
    About, Action, Adapter, Call, HttpRequest, HttpResponse, Login, Outcome, TokenError, Unsupported, WebhookDelivery,
    WebhookError,
};

/// A provider's answer is a few kilobytes; what is longer is not one.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// A provider that takes longer to accept a connection is as good as away, and nothing was sent to it yet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Questions asked after the first one, within one call.
const FOLLOW_UPS_MAX: usize = 2;

/// Sends requests to providers.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    tokens: Tokens,
}

/// Where a provider is, and as whom it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    /// Name of the PaymentProvider resource.
    pub resource: &'a str,
    /// Base URL of its API.
    pub base_url: &'a str,
    /// The credential of the resource.
    pub credential: &'a SecretString,
    /// How long all of it may take: login, call and further questions.
    pub limit: Duration,
}

/// Why a request gave no whole answer.
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

/// Why nobody is logged in. Nothing of the call was sent.
#[derive(Debug, Error)]
enum LoginError {
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("at the login: {}", chain(.0))]
    Exchange(CallError),
}

/// Why it is not known whether a message came from the provider.
#[derive(Debug, Error)]
pub enum VerificationError {
    /// The message cannot be the provider's.
    #[error(transparent)]
    Refused(#[from] WebhookError),
    /// The provider could not be asked; the message may be right.
    #[error("the provider could not be asked about the message: {0}")]
    NotAsked(String),
}

impl Client {
    /// A client that follows no redirect, since a redirected charge could be made twice.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { http, tokens: Tokens::default() })
    }

    /// Does what the call says, or with `inquiry` asks what became of it, and says what is known afterwards.
    pub async fn call(&self, adapter: &dyn Adapter, call: &Call, inquiry: bool, endpoint: &Endpoint<'_>) -> Outcome {
        let deadline = Instant::now() + endpoint.limit;
        // Whatever stands in the way before the first byte: nothing was sent now, and an earlier request stays open.
        let unsent = |reason: String| match inquiry {
            true => Outcome::Unknown { reason, reference: None },
            false => Outcome::Retryable { reason },
        };
        let bearer = match self.log_in(adapter, endpoint, deadline).await {
            Ok(bearer) => bearer,
            Err(error) => return unsent(error.to_string()),
        };
        let first = if inquiry { adapter.inquiry(call, &bearer) } else { adapter.request(call, &bearer) };
        let mut request = match first {
            Ok(request) => request,
            Err(why) if inquiry => return unsent(why.to_string()),
            Err(why) => return unsupported(&call.action, &why),
        };
        let mut known: Option<Outcome> = None;
        for _ in 0..=FOLLOW_UPS_MAX {
            let response = match self.exchange(endpoint.base_url, request, deadline).await {
                Ok(response) => response,
                Err(error) => return merge(known, unanswered(&error)),
            };
            if response.status == StatusCode::UNAUTHORIZED {
                self.tokens.forget(endpoint).await;
            }
            let outcome = merge(known, adapter.outcome(call, &response));
            match adapter.follow_up(call, &response, &bearer) {
                Some(next) => (known, request) = (Some(outcome), next),
                None => return outcome,
            }
        }
        known.unwrap_or_else(|| unsent("nothing was asked".into()))
    }

    /// Asks the provider whether a message is its own.
    ///
    /// # Errors
    /// When it is not, and when that could not be found out.
    pub async fn verify(
        &self,
        adapter: &dyn Adapter,
        delivery: &WebhookDelivery<'_>,
        secret: &SecretString,
        endpoint: &Endpoint<'_>,
    ) -> Result<(), VerificationError> {
        let deadline = Instant::now() + endpoint.limit;
        let not_asked = |error: &dyn std::error::Error| VerificationError::NotAsked(chain(error));
        let bearer = self.log_in(adapter, endpoint, deadline).await.map_err(|error| not_asked(&error))?;
        let request = adapter.verification(delivery, secret, &bearer)?;
        let response = self.exchange(endpoint.base_url, request, deadline).await.map_err(|error| not_asked(&error))?;
        if response.status == StatusCode::UNAUTHORIZED {
            self.tokens.forget(endpoint).await;
        }
        match adapter.is_verified(&response) {
            Some(true) => Ok(()),
            Some(false) => Err(WebhookError::WrongSignature.into()),
            None => Err(VerificationError::NotAsked(format!("it answered {}", response.status))),
        }
    }

    async fn log_in(
        &self,
        adapter: &dyn Adapter,
        endpoint: &Endpoint<'_>,
        deadline: Instant,
    ) -> Result<SecretString, LoginError> {
        let request = match adapter.login(endpoint.credential)? {
            Login::Bearer(bearer) => return Ok(bearer),
            Login::Exchange(request) => request,
        };
        let fetch = async {
            let response = self.exchange(endpoint.base_url, request, deadline).await.map_err(LoginError::Exchange)?;
            Ok::<_, LoginError>(adapter.token(&response)?)
        };
        self.tokens.get(endpoint, fetch).await
    }

    async fn exchange(
        &self,
        base_url: &str,
        request: HttpRequest,
        deadline: Instant,
    ) -> Result<HttpResponse, CallError> {
        let HttpRequest { method, path, headers, body } = request;
        let url = format!("{}{path}", base_url.trim_end_matches('/'));
        let limit = deadline.saturating_duration_since(Instant::now());
        let sent = self.http.request(method, url).headers(headers).body(body).timeout(limit).send().await;
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

/// What is known after one more answer. A later answer that tells nothing takes nothing away from an earlier one, least
/// of all the provider's name for what was made.
fn merge(earlier: Option<Outcome>, later: Outcome) -> Outcome {
    match (earlier, later) {
        (None, later) | (Some(_), later @ (Outcome::Approved { .. } | Outcome::Declined { .. })) => later,
        (Some(earlier @ Outcome::Declined { .. }), _) => earlier,
        (Some(earlier), later) => {
            let (Outcome::Retryable { reason } | Outcome::Unknown { reason, .. }) = &later else { return later };
            let reference = reference(&later).or(reference(&earlier)).map(str::to_owned);
            Outcome::Unknown { reason: reason.clone(), reference }
        }
    }
}

fn reference(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Approved { reference, .. } => Some(reference),
        Outcome::Unknown { reference, .. } => reference.as_deref(),
        Outcome::Declined { .. } | Outcome::Retryable { .. } => None,
    }
}

/// A call that cannot be written down for the provider. Another provider may take a charge; a capture, a refund or a void
/// can go to nobody else.
fn unsupported(action: &Action, why: &Unsupported) -> Outcome {
    match action {
        Action::Charge { .. } => Outcome::Retryable { reason: why.to_string() },
        Action::Capture { .. } | Action::Refund | Action::Void => Outcome::Declined {
            code: "not_supported_by_provider".into(),
            message: format!("The provider cannot be asked for this {}: {why}.", action.as_str()),
            about: About::Request,
        },
    }
}

fn unanswered(error: &CallError) -> Outcome {
    match error {
        CallError::NotSent(_) => Outcome::Retryable { reason: chain(error) },
        CallError::NoAnswer(_) | CallError::TooLong => Outcome::Unknown { reason: chain(error), reference: None },
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
