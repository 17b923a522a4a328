//! `purser fraud-rule`.

use std::process::ExitCode;

use crate::administration::fraud_rules::{self, RuleChange, RuleJson};
use clap::{Args, Subcommand};

use super::{ActorArgs, PersonArgs};

/// What can be done with fraud rules. A change counts everywhere within seconds.
#[derive(Subcommand)]
pub(crate) enum FraudRuleCommand {
    /// List the rules
    List(ListArgs),
    /// Write a rule, new or in place of the one with its name; one that is none is refused
    Set(SetArgs),
    /// Let a rule count again
    Enable(NameArgs),
    /// Keep a rule, but do not let it count
    Disable(NameArgs),
    /// Remove a rule
    Delete(NameArgs),
}

/// How to show them.
#[derive(Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    person: PersonArgs,
}

/// A rule to be.
#[derive(Args)]
pub(crate) struct SetArgs {
    /// Its name, shown as a reason
    name: String,
    /// AMOUNT or VELOCITY
    #[arg(long)]
    kind: String,
    /// Added to the score when it matches, 0 to 100
    #[arg(long)]
    points: u8,
    /// JSON. AMOUNT: {"limits": {"USD": "5000.00"}}. VELOCITY: {"subject": "USER", "window": "1h", "payments_max": 100}
    #[arg(long, value_name = "JSON", value_parser = document)]
    parameters: serde_json::Value,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    person: PersonArgs,
}

/// Which rule.
#[derive(Args)]
pub(crate) struct NameArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    person: PersonArgs,
}

/// Does it.
pub(crate) async fn run(command: FraudRuleCommand) -> anyhow::Result<ExitCode> {
    match command {
        FraudRuleCommand::List(args) => {
            let found = fraud_rules::list(&args.person.pool().await?).await?;
            args.person.show_all(&found, "no rules", &["name", "kind", "points", "counts", "parameters"], row)
        }
        FraudRuleCommand::Set(SetArgs { name, kind, points, parameters, actor, person }) => {
            let change = RuleChange { kind, points, parameters };
            let rule = fraud_rules::set(&person.pool().await?, &actor.actor()?, &name, &change).await?;
            person.show(&rule, words)
        }
        FraudRuleCommand::Enable(args) => enable(args, true).await,
        FraudRuleCommand::Disable(args) => enable(args, false).await,
        FraudRuleCommand::Delete(args) => {
            fraud_rules::delete(&args.person.pool().await?, &args.actor.actor()?, &args.name).await?;
            args.person.done(&format!("{} is gone", args.name))
        }
    }
}

async fn enable(args: NameArgs, enabled: bool) -> anyhow::Result<ExitCode> {
    let rule = fraud_rules::enable(&args.person.pool().await?, &args.actor.actor()?, &args.name, enabled).await?;
    args.person.show(&rule, words)
}

/// Of its own accord a text would become a JSON text.
fn document(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

fn row(rule: &RuleJson) -> Vec<String> {
    let counts = if rule.enabled { "yes" } else { "no" }.to_owned();
    vec![rule.name.clone(), rule.kind.clone(), rule.points.normalize().to_string(), counts, rule.parameters.to_string()]
}

fn words(rule: &RuleJson) -> String {
    row(rule).join("  ")
}
