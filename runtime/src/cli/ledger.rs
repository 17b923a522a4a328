//! `purser ledger`.

use std::process::ExitCode;

use crate::ledger::verify::{self, Verification};
use clap::{Args, Subcommand};

use super::{PersonArgs, exit_code};

/// What can be done with the ledger.
#[derive(Subcommand)]
pub(crate) enum LedgerCommand {
    /// Prove that the ledger is right, or name the first row that breaks each rule. Exit code 1 when something is wrong
    Verify(VerifyArgs),
}

/// What `purser ledger verify` takes.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    person: PersonArgs,
}

/// Does it.
pub(crate) async fn run(LedgerCommand::Verify(args): LedgerCommand) -> anyhow::Result<ExitCode> {
    let mut connection = args.person.connect().await?;
    let verification = verify::verify(&mut connection).await?;
    args.person.show(&verification, words)?;
    Ok(exit_code(verification.sound))
}

fn words(verification: &Verification) -> String {
    let Verification { sound, entries, journals, payments, findings } = verification;
    let looked = format!("{entries} lines in {journals} journals about {payments} payments");
    if *sound {
        return format!("the ledger is right: {looked}");
    }
    let broken = findings
        .iter()
        .map(|finding| format!("\n{}: {}\n  {}: {}", finding.rule, finding.says, finding.row, finding.how));
    format!("the ledger is WRONG ({looked}):{}", broken.collect::<String>())
}
