//! What `kubectl purser` is told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Look at the releases of a PaymentCluster, and decide about them.
///
/// NAME may be left out when the namespace has exactly one PaymentCluster. The spec is never written: decisions are annotations
/// (purser.dev/…), so nothing here fights with what is in Git.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "kubectl-purser",
    bin_name = "kubectl purser",
    version,
    after_help = "Example:\n  kubectl purser status payments -n shop --watch"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) cluster: ClusterArguments,
    /// Colours; `auto` means on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(super) color: Color,
}

/// Which cluster, and where in it.
#[derive(Clone, Debug, Args)]
pub(super) struct ClusterArguments {
    /// Namespace; that of the context when left out
    #[arg(short, long, global = true)]
    pub(super) namespace: Option<String>,
    /// Context of the kubeconfig; the current one when left out
    #[arg(long, global = true)]
    pub(super) context: Option<String>,
    /// Path of the kubeconfig; $KUBECONFIG or ~/.kube/config when left out
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) kubeconfig: Option<PathBuf>,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

/// How data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Json,
    Yaml,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Where the release stands, what it waits for, and what to do next
    #[command(after_help = "Examples:\n  kubectl purser status payments -n shop\n  \
        kubectl purser status --until-done && echo it serves")]
    Status(StatusArguments),
    /// Agree to the release that waits for approval
    #[command(after_help = "Example:\n  kubectl purser approve payments -n shop --version 1.4.0 --wait")]
    Approve(VersionArguments),
    /// Refuse the release that waits for approval
    #[command(after_help = "Example:\n  kubectl purser reject payments -n shop --version 1.4.0")]
    Reject(VersionArguments),
    /// Give up the release that is on its way; the one before it goes on
    #[command(after_help = "Example:\n  kubectl purser abort payments -n shop --wait")]
    Abort(WaitArguments),
    /// Take back the release that serves, as long as the one before it is kept
    #[command(after_help = "Example:\n  kubectl purser rollback payments -n shop --wait")]
    Rollback(WaitArguments),
    /// Try again what failed, was rejected or was given up
    #[command(after_help = "Example:\n  kubectl purser retry payments -n shop")]
    Retry(WaitArguments),
    /// Hold the release where it is. A breach of its SLA rolls it back all the same
    #[command(after_help = "Example:\n  kubectl purser pause payments -n shop")]
    Pause(NameArguments),
    /// Let a held release go on
    #[command(after_help = "Example:\n  kubectl purser resume payments -n shop")]
    Resume(NameArguments),
    /// Have writes refused with 503 and Retry-After, while reads and accepted work go on; or accepted again
    #[command(after_help = "Example:\n  kubectl purser maintenance on payments -n shop --wait")]
    Maintenance(MaintenanceArguments),
    /// The backups that the last releases made
    #[command(after_help = "Example:\n  kubectl purser backups payments -n shop")]
    Backups(HistoryArguments),
    /// The last releases and how they went
    #[command(after_help = "Example:\n  kubectl purser history payments -n shop -o json")]
    History(HistoryArguments),
    /// Logs of the pods, each line after its pod's name
    #[command(after_help = "Examples:\n  kubectl purser logs payments -n shop --role gateway --release 1.4.0 -f\n  \
        kubectl purser logs --role migrate --tail 20")]
    Logs(LogsArguments),
    /// The version of this program
    #[command(after_help = "Example:\n  kubectl purser version")]
    Version,
}

/// Of which PaymentCluster.
#[derive(Clone, Debug, Args)]
pub(super) struct NameArguments {
    /// The PaymentCluster
    pub(super) name: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    pub(super) of: NameArguments,
    /// Go on showing it as it changes: in place on a terminal, else a line per change
    #[arg(short, long, conflicts_with = "output")]
    pub(super) watch: bool,
    /// Watch until the release has ended; exit code 0 when it serves, 1 when it was rolled back
    #[arg(long, conflicts_with = "output")]
    pub(super) until_done: bool,
    /// Write the resource's status as data instead
    #[arg(short, long, value_enum)]
    pub(super) output: Option<Format>,
}

#[derive(Clone, Debug, Args)]
pub(super) struct VersionArguments {
    #[command(flatten)]
    pub(super) of: WaitArguments,
    /// The version that is meant; refused when another one waits
    #[arg(long)]
    pub(super) version: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(super) struct WaitArguments {
    #[command(flatten)]
    pub(super) of: NameArguments,
    /// Wait until the operator has done it
    #[arg(long)]
    pub(super) wait: bool,
    /// How long to wait at most, such as 90s, 5m or 1h
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "TIME")]
    pub(super) timeout: Duration,
}

#[derive(Clone, Debug, Args)]
pub(super) struct MaintenanceArguments {
    /// Whether writes are to be refused
    #[arg(value_enum)]
    pub(super) switch: Switch,
    #[command(flatten)]
    pub(super) of: WaitArguments,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

#[derive(Clone, Debug, Args)]
pub(super) struct HistoryArguments {
    #[command(flatten)]
    pub(super) of: NameArguments,
    /// Write it as data instead of a table
    #[arg(short, long, value_enum)]
    pub(super) output: Option<Format>,
}

#[derive(Clone, Debug, Args)]
pub(super) struct LogsArguments {
    #[command(flatten)]
    pub(super) of: NameArguments,
    /// Only of this role; `plan`, `backup`, `dry-run`, `drain`, `restore-point`, `migrate` and `restore` mean the Jobs of a release
    #[arg(long, value_enum)]
    pub(super) role: Option<LogRole>,
    /// Only of this release
    #[arg(long, value_name = "VERSION")]
    pub(super) release: Option<String>,
    /// Go on as lines and pods come
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Only so many lines of each pod, the newest
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(i64).range(0..))]
    pub(super) tail: Option<i64>,
}

/// Whose logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogRole {
    Gateway,
    Fraud,
    Processor,
    Metrics,
    Plan,
    Backup,
    DryRun,
    Drain,
    RestorePoint,
    Migrate,
    CheckReplica,
    Configure,
    CdcRemove,
    Restore,
    Archive,
}

fn duration(text: &str) -> Result<Duration, String> {
    crds::DurationText::from(text)
        .as_millis()
        .map(Duration::from_millis)
        .ok_or_else(|| "a whole number of s, m or h, such as 90s".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_an_example() {
        let mut command = Arguments::command();
        command.clone().debug_assert();
        for subcommand in command.get_subcommands_mut() {
            let help = subcommand.render_long_help().to_string();
            assert!(help.contains("kubectl purser"), "{help}");
        }
    }

    #[test]
    fn wrong_usage_is_told_apart() {
        let exit = |arguments: &[&str]| {
            let all = ["kubectl-purser"].iter().chain(arguments);
            Arguments::try_parse_from(all).err().map(|error| error.exit_code())
        };
        assert_eq!(exit(&["status", "payments", "-n", "shop", "-w"]), None);
        assert_eq!(exit(&["-n", "shop", "abort", "--wait", "--timeout", "90s"]), None);
        assert_eq!(exit(&["status", "-w", "-o", "json"]), Some(2));
        assert_eq!(exit(&["approve", "--timeout", "soon"]), Some(2));
        assert_eq!(exit(&["logs", "--role", "backups"]), Some(2));
        assert_eq!(exit(&[]), Some(2));
        assert_eq!(exit(&["abort", "--help"]), Some(0));
    }
}
