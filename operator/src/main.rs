//! `purser-operator`: see `--help`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use kube::runtime::events::{Recorder, Reporter};
use operator::config::Arguments;
use operator::context::{Context, READERS};
use operator::courier::Courier;
use operator::lease::Lease;
use operator::metrics::Metrics;
use operator::provider::claims::Claims;
use operator::provider::probe::Prober;
use operator::rest::{self, Rest, proofs::Book};
use operator::{admin, client, controllers, telemetry};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// After a signal the process ends within this time, whatever hangs. Kubernetes would kill it a little later.
const STOP_WITHIN: Duration = Duration::from_secs(9);

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    telemetry::start();
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another TLS provider is installed already"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(run(arguments));
    // A task that hangs in a system call must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(500));
    if let Err(error) = outcome {
        tracing::error!(error = format!("{error:#}"), "the operator cannot go on");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(arguments: Arguments) -> Result<()> {
    let stop = stop_on_signal()?;
    let metrics = Metrics::new().context("cannot register metrics")?;
    let admin = admin::serve(&arguments.admin_address, metrics.clone(), stop.clone()).await?;
    let clients = client::connect().await?;
    // Without a fingerprint of its own it shares none with another program.
    let rest = Arc::new(Rest::new(rest::program().unwrap_or_else(rand::random)));
    let book = Book::new(clients.requests.clone(), &arguments.pod_namespace, Arc::clone(&rest));
    let reporter = Reporter { controller: "purser-operator".into(), instance: Some(arguments.pod_name.clone()) };
    let lease = Lease::new(clients.urgent, &arguments.pod_namespace, &arguments.pod_name);
    let context = Context {
        client: clients.requests.clone(),
        tenure: lease.tenure(),
        pods_http: client::of_pods()?,
        prober: Arc::new(Prober::new(client::http().build()?, arguments.probe_interval())),
        readers: Arc::new(Semaphore::new(READERS)),
        rest,
        claims: Arc::new(Claims::default()),
        courier: Courier::new(client::http().build()?),
        recorder: Recorder::new(clients.requests, reporter),
        metrics: metrics.clone(),
    };
    let work = async {
        let acquired = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            acquired = lease.acquire() => acquired,
        };
        metrics.leads(true);
        book.open().await;
        let controllers = controllers::run(context, clients.watches, &arguments, stop.clone());
        tokio::select! {
            () = controllers => {
                book.write().await;
                // Only now: whoever takes the lease next must find nobody at work.
                lease.release().await;
                Ok(())
            }
            () = book.keep() => Ok(()),
            () = lease.lost(acquired) => Err(anyhow::anyhow!("the lease is lost; another replica goes on")),
        }
    };
    let hard_stop = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_WITHIN).await;
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = hard_stop => Err(anyhow::anyhow!("the stop took longer than {STOP_WITHIN:?} and was cut short")),
    };
    admin.abort();
    tracing::info!("stopped");
    outcome
}

fn stop_on_signal() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stopped.cancel();
    });
    Ok(stop)
}
