//! `purser merchant`.

use std::process::ExitCode;

use anyhow::Context;
use chrono::Utc;
use clap::{Args, Subcommand};
use runtime::merchants::{self, ApiKey, store::NewMerchant};
use rust_decimal::Decimal;
use serde_json::json;

use super::PersonArgs;

/// What can be done with merchants.
#[derive(Subcommand)]
pub(crate) enum MerchantCommand {
    /// Make a merchant and show its API key, this once
    Create(CreateArgs),
}

/// A merchant to be.
#[derive(Args)]
pub(crate) struct CreateArgs {
    /// Name shown to people
    #[arg(long)]
    name: String,
    /// Where the merchant's people are reached
    #[arg(long)]
    email: String,
    /// Share of each successful payment that the platform keeps, in percent
    #[arg(long, value_name = "PERCENT", default_value = "2.9")]
    fee_percentage: Decimal,
    #[command(flatten)]
    person: PersonArgs,
}

/// Does it.
pub(crate) async fn run(command: MerchantCommand) -> anyhow::Result<ExitCode> {
    match command {
        MerchantCommand::Create(args) => create(args).await,
    }
}

async fn create(args: CreateArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        (Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&args.fee_percentage),
        "--fee-percentage must be between 0 and 100"
    );
    anyhow::ensure!(args.fee_percentage.normalize().scale() <= 2, "--fee-percentage has at most two decimals");
    let mut connection = args.person.connect().await?;
    let key = ApiKey::generate(&mut rand::rng());
    let new = NewMerchant { name: args.name, email: args.email, fee_percentage: args.fee_percentage };
    let id =
        merchants::store::create(&mut connection, &new, &key, Utc::now()).await.context("cannot store the merchant")?;
    args.person.show(&json!({ "id": id, "name": new.name, "api_key": key.expose() }), |_| {
        format!(
            "merchant  {id}  {}\nAPI key   {}\n\nThe key is shown this once: only its hash is stored.",
            new.name,
            key.expose()
        )
    })
}
