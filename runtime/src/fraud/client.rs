//! How a processor asks for a check: within a hard deadline, whatever happens.

use std::time::{Duration, Instant};

use runtime_contract::{FraudConfig, OnDeadline, paths};
use thiserror::Error;

use super::wire::{CheckRequest, Status, Verdict};

/// A pod that goes away leaves a broken connection behind, and the next one is a few milliseconds away.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Asks the fraud workload.
#[derive(Clone)]
pub struct FraudClient {
    http: reqwest::Client,
    url: String,
    deadline: Duration,
    on_deadline: OnDeadline,
}

/// A check that was made, or given up.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The verdict of the workload, or none when it did not come in time.
    pub verdict: Option<Verdict>,
    /// What counts: the verdict's, or what the policy says without one.
    pub status: Status,
    /// How long it took, as the processor saw it.
    pub duration: Duration,
}

#[derive(Debug, Error)]
enum CheckError {
    #[error("the fraud workload answered {0}")]
    Refused(http::StatusCode),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

impl FraudClient {
    /// A client for the workload of the configuration.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(config: &FraudConfig) -> Result<Self, reqwest::Error> {
        let deadline = Duration::from_millis(u64::from(config.deadline_ms));
        let url = format!("{}{}", config.url.trim_end_matches('/'), paths::fraud::CHECK);
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, url, deadline, on_deadline: config.on_deadline })
    }

    /// A verdict, or the policy's decision at the deadline.
    pub async fn check(&self, request: &CheckRequest) -> Check {
        let began = Instant::now();
        let verdict = tokio::time::timeout(self.deadline, self.ask_until_answered(request)).await.ok();
        let status = verdict.as_ref().map_or_else(|| without_verdict(self.on_deadline), |verdict| verdict.status);
        Check { verdict, status, duration: began.elapsed() }
    }

    /// A check changes nothing but a count, and counts once, so it may be asked for as often as the deadline allows.
    async fn ask_until_answered(&self, request: &CheckRequest) -> Verdict {
        loop {
            match self.ask(request).await {
                Ok(verdict) => return verdict,
                Err(error) => tracing::debug!(%error, "no verdict yet"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn ask(&self, request: &CheckRequest) -> Result<Verdict, CheckError> {
        let response = self.http.post(&self.url).json(request).send().await?;
        if response.status().is_success() {
            return Ok(response.json().await?);
        }
        Err(CheckError::Refused(response.status()))
    }
}

const fn without_verdict(policy: OnDeadline) -> Status {
    match policy {
        OnDeadline::Flag => Status::Flagged,
        OnDeadline::Pass => Status::Passed,
        OnDeadline::Block => Status::Blocked,
    }
}
