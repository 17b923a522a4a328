//! `/livez`, `/readyz` and `/metrics`.

use anyhow::{Context as _, Result};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Router, response::IntoResponse};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

#[derive(Clone)]
struct Admin {
    metrics: Metrics,
    stop: CancellationToken,
}

/// Serves until aborted. A replica without the lease is ready as well: it is there to take over.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(address: &str, metrics: Metrics, stop: CancellationToken) -> Result<JoinHandle<()>> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(figures))
        .with_state(Admin { metrics, stop });
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the admin server ended");
        }
    }))
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.stop.is_cancelled() { (StatusCode::SERVICE_UNAVAILABLE, "stopping\n") } else { (StatusCode::OK, "ok\n") }
}

async fn figures(State(admin): State<Admin>) -> Result<String, (StatusCode, String)> {
    admin.metrics.text().map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}
