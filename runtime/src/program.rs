//! `purser`: one program, a subcommand per role and per command.

use std::env;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use crate::simulator::{self, SimulatorArgs};
use crate::{shutdown, telemetry};
use clap::{Parser, Subcommand};
use runtime_contract::Role;
use tokio::runtime::Builder;

use crate::cli::archive::{self, ArchiveCommand};
use crate::cli::attempts::{self, AttemptsCommand};
use crate::cli::backup::{self, BackupCommand};
use crate::cli::cdc::{self, CdcCommand};
use crate::cli::checks::{self, LoadArgs, SmokeArgs, WarmArgs};
use crate::cli::fraud_rule::{self, FraudRuleCommand};
use crate::cli::key::{self, KeyCommand};
use crate::cli::ledger::{self, LedgerCommand};
use crate::cli::maintenance::{self, MaintenanceCommand};
use crate::cli::merchant::{self, MerchantCommand};
use crate::cli::migrate::{self, MigrateArgs};
use crate::cli::provider::{self, ProviderCommand};
use crate::cli::replica::{self, ReplicaCommand};
use crate::cli::roles::{RoleArgs, serve};
use crate::cli::settings::{self, SettingsCommand};

/// The payment runtime.
#[derive(Parser)]
#[command(
    name = "purser",
    version,
    propagate_version = true,
    after_help = "RUST_LOG chooses what is logged: info, debug, runtime=debug, …"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the payment API that merchants call
    Gateway(RoleArgs),
    /// Serve the fraud check that processors ask
    Fraud(RoleArgs),
    /// Claim accepted payments and take them to their end
    Processor(RoleArgs),
    /// Roll the payments of each minute up into figures, and make partitions ahead
    Metrics(RoleArgs),
    /// Run all roles in one process, for a laptop
    All(RoleArgs),
    /// Bring the database's schema to this version and leave a report, or look before
    Migrate(MigrateArgs),
    /// Back the database up, prove that it can be restored, and restore it
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Move months that are over out of the database into an archive, prove the archive, and bring months back
    #[command(subcommand)]
    Archive(ArchiveCommand),
    /// Have what analytics may know flow into a database of its own, or look how that does
    #[command(subcommand)]
    Cdc(CdcCommand),
    /// Look whether lists can be read from the replica
    #[command(subcommand)]
    Replica(ReplicaCommand),
    /// Put into the cache what a release will be asked for first
    WarmCache(WarmArgs),
    /// Send test payments through a gateway, of which no provider hears, and look whether all is as it should be
    Smoke(SmokeArgs),
    /// Send test payments at a constant rate, and measure what becomes of them: for staging
    Load(LoadArgs),
    /// Change live settings
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Be a payment provider for tests and rehearsals
    Simulator(SimulatorArgs),
    /// Manage merchants
    #[command(subcommand)]
    Merchant(MerchantCommand),
    /// Manage merchants' API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Look at providers
    #[command(subcommand)]
    Provider(ProviderCommand),
    /// Manage what payments are judged by
    #[command(subcommand)]
    FraudRule(FraudRuleCommand),
    /// Look after outcomes that nobody knows, and what waits for a person
    #[command(subcommand)]
    Attempts(AttemptsCommand),
    /// Look after the ledger
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Wait until maintenance has brought everything to rest, or look how far it is
    #[command(subcommand)]
    Maintenance(MaintenanceCommand),
}

/// The program, from its command line to its exit code.
// One thread does the work of a role: what a payment needs next is then at hand rather than on another processor, which on
// small machines costs more than it brings. A platform grows by pods; TOKIO_WORKER_THREADS is for those who want fewer and larger ones.
pub fn main() -> ExitCode {
    let threads = env::var("TOKIO_WORKER_THREADS").ok().and_then(|threads| threads.parse::<NonZeroUsize>().ok());
    let mut builder = match threads {
        Some(threads) if threads.get() > 1 => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    match builder.enable_all().build() {
        Ok(runtime) => runtime.block_on(start()),
        Err(error) => {
            eprintln!("error: no threads to work with: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> ExitCode {
    let cli = Cli::parse();
    telemetry::start();
    // The only failure is that a provider is set already, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(cli.command).await {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Gateway(args) => serve(&[Role::Gateway], args).await,
        Command::Fraud(args) => serve(&[Role::Fraud], args).await,
        Command::Processor(args) => serve(&[Role::Processor], args).await,
        Command::Metrics(args) => serve(&[Role::Metrics], args).await,
        Command::All(args) => serve(&Role::ALL, args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Backup(command) => backup::run(command).await,
        Command::Archive(command) => archive::run(command).await,
        Command::Cdc(command) => cdc::run(command).await,
        Command::Replica(command) => replica::run(command).await,
        Command::WarmCache(args) => checks::warm(args).await,
        Command::Smoke(args) => checks::smoke(args).await,
        Command::Load(args) => checks::load(args).await,
        Command::Settings(command) => crate::cli::job::reported(&settings::run(&command).await),
        Command::Simulator(args) => {
            simulator::run(args, shutdown::on_signal()?).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Merchant(command) => merchant::run(command).await,
        Command::Key(command) => key::run(command).await,
        Command::Provider(command) => provider::run(command).await,
        Command::FraudRule(command) => fraud_rule::run(command).await,
        Command::Attempts(command) => attempts::run(command).await,
        Command::Ledger(command) => ledger::run(command).await,
        Command::Maintenance(command) => maintenance::run(command).await,
    }
}
