//! `kubectl purser`: what a person sees of a release, and says to it.
//!
//! What is shown ([`view`], [`pipeline`], [`next`], [`history`]) and what may be decided ([`decision`]) are functions of values; the
//! commands ([`commands`], [`follow`], [`logs`]) read and write through [`connection`]. It writes nothing but the annotations
//! of [`crds::annotations`], and never the spec.

mod ages;
mod arguments;
mod backups;
mod commands;
mod connection;
mod decision;
mod failure;
mod follow;
mod history;
mod holding;
mod logs;
mod next;
mod output;
mod pipeline;
mod pods;
mod subject;
#[cfg(test)]
mod test_data;
mod tree;
mod view;

use std::process::ExitCode;

pub use arguments::Arguments;

use failure::Failure;

/// Runs the command. Exit code 0, or 1 with one sentence on standard error.
#[must_use]
pub fn main(arguments: &Arguments) -> ExitCode {
    let outcome = start().and_then(|runtime| runtime.block_on(commands::run(arguments)));
    match outcome {
        Ok(code) => code,
        // Whoever reads the output has read enough.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<tokio::runtime::Runtime, Failure> {
    // Another provider of TLS can only be the same one, installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Output)
}

/// What a decision would write, by the name of its command; none when it makes no sense now. For tests of those that decide by other
/// means.
#[cfg(test)]
pub(crate) fn would_annotate(
    command: &str,
    fresh: &str,
    cluster: &crds::PaymentCluster,
) -> Option<std::collections::BTreeMap<&'static str, Option<String>>> {
    let wish = match command {
        "approve" => decision::Wish::Approve(None),
        "reject" => decision::Wish::Reject(None),
        "abort" => decision::Wish::Abort,
        "rollback" => decision::Wish::Rollback,
        "retry" => decision::Wish::Retry(fresh.to_owned()),
        "pause" => decision::Wish::Pause,
        "resume" => decision::Wish::Resume,
        other => panic!("no command is called {other}"),
    };
    let subject = subject::Subject { cluster, flags: "" };
    decision::decide(&wish, subject).ok().map(|decision| decision.annotations)
}
