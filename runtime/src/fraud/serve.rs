//! The fraud workload's HTTP side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use runtime_contract::{paths, ports};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::assess::assess;
use super::rule_cache::RuleCache;
use super::signals;
use super::wire::{CheckRequest, Verdict};
use crate::app::App;
use crate::money::Money;

/// A check lives for milliseconds; a connection that outlives this after the stop belongs to nobody.
const DRAIN: Duration = Duration::from_secs(10);

struct Fraud {
    app: Arc<App>,
    rules: RuleCache,
}

type Refusal = (StatusCode, Json<Value>);

/// Serves checks on the port of the role until the process is to end.
///
/// # Errors
/// When the port cannot be opened or fails.
pub async fn serve(app: Arc<App>) -> std::io::Result<()> {
    serve_on(app, TcpListener::bind(("0.0.0.0", ports::FRAUD)).await?).await
}

/// Serves checks on this port until the process is to end.
///
/// # Errors
/// When the port fails.
pub async fn serve_on(app: Arc<App>, listener: TcpListener) -> std::io::Result<()> {
    let shutdown = app.shutdown.clone();
    let rules = RuleCache::follow(app.pool.clone(), app.settings.clone());
    let router = Router::new().route(paths::fraud::CHECK, post(check)).with_state(Arc::new(Fraud { app, rules }));
    let serving = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let too_long = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = serving => ended,
        () = too_long => Ok(()),
    }
}

async fn check(
    State(fraud): State<Arc<Fraud>>,
    request: Result<Json<CheckRequest>, JsonRejection>,
) -> Result<Json<Verdict>, Refusal> {
    let began = Instant::now();
    let Json(request) = request.map_err(|rejection| refuse(rejection.status(), &rejection.body_text()))?;
    let rules = fraud
        .rules
        .current()
        .ok_or_else(|| refuse(StatusCode::SERVICE_UNAVAILABLE, "the fraud rules were not read yet"))?;
    let money = Money::from_minor(request.amount_minor, request.currency);
    let gathered = signals::gather(&fraud.app.cache, &fraud.app.pool, request.user_id, request.payment_id).await;
    let verdict = assess(&rules, money, gathered.velocity.as_ref(), gathered.degraded);
    let seconds = began.elapsed().as_secs_f64();
    fraud.app.metrics.fraud_seconds.with_label_values(&[verdict.status.as_str()]).observe(seconds);
    Ok(Json(verdict))
}

fn refuse(status: StatusCode, detail: &str) -> Refusal {
    (status, Json(json!({"status": status.as_u16(), "detail": detail})))
}
