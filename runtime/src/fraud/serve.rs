//! The fraud workload's HTTP side.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use runtime_contract::paths;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::assess::assess;
use super::rule_cache::RuleCache;
use super::signals::{self, Limits, Signals};
use super::wire::{CheckRequest, Verdict};
use crate::app::App;
use crate::ids::{PaymentId, UserId};
use crate::money::Money;

/// A check lives for milliseconds; a connection that outlives this after the stop belongs to nobody.
const DRAIN: Duration = Duration::from_secs(10);

/// How long Redis is waited for at the start. Without it checks are degraded, but they are checks.
const REDIS_AWAITED: Duration = Duration::from_secs(5);
/// Time between two looks for it.
const REDIS_PAUSE: Duration = Duration::from_millis(50);

struct Fraud {
    app: Arc<App>,
    rules: RuleCache,
    limits: Limits,
}

type Refusal = (StatusCode, Json<Value>);

/// Serves checks within these limits on this port until the process is to end; as before while it leaves, since processors find another pod
/// by themselves.
///
/// # Errors
/// When the port fails.
pub async fn serve_on(app: Arc<App>, listener: TcpListener, limits: Limits) -> std::io::Result<()> {
    let shutdown = app.shutdown.clone();
    let rules = RuleCache::follow(app.pool.clone(), app.settings.clone(), app.copies.rules_changes());
    let fraud = Arc::new(Fraud { app, rules, limits });
    tokio::spawn(warm_up(fraud.clone()));
    let router =
        Router::new().route(paths::fraud::CHECK, post(check)).route(paths::fraud::WARM, get(warm)).with_state(fraud);
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

/// Reads the rules, connects to Redis and loads the script there, so that no payment's check waits for that.
async fn warm_up(fraud: Arc<Fraud>) {
    let has_redis = fraud.app.cache.connection().is_some();
    let warming = async {
        fraud.rules.clone().first().await;
        let redis = async {
            while has_redis && fraud.gather_for_nobody().await.degraded {
                tokio::time::sleep(REDIS_PAUSE).await;
            }
        };
        if tokio::time::timeout(REDIS_AWAITED, redis).await.is_err() {
            tracing::warn!("Redis does not answer; checks begin without it");
        }
        fraud.app.fraud_warm.store(true, Ordering::Relaxed);
    };
    tokio::select! {
        () = warming => {}
        () = fraud.app.shutdown.cancelled() => {}
    }
}

async fn warm(State(fraud): State<Arc<Fraud>>) -> StatusCode {
    if !fraud.app.fraud_warm.load(Ordering::Relaxed) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    fraud.gather_for_nobody().await;
    StatusCode::NO_CONTENT
}

impl Fraud {
    /// One payment of one user that do not exist: counted again and again, they stay one entry in Redis.
    async fn gather_for_nobody(&self) -> Signals {
        let (user, payment) = (UserId::from_uuid(Uuid::nil()), PaymentId::from_uuid(Uuid::nil()));
        self.gather(user, payment, "").await
    }

    async fn gather(&self, user: UserId, payment: PaymentId, purchase: &str) -> Signals {
        signals::gather((&self.app.cache, &self.app.pool), self.limits, user, payment, purchase).await
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
    let gathered = fraud.gather(request.user_id, request.payment_id, &request.purchase).await;
    let verdict = assess(&rules, money, gathered.velocity.as_ref(), gathered.degraded);
    let seconds = began.elapsed().as_secs_f64();
    fraud.app.metrics.fraud_seconds.with_label_values(&[verdict.status.as_str()]).observe(seconds);
    Ok(Json(verdict))
}

fn refuse(status: StatusCode, detail: &str) -> Refusal {
    (status, Json(json!({"status": status.as_u16(), "detail": detail})))
}
