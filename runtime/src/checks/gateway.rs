//! The gateway of a release, as a client sees it.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use uuid::Uuid;

use super::CheckError;

/// What a test payment may take, its answer included. Shorter than the time after which another release's processor would take
/// what this one leaves lying.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);
/// Between two tries while the gateway's address is not known everywhere yet.
const PAUSE: Duration = Duration::from_millis(250);

/// A gateway and the key to call it with.
#[derive(Clone)]
pub struct Gateway {
    http: reqwest::Client,
    url: String,
    key: SecretString,
    is_patient: bool,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) is_replayed: bool,
    pub(super) body: Value,
}

impl Answer {
    /// A text in it, by its JSON pointer.
    pub(super) fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether writes are refused for now, by everybody.
    pub(super) fn is_maintenance(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE && self.text("/code") == "maintenance"
    }

    /// The answer in a few words.
    pub(super) fn words(&self) -> String {
        let detail = [self.text("/detail"), self.text("/status"), self.text("/error/code")];
        format!("HTTP {} {}", self.status.as_u16(), detail.join(" ").trim())
    }
}

impl Gateway {
    /// A gateway by its base URL. `any_certificate`: the address is one within the cluster, which the certificate does not name.
    ///
    /// # Errors
    /// When the URL is none, or no client can be set up.
    pub fn new(url: &str, any_certificate: bool, key: SecretString) -> Result<Self, CheckError> {
        let address = url.parse::<http::Uri>().ok();
        let fits = |uri: &http::Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        if !address.is_some_and(|uri| fits(&uri)) {
            return Err(CheckError::Address(url.to_owned()));
        }
        let http = reqwest::Client::builder()
            .timeout(PATIENCE + Duration::from_secs(1))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_danger_accept_invalid_certs(any_certificate)
            .build()
            .map_err(|error| CheckError::Setup(error.to_string()))?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), key, is_patient: true })
    }

    /// The same, and what the gateway puts off is not asked for again: the answer is the answer.
    #[must_use]
    pub fn impatient(self) -> Self {
        Self { is_patient: false, ..self }
    }

    /// Waits until the gateway describes itself: its address may be new.
    pub(super) async fn describes_itself(&self, wait: Duration) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            let why = match self.get("/v1/openapi.json").await {
                Ok(answer) if answer.status == StatusCode::OK && answer.body["paths"].is_object() => return Ok(()),
                Ok(answer) => answer.words(),
                Err(error) => error,
            };
            if begin.elapsed() >= wait {
                return Err(format!("{}/v1/openapi.json: {why}", self.url));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, String> {
        self.ask(self.request(Method::GET, path)).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer, String> {
        self.post_with(path, body, &unique()).await
    }

    pub(super) async fn post_with(&self, path: &str, body: &Value, key: &str) -> Result<Answer, String> {
        let wait = format!("wait={}", PATIENCE.as_secs());
        let request = self.request(Method::POST, path).header("idempotency-key", key).header("prefer", wait);
        self.ask(request.json(body)).await
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(self.key.expose_secret())
    }

    /// Asks, again if the gateway has no room now: that is no fault of the release. The same key makes it the same request.
    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<Answer, String> {
        let begin = Instant::now();
        loop {
            let again = request.try_clone().filter(|_| self.is_patient && begin.elapsed() < PATIENCE);
            let Some(attempt) = again else { return Self::ask_once(request).await };
            let answer = Self::ask_once(attempt).await?;
            let is_put_off = matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            if !is_put_off || answer.is_maintenance() {
                return Ok(answer);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask_once(request: reqwest::RequestBuilder) -> Result<Answer, String> {
        let response = request.send().await.map_err(|error| causes(&error))?;
        let status = response.status();
        let is_replayed = response.headers().contains_key("idempotent-replayed");
        let bytes = response.bytes().await.map_err(|error| causes(&error))?;
        // What is no JSON has nothing of what is looked for in it.
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Answer { status, is_replayed, body })
    }
}

/// A text that is new each time. Letters alone: among digits the API looks for card numbers, and finds one now and then.
pub(super) fn unique() -> String {
    let digits = Uuid::now_v7().as_u128();
    let letter = |place: u32| char::from(b'a' + u8::try_from((digits >> (4 * place)) & 15).unwrap_or_default());
    (0..32).rev().map(letter).collect()
}

/// An error with what is behind it, which reqwest's own words leave out.
fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        source = cause.source();
    }
    words
}
