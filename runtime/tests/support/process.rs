//! The program itself, as a child process.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{OWNER, RELEASE};

/// `purser` with these arguments and nothing of this process' own PURSER_ environment.
pub fn purser(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_purser"));
    command.args(arguments).env_clear().env("RUST_LOG", "info").stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

/// A role that runs until it is told to stop; killed when the test ends early.
pub struct Running {
    child: Child,
    pub admin: String,
}

impl Running {
    /// Starts a command whose admin port is this one.
    pub fn start(mut command: Command, admin_port: u16) -> Self {
        Self { child: command.stdout(Stdio::null()).spawn().unwrap(), admin: format!("http://127.0.0.1:{admin_port}") }
    }

    /// SIGTERM, as Kubernetes sends it.
    pub fn tell(&self) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
    }

    /// How it ended, once it did.
    pub fn ended(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Told, how it ended, and how long that took.
    pub fn terminate(self) -> (Option<i32>, Duration) {
        let begin = Instant::now();
        self.tell();
        (self.ended(), begin.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a configuration document.
pub fn write_config(path: &Path, fraud_port: u16) {
    let text = format!(
        "owner: {OWNER}\nrelease: {RELEASE}\nenvironment: Staging\nfraud:\n  url: http://127.0.0.1:{fraud_port}\n  deadlineMs: 50\n  onDeadline: Flag\n"
    );
    std::fs::write(path, text).unwrap();
}
