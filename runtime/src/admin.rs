//! The port for those who look after a pod: alive, ready, metrics.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::future::join_all;
use http::{StatusCode, header};
use runtime_contract::PodFigures;
use runtime_contract::health::{Check, Health, names};
use runtime_contract::paths::admin;
use tokio::net::TcpListener;

use crate::app::App;
use crate::{database, figures, maintenance};

/// A probe waits a second at most; whatever takes longer does not answer.
const CHECK_LIMIT: Duration = Duration::from_millis(800);

type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// One thing that a role stands on.
pub struct Readiness {
    name: &'static str,
    optional: bool,
    check: Box<dyn Fn(Arc<App>) -> Answer + Send + Sync>,
}

impl Readiness {
    /// Without it the role takes no work. The check's error is a sentence for a person, without secrets.
    pub fn required<F>(name: &'static str, check: impl Fn(Arc<App>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, optional: false, check: Box::new(move |app| Box::pin(check(app))) }
    }

    /// Without it the role is slower, but right.
    pub fn optional<F>(name: &'static str, check: impl Fn(Arc<App>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { optional: true, ..Self::required(name, check) }
    }

    /// PostgreSQL answers.
    #[must_use]
    pub fn database() -> Self {
        Self::required(names::DATABASE, |app| async move {
            let answer = sqlx::query("select 1").execute(&app.pool).await;
            answer.map(|_| ()).map_err(|error| database::explain(&error))
        })
    }

    /// Redis answers.
    #[must_use]
    pub fn cache() -> Self {
        Self::optional(names::CACHE, |app| async move { app.cache.ping().await.map_err(|error| error.to_string()) })
    }

    /// Lists are read from the replica.
    #[must_use]
    pub fn replica() -> Self {
        Self::optional(names::REPLICA, |app| async move { app.reads.state().map_err(str::to_owned) })
    }

    /// The live settings were read.
    #[must_use]
    pub fn settings() -> Self {
        Self::required(names::SETTINGS, |app| async move {
            match app.settings.current().revision {
                0 => Err("no settings were applied yet".to_owned()),
                _ => Ok(()),
            }
        })
    }

    /// The first payment would find connections and rules at hand, and so be in time.
    #[must_use]
    pub fn warm(flag: fn(&App) -> &AtomicBool, missing: &'static str) -> Self {
        Self::required(names::WARM, move |app| async move {
            if flag(&app).load(Ordering::Relaxed) { Ok(()) } else { Err(missing.to_owned()) }
        })
    }

    /// The fraud workload takes connections. Without it the policy for missed deadlines decides.
    #[must_use]
    pub fn fraud() -> Self {
        Self::optional(names::FRAUD, |app| async move {
            let uri: http::Uri = app.config.fraud.url.parse().map_err(|_| "fraud.url is no URL".to_owned())?;
            let host = uri.host().unwrap_or_default();
            let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
            tokio::net::TcpStream::connect((host, port)).await.map(|_| ()).map_err(|error| error.to_string())
        })
    }
}

/// Serves the admin paths until the process ends: probes are answered while it drains.
///
/// # Errors
/// When the port breaks.
pub async fn serve_on(app: Arc<App>, checks: Vec<Readiness>, listener: TcpListener) -> std::io::Result<()> {
    axum::serve(listener, router(app, checks)).await
}

/// The admin paths.
fn router(app: Arc<App>, checks: Vec<Readiness>) -> Router {
    Router::new()
        .route(admin::LIVE, get(|| async { "alive\n" }))
        .route(admin::READY, get(ready))
        .route(admin::METRICS, get(metrics))
        .route(admin::FIGURES, get(counted))
        .route(admin::RELEASES, get(collected))
        .with_state((app, Arc::new(checks)))
}

type Shared = State<(Arc<App>, Arc<Vec<Readiness>>)>;

async fn ready(State((app, checks)): Shared) -> Response {
    let checks: Vec<Check> = join_all(checks.iter().map(|readiness| ask(&app, readiness))).await;
    let ready = !app.leaving.is_cancelled() && checks.iter().all(|check| check.ok || check.optional);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let settings_revision = app.settings.current().revision;
    (status, Json(Health { ready, release: app.release.clone(), settings_revision, checks })).into_response()
}

async fn ask(app: &Arc<App>, readiness: &Readiness) -> Check {
    let answer = tokio::time::timeout(CHECK_LIMIT, (readiness.check)(app.clone())).await;
    let late = || Err(format!("no answer within {} ms", CHECK_LIMIT.as_millis()));
    let message = answer.unwrap_or_else(|_| late()).err();
    Check {
        name: readiness.name.to_owned(),
        ok: message.is_none(),
        optional: readiness.optional,
        message: message.unwrap_or_default(),
    }
}

async fn metrics(State((app, _)): Shared) -> Response {
    let settings = app.settings.current();
    app.metrics.settings_revision.set(settings.revision);
    app.metrics.maintenance.set(if settings.maintenance.is_some() { 1 + i64::from(is_frozen(&app).await) } else { 0 });
    match app.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Only asked in maintenance; a database that does not answer in time is not said to be frozen.
async fn is_frozen(app: &App) -> bool {
    let state = tokio::time::timeout(CHECK_LIMIT, maintenance::state(&app.pool)).await;
    matches!(state, Ok(Ok(Some(state))) if state.frozen_at.is_some())
}

async fn counted(State((app, _)): Shared) -> Json<PodFigures> {
    Json(app.figures.figures())
}

async fn collected(State((app, _)): Shared, RawQuery(query): RawQuery) -> Response {
    if !app.collected.is_begun() {
        return (StatusCode::NOT_FOUND, "only the metrics workload collects the figures of releases\n").into_response();
    }
    match figures::window_s(query.as_deref().unwrap_or_default()) {
        Ok(window_s) => Json(app.collected.figures(window_s)).into_response(),
        Err(sentence) => (StatusCode::BAD_REQUEST, sentence).into_response(),
    }
}
