//! A payment provider for laptops and tests: the wire formats of Stripe and PayPal, a plan of what goes wrong, and a ledger
//! of its own that counts every charge.

mod admin;
pub mod book;
mod fault;
pub mod ledger;
mod notify;
mod paypal;
mod plan;
mod provider;
mod reply;
mod serve;
mod stripe;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use book::{Book, Charge, Dialect, Movement};
use clap::Args;
pub use fault::Fault;
pub use ledger::Ledger;
use runtime_contract::ports;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::notify::{Notifier, Target};
use self::provider::Provider;

/// How the simulator is run.
#[derive(Args, Clone, Debug)]
pub struct SimulatorArgs {
    /// Address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub address: IpAddr,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = ports::SIMULATOR)]
    pub port: u16,
    /// File of JSON lines that keeps every charge, and is read back at start. Without it charges live in memory only.
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// How long each charge takes, in milliseconds.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub latency_ms: u64,
    /// The only secret key that is accepted. Without it any key that begins with `sk_` is.
    #[arg(long, env = "PURSER_SIMULATOR_SECRET_KEY", hide_env_values = true, value_name = "KEY")]
    pub secret_key: Option<SecretString>,
    /// Where webhooks in Stripe's format are sent. Without it none are, until `/simulator/webhooks` says where.
    #[arg(long, env = "PURSER_SIMULATOR_WEBHOOK_URL", value_name = "URL", requires = "webhook_secret")]
    pub webhook_url: Option<String>,
    /// What those are signed with.
    #[arg(long, env = "PURSER_SIMULATOR_WEBHOOK_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub webhook_secret: Option<SecretString>,
}

/// A simulator that listens.
pub struct Simulator {
    provider: Arc<Provider>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Simulator {
    /// Opens the ledger and the port.
    ///
    /// # Errors
    /// When either cannot be opened.
    pub async fn bind(args: SimulatorArgs) -> std::io::Result<Self> {
        let SimulatorArgs { address, port, ledger, latency_ms, secret_key, webhook_url, webhook_secret } = args;
        let ledger = match &ledger {
            Some(path) => Ledger::open(path)?,
            None => Ledger::default(),
        };
        let listener = TcpListener::bind((address, port)).await?;
        let address = listener.local_addr()?;
        let notifier = Notifier::new().map_err(std::io::Error::other)?;
        if let (Some(url), Some(secret)) = (webhook_url, webhook_secret) {
            notifier.send_to(Target { provider: Dialect::Stripe, url, secret });
        }
        let provider = Arc::new(Provider::new(ledger, Duration::from_millis(latency_ms), secret_key, notifier));
        Ok(Self { provider, listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until told to stop. Requests that wait for a fault to end are not waited for.
    ///
    /// # Errors
    /// When the port fails.
    pub async fn serve(self, stop: CancellationToken) -> std::io::Result<()> {
        let Self { provider, listener, address } = self;
        tracing::info!(%address, charges = provider.ledger().book().charges().len(), "the provider simulator takes charges");
        let serving = axum::serve(listener, serve::router(provider));
        tokio::select! {
            ended = serving => ended,
            () = stop.cancelled() => Ok(()),
        }
    }
}

/// Runs the simulator until told to stop.
///
/// # Errors
/// When its ledger or its port cannot be used.
pub async fn run(args: SimulatorArgs, stop: CancellationToken) -> std::io::Result<()> {
    Simulator::bind(args).await?.serve(stop).await
}
