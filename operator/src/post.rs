//! Sends a body by HTTP until it is taken, or until there is no hope. A URL is a secret: no word of here has it.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};

use crate::notifications::Body;

/// Who does not answer in this time does not answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The `id` of what is sent, by which a receiver knows what comes twice.
const ID_HEADER: &str = "Purser-Notification-Id";
/// However long a receiver asks to be left alone, it is asked again after this time.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(2);

/// How long to go on trying.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Before the second try; twice as long before the third, and so on.
    pub first: Duration,
    /// Between two tries at most.
    pub longest: Duration,
    /// All of the waits together.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(30), total: Duration::from_mins(5) }
    }
}

/// Why a body was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// A part of a sentence.
    pub words: String,
    /// Whether another try would end the same way.
    pub is_lasting: bool,
    /// When the receiver wants to be asked again, if it says so.
    pub retry_after: Option<Duration>,
}

impl Trouble {
    /// Another try would end the same way.
    #[must_use]
    pub const fn lasting(words: String) -> Self {
        Self { words, is_lasting: true, retry_after: None }
    }

    /// Another try may end better.
    #[must_use]
    pub const fn passing(words: String) -> Self {
        Self { words, is_lasting: false, retry_after: None }
    }
}

/// Tries until it works, lasting trouble comes, or patience ends.
///
/// # Errors
/// The trouble of the last try.
pub async fn with_patience<Try, Tried>(patience: &Patience, tried: Try) -> Result<(), Trouble>
where
    Try: FnMut() -> Tried,
    Tried: Future<Output = Result<(), Trouble>>,
{
    let waits = ExponentialBuilder::default()
        .with_min_delay(patience.first)
        .with_max_delay(patience.longest)
        .with_total_delay(Some(patience.total))
        .with_jitter()
        .without_max_times();
    tried
        .retry(waits)
        .when(|trouble| !trouble.is_lasting)
        .adjust(|trouble, wait| wait.map(|wait| trouble.retry_after.map_or(wait, |asked| wait.max(asked))))
        .await
}

/// Sends a body once.
///
/// # Errors
/// Anything but a 2xx in time.
pub async fn post(http: &reqwest::Client, url: &str, id: &str, body: Body) -> Result<(), Trouble> {
    let url = reqwest::Url::parse(url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let Some(url) = url else { return Err(Trouble::lasting("its URL is none of http or https".to_owned())) };
    let request = http.post(url).timeout(TIMEOUT).header(CONTENT_TYPE, body.content_type).header(ID_HEADER, id);
    match request.body(body.text).send().await {
        Ok(answer) => judge(answer.status(), retry_after(&answer)),
        Err(error) => Err(unsent(&error)),
    }
}

/// What an answer means. What was sent stays the same, so most refusals stay the same as well.
fn judge(status: StatusCode, retry_after: Option<Duration>) -> Result<(), Trouble> {
    if status.is_success() {
        return Ok(());
    }
    let again = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    let is_lasting = !status.is_server_error() && !again.contains(&status);
    let redirects = if status.is_redirection() { ", and redirects are not followed" } else { "" };
    let words = format!("the receiver answers {}{redirects}", status.as_u16());
    Err(Trouble { words, is_lasting, retry_after: retry_after.map(|asked| asked.min(RETRY_AFTER_MAX)) })
}

/// In seconds. As a date it is passed over, for the two clocks may differ.
fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The library's own words may have the URL.
fn unsent(error: &reqwest::Error) -> Trouble {
    let words = match error {
        error if error.is_timeout() => format!("the receiver does not answer within {} s", TIMEOUT.as_secs()),
        error if error.is_connect() => {
            "the receiver cannot be reached, or has no TLS certificate that is trusted".into()
        }
        error if error.is_builder() => "its URL cannot be used".into(),
        _ => "the connection ended before an answer came".into(),
    };
    Trouble { words, is_lasting: error.is_builder(), retry_after: None }
}

#[cfg(test)]
#[path = "post_tests.rs"]
mod tests;
