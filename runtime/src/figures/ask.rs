//! Asking a pod what it has counted. Whatever is at its address, it costs no more than this time and this room.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use reqwest::redirect::Policy;
use runtime_contract::PodFigures;
use runtime_contract::paths::admin;
use thiserror::Error;
use uuid::Uuid;

/// An answer that comes later is one of the next second.
const LIMIT: Duration = Duration::from_millis(800);
/// Above the longest honest answer, which has some seven thousand cells.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Releases are named by versions.
const RELEASE_BYTES_MAX: usize = 253;

/// Why a pod counts as silent.
#[derive(Debug, Error)]
pub(super) enum AskError {
    #[error("no answer within {} ms", LIMIT.as_millis())]
    Late,
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("answered with {0}")]
    Status(StatusCode),
    #[error("its answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    #[error("its answer: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its answer names no release and process")]
    Nameless,
}

/// Asks pods.
pub(super) struct Asker(reqwest::Client);

impl Asker {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().redirect(Policy::none()).no_proxy().referer(false);
        client.connect_timeout(LIMIT).pool_max_idle_per_host(1).build().map(Self)
    }

    pub(super) async fn ask(&self, address: SocketAddr) -> Result<PodFigures, AskError> {
        tokio::time::timeout(LIMIT, self.ask_for_long(address)).await.unwrap_or(Err(AskError::Late))
    }

    async fn ask_for_long(&self, address: SocketAddr) -> Result<PodFigures, AskError> {
        let mut response = self.0.get(format!("http://{address}{}", admin::FIGURES)).send().await?;
        if response.status() != StatusCode::OK {
            return Err(AskError::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(AskError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let figures: PodFigures = serde_json::from_slice(&body)?;
        let is_named = (1..=RELEASE_BYTES_MAX).contains(&figures.release.len());
        if is_named && Uuid::parse_str(&figures.process).is_ok() { Ok(figures) } else { Err(AskError::Nameless) }
    }
}
