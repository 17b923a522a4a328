//! One process: started, watched, killed, started again.

use std::{
    fs::{self, File, OpenOptions},
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::sleep,
};

const START_LIMIT: Duration = Duration::from_secs(60);
/// The unit of the times in /proc/PID/stat, on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// How a process is started, each time.
#[derive(Clone, Debug)]
pub struct Spec {
    /// For people.
    pub name: String,
    /// What is run, and its arguments.
    pub command: Vec<String>,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// User and group to run as, when not ours.
    pub user: Option<(u32, u32)>,
    /// What it gets when this process is gone, however that came about.
    pub death_signal: &'static str,
    /// Where its output goes.
    pub log: PathBuf,
    /// The port on which it listens once it has started.
    pub port: u16,
}

/// Processor time and memory of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// In its own code and in the kernel for it, since it was started.
    pub cpu: Duration,
    /// Resident memory, in KiB.
    pub rss_kib: u64,
}

/// A process that may be killed at any time.
#[derive(Debug)]
pub struct Process {
    spec: Spec,
    child: Option<Child>,
}

impl Process {
    /// Starts it and waits until it listens.
    pub async fn start(spec: Spec) -> Result<Self> {
        let mut process = Self { spec, child: None };
        process.spawn()?;
        process.listening().await?;
        Ok(process)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its number, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Starts it without waiting for it.
    pub fn spawn(&mut self) -> Result<()> {
        if self.child.is_some() {
            bail!("{} was started twice", self.spec.name);
        }
        let Spec { name, command, environment, user, death_signal, log, port: _ } = &self.spec;
        let output: File = OpenOptions::new().append(true).create(true).open(log)?;
        // setpriv becomes the program, so the child's number is the program's.
        let mut child = Command::new("setpriv");
        child.args(["--pdeathsig", death_signal]);
        if let Some((uid, gid)) = user {
            child.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
        }
        child.arg("--").args(command).env_clear().envs(environment.iter().cloned()).current_dir("/tmp");
        child.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).kill_on_drop(true);
        self.child = Some(child.spawn().with_context(|| format!("cannot run {name}"))?);
        Ok(())
    }

    /// Waits until it listens.
    pub async fn listening(&mut self) -> Result<()> {
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.spec.port)).await.is_err() {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                bail!("{} ended at its start ({status}): {}", self.spec.name, self.log_end());
            }
            if begin.elapsed() > START_LIMIT {
                bail!("{} does not listen: {}", self.spec.name, self.log_end());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Whether it ended by itself since it was started.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(match &mut self.child {
            Some(child) => child.try_wait()?.is_some(),
            None => false,
        })
    }

    /// Starts it with another command the next time.
    pub fn set_command(&mut self, command: Vec<String>) {
        self.spec.command = command;
    }

    /// Ends it with a signal, and waits until it is gone.
    pub async fn end(&mut self, signal: Signal) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                kill(Pid::from_raw(pid), signal)?;
            }
            child.wait().await?;
        }
        Ok(())
    }

    /// What it has used so far. Nothing while it does not run.
    pub fn usage(&self) -> Result<Usage> {
        let Some(pid) = self.pid() else {
            return Ok(Usage::default());
        };
        usage_of(pid)
    }

    /// The end of what it wrote.
    #[must_use]
    pub fn log_end(&self) -> String {
        crate::command::tail(&self.spec.log, 15).unwrap_or_default()
    }
}

/// What a process has used so far.
pub fn usage_of(pid: u32) -> Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold spaces; the times are the 12th and 13th field after it.
    let fields: Vec<&str> = stat.rsplit_once(')').context("no process name")?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let cpu = Duration::from_millis((ticks(11) + ticks(12)) * 1000 / TICKS_PER_SECOND);
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rss =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).and_then(|rest| rest.split_whitespace().next());
    Ok(Usage { cpu, rss_kib: rss.and_then(|kib| kib.parse().ok()).unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_uses_time_and_memory() {
        let before = usage_of(std::process::id()).unwrap();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(100) {
            std::hint::black_box((0..10_000_u64).sum::<u64>());
        }
        let after = usage_of(std::process::id()).unwrap();
        assert!(after.cpu > before.cpu, "{before:?} {after:?}");
        assert!(after.rss_kib > 100, "{after:?}");
    }
}
