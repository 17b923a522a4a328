//! The payment API that merchants call: HTTP in, one commit, an answer when the payment came to its end.

mod admin;
mod auth;
mod balance;
pub mod bodies;
mod body;
mod cancel;
mod captures;
mod connections;
mod etag;
mod events;
mod idempotent;
mod intake;
mod lanes;
mod limits;
mod maintenance;
mod openapi;
mod operations;
mod page;
mod payer;
mod payment_methods;
mod payment_reads;
mod payment_request;
mod payments;
mod problem;
mod provider_webhooks;
mod query;
mod refunds;
mod router;
mod tls;
mod users;
mod wait;
mod webhook_actions;
mod webhook_endpoints;
mod work;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::net::TcpListener;

use crate::app::App;
use crate::idempotency;
use crate::limits::Limiter;
use crate::limits::limiter::REDIS_LIMIT;
use crate::processor::express::Express;
use crate::shutdown::DRAIN;

/// How often expired keys are forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(300);

/// What the endpoints share.
pub(crate) struct Gateway {
    app: Arc<App>,
    express: Express,
    in_work: limits::InWork,
    intake: intake::Intake,
    limiter: Limiter,
    lanes: lanes::Lanes,
    waiters: wait::Waiters,
    bell: work::Bell,
    provider_webhooks: provider_webhooks::Desk,
}

impl Gateway {
    fn new(app: Arc<App>, express: Express, waiters: wait::Waiters) -> Arc<Self> {
        Arc::new(Self {
            express,
            in_work: limits::InWork::default(),
            intake: intake::Intake::default(),
            limiter: Limiter::new(&app.cache, REDIS_LIMIT),
            lanes: lanes::Lanes::default(),
            waiters,
            bell: work::Bell::default(),
            provider_webhooks: provider_webhooks::Desk::default(),
            app,
        })
    }
}

/// Serves the API until the process is to end, then finishes what is in flight. While it leaves, every connection ends
/// with its next answer.
///
/// # Errors
/// When the port breaks.
pub async fn serve_on(app: Arc<App>, listener: TcpListener) -> std::io::Result<()> {
    let waiters = wait::Waiters::default();
    let (express, hand_in, mut taken) = Express::start(app.clone(), waiters.ended()).map_err(std::io::Error::other)?;
    let gateway = Gateway::new(app.clone(), express.clone(), waiters.clone());
    let (intake, bell) = (gateway.intake.clone(), gateway.bell.clone());
    let end = connections::End { leaving: app.leaving.clone(), stop: app.shutdown.clone() };
    let tls = tls::Tls::start(&app.secrets, end.stop.clone())?;
    tracing::info!(address = %listener.local_addr()?, tls = tls.is_some(), "taking payments");
    let serving =
        connections::serve(listener, router::router(gateway.clone()), end, connections::Limits::default(), tls);
    let drained = async {
        app.shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        () = serving => {}
        () = drained => {
            tracing::warn!("requests were still in flight after {} s; they are cut off", DRAIN.as_secs());
        }
        () = intake.serve(app.clone(), bell.clone(), express, hand_in) => {}
        () = gateway.limiter.serve() => {}
        () = waiters.serve(app.pool.clone(), app.notices.clone()) => {}
        () = bell.pass_on(app.pool.clone()) => {}
        () = forget_keys(&app) => {}
        ended = &mut taken => {
            return Err(std::io::Error::other(format!("the way of accepted payments ended: {ended:?}")));
        }
    }
    drop(gateway);
    // What was accepted here and is in work ends, or is given back to the processors.
    if let Err(error) = taken.await {
        tracing::error!(%error, "payments in work were left to the processors");
    }
    Ok(())
}

async fn forget_keys(app: &App) {
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        // Each round takes a limited number; there is more while it comes back full-handed.
        loop {
            match idempotency::store::forget_expired(&app.pool, Utc::now()).await {
                Ok(0) => break,
                Ok(forgotten) => tracing::debug!(forgotten, "expired idempotency keys are gone"),
                Err(error) => {
                    tracing::debug!(%error, "expired idempotency keys stay for now");
                    break;
                }
            }
        }
    }
}
