//! `purser attempts`.

use std::process::ExitCode;

use crate::administration::attempts::{self, Subject};
use crate::processor::resolve::Finding;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};

use super::{ActorArgs, PersonArgs};

/// What can be done about outcomes that nobody knows.
#[derive(Subcommand)]
pub(crate) enum AttemptsCommand {
    /// List what is open or waits for a person, the oldest first
    List(ListArgs),
    /// Say what became of an attempt, capture, refund or void, after asking at the provider: cannot be undone
    Resolve(ResolveArgs),
    /// Try what waits for a person again, at once
    Retry(RetryArgs),
}

/// Which.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// Open for at least so long, such as 90s, 10m, 2h or 1d
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = seconds)]
    older_than: i64,
    #[command(flatten)]
    person: PersonArgs,
}

/// What a person found out.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Outcome {
    /// The provider did it: took the amount, holds it, gave it back or free
    Approved,
    /// It did not, and will not
    Declined,
}

/// What became of an attempt or operation.
#[derive(Args)]
pub(crate) struct ResolveArgs {
    /// Id of the attempt, capture, refund or void
    id: Subject,
    /// What became of it
    #[arg(long = "as", value_name = "OUTCOME")]
    outcome: Outcome,
    /// The provider's name for the charge, or for what was done to it
    #[arg(long, required_if_eq("outcome", "approved"))]
    reference: Option<String>,
    /// Until when the provider holds the amount, for a payment that is captured later; seven days if absent
    #[arg(long, value_name = "TIME")]
    authorized_until: Option<DateTime<Utc>>,
    /// The provider's word for its refusal
    #[arg(long, default_value = "declined")]
    code: String,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    person: PersonArgs,
}

/// What to try again.
#[derive(Args)]
pub(crate) struct RetryArgs {
    /// Id of the payment, attempt, capture, refund or void
    id: String,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    person: PersonArgs,
}

/// Does it.
pub(crate) async fn run(command: AttemptsCommand) -> anyhow::Result<ExitCode> {
    match command {
        AttemptsCommand::List(args) => list(args).await,
        AttemptsCommand::Resolve(args) => resolve(args).await,
        AttemptsCommand::Retry(args) => {
            attempts::retry(&args.person.pool().await?, &args.actor.actor()?, &args.id).await?;
            args.person.done(&format!("{} is tried again", args.id))
        }
    }
}

const HEADINGS: [&str; 8] = ["id", "kind", "age", "amount", "provider", "waits for", "payment", "reason"];

async fn list(args: ListArgs) -> anyhow::Result<ExitCode> {
    let found = attempts::list(&args.person.pool().await?, args.older_than).await?;
    args.person.show_all(&found, "nothing is open", &HEADINGS, |open| {
        vec![
            open.id.clone(),
            open.kind.clone(),
            format!("{} s", open.age_s),
            format!("{} {}", open.amount, open.currency),
            open.provider.clone().unwrap_or_else(|| "-".to_owned()),
            if open.parked { "a person" } else { "the provider" }.to_owned(),
            open.payment_id.to_string(),
            open.reason.clone().unwrap_or_default(),
        ]
    })
}

async fn resolve(args: ResolveArgs) -> anyhow::Result<ExitCode> {
    let finding = match args.outcome {
        Outcome::Approved => {
            Finding::Approved { reference: args.reference.unwrap_or_default(), authorized_until: args.authorized_until }
        }
        Outcome::Declined => {
            Finding::Declined { code: args.code, message: "the provider did not take the payment".to_owned() }
        }
    };
    let pool = args.person.pool().await?;
    let release = env!("CARGO_PKG_VERSION");
    let resolved = attempts::resolve(&pool, &args.actor.actor()?, args.id, &finding, release).await?;
    args.person.show(&resolved, |resolved| format!("payment {} is {}", resolved.payment_id, resolved.status))
}

/// A length of time in seconds, as in 90s, 10m, 2h or 1d.
fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || "a time is a number and s, m, h or d, as in 10m".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.parse::<u32>().map(|number| i64::from(number) * seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        assert_eq!(
            (seconds("90s"), seconds("10m"), seconds("2h"), seconds("1d")),
            (Ok(90), Ok(600), Ok(7200), Ok(86_400))
        );
        for wrong in ["", "s", "10", "-1m", "1.5h", "1w", "1é"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
