//! Running roles: each with its ports, its readiness and its end.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use runtime_contract::{Role, ports};
use tokio::net::TcpListener;

use crate::admin::{self, Readiness};
use crate::app::App;
use crate::processor::{self, ProcessorError};
use crate::shutdown::LEAVE;
use crate::webhooks::resolver;
use crate::{figures, fraud, gateway, rollup, webhooks};

/// Where the roles of a process listen.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// Address of all ports.
    pub address: IpAddr,
    /// Port of the payment API.
    pub gateway: u16,
    /// Port of the fraud check.
    pub fraud: u16,
    /// Port of health and metrics.
    pub admin: u16,
}

impl Listen {
    /// The ports that the rest of the platform expects.
    #[must_use]
    pub const fn standard(address: IpAddr) -> Self {
        Self { address, gateway: ports::GATEWAY, fraud: ports::FRAUD, admin: ports::ADMIN }
    }
}

/// Why a role ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// A port cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Port {
        /// Address and port.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A server broke.
    #[error("{role}: {source}")]
    Server {
        /// Whose.
        role: Role,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The figures of releases cannot be collected.
    #[error("figures: {0}")]
    Figures(#[source] reqwest::Error),
    /// The processor did not start.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
}

/// How long a process of these roles goes on serving after it was told to stop: as long as somebody may call it still.
#[must_use]
pub fn leave(roles: &[Role]) -> Duration {
    let has_callers = |role: &Role| match role {
        Role::Gateway | Role::Fraud => true,
        Role::Processor | Role::Metrics => false,
    };
    if roles.iter().any(has_callers) { LEAVE } else { Duration::ZERO }
}

/// Runs roles in one process until it is told to stop, or until one of them breaks; then all end.
///
/// # Errors
/// The first role that broke.
pub async fn run(app: Arc<App>, roles: &[Role], listen: Listen) -> Result<(), RoleError> {
    let admin = bind(listen.address, listen.admin).await?;
    // Not part of what is waited for: probes are answered until the very end.
    tokio::spawn(admin::serve_on(app.clone(), readiness(&app, roles), admin));
    let running = roles.iter().map(|role| async {
        let ended = run_one(app.clone(), *role, listen).await;
        app.shutdown.cancel();
        ended
    });
    try_join_all(running).await?;
    app.pool.close().await;
    Ok(())
}

async fn run_one(app: Arc<App>, role: Role, listen: Listen) -> Result<(), RoleError> {
    tracing::info!(%role, release = app.release, "starting");
    let server = |source| RoleError::Server { role, source };
    match role {
        Role::Gateway => gateway::serve_on(app, bind(listen.address, listen.gateway).await?).await.map_err(server),
        Role::Fraud => {
            let listener = bind(listen.address, listen.fraud).await?;
            fraud::serve_on(app, listener, fraud::Limits::default()).await.map_err(server)
        }
        Role::Processor => process_and_tell(app).await,
        Role::Metrics => {
            let collector = figures::Collector::new(app.clone(), resolver::system()).map_err(RoleError::Figures)?;
            tokio::join!(rollup::run(app), collector.run());
            Ok(())
        }
    }
}

/// Processes payments, and tells merchants of what came of them.
async fn process_and_tell(app: Arc<App>) -> Result<(), RoleError> {
    let telling = tokio::spawn(webhooks::dispatch::run(app.clone()));
    let processed = processor::run(app.clone()).await;
    // It ends with the processor, however that came about.
    app.shutdown.cancel();
    match telling.await {
        Ok(told) => told.map_err(ProcessorError::Http)?,
        Err(error) => tracing::error!(%error, "deliveries ended in a panic"),
    }
    Ok(processed?)
}

async fn bind(address: IpAddr, port: u16) -> Result<TcpListener, RoleError> {
    let address = SocketAddr::new(address, port);
    TcpListener::bind(address).await.map_err(|source| RoleError::Port { address, source })
}

/// What these roles stand on, each thing once. A role that accepts payments takes them before settings exist:
/// they wait. One that processes them needs the settings. Payments are taken once nothing is cold any more.
fn readiness(app: &App, roles: &[Role]) -> Vec<Readiness> {
    let mut checks = vec![Readiness::database(), Readiness::cache()];
    if roles.contains(&Role::Gateway) && app.reads.has_replica() {
        checks.push(Readiness::replica());
    }
    if roles.contains(&Role::Processor) {
        let warm = Readiness::warm(|app| &app.processor_warm, "the way to the fraud check was not tried yet");
        checks.extend([Readiness::settings(), Readiness::fraud(), warm]);
    }
    if roles.contains(&Role::Fraud) {
        checks.push(Readiness::warm(|app| &app.fraud_warm, "the fraud rules were not read yet"));
    }
    checks
}
