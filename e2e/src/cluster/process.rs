//! Starts processes that outlive this program, and recognises them again.
//!
//! A process id alone says little: after a crash the kernel gives it to another. With its start time and
//! the boot it belongs to it is unique, so nothing is ever signalled that this program did not start.

use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::command;

/// Above this a component's log is set aside when it starts.
const LOG_BYTES_MAX: u64 = 64 << 20;
const POLL: Duration = Duration::from_millis(20);

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
}

/// A process, recognisable for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: i32,
    /// Clock ticks between boot and the process' start.
    pub(crate) started_ticks: u64,
    pub(crate) boot: String,
}

impl Identity {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let (state, started_ticks) = stat(pid)?;
        (state != 'Z').then_some(())?;
        Some(Self { pid, started_ticks, boot: boot_id().ok()? })
    }

    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if self.is_alive() {
            // The only failure left is that it has ended meanwhile, which is what was wanted.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Asks it to end, waits, and ends it.
    pub(crate) async fn stop(&self, grace: Duration) -> Result<()> {
        self.signal(Signal::SIGTERM);
        if self.ended_within(grace).await {
            return Ok(());
        }
        self.signal(Signal::SIGKILL);
        if !self.ended_within(Duration::from_secs(5)).await {
            bail!("process {} does not end", self.pid);
        }
        Ok(())
    }

    async fn ended_within(&self, limit: Duration) -> bool {
        let started = Instant::now();
        while self.is_alive() {
            if started.elapsed() > limit {
                return false;
            }
            sleep(POLL).await;
        }
        true
    }
}

/// Tells one boot of the machine from another.
pub(crate) fn boot_id() -> Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("cannot tell which boot this is")?;
    Ok(id.trim().to_owned())
}

/// State letter and start time of a process.
fn stat(pid: i32) -> Option<(char, u64)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(line: &str) -> Option<(char, u64)> {
    // The name stands in parentheses and may itself hold some, and spaces.
    let (_, rest) = line.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    Some((fields.first()?.chars().next()?, fields.get(19)?.parse().ok()?))
}

/// The records of what was started, one file per component.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    folder: PathBuf,
}

impl Records {
    pub(crate) fn new(state: &Path) -> Self {
        Self { folder: state.join("processes") }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// The recorded process, dead or alive.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Identity>> {
        match fs::read(self.file(name)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read the record of {name}")),
        }
    }

    /// The recorded process, if it lives.
    pub(crate) fn alive(&self, name: &str) -> Result<Option<Identity>> {
        Ok(self.get(name)?.filter(Identity::is_alive))
    }

    fn put(&self, name: &str, identity: &Identity) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        let file = self.file(name);
        let written = file.with_extension("new");
        fs::write(&written, serde_json::to_vec(identity)?)?;
        fs::rename(written, file).with_context(|| format!("cannot record {name}"))
    }

    /// Starts a component in a session of its own unless it runs. Returns whether it was started.
    pub(crate) fn ensure(&self, component: &Component, logs: &Path) -> Result<bool> {
        if self.alive(component.name)?.is_some() {
            return Ok(false);
        }
        fs::create_dir_all(logs)?;
        let log = open_log(&logs.join(format!("{}.log", component.name)))?;
        // `setsid` replaces itself by the program, so the child's id is the program's.
        let mut command = std::process::Command::new("setsid");
        command.arg(&component.program).args(&component.args).current_dir("/").env_clear();
        command.env("PATH", command::SYSTEM_PATH).env("HOME", "/");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {}", component.name))?;
        let pid = i32::try_from(child.id())?;
        let identity = Identity::of(pid).with_context(|| format!("{} ended at once", component.name))?;
        self.put(component.name, &identity)?;
        Ok(true)
    }

    /// Stops a component, if it runs, and forgets it.
    pub(crate) async fn stop(&self, name: &str, grace: Duration) -> Result<()> {
        if let Some(identity) = self.alive(name)? {
            identity.stop(grace).await.with_context(|| format!("cannot stop {name}"))?;
        }
        match fs::remove_file(self.file(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn open_log(path: &Path) -> Result<File> {
    if fs::metadata(path).is_ok_and(|found| found.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.old"))?;
    }
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_parentheses_in_its_name_is_read() {
        let fields = (4..=21).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(parse_stat(&format!("7 (a) b (c) S {fields} 4711 23")), Some(('S', 4711)));
    }

    #[test]
    fn a_process_id_that_was_given_to_another_is_not_the_recorded_process() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let me = Identity::of(pid).unwrap();
        assert!(me.is_alive());
        let earlier = Identity { started_ticks: me.started_ticks - 1, ..me.clone() };
        assert!(!earlier.is_alive());
        let before_reboot = Identity { boot: "another".into(), ..me };
        assert!(!before_reboot.is_alive());
    }

    #[tokio::test]
    async fn a_started_component_is_started_once_and_stopped_by_its_record() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path());
        let sleeper = Component { name: "sleeper", program: "/bin/sleep".into(), args: vec!["60".into()] };
        assert!(records.ensure(&sleeper, folder.path()).unwrap());
        assert!(!records.ensure(&sleeper, folder.path()).unwrap());
        let identity = records.alive("sleeper").unwrap().unwrap();
        records.stop("sleeper", Duration::from_secs(5)).await.unwrap();
        assert!(!identity.is_alive());
        assert!(records.get("sleeper").unwrap().is_none());
    }
}
