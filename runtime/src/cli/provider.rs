//! `purser provider`.

use std::process::ExitCode;

use crate::administration::providers;
use clap::{Args, Subcommand};

use super::PersonArgs;

/// What can be done with providers. They are made, changed and switched off as PaymentProvider resources.
#[derive(Subcommand)]
pub(crate) enum ProviderCommand {
    /// List providers in the order in which they are asked, and how they did lately
    List(ListArgs),
}

/// How far back.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// Look at the attempts of so many minutes
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(i32).range(1..=10_080))]
    minutes: i32,
    #[command(flatten)]
    person: PersonArgs,
}

const HEADINGS: [&str; 9] =
    ["resource", "provider", "priority", "active", "available", "attempts", "open", "success", "average"];

/// Does it.
pub(crate) async fn run(ProviderCommand::List(args): ProviderCommand) -> anyhow::Result<ExitCode> {
    let found = providers::list(&args.person.pool().await?, args.minutes).await?;
    let yes = |so: bool| if so { "yes" } else { "no" }.to_owned();
    args.person.show_all(&found, "no providers", &HEADINGS, |provider| {
        vec![
            provider.resource.clone(),
            provider.name.clone(),
            provider.priority.to_string(),
            yes(provider.is_active),
            yes(provider.is_available()),
            provider.attempts.to_string(),
            provider.open.to_string(),
            provider.success_rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate} %")),
            provider.get_average_latency().map_or_else(|| "-".to_owned(), |latency| format!("{latency} ms")),
        ]
    })
}
