//! Runs another program to its end.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::Path,
    process::{Output, Stdio},
};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// Programs live in `sbin` as well, which is not in every user's `PATH`.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const TAIL_LINES: usize = 25;

/// Runs a program and returns what it printed.
pub(crate) async fn output<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = S>,
) -> Result<String> {
    let program = program.as_ref();
    let mut command = command(program);
    let output = command.args(args).stdin(Stdio::null()).output().await;
    text(program, &output.with_context(|| format!("cannot run {}", program.display()))?)
}

/// A command whose search path includes the administrator's programs.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").map_or_else(|_| SYSTEM_PATH.to_owned(), |path| format!("{path}:{SYSTEM_PATH}"));
    command.env("PATH", path);
    command
}

fn text(program: &OsStr, output: &Output) -> Result<String> {
    if !output.status.success() {
        bail!("{}: {}: {}", program.display(), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a long program, its output in `log`; on failure the error shows the end of it.
pub(crate) async fn logged(command: &mut Command, log: &Path) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let program = command.as_std().get_program().to_owned();
    let status = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true).status().await;
    let status = status.with_context(|| format!("cannot run {}", program.display()))?;
    if !status.success() {
        bail!("{}: {status}; the end of {}:\n{}", program.display(), log.display(), tail(log, TAIL_LINES)?);
    }
    Ok(())
}

/// The last lines of a file.
pub(crate) fn tail(file: &Path, lines: usize) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    Ok(all[all.len().saturating_sub(lines)..].join("\n"))
}
