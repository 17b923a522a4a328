//! `purser key`.

use std::process::ExitCode;

use crate::administration::keys::{self, MadeKey};
use crate::ids::MerchantId;
use clap::{Args, Subcommand};

use super::{ActorArgs, PersonArgs};

/// What can be done with keys.
#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a further key and show it, this once
    Create(CreateArgs),
    /// List the keys of a merchant that work now
    List(ListArgs),
    /// Replace a merchant's own key; the one before works for a while yet
    Rotate(RotateArgs),
    /// End a key: within seconds no gateway takes it
    Revoke(RevokeArgs),
}

/// A key to be.
#[derive(Args)]
pub(crate) struct CreateArgs {
    /// Whose
    merchant: MerchantId,
    /// It ends after so many days; never if absent
    #[arg(long, value_name = "DAYS")]
    expires_in_days: Option<u32>,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    person: PersonArgs,
}

/// Whose keys.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// The merchant's id
    merchant: MerchantId,
    #[command(flatten)]
    person: PersonArgs,
}

/// Whose key, and how long the one before works.
#[derive(Args)]
pub(crate) struct RotateArgs {
    /// The merchant's id
    merchant: MerchantId,
    /// For so long both work
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    overlap_hours: u32,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    person: PersonArgs,
}

/// Which key.
#[derive(Args)]
pub(crate) struct RevokeArgs {
    /// The merchant's id
    merchant: MerchantId,
    /// The key's first characters, as `purser key list` shows them
    prefix: String,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    person: PersonArgs,
}

/// Does it.
pub(crate) async fn run(command: KeyCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeyCommand::Create(args) => {
            let pool = args.person.pool().await?;
            let made = keys::create(&pool, &args.actor.actor()?, args.merchant, args.expires_in_days).await?;
            args.person.show(&made, words)
        }
        KeyCommand::List(args) => {
            let found = keys::list(&args.person.pool().await?, args.merchant).await?;
            args.person.show_all(&found, "no keys", &["key", "made", "ends"], |key| {
                let ends = key.expires_at.map_or_else(|| "never".to_owned(), |time| time.to_string());
                vec![format!("{}…", key.prefix), key.created_at.to_string(), ends]
            })
        }
        KeyCommand::Rotate(args) => {
            let pool = args.person.pool().await?;
            let made = keys::rotate(&pool, &args.actor.actor()?, args.merchant, args.overlap_hours).await?;
            args.person.show(&made, words)
        }
        KeyCommand::Revoke(args) => {
            let prefix = args.prefix.trim_end_matches('…');
            keys::revoke(&args.person.pool().await?, &args.actor.actor()?, args.merchant, prefix).await?;
            args.person.done(&format!("{prefix}… is revoked"))
        }
    }
}

fn words(made: &MadeKey) -> String {
    let ends = made.expires_at.map_or_else(String::new, |time| format!("\nends      {time}"));
    format!("API key   {}{ends}\n\nThe key is shown this once: only its hash is stored.", made.api_key)
}
