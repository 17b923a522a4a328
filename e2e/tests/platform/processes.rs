//! The processes of pods, as the node sees them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Folders in `/proc` of the processes of pods whose command line begins so.
pub(super) fn of_pods(program: &str) -> Result<Vec<PathBuf>> {
    let is_of_pod = |folder: &PathBuf| {
        // This machine may run the same programs outside of any pod.
        let groups = fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
        let command = fs::read(folder.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        groups.contains("kubepods") && command.trim_start_matches("/usr/local/bin/").starts_with(program)
    };
    let entries = fs::read_dir("/proc")?.filter_map(Result::ok).map(|entry| entry.path());
    Ok(entries.filter(is_of_pod).collect())
}

/// Processes that stand still until this is dropped: whoever asks them gets no answer at all.
pub(super) struct Frozen(Vec<Pid>);

impl Frozen {
    pub(super) fn all(program: &str) -> Result<Self> {
        let folders = of_pods(program)?;
        ensure!(!folders.is_empty(), "no pod runs {program}");
        let mut frozen = Self(Vec::new());
        for folder in folders {
            let pid = folder.file_name().and_then(|name| name.to_str()).context("no process")?;
            let pid = Pid::from_raw(pid.parse()?);
            kill(pid, Signal::SIGSTOP)?;
            frozen.0.push(pid);
        }
        Ok(frozen)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in &self.0 {
            // One that the kubelet has ended meanwhile needs nothing.
            let _ = kill(*pid, Signal::SIGCONT);
        }
    }
}
