//! One POST to an endpoint: limited in time, in what is read, and in where it may lead.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::Bytes;
use reqwest::redirect::Policy;
use url::Url;

use super::address::is_public_host;
use super::resolver::{Guard, LookUp};

/// How much of an answer is read. Nothing in it matters; reading it whole lets the connection be used again.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long the rest of an answer may take once its status is known.
const ANSWER_REST: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections to one host that are kept for the next event.
const IDLE_MAX: usize = 64;
/// Longest reason that is kept of a failure.
const REASON_MAX: usize = 500;

/// What an endpoint made of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 2xx.
    Delivered,
    /// 410: it wants no more events.
    Gone,
    /// Anything else, with a sentence for the merchant.
    Failed(String),
}

/// Sends events.
#[derive(Clone)]
pub struct Sender {
    client: reqwest::Client,
    allow_private: bool,
    limit: Duration,
}

impl Sender {
    /// One whose posts may take `limit` each, with the status and all.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(look_up: LookUp, allow_private: bool, limit: Duration) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            // A proxy would connect in our place, and to wherever a name leads.
            .no_proxy()
            .referer(false)
            .dns_resolver(Guard::new(look_up, allow_private))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { client, allow_private, limit })
    }

    /// Posts one event.
    pub async fn post(&self, url: Url, headers: HeaderMap, body: Bytes) -> Answer {
        // An address in the URL itself is not resolved, and the setting may have changed since it was stored.
        if !self.allow_private && (url.scheme() != "https" || !is_public_host(&url)) {
            return Answer::Failed("the URL is not one of the public internet with https, which is refused".to_owned());
        }
        let request = self.client.post(url).headers(headers).body(body).timeout(self.limit);
        match request.send().await {
            Ok(response) => {
                let status = response.status();
                drain(response).await;
                judge(status)
            }
            Err(error) => Answer::Failed(self.explain(error)),
        }
    }

    fn explain(&self, error: reqwest::Error) -> String {
        if error.is_timeout() && !error.is_connect() {
            return format!("no answer within {} s", self.limit.as_secs_f64());
        }
        let what = if error.is_connect() { "no connection" } else { "no answer" };
        // The innermost cause says which of them it was; the outer ones repeat the URL.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        format!("{what}: {cause}").chars().take(REASON_MAX).collect()
    }
}

/// What the merchant said is its status alone.
fn judge(status: StatusCode) -> Answer {
    match status {
        status if status.is_success() => Answer::Delivered,
        StatusCode::GONE => Answer::Gone,
        status if status.is_redirection() => {
            Answer::Failed(format!("answered with {status}; redirects are not followed, so give the URL they lead to"))
        }
        status => Answer::Failed(format!("answered with {status}")),
    }
}

/// Reads the rest of an answer, within bounds; the connection is closed if there is more.
async fn drain(mut response: reqwest::Response) {
    let rest = async {
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > ANSWER_BYTES_MAX {
                return;
            }
        }
    };
    // A slow rest changes nothing: the status came.
    let _ = tokio::time::timeout(ANSWER_REST, rest).await;
}

/// The headers that each event carries besides its signature.
#[must_use]
pub fn common_headers(release: &str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let agent = HeaderValue::try_from(format!("Purser/{release} (+webhooks)"));
    headers.insert(header::USER_AGENT, agent.unwrap_or_else(|_| HeaderValue::from_static("Purser")));
    headers
}
