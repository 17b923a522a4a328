//! `purser`: one program, a subcommand per role and per command.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use clap::{Args, Parser, Subcommand};
use runtime::app::App;
use runtime::config::{self, Secrets};
use runtime::merchants::{self, ApiKey, store::NewMerchant};
use runtime::migrate::{self, Patience};
use runtime::roles::{self, Listen};
use runtime::settings_apply::{self, Applied};
use runtime::simulator::{self, SimulatorArgs};
use runtime::{database, report, shutdown, telemetry};
use runtime_contract::{JobReport, Outcome, Reason, Role, Settings, paths, ports};
use rust_decimal::Decimal;

/// How long a command waits for another one that migrates.
const LOCK_PATIENCE: Duration = Duration::from_secs(120);

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
    /// Bring the database's schema to this version, and leave a report
    Migrate(MigrateArgs),
    /// Change live settings
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Be a payment provider for tests and rehearsals
    Simulator(SimulatorArgs),
    /// Manage merchants
    #[command(subcommand)]
    Merchant(MerchantCommand),
}

#[derive(Subcommand)]
enum SettingsCommand {
    /// Put a settings document into force if it is newer than what is, and leave a report
    Apply(SettingsArgs),
}

#[derive(Subcommand)]
enum MerchantCommand {
    /// Make a merchant and show its API key, this once
    Create(MerchantArgs),
}

#[derive(Args)]
struct SecretArgs {
    /// Folder of secrets: database-url, cache-url, providers/RESOURCE. What is not there is taken from the
    /// environment: PURSER_DATABASE_URL, PURSER_CACHE_URL, PURSER_PROVIDER_RESOURCE
    #[arg(long = "secrets", value_name = "FOLDER", env = "PURSER_SECRETS", default_value = paths::SECRETS)]
    folder: PathBuf,
}

#[derive(Args)]
struct RoleArgs {
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

#[derive(Args)]
struct DatabaseArgs {
    #[command(flatten)]
    secrets: SecretArgs,
    /// The PaymentCluster that the database belongs to, as NAMESPACE/NAME; another one's is refused
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = owner)]
    owner: String,
    /// Seconds to wait for a database that does not answer. A wrong password or a missing database fails at once
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
}

#[derive(Args)]
struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Args)]
struct SettingsArgs {
    /// The settings document
    #[arg(long, value_name = "FILE", default_value = paths::SETTINGS)]
    file: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Args)]
struct MerchantArgs {
    /// Name shown to people
    #[arg(long)]
    name: String,
    /// Where the merchant's people are reached
    #[arg(long)]
    email: String,
    /// Share of each successful payment that the platform keeps, in percent
    #[arg(long, value_name = "PERCENT", default_value = "2.9")]
    fee_percentage: Decimal,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    secrets: SecretArgs,
}

fn owner(text: &str) -> Result<String, String> {
    if config::is_owner(text) {
        Ok(text.to_owned())
    } else {
        Err("a PaymentCluster is named as NAMESPACE/NAME".to_owned())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
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
        Command::Migrate(args) => reported(&migrate(&args.database).await),
        Command::Settings(SettingsCommand::Apply(args)) => reported(&apply_settings(&args).await),
        Command::Simulator(args) => {
            simulator::run(args, shutdown::on_signal()?).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Merchant(MerchantCommand::Create(args)) => create_merchant(args).await,
    }
}

async fn serve(roles: &[Role], args: RoleArgs) -> anyhow::Result<ExitCode> {
    let config = config::load(&args.config)?;
    let app = App::new(config, Secrets::new(args.secrets.folder), shutdown::on_signal()?)?;
    let listen =
        Listen { address: args.address, gateway: args.gateway_port, fraud: args.fraud_port, admin: args.admin_port };
    roles::run(app, roles, listen).await?;
    Ok(ExitCode::SUCCESS)
}

fn reported(report: &JobReport) -> anyhow::Result<ExitCode> {
    report::write(report).context("cannot write the report")?;
    Ok(if report.outcome == Outcome::Succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn migrate(args: &DatabaseArgs) -> JobReport {
    let url = match Secrets::new(&args.secrets.folder).database_url() {
        Ok(url) => url,
        Err(error) => return report::report(Outcome::Failed, Reason::InvalidConfiguration, &error.to_string()),
    };
    let patience = Patience { connect: Duration::from_secs(args.wait), lock: LOCK_PATIENCE };
    match migrate::run(&url, &args.owner, patience, Utc::now()).await {
        Ok(done) => {
            let message = format!(
                "schema version {}: {} migrations applied, {} partitions made",
                done.schema_version,
                done.applied,
                done.partitions.len()
            );
            let report = report::report(Outcome::Succeeded, Reason::Migrated, &message);
            JobReport { schema_version: Some(done.schema_version), ..report }
        }
        Err(error) => report::report(error.outcome(), error.reason(), &error.to_string()),
    }
}

async fn apply_settings(args: &SettingsArgs) -> JobReport {
    let invalid =
        |error: config::ConfigError| report::report(Outcome::Failed, Reason::InvalidConfiguration, &error.to_string());
    let settings: Settings = match config::document(&args.file) {
        Ok(settings) => settings,
        Err(error) => return invalid(error),
    };
    let url = match Secrets::new(&args.database.secrets.folder).database_url() {
        Ok(url) => url,
        Err(error) => return invalid(error),
    };
    let connected = database::connect(&url, "purser settings", Duration::from_secs(args.database.wait)).await;
    let applied = match connected {
        Ok(mut connection) => settings_apply::apply(&mut connection, &args.database.owner, &settings).await,
        Err(error) => Err(error.into()),
    };
    let (reason, revision, message) = match applied {
        Ok(Applied::InForce { revision }) => {
            (Reason::SettingsApplied, revision, format!("revision {revision} is in force"))
        }
        Ok(Applied::Superseded { revision }) => {
            (Reason::SettingsSuperseded, revision, format!("the newer revision {revision} is in force"))
        }
        Err(error) => return report::report(error.outcome(), error.reason(), &error.to_string()),
    };
    JobReport { settings_revision: Some(revision), ..report::report(Outcome::Succeeded, reason, &message) }
}

async fn create_merchant(args: MerchantArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        (Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&args.fee_percentage),
        "--fee-percentage must be between 0 and 100"
    );
    anyhow::ensure!(args.fee_percentage.normalize().scale() <= 2, "--fee-percentage has at most two decimals");
    let url = Secrets::new(args.secrets.folder).database_url()?;
    let mut connection = database::connect(&url, "purser merchant", Duration::from_secs(10)).await?;
    let key = ApiKey::generate(&mut rand::rng());
    let new = NewMerchant { name: args.name, email: args.email, fee_percentage: args.fee_percentage };
    let id =
        merchants::store::create(&mut connection, &new, &key, Utc::now()).await.context("cannot store the merchant")?;
    if args.json {
        println!("{}", serde_json::json!({ "id": id, "name": new.name, "api_key": key.expose() }));
    } else {
        println!(
            "merchant  {id}  {}\nAPI key   {}\n\nThe key is shown this once: only its hash is stored.",
            new.name,
            key.expose()
        );
    }
    Ok(ExitCode::SUCCESS)
}
