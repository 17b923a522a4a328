//! `purser merchant`.

use std::process::ExitCode;

use crate::administration::merchants::{self, MadeMerchant, MerchantJson, NewMerchant};
use crate::ids::MerchantId;
use crate::merchants::Status;
use crate::page::Page;
use clap::{Args, Subcommand};
use rust_decimal::Decimal;

use super::{ActorArgs, PersonArgs};

/// What can be done with merchants.
#[derive(Subcommand)]
pub(crate) enum MerchantCommand {
    /// Make a merchant and show its API key, this once
    Create(CreateArgs),
    /// List merchants, newest first
    List(ListArgs),
    /// Show a merchant
    Show(ShowArgs),
    /// Keep a merchant from taking payments; it may still refund, cancel and read
    Suspend(ChangeArgs),
    /// Let a suspended merchant take payments again
    Activate(ChangeArgs),
    /// Change the share that the platform keeps of captures from now on
    SetFee(SetFeeArgs),
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
    /// Share of each capture that the platform keeps, in percent
    #[arg(long, value_name = "PERCENT", default_value = "2.9")]
    fee_percentage: Decimal,
    /// Where the merchant is told of events
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// Allow a webhook URL without TLS, or at a private address: for development
    #[arg(long)]
    allow_private_webhook: bool,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    person: PersonArgs,
}

/// Which merchants.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// How many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Older than this merchant
    #[arg(long, value_name = "MERCHANT")]
    after: Option<MerchantId>,
    #[command(flatten)]
    person: PersonArgs,
}

/// Which merchant.
#[derive(Args)]
pub(crate) struct ShowArgs {
    /// Its id
    merchant: MerchantId,
    #[command(flatten)]
    person: PersonArgs,
}

/// Which merchant, and who changes it.
#[derive(Args)]
pub(crate) struct ChangeArgs {
    /// Its id
    merchant: MerchantId,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    person: PersonArgs,
}

/// A new share.
#[derive(Args)]
pub(crate) struct SetFeeArgs {
    /// The merchant's id
    merchant: MerchantId,
    /// The share in percent, with at most two decimals
    percent: Decimal,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    person: PersonArgs,
}

/// Does it.
pub(crate) async fn run(command: MerchantCommand) -> anyhow::Result<ExitCode> {
    match command {
        MerchantCommand::Create(args) => create(args).await,
        MerchantCommand::List(args) => list(args).await,
        MerchantCommand::Show(args) => {
            let merchant = merchants::show(&args.person.pool().await?, args.merchant).await?;
            args.person.show(&merchant, words)
        }
        MerchantCommand::Suspend(args) => set_status(args, Status::Suspended).await,
        MerchantCommand::Activate(args) => set_status(args, Status::Active).await,
        MerchantCommand::SetFee(args) => {
            let pool = args.person.pool().await?;
            let merchant = merchants::set_fee(&pool, &args.actor.actor()?, args.merchant, args.percent).await?;
            args.person.show(&merchant, words)
        }
    }
}

async fn create(args: CreateArgs) -> anyhow::Result<ExitCode> {
    let actor = args.actor.actor()?;
    let (name, email) = (args.name, args.email);
    let new = NewMerchant { name, email, fee_percentage: args.fee_percentage, webhook_url: args.webhook_url };
    let made = merchants::create(&args.person.pool().await?, &actor, &new, args.allow_private_webhook).await?;
    args.person.show(&made, |MadeMerchant { id, name, api_key, webhook_secret }| {
        let signed = webhook_secret.as_ref().map_or_else(String::new, |secret| format!("webhooks  {secret}\n"));
        format!(
            "merchant  {id}  {name}\nAPI key   {api_key}\n{signed}\nThe key is shown this once: only its hash is stored."
        )
    })
}

async fn list(args: ListArgs) -> anyhow::Result<ExitCode> {
    let page = Page::after(args.after.map(MerchantId::as_uuid), args.limit);
    let (found, _) = page.shown(merchants::list(&args.person.pool().await?, &page).await?);
    args.person.show_all(&found, "no merchants", &["id", "name", "status", "fee %", "email"], |merchant| {
        let MerchantJson { id, name, email, status, fee_percentage, .. } = merchant;
        vec![id.to_string(), name.clone(), status.to_string(), fee_percentage.to_string(), email.clone()]
    })
}

async fn set_status(args: ChangeArgs, status: Status) -> anyhow::Result<ExitCode> {
    let pool = args.person.pool().await?;
    let merchant = merchants::set_status(&pool, &args.actor.actor()?, args.merchant, status).await?;
    args.person.show(&merchant, words)
}

fn words(merchant: &MerchantJson) -> String {
    let MerchantJson { id, name, email, status, fee_percentage, created_at, .. } = merchant;
    format!(
        "merchant  {id}\nname      {name}\nstatus    {status}\nfee       {fee_percentage} %\nemail     {email}\ncreated   {created_at}"
    )
}
