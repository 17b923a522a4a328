//! `make fuzz`: feeds every target for a long time, and keeps what breaks one.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use fuzz::targets::TARGETS;
use fuzz::{corpus, engine};

/// Feeds every parser of foreign bytes with bytes that nobody would write.
#[derive(Parser)]
struct Cli {
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where chance begins; drawn when not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Only targets whose name has this in it.
    #[arg(default_value = "")]
    only: String,
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let seed = cli.seed.unwrap_or_else(rand::random);
    println!("seed {seed}, {} s for each target", cli.seconds);
    let mut broken = false;
    for target in TARGETS.iter().filter(|target| target.name.contains(&cli.only)) {
        let inputs = corpus::read(target.name).with_context(|| format!("the corpus of {}", target.name))?;
        match engine::run(target, inputs, seed, Duration::from_secs(cli.seconds)) {
            Ok(report) => println!("{:<24} {:>12} inputs, {} answers", target.name, report.runs, report.answers),
            Err(failure) => {
                broken = true;
                let file = corpus::folder(target.name).join(format!("broken-{seed}"));
                std::fs::write(&file, &failure.input)?;
                println!("{:<24} BROKE: {}\n  kept as {}", target.name, failure.message, file.display());
            }
        }
    }
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
