//! A temporary control plane for tests: real etcd, API server and controller manager, but no node.

use std::{
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{LazyLock, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use kube::Client;

use crate::{
    cluster::{self, Component, Pki, Ports, Programs, SERVER_ADDRESSES, Settings, certificates, config_files},
    command,
    paths::Paths,
    processes,
    progress::wait_for,
};

/// Names the folder in which the audit logs of all control planes are kept.
pub const KEEP_AUDIT_LOGS: &str = "PURSER_AUDIT_LOGS";
const API_LIMIT: Duration = Duration::from_secs(60);
/// Starts a program that ends when this process does, however it does: then its end of the pipe closes. The last of
/// them takes the folder with it, a moment later, when the others have ended too.
const GUARD: &str = r#""$@" & child=$!; cat > /dev/null; kill -9 $child 2> /dev/null; wait $child; [ -z "$FOLDER" ] || { sleep 1; rm -rf "$FOLDER"; }"#;

/// A running control plane. Everything of it goes when it is dropped, or when the process ends.
pub struct ControlPlane {
    /// The administrator's kubeconfig.
    pub kubeconfig_path: PathBuf,
    programs: Programs,
    settings: Settings,
    pki: Pki,
    apiserver: Mutex<Guarded>,
    // Only held: dropping them ends the programs.
    _others: Vec<Guarded>,
}

/// A program that does not outlive this process.
struct Guarded {
    shell: Child,
    stdin: Option<ChildStdin>,
}

impl Guarded {
    fn start(component: &Component, folder: &Path, remove: bool) -> Result<Self> {
        let log = std::fs::File::options().create(true).append(true).open(log_file(folder, component.name))?;
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "sh"]).arg(&component.program).args(&component.args);
        command.env_clear().env("PATH", command::SYSTEM_PATH).env("HOME", "/");
        if remove {
            command.env("FOLDER", folder);
        }
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let mut shell = command.spawn().with_context(|| format!("cannot start {}", component.name))?;
        let stdin = shell.stdin.take();
        Ok(Self { shell, stdin })
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // The shell ends once the program has; there is nobody to tell when even that fails.
        let _ = self.shell.wait();
    }
}

/// Beside the rest, with which it goes, or where all of them are kept.
fn audit_log(folder: &Path) -> Result<PathBuf> {
    let Some(kept) = std::env::var_os(KEEP_AUDIT_LOGS).filter(|kept| !kept.is_empty()) else {
        return Ok(folder.join("audit.jsonl"));
    };
    let kept = PathBuf::from(kept);
    std::fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
    let name = folder.file_name().context("a folder without a name")?.to_string_lossy();
    Ok(kept.join(format!("{}.jsonl", name.trim_start_matches('.'))))
}

fn log_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}

impl ControlPlane {
    /// Builds what is missing and starts it on free ports of the loopback interface. About five seconds.
    ///
    /// # Errors
    /// When a program cannot be built or the API server does not become ready.
    pub async fn start() -> Result<Self> {
        let mut started = Self::start_without_controllers().await?;
        // It ends at once when the API server does not know its role yet.
        let manager = started.settings.controller_manager(&started.programs, &started.pki)?;
        started._others.push(Guarded::start(&manager, &started.settings.folder, false)?);
        Ok(started)
    }

    /// The same without the controller manager, for whoever plays it.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn start_without_controllers() -> Result<Self> {
        crate::install_crypto();
        let paths = Paths::from_env()?;
        let programs = cluster::programs(&paths, &["kube-apiserver", "kube-controller-manager"]).await?;
        // Kept, since a test binary drops no static: etcd's shell removes it.
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?.keep();
        let settings =
            Settings { folder: folder.clone(), ports: free_ports()?, advertised: None, audit_log: audit_log(&folder)? };
        let pki = Pki::ensure(&folder.join("pki"), "none", &SERVER_ADDRESSES)?;
        let kubeconfig_path = folder.join("kubeconfig");
        let document = config_files::kubeconfig_document(&pki, certificates::ADMIN, &settings.server());
        config_files::write_json(&kubeconfig_path, &document)?;
        let etcd = Guarded::start(&settings.etcd(&programs), &folder, true)?;
        let apiserver = Guarded::start(&settings.apiserver(&programs, &pki)?, &folder, false)?;
        let apiserver = Mutex::new(apiserver);
        let others = vec![etcd];
        let started = Self { kubeconfig_path, programs, settings, pki, apiserver, _others: others };
        started.wait_ready().await?;
        Ok(started)
    }

    /// A client with the administrator's rights. It does not retry: a test wants to see the error.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        cluster::client_for(&self.kubeconfig_path).await
    }

    /// Every write to the API server, and what programs in pods read, one JSON document a line.
    #[must_use]
    pub fn audit_log(&self) -> &Path {
        &self.settings.audit_log
    }

    /// Kills the API server. [`Self::start_apiserver`] starts it again.
    ///
    /// # Errors
    /// When another thread panicked while it held the server.
    pub fn kill_apiserver(&self) -> Result<()> {
        let mut server = self.apiserver.lock().map_err(|_| anyhow!("the API server's guard is poisoned"))?;
        drop(server.stdin.take());
        server.shell.wait().map(drop).context("cannot wait for the API server")
    }

    /// Starts the API server on the same port and data after [`Self::kill_apiserver`], and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_apiserver(&self) -> Result<()> {
        let component = self.settings.apiserver(&self.programs, &self.pki)?;
        let started = Guarded::start(&component, &self.settings.folder, false)?;
        *self.apiserver.lock().map_err(|_| anyhow!("the API server's guard is poisoned"))? = started;
        self.wait_ready().await
    }

    /// Kills the API server and starts it again.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart_apiserver(&self) -> Result<()> {
        self.kill_apiserver()?;
        self.start_apiserver().await
    }

    async fn wait_ready(&self) -> Result<()> {
        let client = self.client().await?;
        let ready = wait_for(API_LIMIT, || async { cluster::is_ready(&client).await.map(Some) }).await;
        ready.with_context(|| {
            let log = command::tail(&log_file(&self.settings.folder, "kube-apiserver"), 15).unwrap_or_default();
            format!("the API server does not become ready; the end of its log:\n{log}")
        })
    }
}

/// Ports of this process' control planes. None of them is one that the kernel gives to an outgoing connection meanwhile.
static FREE: LazyLock<Mutex<processes::Ports>> = LazyLock::new(Mutex::default);

fn free_ports() -> Result<Ports> {
    let mut free = FREE.lock().map_err(|_| anyhow!("the ports are poisoned"))?;
    Ok(Ports {
        api: free.take()?,
        etcd: free.take()?,
        etcd_peer: free.take()?,
        controller_manager: free.take()?,
        scheduler: free.take()?,
    })
}
