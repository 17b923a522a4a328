//! Running roles.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::App;
use crate::roles::{self, Listen};
use crate::{config, shutdown};
use clap::Args;
use runtime_contract::{Role, paths, ports};
use tokio_util::sync::CancellationToken;

use super::SecretArgs;

/// What every role takes.
#[derive(Args)]
pub(crate) struct RoleArgs {
    /// The configuration document
    #[arg(long, value_name = "FILE", env = "PURSER_CONFIG", default_value = paths::CONFIG)]
    config: PathBuf,
    #[command(flatten)]
    secrets: SecretArgs,
    /// Address of all ports
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    address: IpAddr,
    /// Port of the payment API
    #[arg(long, value_name = "PORT", default_value_t = ports::GATEWAY)]
    gateway_port: u16,
    /// Port of the fraud check
    #[arg(long, value_name = "PORT", default_value_t = ports::FRAUD)]
    fraud_port: u16,
    /// Port of health, readiness and metrics
    #[arg(long, value_name = "PORT", default_value_t = ports::ADMIN)]
    admin_port: u16,
}

/// Runs these roles until the process is told to stop.
pub(crate) async fn serve(roles: &[Role], args: RoleArgs) -> anyhow::Result<ExitCode> {
    let config = config::load(&args.config)?;
    let app = App::new(config, args.secrets.secrets(), CancellationToken::new())?;
    shutdown::in_phases(roles::leave(roles), app.leaving.clone(), app.shutdown.clone())?;
    let listen =
        Listen { address: args.address, gateway: args.gateway_port, fraud: args.fraud_port, admin: args.admin_port };
    roles::run(app, roles, listen).await?;
    Ok(ExitCode::SUCCESS)
}
