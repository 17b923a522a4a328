//! `kubectl` and `helm`, as a person would type them.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::Paths;

/// The two command lines, bound to one cluster.
#[derive(Clone, Debug)]
pub struct Kubectl {
    /// The `kubectl` program.
    pub kubectl: PathBuf,
    /// The `helm` program.
    pub helm: PathBuf,
    /// `None`: the caller's current kubeconfig and context.
    pub kubeconfig: Option<PathBuf>,
}

impl Kubectl {
    /// The local cluster's, or with `CLUSTER=current` the caller's own; and whether it is the local one.
    ///
    /// # Errors
    /// When `CLUSTER` names neither.
    pub fn for_tests(paths: &Paths) -> Result<(Self, bool)> {
        crate::install_crypto();
        let local = !crate::cluster::uses_current()?;
        Ok((Self::new(paths, local), local))
    }

    /// The tools of [`crate::tools`], for the local cluster or for the caller's own.
    #[must_use]
    pub fn new(paths: &Paths, local: bool) -> Self {
        let (kubectl, helm) = (paths.bin().join("kubectl"), paths.bin().join("helm"));
        Self { kubectl, helm, kubeconfig: local.then(|| paths.kubeconfig()) }
    }

    /// Runs `kubectl` and gives what it printed.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        self.run_with_input(args, None).await
    }

    /// Runs `kubectl` with a document on its standard input.
    pub async fn run_with_input(&self, args: &[&str], input: Option<&str>) -> Result<String> {
        output(self.command(&self.kubectl).args(args), input)
            .await
            .with_context(|| format!("kubectl {}", args.join(" ")))
    }

    /// Runs `kubectl get … -o json`; `None` when there is no such object.
    pub async fn get(&self, args: &[&str]) -> Result<Option<Value>> {
        let mut full = vec!["get", "--ignore-not-found", "-o", "json"];
        full.extend_from_slice(args);
        let text = self.run(&full).await?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&text).context("kubectl printed no JSON")?))
    }

    /// Runs `kubectl patch` with a change that is merged into an object such as `pcl/payments`.
    pub async fn patch(&self, namespace: &str, object: &str, change: &Value) -> Result<()> {
        let change = change.to_string();
        self.run(&["-n", namespace, "patch", object, "--type=merge", "-p", &change]).await.map(drop)
    }

    /// Runs `helm`.
    pub async fn helm(&self, args: &[&str]) -> Result<String> {
        output(self.command(&self.helm).args(args), None).await.with_context(|| format!("helm {}", args.join(" ")))
    }

    /// A command bound to this cluster, for what is not run to its end.
    #[must_use]
    pub fn command(&self, program: &PathBuf) -> Command {
        let mut command = Command::new(program);
        if let Some(path) = &self.kubeconfig {
            command.env("KUBECONFIG", path);
        }
        command.kill_on_drop(true);
        command
    }
}

async fn output(command: &mut Command, input: Option<&str>) -> Result<String> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("could not start it")?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(text.as_bytes()).await.context("could not give it its input")?;
    }
    let done = child.wait_with_output().await?;
    if !done.status.success() {
        bail!("{}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
