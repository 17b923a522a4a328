//! A Redis without persistence: what it holds may be lost at any time.

use std::path::Path;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::process::{Process, Spec};
use crate::command;

/// A server on a port of the loopback.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
}

impl Redis {
    /// Starts it.
    pub async fn start(folder: &Path, port: u16) -> Result<Self> {
        let mut server: Vec<String> =
            ["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]
                .map(String::from)
                .to_vec();
        server.push(port.to_string());
        let spec = Spec {
            name: "redis".into(),
            command: server,
            environment: vec![("PATH".into(), command::SYSTEM_PATH.into())],
            user: None,
            death_signal: "KILL",
            log: folder.join("redis.log"),
            port,
        };
        Ok(Self { process: Process::start(spec).await?, port })
    }

    /// URL of its first database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it at once; everything it held is lost.
    pub async fn crash(&mut self) -> Result<()> {
        self.process.end(Signal::SIGKILL).await
    }

    /// Starts it again, empty, without waiting for it.
    pub fn spawn(&mut self) -> Result<()> {
        self.process.spawn()
    }
}
