//! A payment provider for laptops and tests: Stripe's wire format, and a ledger of its own that counts every charge.

mod card;
mod fault;
mod intent_request;
pub mod ledger;
mod reply;
mod serve;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
pub use fault::Fault;
pub use ledger::{Intent, Ledger};
use runtime_contract::ports;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::serve::Provider;

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
        let SimulatorArgs { address, port, ledger, latency_ms, secret_key } = args;
        let ledger = match &ledger {
            Some(path) => Ledger::open(path)?,
            None => Ledger::default(),
        };
        let listener = TcpListener::bind((address, port)).await?;
        let address = listener.local_addr()?;
        let provider = Arc::new(Provider::new(ledger, Duration::from_millis(latency_ms), secret_key));
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
        tracing::info!(%address, charges = provider.ledger().charges().count(), "the provider simulator takes charges");
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
