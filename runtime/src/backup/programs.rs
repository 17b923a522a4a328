//! PostgreSQL's own programs: found, fitting the server, and run without a password on their command line.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use secrecy::SecretString;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};

use super::error::BackupError;
use super::server;

/// Where Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// What is shown of what a program said.
const SAID_MAX: usize = 1500;

/// One who changes a table keeps others waiting as well; better to fail than to wait among them for long.
pub(super) const LOCK_WAIT: &str = "--lock-wait-timeout=60s";
/// What `purser migrate plan` leaves behind when it is killed.
pub(super) const NOT_OURS: &str = "--exclude-schema=purser_rehearsal";

/// What `pg_restore` is told. A copy that subscribed to anything would take it away from the one that it is of.
pub(super) fn restore_arguments(into: &str, with_privileges: bool) -> Vec<&str> {
    let mut arguments = vec!["--exit-on-error", "--no-owner", "--no-subscriptions", into];
    if !with_privileges {
        // The users that have them may not be there.
        arguments.push("--no-privileges");
    }
    arguments
}

/// A program that fits the server.
#[derive(Clone, Debug)]
pub(super) struct Program {
    name: &'static str,
    path: PathBuf,
    /// As `15.18`.
    pub(super) version: String,
}

/// The program of the server's major version, or else of the next newer one: older ones refuse to dump, and much newer ones say
/// things that an older server does not understand.
pub(super) async fn find(name: &'static str, needed: u32) -> Result<Program, BackupError> {
    let mut found: Vec<(u32, Program)> = Vec::new();
    for path in places().into_iter().map(|folder| folder.join(name)).filter(|path| path.is_file()) {
        if let Some((major, version)) = version(&path).await {
            found.push((major, Program { name, path, version }));
        }
    }
    let versions = found.iter().map(|(_, program)| program.version.clone()).collect();
    let fitting = found.into_iter().filter(|(major, _)| *major >= needed).min_by_key(|(major, _)| *major);
    fitting.map(|(_, program)| program).ok_or(BackupError::ProgramMissing { program: name, needed, found: versions })
}

/// Debian's folders come first: what it has in the path is a script that chooses by its own rules.
fn places() -> Vec<PathBuf> {
    let debian = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    debian.chain(env::split_paths(&path)).collect()
}

async fn version(path: &Path) -> Option<(u32, String)> {
    let output = Command::new(path).arg("--version").stdin(Stdio::null()).output().await.ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// From `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn parse_version(text: &str) -> Option<(u32, String)> {
    let version = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let major: String = version.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, version.to_owned()))
}

impl Program {
    /// Starts it for the database of a URL. It is killed when it is dropped.
    pub(super) fn start(&self, url: &SecretString, arguments: &[&str]) -> Result<Child, BackupError> {
        Command::new(&self.path)
            .args(arguments)
            .arg("--no-password")
            .envs(server::environment(url)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.failed(&error.to_string()))
    }

    /// Waits for its end, which is good or an error with what it said.
    pub(super) async fn ended(&self, child: &mut Child, said: &str) -> Result<(), BackupError> {
        let status = child.wait().await.map_err(|error| self.failed(&error.to_string()))?;
        if status.success() {
            return Ok(());
        }
        Err(self.failed(if said.is_empty() { "it said nothing" } else { said }))
    }

    /// The error that says so.
    pub(super) fn failed(&self, message: &str) -> BackupError {
        BackupError::Program { program: self.name, message: message.to_owned() }
    }
}

/// What a program says of itself, to its end. The beginning is kept: the first complaint is the cause of the others.
pub(super) async fn listen(stderr: Option<ChildStderr>) -> String {
    let mut said = Vec::new();
    if let Some(mut stderr) = stderr {
        // A pipe that breaks has told what it had to tell.
        let _ = stderr.read_to_end(&mut said).await;
    }
    let text = String::from_utf8_lossy(&said);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SAID_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        for (text, major, version) in [
            ("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", 15, "15.18"),
            ("pg_dump (PostgreSQL) 18beta1\n", 18, "18beta1"),
        ] {
            assert_eq!(parse_version(text), Some((major, version.to_owned())));
        }
        assert_eq!(parse_version("pg_dump: not found"), None);
    }
}
