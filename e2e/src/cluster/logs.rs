//! Shows the logs of the cluster's programs.

use anyhow::{Context as _, Result, bail};

use super::COMPONENTS;
use crate::{command, paths::Paths};

const LINES: usize = 100;

/// Prints the end of one component's log or of all, and goes on printing if asked to.
///
/// # Errors
/// When there is no such component, or no log yet.
pub async fn logs(paths: &Paths, component: Option<&str>, follow: bool) -> Result<()> {
    let chosen: Vec<&str> = match component {
        Some(name) if COMPONENTS.contains(&name) => vec![name],
        Some(name) => bail!("there is no component {name}; there are {}", COMPONENTS.join(", ")),
        None => COMPONENTS.to_vec(),
    };
    let files = chosen.iter().map(|name| paths.logs().join(format!("{name}.log"))).filter(|file| file.exists());
    let files: Vec<_> = files.collect();
    if files.is_empty() {
        bail!("no logs in {}: has the cluster been started?", paths.logs().display());
    }
    let mut tail = command::command("tail");
    tail.arg(format!("--lines={LINES}")).args(&files);
    if follow {
        tail.arg("-F");
    }
    let status = tail.status().await.context("cannot run tail")?;
    if !status.success() {
        bail!("tail: {status}");
    }
    Ok(())
}
