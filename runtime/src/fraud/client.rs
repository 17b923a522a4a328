//! How a processor asks for a check: within a hard deadline, whatever happens.

use std::time::{Duration, Instant};

use runtime_contract::{FraudConfig, OnDeadline, paths};
use thiserror::Error;

use super::wire::{CheckRequest, Status, Verdict};

/// A pod that goes away leaves a broken connection behind, and the next one is a few milliseconds away.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Time between two looks for a workload that comes up.
const WARM_PAUSE: Duration = Duration::from_millis(100);
/// One look.
const WARM_LIMIT: Duration = Duration::from_secs(1);

/// Asks the fraud workload.
#[derive(Clone)]
pub struct FraudClient {
    http: reqwest::Client,
    url: String,
    warm_url: String,
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
        let base = config.url.trim_end_matches('/');
        let (url, warm_url) = (format!("{base}{}", paths::fraud::CHECK), format!("{base}{}", paths::fraud::WARM));
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, url, warm_url, deadline, on_deadline: config.on_deadline })
    }

    /// A verdict, or the policy's decision at the deadline.
    pub async fn check(&self, request: &CheckRequest) -> Check {
        let began = Instant::now();
        let verdict = tokio::time::timeout(self.deadline, self.ask_until_answered(request)).await.ok();
        let status = verdict.as_ref().map_or_else(|| without_verdict(self.on_deadline), |verdict| verdict.status);
        Check { verdict, status, duration: began.elapsed() }
    }

    /// Goes the way of a check once, so that the next one finds its connection made. Whether a check would be answered.
    pub async fn warm(&self) -> bool {
        let asked = tokio::time::timeout(WARM_LIMIT, self.http.get(&self.warm_url).send()).await;
        asked.is_ok_and(|answer| answer.is_ok_and(|response| response.status().is_success()))
    }

    /// Waits for a workload that comes up, for so long. Whether it did.
    pub async fn warm_up(&self, limit: Duration) -> bool {
        let up = async {
            while !self.warm().await {
                tokio::time::sleep(WARM_PAUSE).await;
            }
        };
        tokio::time::timeout(limit, up).await.is_ok()
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
