//! A PostgreSQL of its own, with fsync on unless told otherwise.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::Signal,
    unistd::{Uid, User},
};
use tokio::io::AsyncWriteExt as _;

use super::process::{Process, Spec};
use crate::command;

/// The superuser of the servers here.
const USER: &str = "purser";
/// Its password.
const PASSWORD: &str = "loopback-only";

/// What the server is started with.
#[derive(Clone, Debug)]
pub struct Settings(pub Vec<(&'static str, String)>);

impl Settings {
    /// Durable, with the memory of a small server; the rest as PostgreSQL comes.
    #[must_use]
    pub fn durable() -> Self {
        Self(vec![
            ("fsync", "on".into()),
            ("synchronous_commit", "on".into()),
            ("full_page_writes", "on".into()),
            ("shared_buffers", "1GB".into()),
            ("max_wal_size", "8GB".into()),
            ("max_connections", "200".into()),
        ])
    }

    /// For crashes of processes rather than of the machine: what was written survives, the disk is not waited for.
    #[must_use]
    pub fn crash_of_processes() -> Self {
        Self(vec![("fsync", "off".into()), ("shared_buffers", "256MB".into()), ("max_connections", "200".into())])
    }

    /// The same with a library that is loaded at start.
    #[must_use]
    pub fn preloading(mut self, library: &str) -> Self {
        self.0.push(("shared_preload_libraries", library.to_owned()));
        self
    }
}

/// A server on a port of the loopback.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    bin: PathBuf,
    data: PathBuf,
    port: u16,
}

impl Postgres {
    /// Makes an empty server below `folder` and starts it.
    pub async fn start(folder: &Path, port: u16, settings: &Settings) -> Result<Self> {
        let bin = programs()?;
        let folder = folder.join("postgres");
        fs::create_dir_all(&folder)?;
        let user = server_user(&folder)?;
        let (data, password) = (folder.join("data"), folder.join("password"));
        fs::write(&password, PASSWORD)?;
        let mut initdb = command::command("setpriv");
        if let Some((uid, gid)) = user {
            initdb.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
        }
        initdb.arg("--").arg(bin.join("initdb")).args(["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"]);
        initdb.arg(format!("--username={USER}")).arg(format!("--pwfile={}", password.display()));
        initdb.arg(format!("--pgdata={}", data.display())).current_dir("/tmp");
        command::logged(&mut initdb, &folder.join("initdb.log")).await?;
        let spec = Spec {
            name: "postgres".into(),
            command: server_command(&bin, &data, port, settings),
            environment: vec![("PATH".into(), command::SYSTEM_PATH.into())],
            user,
            death_signal: "QUIT",
            log: folder.join("log"),
            port,
        };
        let mut started = Self { process: Process::start(spec).await?, bin, data, port };
        started.accepting().await?;
        Ok(started)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// URL of one of its databases.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Ends it as a crash would: no checkpoint, no good-bye.
    pub async fn crash(&mut self) -> Result<()> {
        self.process.end(Signal::SIGQUIT).await
    }

    /// Starts it again on what it had written, without waiting for it.
    pub fn spawn(&mut self) -> Result<()> {
        self.process.spawn()
    }

    /// Starts it again, and waits until it takes connections.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.spawn()?;
        self.process.listening().await?;
        self.accepting().await
    }

    /// Stops it in order, and starts it with other settings on the same data.
    pub async fn reconfigure(&mut self, settings: &Settings) -> Result<()> {
        self.process.end(Signal::SIGINT).await?;
        self.process.set_command(server_command(&self.bin, &self.data, self.port, settings));
        self.restart().await
    }

    /// Waits until it takes connections, which is later than that it listens.
    pub async fn accepting(&mut self) -> Result<()> {
        for _ in 0..600 {
            if self.sql("postgres", "select 1").await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        bail!("PostgreSQL takes no connections: {}", self.process.log_end())
    }

    /// One of PostgreSQL's client programs, set up for this server.
    #[must_use]
    pub fn client(&self, program: &str, database: &str) -> tokio::process::Command {
        let mut client = command::command(self.bin.join(program));
        client.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string()).env("PGUSER", USER);
        client.env("PGPASSWORD", PASSWORD).env("PGDATABASE", database).kill_on_drop(true);
        client
    }

    /// Runs SQL; what it returns, a line a row, columns apart by `|`.
    pub async fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = self.client("psql", database);
        psql.args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().context("psql has no standard input")?;
        stdin.write_all(sql.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            let shown: String = sql.chars().take(200).collect();
            bail!("{}: {shown}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Its processes.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}

fn server_command(bin: &Path, data: &Path, port: u16, settings: &Settings) -> Vec<String> {
    let mut command = vec![bin.join("postgres").display().to_string(), "-D".into(), data.display().to_string()];
    let fixed = [
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        ("unix_socket_directories", String::new()),
    ];
    for (name, value) in fixed.iter().chain(&settings.0) {
        command.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    command
}

/// The newest of the server programs that are installed.
fn programs() -> Result<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        debian.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("postgres").exists()).collect();
    found.sort();
    found.pop().context("PostgreSQL's server programs are missing: install the package \"postgresql\"")
}

/// PostgreSQL refuses to run as root: then the folder is given to another user.
fn server_user(folder: &Path) -> Result<Option<(u32, u32)>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let user = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten());
    let user = user.context("no user to run PostgreSQL as")?;
    chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    Ok(Some((user.uid.as_raw(), user.gid.as_raw())))
}
