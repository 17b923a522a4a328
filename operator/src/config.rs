//! What the operator is told at start.

use std::time::Duration;

use clap::{Parser, Subcommand};

/// Reconciles PaymentCluster and PaymentProvider of group purser.dev.
///
/// Uses the service account of its pod, or the current kubeconfig outside of a cluster. Any number of replicas may
/// run; one of them, the holder of the lease `purser-operator`, does the work. Stops within 10 s of SIGTERM.
#[derive(Clone, Debug, Parser)]
#[command(name = "purser-operator", version)]
pub struct Arguments {
    /// What to do; `run` when left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Reconcile this namespace only; all of them when left out.
    #[arg(long, env = "PURSER_WATCH_NAMESPACE", global = true, value_name = "NAMESPACE")]
    pub watch_namespace: Option<String>,
    /// How often the endpoint of each PaymentProvider is asked whether it answers, in seconds.
    #[arg(long, env = "PURSER_PROBE_INTERVAL_SECONDS", global = true, default_value_t = 15, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub probe_interval: u64,
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "PURSER_ADMIN_ADDRESS", global = true, default_value = "0.0.0.0:9090", value_name = "ADDRESS")]
    pub admin_address: String,
    /// Namespace of the lease.
    #[arg(long, env = "POD_NAMESPACE", global = true, default_value = "default", value_name = "NAMESPACE")]
    pub pod_namespace: String,
    /// Name of this replica, which no other replica has.
    #[arg(long, env = "POD_NAME", global = true, default_value_t = unique_name(), value_name = "NAME")]
    pub pod_name: String,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Reconcile until told to stop.
    Run,
}

impl Arguments {
    /// How often an endpoint is asked.
    #[must_use]
    pub fn probe_interval(&self) -> Duration {
        Duration::from_secs(self.probe_interval)
    }
}

/// Two operators on one machine must not take each other's lease for their own.
fn unique_name() -> String {
    format!("purser-operator-{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_needs_no_argument() {
        Arguments::command().debug_assert();
        let arguments = Arguments::try_parse_from(["purser-operator"]).unwrap();
        assert_eq!((arguments.command, arguments.probe_interval().as_secs()), (None, 15));
        assert!(Arguments::try_parse_from(["purser-operator", "run", "--probe-interval", "0"]).is_err());
    }
}
