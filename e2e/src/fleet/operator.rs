//! The operator as a process, and what it costs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command;
use crate::processes::{Ports, Usage, usage_of};
use crate::progress::wait_for;

const LOG_LINES: usize = 15;

/// A running operator.
pub(super) struct Operator {
    process: Child,
    port: u16,
    log: PathBuf,
    http: reqwest::Client,
}

impl Operator {
    /// Starts the program that was built beside this one.
    pub(super) fn start(kubeconfig: &Path, ports: &mut Ports) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("purser-operator");
        let port = ports.take()?;
        let folder = kubeconfig.parent().context("a kubeconfig without a folder")?;
        let log = folder.join("operator.log");
        let output = fs::File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(&program);
        command.args(["--admin-address", &format!("127.0.0.1:{port}")]);
        command.env("KUBECONFIG", kubeconfig).env("POD_NAME", "fleet").env("POD_NAMESPACE", "default");
        // As in the chart.
        command.envs([
            ("MALLOC_ARENA_MAX", "1"),
            ("MALLOC_TRIM_THRESHOLD_", "131072"),
            ("MALLOC_MMAP_THRESHOLD_", "65536"),
        ]);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let process = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { process, port, log, http: reqwest::Client::new() })
    }

    /// SIGTERM, as at an upgrade.
    pub(super) async fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.process.id())?), Signal::SIGTERM)?;
        let limit = Duration::from_secs(15);
        wait_for(limit, || std::future::ready(self.process.try_wait().map_err(Into::into))).await.map(drop)
    }

    /// A figure of its own; nothing while it does not answer.
    pub(super) async fn figure(&mut self, name: &str) -> Result<Option<f64>> {
        if let Some(status) = self.process.try_wait()? {
            bail!("the operator ended: {status}; the end of its log:\n{}", command::tail(&self.log, LOG_LINES)?);
        }
        let Ok(answer) = self.http.get(format!("http://127.0.0.1:{}/metrics", self.port)).send().await else {
            return Ok(None);
        };
        let text = answer.text().await?;
        Ok(text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()))
    }

    /// What it has used so far.
    pub(super) fn usage(&self) -> Result<Usage> {
        usage_of(self.process.id())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
