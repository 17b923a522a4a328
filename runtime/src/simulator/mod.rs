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
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

pub use book::{Book, Charge, Dialect, Movement};
use clap::Args;
pub use fault::Fault;
pub use ledger::Ledger;
use runtime_contract::ports;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::notify::{Notifier, Target};
use self::plan::{Plan, PlanOrder};
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
    /// Where webhooks are sent. Without it none are, until `/simulator/webhooks` says where.
    #[arg(long, env = "PURSER_SIMULATOR_WEBHOOK_URL", value_name = "URL", requires = "webhook_secret")]
    pub webhook_url: Option<String>,
    /// What those are signed with.
    #[arg(long, env = "PURSER_SIMULATOR_WEBHOOK_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub webhook_secret: Option<SecretString>,
    /// Of what happens in which format they tell.
    #[arg(long, value_enum, default_value_t = Dialect::Stripe, value_name = "FORMAT")]
    pub webhook_provider: Dialect,
    /// File with a plan of what goes wrong, as `POST /simulator/plan` takes it: in force from the start.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
}

/// A simulator that listens.
pub struct Simulator {
    provider: Arc<Provider>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Simulator {
    /// Reads the plan, and opens the ledger and the port.
    ///
    /// # Errors
    /// When one of them cannot be.
    pub async fn bind(args: SimulatorArgs) -> io::Result<Self> {
        let SimulatorArgs {
            address,
            port,
            ledger,
            latency_ms,
            secret_key,
            webhook_url,
            webhook_secret,
            webhook_provider,
            plan,
        } = args;
        let plan = plan.as_deref().map(read_plan).transpose()?;
        let ledger = match &ledger {
            Some(path) => Ledger::open(path)?,
            None => Ledger::default(),
        };
        let listener = TcpListener::bind((address, port)).await?;
        let address = listener.local_addr()?;
        let notifier = Notifier::new().map_err(io::Error::other)?;
        if let (Some(url), Some(secret)) = (webhook_url, webhook_secret) {
            notifier.send_to(Target { provider: webhook_provider, url, secret });
        }
        let provider = Arc::new(Provider::new(ledger, Duration::from_millis(latency_ms), secret_key, notifier));
        *provider.plan() = plan.unwrap_or_default();
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
    pub async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        let Self { provider, listener, address } = self;
        tracing::info!(%address, charges = provider.ledger().book().charges().len(), "the provider simulator takes charges");
        let serving = axum::serve(listener, serve::router(provider));
        tokio::select! {
            ended = serving => ended,
            () = stop.cancelled() => Ok(()),
        }
    }
}

fn read_plan(file: &Path) -> io::Result<Plan> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", file.display()));
    let order: PlanOrder = serde_json::from_slice(&fs::read(file)?).map_err(|error| invalid(error.to_string()))?;
    Plan::check(&order).map_err(invalid)?;
    Ok(Plan::new(order))
}

/// Runs the simulator until told to stop.
///
/// # Errors
/// When its ledger or its port cannot be used.
pub async fn run(args: SimulatorArgs, stop: CancellationToken) -> io::Result<()> {
    Simulator::bind(args).await?.serve(stop).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(plan: PathBuf) -> SimulatorArgs {
        SimulatorArgs {
            address: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            ledger: None,
            latency_ms: 0,
            secret_key: None,
            webhook_url: None,
            webhook_secret: None,
            webhook_provider: Dialect::Paypal,
            plan: Some(plan),
        }
    }

    #[tokio::test]
    async fn a_plan_from_a_file_is_in_force_from_the_start_and_a_wrong_one_is_refused() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.json");
        fs::write(&file, r#"{"declines": [{"code": "lost_card", "probability": 1}]}"#).unwrap();
        let simulator = Simulator::bind(args(file.clone())).await.unwrap();
        assert_eq!(simulator.provider.plan().decline().as_deref(), Some("lost_card"));
        for wrong in [r#"{"declines": [{"code": "lost_card", "probability": 2}]}"#, "{", r#"{"decline": []}"#] {
            fs::write(&file, wrong).unwrap();
            let refused = Simulator::bind(args(file.clone())).await.err().unwrap();
            assert!(refused.to_string().contains("plan.json"), "{refused}");
        }
    }
}
